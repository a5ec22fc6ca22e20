//! Which values of a connector's configuration are secrets, and how they are kept from being seen.

use std::borrow::Cow;

use rmqc_core::command::ShardEvent;
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{COMMON_KEYS, KEY_CONVERTER, SINK_KEYS, SOURCE_KEYS, VALUE_CONVERTER};
use rmqc_core::config::key::{ConfigKey, KeyKind, MASK};
use rmqc_core::config::provider::{Provided, is_sole_reference, refers};
use rmqc_core::config::secret::{Scrubber, looks_secret, passwords_in, shown};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, find_converter, find_predicate, find_transform};
use rmqc_core::trace::SpanValue;

use super::direct::Halves;
use crate::known_secrets::KnownSecrets;

/// Knows what the keys of one configuration mean.
pub(crate) struct Meaning<'p> {
    properties: &'p Properties,
    /// Definitions of keys without a prefix.
    plain: Vec<&'static [ConfigKey]>,
}

impl<'p> Meaning<'p> {
    /// The meaning of a configuration's keys; of a configuration whose class is not known, what can be known.
    pub fn of(properties: &'p Properties, factory: Option<&'static ConnectorFactory>) -> Self {
        let mut plain = vec![COMMON_KEYS];
        if let Some(factory) = factory {
            plain.push(factory.keys);
            plain.push(match factory.build.kind() {
                ConnectorKind::Source => SOURCE_KEYS,
                ConnectorKind::Sink => SINK_KEYS,
            });
        }
        if let Ok(Some(halves)) = Halves::of(properties) {
            plain.extend([SOURCE_KEYS, halves.source.keys, halves.sink.keys]);
        }
        Self { properties, plain }
    }

    /// The definition of a key by its full name, or another spelling of it.
    pub fn definition(&self, name: &str) -> Option<ConfigKey> {
        let find = |keys: &'static [ConfigKey], name: &str| {
            keys.iter().find(|key| key.name == name || key.aliases.contains(&name)).copied()
        };
        if let Some(found) = self.plain.iter().find_map(|keys| find(keys, name)) {
            return Some(found);
        }
        for key in [KEY_CONVERTER, VALUE_CONVERTER] {
            if let Some(own) = name.strip_prefix(key.name).and_then(|rest| rest.strip_prefix('.')) {
                return find(find_converter(key.text(self.properties)?)?.keys, own);
            }
        }
        let (list, rest) = name.split_once('.')?;
        let (step, own) = rest.split_once('.')?;
        let class =
            ["class", "type"].iter().find_map(|key| self.properties.get(&format!("{list}.{step}.{key}")))?.trim();
        match list {
            "transforms" => find(find_transform(class)?.0.keys, own),
            "predicates" => find(find_predicate(class)?.keys, own),
            _ => None,
        }
    }

    /// All definitions of keys without a prefix.
    pub fn plain_keys(&self) -> impl Iterator<Item = &'static ConfigKey> + Clone {
        self.plain.clone().into_iter().flatten()
    }

    /// Whether the value of a key must never be shown: its definition says so, or, for keys that nobody defined, its name.
    pub fn is_secret(&self, name: &str) -> bool {
        self.definition(name).map_or_else(|| looks_secret(name), |key| key.kind == KeyKind::Secret)
    }

    /// A value as it may be shown.
    pub fn shown<'v>(&self, name: &str, value: &'v str) -> Cow<'v, str> {
        shown(value, self.is_secret(name))
    }

    /// The whole configuration as it may be shown.
    pub fn masked(&self) -> Properties {
        self.properties.iter().map(|(name, value)| (name.clone(), self.shown(name, value).into_owned())).collect()
    }

    /// All secrets, each with what is shown in its place: those that the configuration holds itself, and what its
    /// references stand for.
    pub fn secrets(&self, provided: &[Provided]) -> Vec<(String, String)> {
        let mut secrets: Vec<_> = provided.iter().map(|one| (one.value.clone(), one.reference.clone())).collect();
        for (name, value) in self.properties {
            if self.is_secret(name) {
                if !is_sole_reference(value) {
                    secrets.push((value.clone(), MASK.to_owned()));
                }
            } else {
                let open = passwords_in(value).filter(|password| !refers(password));
                secrets.extend(open.map(|password| (password.to_owned(), MASK.to_owned())));
            }
        }
        secrets
    }
}

/// A scrubber of such secrets.
pub(crate) fn scrubber(secrets: &[(String, String)]) -> Scrubber {
    Scrubber::new(secrets.iter().map(|(secret, shown)| (secret.as_str(), shown.as_str())))
}

/// A configuration with the values of secret keys hidden. References stay: they tell nothing.
#[must_use]
pub fn masked(properties: &Properties, factory: Option<&'static ConnectorFactory>) -> Properties {
    Meaning::of(properties, factory).masked()
}

/// The same as one line for the log, where not even another key's value may repeat a secret. A configuration that is
/// refused is logged, too, and its secrets are known nowhere else.
#[must_use]
pub fn logged(properties: &Properties, factory: Option<&'static ConnectorFactory>) -> String {
    let meaning = Meaning::of(properties, factory);
    let scrubber = scrubber(&meaning.secrets(&[]));
    let scrub = |(name, value): (String, String)| (name, scrubber.scrub(&value).into_owned());
    let shown: Properties = meaning.masked().into_iter().map(scrub).collect();
    serde_json::to_string(&shown).unwrap_or_default()
}

