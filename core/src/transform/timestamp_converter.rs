//! `TimestampConverter`: a time in another form.

use std::sync::Arc;

use super::date_format::DateFormat;
use super::named_fields::{
    NamedFields, REPLACE_NULL, SchemaCache, bad, exact_json, keep_if_fits, parsed, read, shown, sole_member, untrimmed,
    with_fields,
};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::Json;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, FieldType, Logical, Schema};
use crate::value::{Map, Struct, Value};

const WHO: &str = "TimestampConverter";
const DAY_MS: i64 = 86_400_000;

const FIELD: ConfigKey = ConfigKey {
    name: "field",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Name of the field that holds the time; empty: the whole key or value does.",
};
const TARGET_TYPE: ConfigKey = ConfigKey {
    name: "target.type",
    aliases: &[],
    kind: KeyKind::Choice(&["string", "unix", "Date", "Time", "Timestamp"]),
    default: None,
    unit: "",
    doc: "What to make of it: a text, a number since 1970-01-01 UTC, or a value of a logical type.",
};
const FORMAT: ConfigKey = ConfigKey {
    name: "format",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "How a text is written or read, as a pattern of Java's SimpleDateFormat, in UTC. Letters: y M L d D E u a H k K \
          h m s S z Z X. Needed for texts.",
};
const PRECISION: ConfigKey = ConfigKey {
    name: "unix.precision",
    aliases: &[],
    kind: KeyKind::Choice(&["seconds", "milliseconds", "microseconds", "nanoseconds"]),
    default: Some("milliseconds"),
    unit: "",
    doc: "Unit of a time that is a number. What is finer than a millisecond is cut off.",
};

/// What a time becomes.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Unix,
    Logical(Logical),
}

impl Form {
    fn schema(self, optional: bool) -> Schema {
        let schema = match self {
            Self::Text => Schema::optional(FieldType::String),
            Self::Unix => Schema::optional(FieldType::Int64),
            Self::Logical(logical) => Schema::logical(logical),
        };
        Schema { optional, ..schema }
    }
}

/// The unit of a number.
#[derive(Clone, Copy)]
enum Unit {
    /// So many milliseconds.
    Milliseconds(i64),
    /// So many a millisecond.
    PerMillisecond(i64),
}

impl Unit {
    fn to_ms(self, number: i64) -> Option<i64> {
        match self {
            Self::Milliseconds(ms) => number.checked_mul(ms),
            Self::PerMillisecond(count) => number.checked_div(count),
        }
    }

    fn of_ms(self, time_ms: i64) -> Option<i64> {
        match self {
            Self::Milliseconds(ms) => time_ms.checked_div(ms),
            Self::PerMillisecond(count) => time_ms.checked_mul(count),
        }
    }
}

struct TimestampConverter {
    target: Target,
    field: Option<String>,
    form: Form,
    format: Option<DateFormat>,
    unit: Unit,
    replace_null: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl TimestampConverter {
    /// The time in its new form; null stays null. `schema` is the value's own, if it has one.
    fn converted(&self, value: &Value, schema: Option<&Schema>) -> Result<Value> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let converted = self.time_ms(value, schema).and_then(|time_ms| self.in_form(time_ms));
        converted.map_err(|reason| {
            let place = self.field.as_ref().map(|name| format!("field \"{}\" of kind ", shown(name)));
            let text = match value {
                Value::String(text) => format!(" \"{}\"", shown(&text.to_str())),
                _ => String::new(),
            };
            bad(format!("{WHO} can't convert {}{}{text}: {reason}", place.unwrap_or_default(), value.kind()))
        })
    }

    /// The time that a value means, in milliseconds since 1970-01-01 UTC.
    fn time_ms(&self, value: &Value, schema: Option<&Schema>) -> Result<i64, String> {
        let unix = |number: i64| self.unit.to_ms(number).ok_or_else(|| "the time is beyond its range".to_owned());
        match value {
            Value::Date(time_ms) => Ok(*time_ms),
            Value::Int64(number) => unix(*number),
            // A number without a schema has no width.
            Value::Int32(number) if schema.is_none() => unix(i64::from(*number)),
            Value::String(text) => {
                let format = self.format.as_ref().ok_or("a text needs the key format")?;
                let read = format.parse(&text.to_str());
                read.map_err(|error| format!("not a time of the format \"{}\", {error}", format.pattern()))
            }
            _ => Err("a value of this kind is no time".to_owned()),
        }
    }

    fn in_form(&self, time_ms: i64) -> Result<Value, String> {
        Ok(match self.form {
            Form::Text => {
                let format = self.format.as_ref().ok_or("a text needs the key format")?;
                Value::text(format.format(time_ms))
            }
            Form::Unix => Value::Int64(self.unit.of_ms(time_ms).ok_or("the time is beyond its range")?),
            Form::Logical(Logical::Date) => {
                Value::Date(time_ms.checked_sub(time_ms.rem_euclid(DAY_MS)).ok_or("the time is beyond its range")?)
            }
            Form::Logical(Logical::Time) => Value::Date(time_ms.rem_euclid(DAY_MS)),
            Form::Logical(_) => Value::Date(time_ms),
        })
    }

