//! What several transforms need: errors, patterns from the configuration, schemas with other fields.

use std::sync::Arc;

use super::java_regex::{Flags, JavaRegex};
use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigKey};
use crate::error::{ConnectError, Stage};
use crate::schema::{Field, Schema};
use crate::value::{Struct, Value};

/// A value of a kind that the class can't work on.
pub(crate) fn wrong_kind(class: &str, value: &Value) -> ConnectError {
    bad_record(class, &format!("can't work on a value of kind {}", value.kind()))
}

/// A record on which the class fails.
pub(crate) fn bad_record(class: &str, what: &str) -> ConnectError {
    ConnectError::bad_record(Stage::Transform, format!("{class} {what}"))
}

/// The text of a key as it stands, blanks around it included: in patterns and replacements they mean themselves.
pub(crate) fn raw_text(key: &ConfigKey, properties: &Properties) -> String {
    properties.get(key.name).map_or_else(|| key.default.unwrap_or_default().to_owned(), Clone::clone)
}

/// The pattern of a key; `compile` is [`JavaRegex::whole`] or [`JavaRegex::search`].
///
/// # Errors
/// Names the key and what is wrong with its pattern.
pub(crate) fn pattern(
    key: &ConfigKey,
    properties: &Properties,
    flags: Flags,
    compile: fn(&str, Flags) -> Result<JavaRegex, String>,
) -> Result<JavaRegex, ConfigError> {
    let text = raw_text(key, properties);
    compile(&text, flags).map_err(|reason| wrong_key(key, &text, &reason))
}

/// The error of a key whose text is wrong.
pub(crate) fn wrong_key(key: &ConfigKey, text: &str, reason: &str) -> ConfigError {
    ConfigError::new(key.name, format!("Config {} is \"{text}\": {reason}", key.name))
}

/// The schema with other fields, all else as it was. A default of its own gets the values that `default_values` makes
/// of the old one's.
pub(crate) fn with_fields(
    schema: &Schema,
    fields: Vec<Field>,
    default_values: impl FnOnce(&Struct) -> Vec<Value>,
) -> Schema {
    let mut new = Schema { default: None, fields, ..schema.clone() };
    if let Some(Value::Struct(default)) = &schema.default {
        let values = default_values(default);
        new.default = Some(Value::Struct(Arc::new(Struct::new(Arc::new(new.clone()), values))));
    }
    new
}
