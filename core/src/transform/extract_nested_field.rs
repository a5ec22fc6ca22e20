//! `ExtractNestedField`: puts a field of an inner struct or map beside it, at the end of the outer one.
//!
//! As in Java: the inner value stays where it is too; a STRUCT in which the outer or the inner field is missing, or the
//! outer one null, is an error; so is a field that already has the new name. Not as in Java: `output.field.name` is
//! heeded, the schema keeps all of its attributes, and maps work: one without the outer or the inner field stays as it
//! is, and its schema, which the inner value would not fit, goes.

use std::cell::RefCell;
use std::sync::Arc;

use super::common::{bad_record, with_fields, wrong_kind};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::{ConnectError, Result};
use crate::json::{Appender, Json, MemberName};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, Schema};
use crate::value::{Map, Struct, Value};

const CLASS: &str = "org.apache.rocketmq.connect.transforms.ExtractNestedField";

const OUTER: ConfigKey = ConfigKey {
    name: "input.outer.field.name",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Name of the field that holds the inner struct or map.",
};
const INNER: ConfigKey =
    ConfigKey { name: "input.inner.field.name", doc: "Name of the field in it that is wanted.", ..OUTER };
const OUTPUT: ConfigKey = ConfigKey {
    name: "output.field.name",
    default: Some(""),
    doc: "Name of the new field; empty: the inner one's.",
    ..OUTER
};

/// What became of the last STRUCT's schema.
struct Extended {
    outer: Arc<Schema>,
    inner: Arc<Schema>,
    extended: Arc<Schema>,
}

struct ExtractNestedField {
    target: Target,
    outer: MemberName,
    inner: MemberName,
    output: MemberName,
    appender: RefCell<Appender>,
    last: RefCell<Option<Extended>>,
}

impl ExtractNestedField {
    fn clash(&self) -> ConnectError {
        bad_record(CLASS, &format!("can't add the field {}: there is one of that name", self.output.name()))
    }

    fn not_nested(&self, value: &Value) -> ConnectError {
        let what = format!("needs a struct or map in the field {}, not {}", self.outer.name(), value.kind());
        bad_record(CLASS, &what)
    }

    fn missing(&self, field: &MemberName) -> ConnectError {
        bad_record(CLASS, &format!("finds no field {}", field.name()))
    }

    fn extended_struct(&self, fields: &Struct) -> Result<Struct> {
        let index = fields.schema().field_index(self.outer.name()).ok_or_else(|| self.missing(&self.outer))?;
        let inner = match fields.values().get(index) {
            Some(Value::Struct(inner)) => inner,
            other => return Err(self.not_nested(other.unwrap_or(&Value::Null))),
        };
        let value = inner.get(self.inner.name()).ok_or_else(|| self.missing(&self.inner))?;
        let schema = self.extended_schema(fields.schema(), inner.schema())?;
        let values = fields.values().iter().chain([value]).cloned().collect();
        Ok(Struct::new(schema, values))
    }

    fn extended_schema(&self, outer: &Arc<Schema>, inner: &Arc<Schema>) -> Result<Arc<Schema>> {
        if let Some(last) = &*self.last.borrow() {
            let same = |known: &Arc<Schema>, asked| Arc::ptr_eq(known, asked) || known == asked;
            if same(&last.outer, outer) && same(&last.inner, inner) {
                return Ok(last.extended.clone());
            }
        }
        if outer.field(self.output.name()).is_some() {
            return Err(self.clash());
        }
        let added = inner.field(self.inner.name()).ok_or_else(|| self.missing(&self.inner))?;
        let mut fields = outer.fields.clone();
        fields.push(Field::new(self.output.name(), added.schema.clone()));
        let default = |default: &Struct| {
            let inner = match default.get(self.outer.name()) {
                Some(Value::Struct(inner)) => inner.get(self.inner.name()).cloned(),
                _ => None,
            };
            default.values().iter().cloned().chain(inner).collect()
        };
        let extended = Arc::new(with_fields(outer, fields, default));
        *self.last.borrow_mut() =
            Some(Extended { outer: outer.clone(), inner: inner.clone(), extended: extended.clone() });
        Ok(extended)
    }

    /// Whether something was added.
    fn extend_map(&self, map: &mut Arc<Map>) -> Result<bool> {
        let value = match map.get(self.outer.name()) {
            None | Some(Value::Null) => None,
            Some(Value::Map(inner)) => inner.get(self.inner.name()).cloned(),
            Some(Value::Struct(inner)) => inner.get(self.inner.name()).cloned(),
            Some(Value::Json(inner)) if inner.is_object() => self.inner.find(inner).map(|raw| inner.value_of(raw)),
            Some(other) => return Err(self.not_nested(other)),
        };
        let Some(value) = value else { return Ok(false) };
        if map.get(self.output.name()).is_some() {
            return Err(self.clash());
        }
        Arc::make_mut(map).insert(Value::text(self.output.name()), value);
        Ok(true)
    }

    fn extended_json(&self, json: &Json) -> Result<Option<Json>> {
        let nested = match self.outer.find(json) {
            None | Some(b"null") => return Ok(None),
            Some(nested @ [b'{', ..]) => nested,
            Some(other) => return Err(self.not_nested(&json.value_of(other))),
        };
        let Some(value) = self.inner.find_in(nested) else { return Ok(None) };
        if self.output.find(json).is_some() {
            return Err(self.clash());
        }
        Ok(Some(self.appender.borrow_mut().append(json, value)))
    }
}

impl Transform for ExtractNestedField {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        match value {
            Value::Null => {}
            Value::Struct(fields) => {
                let extended = self.extended_struct(fields)?;
                *schema = Some(extended.schema().clone());
                *value = Value::Struct(Arc::new(extended));
            }
            Value::Map(map) => {
                if self.extend_map(map)? {
                    *schema = None;
                }
            }
            Value::Json(json) if json.is_object() => {
                if let Some(extended) = self.extended_json(json)? {
                    *value = Value::Json(extended);
                }
            }
            other => return Err(wrong_kind(CLASS, other)),
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let name = |key: &ConfigKey| key.text(&config.properties).unwrap_or_default();
    let output = if name(&OUTPUT).is_empty() { name(&INNER) } else { name(&OUTPUT) };
    Ok(Box::new(ExtractNestedField {
        target: config.target.unwrap_or(Target::Value),
        outer: MemberName::new(name(&OUTER)),
        inner: MemberName::new(name(&INNER)),
        output: MemberName::new(output),
        appender: RefCell::new(Appender::new(output)),
        last: RefCell::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "extract-nested-field",
        java_class: CLASS,
        aliases: &[],
        targets: true,
        doc: "Copies a field of an inner struct or map to the end of the outer one.",
        keys: &[OUTER, INNER, OUTPUT],
        build,
    }
}
