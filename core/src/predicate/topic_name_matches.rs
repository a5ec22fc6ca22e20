//! `TopicNameMatches`: the record's topic matches a regular expression as a whole.
//!
//! On sources the extension `topic` outranks the record's topic, as it does when the record is sent. It does not hold
//! for a record without a topic.

use std::cell::RefCell;
use std::sync::Arc;

use super::Predicate;
use crate::config::Properties;
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::PredicateFactory;
use crate::transform::common;
use crate::transform::java_regex::{Flags, JavaRegex};

const PATTERN: ConfigKey = ConfigKey {
    name: "pattern",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Java regular expression that must match the whole topic.",
};

struct TopicNameMatches {
    pattern: JavaRegex,
    /// The last topic and the answer: most records of a task have the same.
    last: RefCell<Option<(Arc<str>, bool)>>,
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &ConnectRecord) -> Result<bool> {
        if let Some(named) = record.topic_extension() {
            return self.pattern.is_match(&named.to_str());
        }
        let Some(topic) = &record.topic else { return Ok(false) };
        if let Some((known, answer)) = &*self.last.borrow()
            && known == topic
        {
            return Ok(*answer);
        }
        let answer = self.pattern.is_match(topic)?;
        *self.last.borrow_mut() = Some((topic.clone(), answer));
        Ok(answer)
    }
}

fn build(config: &Properties) -> Result<Box<dyn Predicate>, ConfigErrors> {
    let pattern = common::pattern(&PATTERN, config, Flags::default(), JavaRegex::whole)?;
    Ok(Box::new(TopicNameMatches { pattern, last: RefCell::default() }))
}

inventory::submit! {
    PredicateFactory {
        name: "topic-name-matches",
        java_class: "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        doc: "Holds for records whose topic matches a regular expression as a whole.",
        keys: &[PATTERN],
        build,
    }
}
