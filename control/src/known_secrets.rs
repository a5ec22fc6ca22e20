//! All secrets that the worker has come to know, so that they can be taken out of whatever is logged or shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmqc_core::config::secret::{Scrubber, is_scrubbed};

/// Secrets of one owner that are remembered, the latest.
const SECRETS_OF_ONE_MAX: usize = 256;
/// Owners whose secrets are remembered, the latest. Those of a deleted connector stay for a while: its tasks still drain.
const OWNERS_MAX: usize = 16_384;

/// Texts, each with what is shown in its place.
type Pairs = Vec<(String, String)>;

#[derive(Default)]
struct Owner {
    /// When it was last heard of.
    turn: u64,
    secrets: Pairs,
    scrubber: Arc<Scrubber>,
}

#[derive(Default)]
struct Inner {
    turn: u64,
    owners: BTreeMap<String, Owner>,
    /// Of the secrets of all; made when it is needed.
    all: Option<Arc<Scrubber>>,
}

/// Secrets by owner: a connector's name, or any other word for what has none.
#[derive(Default)]
pub struct KnownSecrets {
    inner: Mutex<Inner>,
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets")
    }
}

impl KnownSecrets {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers secrets of an owner besides those that it had: a running task may still use them.
    pub fn learn(&self, owner: &str, secrets: &[(String, String)]) {
        let mut inner = self.inner();
        let Inner { turn, owners, all } = &mut *inner;
        *turn += 1;
        if owners.len() >= OWNERS_MAX && !owners.contains_key(owner) {
            let oldest = owners.iter().min_by_key(|(_, owner)| owner.turn).map(|(name, _)| name.clone());
            oldest.map(|name| owners.remove(&name));
        }
        let entry = owners.entry(owner.to_owned()).or_default();
        entry.turn = *turn;
        let mut new: Pairs = secrets.iter().filter(|(secret, _)| is_scrubbed(secret)).cloned().collect();
        new.retain(|pair| !entry.secrets.contains(pair));
        if new.is_empty() {
            return;
        }
        // The latest go first: of two that are equal the first counts.
        new.append(&mut entry.secrets);
        new.truncate(SECRETS_OF_ONE_MAX);
        entry.secrets = new;
        entry.scrubber = Arc::new(scrubber(&entry.secrets));
        *all = None;
    }

    /// The text without an owner's secrets.
    #[must_use]
    pub fn scrub_of<'t>(&self, owner: &str, text: &'t str) -> Cow<'t, str> {
        let scrubber = self.inner().owners.get(owner).map(|owner| Arc::clone(&owner.scrubber));
        scrubber.map_or(Cow::Borrowed(text), |scrubber| scrubber.scrub(text))
    }

    /// The text without anybody's secrets.
    #[must_use]
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let scrubber = {
            let mut inner = self.inner();
            let Inner { owners, all, .. } = &mut *inner;
            let secrets = owners.values().flat_map(|owner| &owner.secrets);
            let made = || Arc::new(Scrubber::new(secrets.map(|(secret, shown)| (secret.as_str(), shown.as_str()))));
            Arc::clone(all.get_or_insert_with(made))
        };
        scrubber.scrub(text)
    }
}

fn scrubber(secrets: &[(String, String)]) -> Scrubber {
    Scrubber::new(secrets.iter().map(|(secret, shown)| (secret.as_str(), shown.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(secrets: &[&str]) -> Pairs {
        secrets.iter().map(|secret| ((*secret).to_owned(), "******".to_owned())).collect()
    }

    #[test]
    fn secrets_are_learned_and_none_is_forgotten_by_a_change() {
        let known = KnownSecrets::default();
        assert_eq!(known.scrub("hunter2"), "hunter2");
        known.learn("a", &pairs(&["hunter2", "abc"]));
        known.learn("b", &pairs(&["swordfish"]));
        known.learn("a", &pairs(&["hunter3"]));
        let text = "hunter2 hunter3 swordfish abc";
        assert_eq!(known.scrub(text), "****** ****** ****** abc");
        assert_eq!(known.scrub_of("a", text), "****** ****** swordfish abc");
        assert_eq!(known.scrub_of("c", text), text);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = KnownSecrets::default();
        for number in 0..2 * SECRETS_OF_ONE_MAX {
            known.learn("a", &pairs(&[&format!("secret-{number:04}")]));
        }
        assert_eq!(known.inner().owners["a"].secrets.len(), SECRETS_OF_ONE_MAX);
        assert_eq!(known.scrub("secret-0511 secret-0000"), "****** secret-0000");
    }
}
