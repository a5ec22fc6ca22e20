//! Which messages of its topics a consumer wants: all, or those with certain tags.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::remoting::java_hash::java_hash;
use crate::remoting::properties::{TAGS, find};

/// The expression for all messages.
const ALL: &str = "*";
/// Between two tags of an expression.
const OR: &str = "||";

/// The tags that a consumer wants. A broker looks at their hashes only, so what it sends is compared once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Wanted tags, each once; none: all messages.
    tags: Rc<[String]>,
    /// As brokers are told.
    expression: Rc<str>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self::parse(ALL)
    }
}

impl Subscription {
    /// Reads `tagA || tagB`, with or without blanks. Nothing, or `*` among the tags, means all messages.
    #[must_use]
    pub fn parse(expression: &str) -> Self {
        let mut tags: Vec<String> = Vec::new();
        for tag in expression.split(OR).map(str::trim).filter(|tag| !tag.is_empty()) {
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        }
        if tags.iter().any(|tag| tag == ALL) {
            tags.clear();
        }
        let expression = if tags.is_empty() { ALL.to_owned() } else { tags.join(OR) };
        Self { tags: tags.into(), expression: expression.into() }
    }

    /// Whether all messages are wanted.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.tags.is_empty()
    }

    /// As pull requests carry it: `*` or `tagA||tagB`.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether a message with these properties is wanted.
    #[must_use]
    pub fn takes(&self, properties: &[u8]) -> bool {
        if self.is_all() {
            return true;
        }
        find(properties, TAGS).is_some_and(|tag| self.tags.iter().any(|wanted| wanted.as_bytes() == tag))
    }

    /// As heartbeats carry it for one topic.
    #[must_use]
    pub fn heartbeat(&self, topic: &Arc<str>, version: i64) -> Value {
        json!({
            "topic": &**topic,
            "subString": self.expression(),
            "tagsSet": &self.tags[..],
            "codeSet": self.tags.iter().map(|tag| java_hash(tag)).collect::<Vec<_>>(),
            "subVersion": version,
            "expressionType": "TAG",
            "classFilterMode": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_lose_their_blanks_and_doubles() {
        for (given, sent) in
            [("*", "*"), ("", "*"), (" || ", "*"), ("a||*", "*"), (" a ", "a"), ("a || b||a|| c d", "a||b||c d")]
        {
            let subscription = Subscription::parse(given);
            assert_eq!(subscription.expression(), sent, "{given}");
            assert_eq!(subscription.is_all(), sent == "*");
        }
    }

    #[test]
    fn tags_are_compared_as_they_are_not_by_hash() {
        let subscription = Subscription::parse("Aa || x");
        for (properties, taken) in [
            (&b"TAGS\x01Aa\x02"[..], true),
            (b"k\x011\x02TAGS\x01x\x02", true),
            (b"TAGS\x01BB\x02", false),
            (b"TAGS\x01\x02", false),
            (b"k\x01Aa\x02", false),
            (b"", false),
        ] {
            assert_eq!(subscription.takes(properties), taken, "{properties:?}");
            assert!(Subscription::default().takes(properties));
        }
    }

    #[test]
    fn heartbeats_name_tags_and_their_hashes() {
        let heartbeat = Subscription::parse("abc || Aa").heartbeat(&Arc::from("t"), 7);
        let expected = json!({
            "topic": "t", "subString": "abc||Aa", "tagsSet": ["abc", "Aa"], "codeSet": [96354, 2112], "subVersion": 7,
            "expressionType": "TAG", "classFilterMode": false,
        });
        assert_eq!(heartbeat, expected);
        let all = Subscription::default().heartbeat(&Arc::from("t"), 7);
        assert_eq!((&all["subString"], &all["tagsSet"], &all["codeSet"]), (&json!("*"), &json!([]), &json!([])));
    }
}