    fn whole(&self, value: &mut Value, schema: &mut Option<Arc<Schema>>) -> Result<()> {
        *value = self.converted(value, schema.as_deref())?;
        if let Some(old) = &*schema {
            let new = self.schemas.get(old, |old| Ok(Arc::new(self.form.schema(old.optional))))?;
            *schema = Some((*new).clone());
        }
        Ok(())
    }

    fn fields_schema(&self, old: &Schema, name: &str) -> Result<Arc<Schema>> {
        let mut fields = old.fields.clone();
        for field in fields.iter_mut().filter(|field| *field.name == *name) {
            *field = Field::new(field.name.clone(), self.form.schema(field.schema.optional));
        }
        with_fields(old, fields)
    }

    fn of_struct(&self, old: &Struct, name: &str) -> Result<Struct> {
        let schema = self.schemas.get(old.schema(), |old| self.fields_schema(old, name))?;
        let value = |(field, value): (&Field, &Value)| {
            let value = read(&field.schema, value, self.replace_null);
            if *field.name == *name { self.converted(&value, Some(&field.schema)) } else { Ok(value) }
        };
        Ok(Struct::new((*schema).clone(), old.iter().map(value).collect::<Result<_>>()?))
    }

    fn of_map(&self, mut map: Arc<Map>, name: &str, schema: &mut Option<Arc<Schema>>) -> Result<Arc<Map>> {
        let values = schema.as_ref().and_then(|schema| schema.value_schema.clone());
        if let Some(value) = map.get(name) {
            let value = self.converted(value, values.as_deref())?;
            keep_if_fits(schema, &value);
            if let Some(place) = Arc::make_mut(&mut map).get_mut(name) {
                *place = value;
            }
        }
        Ok(map)
    }

    /// The object with its time in the new form: as text, if that form has a JSON text.
    fn of_text(&self, old: Json, name: &str) -> Result<Value> {
        let Some(raw) = sole_member(&old, name) else {
            return match old.raw_member(name) {
                None => Ok(Value::Json(old)),
                Some(_) => Ok(Value::Map(self.of_map(parsed(&old), name, &mut None)?)),
            };
        };
        let value = old.value_of(raw);
        if value.is_null() {
            return Ok(Value::Json(old));
        }
        match exact_json(&self.converted(&value, None)?) {
            Some(new) => Ok(Value::Json(old.spliced(raw, &new))),
            None => Ok(Value::Map(self.of_map(parsed(&old), name, &mut None)?)),
        }
    }
}

impl Transform for TimestampConverter {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        let Some(name) = &self.field else {
            self.whole(value, schema)?;
            return Ok(Outcome::Keep);
        };
        match NamedFields::take(WHO, value, schema.as_ref())? {
            None => {}
            Some(NamedFields::Struct(old)) => {
                let new = self.of_struct(&old, name)?;
                *schema = Some(new.schema().clone());
                *value = Value::Struct(Arc::new(new));
            }
            Some(NamedFields::Map(old)) => *value = Value::Map(self.of_map(old, name, schema)?),
            Some(NamedFields::Json(old)) => *value = self.of_text(old, name)?,
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let properties = &config.properties;
    let form = match TARGET_TYPE.text(properties).unwrap_or_default().to_ascii_lowercase().as_str() {
        "string" => Form::Text,
        "unix" => Form::Unix,
        "date" => Form::Logical(Logical::Date),
        "time" => Form::Logical(Logical::Time),
        _ => Form::Logical(Logical::Timestamp),
    };
    let pattern = untrimmed(&FORMAT, properties);
    let wrong = |reason: String| {
        let message = format!("Config {} is \"{pattern}\": {reason}", FORMAT.name);
        ConfigErrors::from(ConfigError::new(FORMAT.name, message))
    };
    let format = match pattern.trim() {
        "" if matches!(form, Form::Text) => return Err(wrong("a text needs a pattern".to_owned())),
        "" => None,
        _ => Some(DateFormat::new(&pattern).map_err(wrong)?),
    };
    let unit = match PRECISION.text(properties).unwrap_or_default().to_ascii_lowercase().as_str() {
        "seconds" => Unit::Milliseconds(1000),
        "microseconds" => Unit::PerMillisecond(1000),
        "nanoseconds" => Unit::PerMillisecond(1_000_000),
        _ => Unit::Milliseconds(1),
    };
    Ok(Box::new(TimestampConverter {
        target: config.target.unwrap_or(Target::Value),
        field: FIELD.text(properties).filter(|name| !name.is_empty()).map(str::to_owned),
        form,
        format,
        unit,
        replace_null: REPLACE_NULL.boolean(properties),
        schemas: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "timestamp-converter",
        java_class: "org.apache.rocketmq.connect.transforms.TimestampConverter",
        aliases: &["org.apache.kafka.connect.transforms.TimestampConverter"],
        targets: true,
        doc: "Puts a time, in a field or as the whole key or value, in another form. A null stays null.",
        keys: &[FIELD, TARGET_TYPE, FORMAT, PRECISION, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests;
