//! Dead letters: what they say, and how they become messages again. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rmqc_core::cluster_port::{NewMessage, StoredMessage};
use serde::Serialize;
use utoipa::ToSchema;

use crate::rest::v1::mask;

/// What stands before the names of properties that tell of the error.
const ERRORS: &str = "__connect.errors.";
/// Properties that a producer or broker sets anew for every message.
const NOT_SENT_ON: [&str; 9] =
    ["UNIQ_KEY", "WAIT", "MSG_REGION", "TRACE_ON", "CLUSTER", "MIN_OFFSET", "MAX_OFFSET", "REAL_TOPIC", "REAL_QID"];
/// Most bytes of a letter's body that are shown.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// A dead letter.
#[derive(Serialize, ToSchema)]
pub(in crate::rest::v1) struct Letter {
    broker: String,
    queue: u32,
    queue_offset: i64,
    born_ms: i64,
    store_ms: i64,
    /// Text, or base64 of bytes that are none. What looks like a secret is masked.
    body: String,
    /// `text` or `base64`.
    encoding: &'static str,
    /// Bytes of the whole body.
    body_bytes: usize,
    /// Whether less of it is shown.
    cut: bool,
    /// Properties, those of the error apart.
    properties: BTreeMap<String, String>,
    /// What the properties `__connect.errors.*` say, by the rest of their names; empty when the connector writes none.
    error: BTreeMap<String, String>,
}

impl Letter {
    pub fn of(message: &StoredMessage) -> Self {
        let shown = message.body.get(..SHOWN_BYTES_MAX).unwrap_or(&message.body);
        let cut = shown.len() < message.body.len();
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // A character that was cut in two.
            Err(error) if cut && error.error_len().is_none() => {
                shown.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok())
            }
            Err(_) => None,
        };
        let (body, encoding) = match text {
            Some(text) => (mask::cut_text(text, cut), "text"),
            None => (BASE64.encode(shown), "base64"),
        };
        let (mut properties, mut error) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in &message.properties {
            match name.strip_prefix(ERRORS) {
                Some(rest) => error.insert(rest.to_owned(), mask::text(value)),
                None => properties.insert(name.clone(), mask::property(name, value)),
            };
        }
        Self {
            broker: message.queue.broker.clone(),
            queue: message.queue.queue,
            queue_offset: message.offset,
            born_ms: message.born_ms,
            store_ms: message.store_ms,
            body,
            encoding,
            body_bytes: message.body.len(),
            cut,
            properties,
            error,
        }
    }
}

/// One thing that a letter says about its error, by the rest of the property's name.
pub(super) fn error_text<'m>(message: &'m StoredMessage, what: &str) -> Option<&'m str> {
    let found = message.properties.iter().find(|(name, _)| name.strip_prefix(ERRORS) == Some(what));
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Whether a letter is a connector's own. One that does not say whose it is may be.
pub(super) fn is_of(message: &StoredMessage, connector: &str) -> bool {
    error_text(message, "connector.name").is_none_or(|name| name == connector)
}

/// The message that a letter was: without what tells of the error. `topic`: where it goes, whatever it says itself;
/// `fallback`: where it goes if it says nothing. None if there is no topic at all.
pub(super) fn reborn(letter: &StoredMessage, topic: Option<&str>, fallback: Option<&str>) -> Option<NewMessage> {
    let topic = topic.or_else(|| error_text(letter, "topic")).or(fallback)?;
    let keep = |name: &str| !name.starts_with(ERRORS) && !NOT_SENT_ON.contains(&name);
    let properties = letter.properties.iter().filter(|(name, _)| keep(name)).cloned().collect();
    Some(NewMessage { topic: topic.to_owned(), properties, body: letter.body.clone() })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rmqc_core::cluster_port::QueueName;

    use super::*;

    fn message(body: &'static [u8], properties: &[(&str, &str)]) -> StoredMessage {
        StoredMessage {
            queue: QueueName { topic: "dlq".to_owned(), broker: "b".to_owned(), queue: 3 },
            offset: 7,
            born_ms: 1,
            store_ms: 2,
            properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn a_letter_is_shown_in_parts_and_without_secrets() {
        let properties = [("KEYS", "k"), ("api_token", "x"), ("__connect.errors.stage", "CONVERTER")];
        let shown = serde_json::to_value(Letter::of(&message(br#"{"password":"x"}"#, &properties))).unwrap();
        assert_eq!(shown["body"], r#"{"password":"******"}"#);
        assert_eq!(shown["properties"], serde_json::json!({"KEYS": "k", "api_token": "******"}));
        assert_eq!(shown["error"], serde_json::json!({"stage": "CONVERTER"}));
        let shown = serde_json::to_value(Letter::of(&message(&[0xff, 0], &[]))).unwrap();
        assert_eq!((&shown["body"], &shown["encoding"]), (&"/wA=".into(), &"base64".into()));
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let body: &'static [u8] = "é".repeat(SHOWN_BYTES_MAX).leak().as_bytes();
        let shown = serde_json::to_value(Letter::of(&message(&body[1..], &[]))).unwrap();
        assert_eq!(shown["encoding"], "base64");
        let odd: &'static [u8] = format!("x{}", "é".repeat(SHOWN_BYTES_MAX)).leak().as_bytes();
        let shown = serde_json::to_value(Letter::of(&message(odd, &[]))).unwrap();
        assert_eq!((&shown["encoding"], &shown["cut"]), (&"text".into(), &true.into()));
    }

    #[test]
    fn a_letter_goes_back_to_where_it_came_from_without_its_error() {
        let letter = message(
            b"x",
            &[("UNIQ_KEY", "1"), ("KEYS", "k"), ("TAGS", "t"), ("colour", "red"), ("__connect.errors.topic", "in")],
        );
        for (topic, fallback, expected) in
            [(None, None, "in"), (Some("other"), Some("only"), "other"), (None, Some("only"), "in")]
        {
            assert_eq!(reborn(&letter, topic, fallback).unwrap().topic, expected);
        }
        let names: Vec<_> = reborn(&letter, None, None).unwrap().properties.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["KEYS", "TAGS", "colour"]);
        let plain = message(b"x", &[]);
        assert_eq!(reborn(&plain, None, Some("only")).unwrap().topic, "only");
        assert!(reborn(&plain, None, None).is_none());
    }

    #[test]
    fn a_letter_that_names_another_connector_is_not_ones_own() {
        assert!(is_of(&message(b"x", &[("__connect.errors.connector.name", "c")]), "c"));
        assert!(!is_of(&message(b"x", &[("__connect.errors.connector.name", "d")]), "c"));
        assert!(is_of(&message(b"x", &[]), "c"));
    }
}
