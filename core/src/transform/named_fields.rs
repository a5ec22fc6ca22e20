//! What the transforms of named fields share: looking at structs, maps and JSON objects alike, schemas that are changed
//! once, and the reading of their keys.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use memchr::memmem;

use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::{ConnectError, Result, Stage};
use crate::json::{Json, MemberChange, write_value};
use crate::limits::{SCHEMAS_REMEMBERED_MAX, SHOWN_CHARACTERS_MAX};
use crate::record::ConnectRecord;
use crate::schema::{Field, FieldType, Logical, Schema};
use crate::value::{Map, Struct, Text, Value};

/// `replace.null.with.default`.
pub(super) const REPLACE_NULL: ConfigKey = ConfigKey {
    name: "replace.null.with.default",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("true"),
    unit: "",
    doc: "Whether a null of a field that has a default becomes that default.",
};

/// A value with named fields.
pub(super) enum NamedFields {
    /// A struct.
    Struct(Arc<Struct>),
    /// A map, with or without a schema.
    Map(Arc<Map>),
    /// An object without a schema, as its text.
    Json(Json),
}

impl NamedFields {
    /// Takes the value out of its place; a null stays, and gives nothing.
    ///
    /// # Errors
    /// A value of any other kind, told in the name of the transform `who`.
    pub(super) fn take(who: &str, value: &mut Value, schema: Option<&Arc<Schema>>) -> Result<Option<Self>> {
        match std::mem::take(value) {
            Value::Null => Ok(None),
            Value::Struct(fields) => Ok(Some(Self::Struct(fields))),
            Value::Map(map) => Ok(Some(Self::Map(map))),
            Value::Json(json) if json.is_object() && schema.is_none() => Ok(Some(Self::Json(json))),
            Value::Json(json) if json.is_object() => Ok(Some(Self::Map(parsed(&json)))),
            other => Err(wrong_kind(who, "a struct or a map", &other)),
        }
    }
}

/// The map of an object's text.
pub(super) fn parsed(json: &Json) -> Arc<Map> {
    match json.parse() {
        Value::Map(map) => map,
        _ => Arc::default(),
    }
}

/// A record that a transform can't work on.
pub(super) fn bad(what: impl Into<String>) -> ConnectError {
    ConnectError::bad_record(Stage::Transform, what)
}

/// A value of a kind that a transform can't work on.
pub(super) fn wrong_kind(who: &str, expected: &str, value: &Value) -> ConnectError {
    bad(format!("{who} needs {expected}, not a value of kind {}", value.kind()))
}

/// A text for an error: never more than a glance.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A field's value, or its default in the place of a null.
pub(super) fn read(schema: &Schema, value: &Value, replace_null: bool) -> Value {
    match (&schema.default, value) {
        (Some(default), Value::Null) if replace_null => default.clone(),
        _ => value.clone(),
    }
}