/// Puts the stored values back where a changed configuration has what was shown of them.
pub(crate) fn unmask(properties: &mut Properties, stored: &Properties, factory: Option<&'static ConnectorFactory>) {
    let meaning = Meaning::of(stored, factory);
    for (name, value) in properties {
        if let Some(kept) = stored.get(name)
            && value != kept
            && meaning.shown(name, kept) == *value
        {
            value.clone_from(kept);
        }
    }
}

/// What a shard says, without the secrets of whom it is about.
pub(crate) fn scrubbed(mut event: ShardEvent, known: &KnownSecrets) -> ShardEvent {
    let scrub = |owner: &str, text: &mut String| {
        if let Cow::Owned(scrubbed) = known.scrub_of(owner, text) {
            *text = scrubbed;
        }
    };
    match &mut event {
        ShardEvent::TaskFailed { task, cause: text, .. }
        | ShardEvent::PauseWanted(task, _, text)
        | ShardEvent::TaskWarning(task, _, text) => scrub(&task.connector, text),
        ShardEvent::Report(_, _, report) => {
            for task in &mut report.tasks {
                if let Some(holding) = &mut task.holding {
                    scrub(&task.task.connector, &mut holding.cause);
                }
                for failed in &mut task.failed {
                    scrub(&task.task.connector, &mut failed.error);
                    scrub(&task.task.connector, &mut failed.position);
                    scrub(&task.task.connector, &mut failed.value);
                }
            }
            for span in &mut report.spans {
                let texts = span.attributes.iter_mut().filter_map(|(_, value)| match value {
                    SpanValue::Text(text) => Some(text),
                    SpanValue::Whole(_) => None,
                });
                texts.chain(&mut span.error).for_each(|text| scrub(&span.task.connector, text));
            }
        }
        // Any of the shard's tasks may have caused it.
        ShardEvent::ShardReplaced { cause, .. } => {
            if let Cow::Owned(scrubbed) = known.scrub(cause) {
                *cause = scrubbed;
            }
        }
        ShardEvent::TaskRunning(..)
        | ShardEvent::TaskPaused(..)
        | ShardEvent::TaskStopped(..)
        | ShardEvent::Positions(..)
        | ShardEvent::Tapped(..)
        | ShardEvent::ShardDown(_) => {}
    }
    event
}

#[cfg(test)]
mod tests {
    use rmqc_core::id::{ShardId, TaskId};
    use rmqc_core::metrics::ShardReport;
    use rmqc_core::trace::{BatchSpan, SpanKind, SpanPlace};

    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn spans_are_told_without_the_secrets_of_their_connector() {
        let known = KnownSecrets::default();
        known.learn("db", &[("hunter2-hunter2".to_owned(), MASK.to_owned())]);
        let span = |connector: &str| BatchSpan {
            task: TaskId::new(connector, 0),
            place: SpanPlace { trace_id: [1; 16], span_id: [2; 8] },
            parent_id: None,
            name: "put",
            kind: SpanKind::Internal,
            begin_unix_nanos: 1,
            end_unix_nanos: 2,
            attributes: vec![("rmqc.records", 3.into()), ("rmqc.retry_cause", "login hunter2-hunter2 failed".into())],
            links: Vec::new(),
            error: Some("no entry with hunter2-hunter2".to_owned()),
        };
        let report = ShardReport { spans: vec![span("db"), span("other")], ..ShardReport::default() };
        let event = scrubbed(ShardEvent::Report(ShardId(0), 1, Box::new(report)), &known);
        let ShardEvent::Report(_, _, report) = event else { panic!("another event") };
        let texts = |at: usize| format!("{:?} {:?}", report.spans[at].attributes, report.spans[at].error);
        assert!(!texts(0).contains("hunter2") && texts(0).matches(MASK).count() == 2, "{}", texts(0));
        assert!(texts(1).contains("hunter2"), "it is not the other connector's secret");
    }

    #[test]
    fn what_was_masked_comes_back_as_it_is_stored() {
        let stored = properties(&[
            ("db.password", "hunter2"),
            ("api.token", "${env:TOKEN}"),
            ("url", "jdbc:x://u:secret@h/d"),
            ("filename", "f"),
        ]);
        let seen = masked(&stored, None);
        assert_eq!(
            seen,
            properties(&[
                ("db.password", MASK),
                ("api.token", "${env:TOKEN}"),
                ("url", "jdbc:x://u:******@h/d"),
                ("filename", "f"),
            ])
        );
        let mut sent = seen.clone();
        sent.insert("filename".to_owned(), "g".to_owned());
        unmask(&mut sent, &stored, None);
        let mut expected = stored.clone();
        expected.insert("filename".to_owned(), "g".to_owned());
        assert_eq!(sent, expected);
        // Another value is another value.
        let mut sent = properties(&[("db.password", "other"), ("url", "jdbc:x://u:******@h2/d")]);
        let asked = sent.clone();
        unmask(&mut sent, &stored, None);
        assert_eq!(sent, asked);
    }

    #[test]
    fn secrets_are_those_of_keys_references_and_addresses() {
        let config = properties(&[
            ("db.password", "hunter2"),
            ("api.token", "${env:TOKEN}"),
            ("url", "jdbc:x://u:secret@h/d"),
            ("filename", "f"),
        ]);
        let provided = [Provided { reference: "${env:TOKEN}".to_owned(), value: "abcdef".to_owned() }];
        let scrubber = scrubber(&Meaning::of(&config, None).secrets(&provided));
        assert_eq!(
            scrubber.scrub("hunter2 abcdef jdbc:x://u:secret@h/d f"),
            "****** ${env:TOKEN} jdbc:x://u:******@h/d f"
        );
    }
}
