//! `PatternFilter`: drops records in which a field's text matches.
//!
//! As in Java: the whole text of a listed field must match; only texts are looked at, a field of another kind, a null
//! (a default does not stand in for it) or a missing field never matches; only top-level fields. Not as in Java: it
//! works on sources too, a null struct passes, and a value that has no fields is an error instead of passing unseen.
//!
//! On JSON text: no allocation, unless names or the text itself hold escapes.

use std::borrow::Cow;

use super::common::{pattern, wrong_key, wrong_kind};
use super::java_regex::{Flags, JavaRegex};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::{MemberName, text_of};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::value::Value;

const CLASS: &str = "org.apache.rocketmq.connect.transforms.PatternFilter";

const PATTERN: ConfigKey = ConfigKey {
    name: "pattern",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Java regular expression; a record is dropped when it matches a field's whole text.",
};
const FIELDS: ConfigKey =
    ConfigKey { name: "fields", kind: KeyKind::List, doc: "Names of the fields, separated by commas.", ..PATTERN };

struct PatternFilter {
    target: Target,
    pattern: JavaRegex,
    fields: Vec<MemberName>,
}

impl PatternFilter {
    /// Whether the field is a text that matches.
    fn matches(&self, value: &Value, field: &MemberName) -> Result<bool> {
        let text: Option<Cow<'_, str>> = match value {
            Value::Json(json) if json.is_object() => field.find(json).and_then(text_of),
            Value::Map(map) => map.get(field.name()).and_then(text),
            Value::Struct(fields) => {
                let index = fields.schema().field_index(field.name());
                index.and_then(|index| fields.values().get(index)).and_then(text)
            }
            Value::Null => None,
            other => return Err(wrong_kind(CLASS, other)),
        };
        text.map_or(Ok(false), |text| self.pattern.is_match(&text))
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.to_str()),
        _ => None,
    }
}

impl Transform for PatternFilter {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, _) = self.target.of(record);
        for field in &self.fields {
            if self.matches(value, field)? {
                return Ok(Outcome::Drop);
            }
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let pattern = pattern(&PATTERN, &config.properties, Flags::default(), JavaRegex::whole)?;
    let list = FIELDS.text(&config.properties).unwrap_or_default();
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let fields: Vec<_> = names.map(MemberName::new).collect();
    if fields.is_empty() {
        return Err(wrong_key(&FIELDS, list, "it names no field").into());
    }
    Ok(Box::new(PatternFilter { target: config.target.unwrap_or(Target::Value), pattern, fields }))
}

inventory::submit! {
    TransformFactory {
        name: "pattern-filter",
        java_class: CLASS,
        aliases: &[],
        targets: true,
        doc: "Drops records in which the whole text of a top-level field matches a regular expression.",
        keys: &[PATTERN, FIELDS],
        build,
    }
}