/// What a transform made of a schema, found again by the schema's identity. The oldest go first.
pub(super) struct SchemaCache<T>(RefCell<Vec<(Arc<Schema>, Rc<T>)>>);

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> SchemaCache<T> {
    /// What was made of this schema; made now if it is new.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn get(&self, old: &Arc<Schema>, make: impl FnOnce(&Schema) -> Result<T>) -> Result<Rc<T>> {
        let known = |entries: &Vec<(Arc<Schema>, Rc<T>)>| {
            entries.iter().find(|(schema, _)| Arc::ptr_eq(schema, old)).map(|(_, made)| made.clone())
        };
        if let Some(made) = known(&self.0.borrow()) {
            return Ok(made);
        }
        let made = Rc::new(make(old)?);
        let mut entries = self.0.borrow_mut();
        if entries.len() >= SCHEMAS_REMEMBERED_MAX {
            entries.remove(0);
        }
        entries.push((old.clone(), made.clone()));
        Ok(made)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// A struct's schema with other fields. A default of the whole struct no longer fits and goes.
///
/// # Errors
/// Two fields of one name.
pub(super) fn with_fields(old: &Schema, fields: Vec<Field>) -> Result<Arc<Schema>> {
    for (at, field) in fields.iter().enumerate() {
        if fields.iter().take(at).any(|other| other.name == field.name) {
            return Err(twice(&field.name));
        }
    }
    let head = Schema { fields: Vec::new(), default: None, ..old.clone() };
    Ok(Arc::new(Schema { fields, ..head }))
}

/// Two fields would have one name.
pub(super) fn twice(name: &str) -> ConnectError {
    bad(format!("two fields would be called \"{}\"", shown(name)))
}

/// Whether a value may stand where the schema is declared.
pub(super) fn fits(schema: &Schema, value: &Value) -> bool {
    match (schema.field_type, schema.logical_type(), value) {
        (_, _, Value::Null) => schema.optional,
        (FieldType::Int8, None, Value::Int8(_))
        | (FieldType::Int16, None, Value::Int16(_))
        | (FieldType::Int32, None, Value::Int32(_))
        | (FieldType::Int64, None, Value::Int64(_))
        | (FieldType::Float32, _, Value::Float32(_))
        | (FieldType::Float64, _, Value::Float64(_))
        | (FieldType::Boolean, _, Value::Boolean(_))
        | (FieldType::String, _, Value::String(_))
        | (FieldType::Bytes, None, Value::Bytes(_))
        | (FieldType::Array, _, Value::Array(_))
        | (FieldType::Map, _, Value::Map(_))
        | (_, Some(Logical::Date | Logical::Time | Logical::Timestamp), Value::Date(_)) => true,
        (_, Some(Logical::Decimal), Value::Decimal(number)) => {
            schema.decimal_scale() == Some(number.as_bigint_and_exponent().1)
        }
        (FieldType::Struct, _, Value::Struct(fields)) => **fields.schema() == *schema,
        (FieldType::Array, _, Value::Json(json)) => !json.is_object(),
        (FieldType::Map, _, Value::Json(json)) => json.is_object(),
        _ => false,
    }
}

/// A map's schema stays only as long as its new values fit it; else the map goes on without one.
pub(super) fn keep_if_fits(schema: &mut Option<Arc<Schema>>, new_value: &Value) {
    let values = schema.as_ref().and_then(|schema| schema.value_schema.as_ref());
    if !values.is_some_and(|values| fits(values, new_value)) {
        *schema = None;
    }
}

/// A name, ready to be looked for in objects' texts.
pub(super) struct Needle {
    /// The name.
    pub(super) name: String,
    /// It in quotes, as it stands in a text without escapes.
    quoted: memmem::Finder<'static>,
}

impl Needle {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), quoted: memmem::Finder::new(&format!("\"{name}\"")).into_owned() }
    }

    /// Whether the object has a member of this name. In the usual text, without it and without escapes, nothing is
    /// taken apart to tell.
    pub(super) fn is_in(&self, json: &Json) -> bool {
        let maybe = memchr::memchr(b'\\', json.text()).is_some() || self.quoted.find(json.text()).is_some();
        maybe && json.raw_member(&self.name).is_some()
    }
}

/// The JSON text of a value, if reading it gives that value again (but for a whole number's width).
pub(super) fn exact_json(value: &Value) -> Option<Vec<u8>> {
    let exact = match value {
        Value::Null | Value::Boolean(_) | Value::Int32(_) | Value::Int64(_) => true,
        Value::Float64(number) => number.is_finite(),
        Value::String(text) => std::str::from_utf8(text.as_bytes()).is_ok(),
        _ => false,
    };
    let mut out = Vec::new();
    (exact && write_value(&mut out, value).is_ok()).then_some(out)
}

/// An object's text with another text for the value of a member; if there are more of its name, for all of them.
pub(super) fn replaced(json: &Json, name: &str, raw_value: &[u8]) -> Json {
    match sole_member(json, name) {
        Some(sole) => json.spliced(sole, raw_value),
        None => json.edited(|member| match member.is_named(name) {
            true => MemberChange::Replace(raw_value.to_vec()),
            false => MemberChange::Keep,
        }),
    }
}

/// The text of the value of the only member of this name; none if there are more, or none.
pub(super) fn sole_member<'a>(json: &'a Json, name: &str) -> Option<&'a [u8]> {
    let mut same = json.members().filter(|member| member.is_named(name));
    let first = same.next()?;
    same.next().is_none().then_some(first.raw_value)
}

