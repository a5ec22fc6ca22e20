//! `RegexRouter`: sends a record to another topic, named after its own by a regular expression.
//!
//! As Kafka Connect's transform of this name (Java RocketMQ Connect's can't be used): the whole topic must match; then
//! the first place where the pattern is found is replaced, which is less than the whole for patterns like `a|ab`. On
//! sources the extension `topic`, which outranks the record's topic, is rewritten in the same way. A record without a
//! topic stays as it is.

use std::cell::RefCell;
use std::sync::Arc;

use super::common::{bad_record, pattern, raw_text, wrong_key};
use super::java_regex::{Flags, JavaRegex, Replacement};
use super::{Outcome, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::{ConnectRecord, TOPIC_EXTENSION};
use crate::registry::TransformFactory;

const CLASS: &str = "org.apache.rocketmq.connect.transforms.RegexRouter";

const REGEX: ConfigKey = ConfigKey {
    name: "regex",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Java regular expression that must match the whole topic.",
};
const REPLACEMENT: ConfigKey =
    ConfigKey { name: "replacement", doc: "The new topic; `$1` and `${name}` are what the groups hold.", ..REGEX };

struct RegexRouter {
    whole: JavaRegex,
    search: JavaRegex,
    replacement: Replacement,
    /// The last topic and what became of it: most records of a task have the same.
    last: RefCell<Option<(Arc<str>, Arc<str>)>>,
}

impl RegexRouter {
    fn new_topic(&self, topic: &str) -> Result<Option<String>> {
        if !self.whole.is_match(topic)? {
            return Ok(None);
        }
        let new = self.search.replace_first(topic, &self.replacement)?;
        match new {
            Some(new) if new.trim().is_empty() => Err(bad_record(CLASS, &format!("leaves no topic of {topic}"))),
            new => Ok(new),
        }
    }

    fn route(&self, topic: &Arc<str>) -> Result<Arc<str>> {
        if let Some((old, new)) = &*self.last.borrow()
            && old == topic
        {
            return Ok(new.clone());
        }
        let new = self.new_topic(topic)?.map_or_else(|| topic.clone(), Arc::from);
        *self.last.borrow_mut() = Some((topic.clone(), new.clone()));
        Ok(new)
    }
}

impl Transform for RegexRouter {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        if let Some(named) = record.topic_extension()
            && let Some(new) = self.new_topic(&named.to_str())?
        {
            record.extensions.set(TOPIC_EXTENSION, new);
        }
        if let Some(topic) = &record.topic {
            record.topic = Some(self.route(topic)?);
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let whole = pattern(&REGEX, &config.properties, Flags::default(), JavaRegex::whole)?;
    let search = pattern(&REGEX, &config.properties, Flags::default(), JavaRegex::search)?;
    let text = raw_text(&REPLACEMENT, &config.properties);
    let replacement = search.replacement(&text).map_err(|reason| wrong_key(&REPLACEMENT, &text, &reason))?;
    Ok(Box::new(RegexRouter { whole, search, replacement, last: RefCell::default() }))
}

inventory::submit! {
    TransformFactory {
        name: "regex-router",
        java_class: CLASS,
        aliases: &["org.apache.kafka.connect.transforms.RegexRouter"],
        targets: false,
        doc: "Sends records to another topic, named after their own by a regular expression.",
        keys: &[REGEX, REPLACEMENT],
        build,
    }
}