/// The value of a field of any of the three; null when a map has no such field.
///
/// # Errors
/// A struct whose schema has no such field.
pub(super) fn field(who: &str, fields: &NamedFields, name: &str, replace_null: bool) -> Result<Value> {
    match fields {
        NamedFields::Struct(fields) => {
            let found = fields.iter().find(|(field, _)| &*field.name == name);
            let (field, value) = found.ok_or_else(|| no_field(who, name))?;
            Ok(read(&field.schema, value, replace_null))
        }
        NamedFields::Map(map) => Ok(map.get(name).cloned().unwrap_or_default()),
        NamedFields::Json(json) => Ok(json.member(name).unwrap_or_default()),
    }
}

/// A struct has no such field.
pub(super) fn no_field(who: &str, name: &str) -> ConnectError {
    bad(format!("{who}: there is no field \"{}\"", shown(name)))
}

/// The topic of a record: on a source the extension `topic`, which outranks the record's own there.
pub(super) fn topic_of(record: &ConnectRecord) -> Option<Text> {
    let own = || record.topic.as_deref().filter(|topic| !topic.trim().is_empty()).map(Text::from);
    if is_consumed(record) {
        return own();
    }
    record.extensions.get("topic").filter(|topic| !topic.to_str().trim().is_empty()).or_else(own)
}

/// Whether a record came from a message queue: its position names one.
pub(super) fn is_consumed(record: &ConnectRecord) -> bool {
    record.position.as_ref().is_some_and(|position| position.partition.0.contains_key("queueId"))
}

/// The names in a list.
pub(super) fn list(key: &ConfigKey, properties: &Properties) -> Vec<String> {
    let text = key.text(properties).unwrap_or_default();
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The names in a list that may not be empty.
pub(super) fn needed_list(key: &ConfigKey, properties: &Properties) -> Result<Vec<String>, ConfigErrors> {
    let names = list(key, properties);
    if names.is_empty() { Err(wrong(key, properties, "at least one name")) } else { Ok(names) }
}

/// A text that may not be empty.
pub(super) fn needed_text(key: &ConfigKey, properties: &Properties) -> Result<String, ConfigErrors> {
    match key.text(properties).unwrap_or_default() {
        "" => Err(wrong(key, properties, "a text")),
        text => Ok(text.to_owned()),
    }
}

/// A text with the blanks around it; the default when the key is not there.
pub(super) fn untrimmed(key: &ConfigKey, properties: &Properties) -> String {
    properties.get(key.name).map(String::as_str).or(key.default).unwrap_or_default().to_owned()
}

/// A key's text is not what it should be.
pub(super) fn wrong(key: &ConfigKey, properties: &Properties, expected: &str) -> ConfigErrors {
    let text = key.text(properties).unwrap_or_default();
    ConfigError::new(key.name, format!("Config {} is \"{text}\", expected {expected}", key.name)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_knows_schemas_by_identity_and_is_bounded() {
        let cache = SchemaCache::default();
        let schemas: Vec<_> = (0..40).map(|_| Arc::new(Schema::structure(Vec::new()))).collect();
        for (number, schema) in schemas.iter().enumerate() {
            assert_eq!(*cache.get(schema, |_| Ok(number)).unwrap(), number);
            assert_eq!(*cache.get(schema, |_| Err(bad("made again"))).unwrap(), number);
        }
        assert_eq!(cache.len(), SCHEMAS_REMEMBERED_MAX);
        assert!(cache.get(&schemas[0], |_| Err(bad("forgotten"))).is_err());
    }

    #[test]
    fn members_are_found_however_they_are_written() {
        for (text, found) in [
            (r#"{"a":1}"#, true),
            (r#"{"\u0061":1}"#, true),
            (r#"{"b":"a","c":{"a":1}}"#, false),
            (r#"{"b":"\n"}"#, false),
            ("{}", false),
        ] {
            let Value::Json(json) = crate::json::decode(bytes::Bytes::from(text)).unwrap() else { panic!() };
            assert_eq!(Needle::new("a").is_in(&json), found, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shown("é"), "é");
        assert_eq!(shown(&"é".repeat(500)).chars().count(), SHOWN_CHARACTERS_MAX + 1);
    }
}
