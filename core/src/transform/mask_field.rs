//! `MaskField`: puts an empty value, or a fixed one, in the place of a field's own.

use std::str::FromStr;
use std::sync::Arc;

use bigdecimal::BigDecimal;

use super::named_fields::{NamedFields, REPLACE_NULL, bad, exact_json, needed_list, parsed, read};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::{Json, MemberChange};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::Schema;
use crate::value::{Map, Struct, Value};

const WHO: &str = "MaskField";

const FIELDS: ConfigKey = ConfigKey {
    name: "fields",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "Names of the fields to mask.",
};
const REPLACEMENT: ConfigKey = ConfigKey {
    name: "replacement",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "What to put in the place of numbers and texts; empty: zero, the empty text and the like. Fields of other kinds \
          are an error then.",
};

struct MaskField {
    target: Target,
    fields: Vec<String>,
    /// None: what is empty of the field's own kind.
    replacement: Option<String>,
    replace_null: bool,
}

impl MaskField {
    fn is_masked(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field == name)
    }

    /// What stands in the place of a value. `schema` is its own, if it has one.
    fn masked(&self, name: &str, value: &Value, schema: Option<&Schema>) -> Result<Value> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let masked = match &self.replacement {
            None => empty(value, schema),
            Some(replacement) => replaced(value, schema, replacement),
        };
        masked.ok_or_else(|| match &self.replacement {
            None => bad(format!("{WHO} has no empty value for field \"{name}\" of kind {}", value.kind())),
            Some(text) => bad(format!("{WHO} can't put \"{text}\" in field \"{name}\" of kind {}", value.kind())),
        })
    }

    fn of_struct(&self, old: &Struct) -> Result<Struct> {
        let value = |(field, value): (&crate::schema::Field, &Value)| {
            let value = read(&field.schema, value, self.replace_null);
            if self.is_masked(&field.name) { self.masked(&field.name, &value, Some(&field.schema)) } else { Ok(value) }
        };
        Ok(Struct::new(old.schema().clone(), old.iter().map(value).collect::<Result<_>>()?))
    }

    fn of_map(&self, mut map: Arc<Map>, schema: Option<&Schema>) -> Result<Arc<Map>> {
        let values = schema.and_then(|schema| schema.value_schema.as_deref());
        for name in &self.fields {
            if let Some(value) = map.get(name) {
                let masked = self.masked(name, value, values)?;
                if let Some(value) = Arc::make_mut(&mut map).get_mut(name) {
                    *value = masked;
                }
            }
        }
        Ok(map)
    }

    /// The object's text with its fields masked; none if that can't be done in place.
    fn of_text(&self, old: &Json) -> Option<Json> {
        let mut found = vec![false; self.fields.len()];
        let mut in_place = true;
        let json = old.edited(|member| {
            let field = self.fields.iter().zip(&mut found).find(|(name, _)| member.is_named(name));
            let Some((name, found)) = field else { return MemberChange::Keep };
            // Of members of one name only the last one counts, so one that can't be masked may not matter.
            let again = std::mem::replace(found, true);
            match self.masked_text(name, &old.value_of(member.raw_value)).filter(|_| !again) {
                Some(raw) => MemberChange::Replace(raw),
                None => {
                    in_place = false;
                    MemberChange::Keep
                }
            }
        });
        in_place.then_some(json)
    }

    /// The JSON text of what stands in the place of a value, if it has one.
    fn masked_text(&self, name: &str, value: &Value) -> Option<Vec<u8>> {
        match self.masked(name, value, None).ok()? {
            Value::Map(_) => Some(b"{}".to_vec()),
            Value::Array(_) => Some(b"[]".to_vec()),
            masked => exact_json(&masked),
        }
    }
}

/// The empty value of a value's kind.
fn empty(value: &Value, schema: Option<&Schema>) -> Option<Value> {
    Some(match value {
        Value::Null => Value::Null,
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::text(""),
        Value::Bytes(_) => Value::Bytes(bytes::Bytes::new()),
        Value::Decimal(_) => {
            let scale = schema.and_then(Schema::decimal_scale).unwrap_or(0);
            Value::Decimal(Box::new(BigDecimal::from(0).with_scale(scale)))
        }
        Value::Date(_) => Value::Date(0),
        Value::Array(_) => Value::array(Vec::new()),
        Value::Map(_) => Value::Map(Arc::default()),
        Value::Json(json) if json.is_object() => Value::Map(Arc::default()),
        Value::Json(_) => Value::array(Vec::new()),
        Value::Struct(_) => return None,
    })
}

/// The replacement as a value of a value's kind. Whole numbers without a schema have no width.
fn replaced(value: &Value, schema: Option<&Schema>, replacement: &str) -> Option<Value> {
    let number = replacement.trim();
    let finite = |number: &f64| number.is_finite();
    Some(match value {
        Value::Int8(_) => Value::Int8(number.parse().ok()?),
        Value::Int16(_) => Value::Int16(number.parse().ok()?),
        Value::Int32(_) | Value::Int64(_) if schema.is_none() => match (value, number.parse::<i32>()) {
            (Value::Int32(_), Ok(number)) => Value::Int32(number),
            _ => Value::Int64(number.parse().ok()?),
        },
        Value::Int32(_) => Value::Int32(number.parse().ok()?),
        Value::Int64(_) => Value::Int64(number.parse().ok()?),
        Value::Float32(_) => Value::Float32(number.parse::<f32>().ok().filter(|number| number.is_finite())?),
        Value::Float64(_) => Value::Float64(number.parse().ok().filter(finite)?),
        Value::Decimal(_) => Value::Decimal(Box::new(decimal(number, schema)?)),
        Value::String(_) => Value::text(replacement),
        _ => return None,
    })
}

/// Digits after the point that a replacement is filled up to.
const SCALE_MAX: i64 = 1024;

/// A decimal with the digits that its schema wants; none if it has more.
fn decimal(text: &str, schema: Option<&Schema>) -> Option<BigDecimal> {
    // Longer texts could ask for more zeros than there is room for.
    let number = (text.len() <= 64 && !text.contains(['e', 'E'])).then(|| BigDecimal::from_str(text).ok())??;
    match schema.and_then(Schema::decimal_scale) {
        Some(scale) if !(0..=SCALE_MAX).contains(&scale) => None,
        Some(scale) => Some(number.with_scale(scale)).filter(|scaled| *scaled == number),
        None => Some(number),
    }
}

impl Transform for MaskField {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        match NamedFields::take(WHO, value, schema.as_ref())? {
            None => {}
            Some(NamedFields::Struct(old)) => *value = Value::Struct(Arc::new(self.of_struct(&old)?)),
            Some(NamedFields::Map(old)) => *value = Value::Map(self.of_map(old, schema.as_deref())?),
            Some(NamedFields::Json(old)) => {
                *value = match self.of_text(&old) {
                    Some(json) => Value::Json(json),
                    None => Value::Map(self.of_map(parsed(&old), None)?),
                };
            }
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let replacement = config.properties.get(REPLACEMENT.name).filter(|text| !text.is_empty()).cloned();
    Ok(Box::new(MaskField {
        target: config.target.unwrap_or(Target::Value),
        fields: needed_list(&FIELDS, &config.properties)?,
        replacement,
        replace_null: REPLACE_NULL.boolean(&config.properties),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "mask-field",
        java_class: "org.apache.rocketmq.connect.transforms.MaskField",
        aliases: &["org.apache.kafka.connect.transforms.MaskField"],
        targets: true,
        doc: "Puts an empty value of its kind, or a fixed one, in the place of a field's own. A null stays null.",
        keys: &[FIELDS, REPLACEMENT, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{
        Form, apply_to, check, check_form, config_faults, fails, plain, struct_of, with_default,
    };
    use super::*;
    use crate::schema::{FieldType, Logical};

    #[test]
    fn named_fields_are_emptied() {
        let a = &[("fields", "a , n")];
        check("MaskField", a, r#"{"a":"x","b":"y"}"#, r#"{"a":"","b":"y"}"#);
        check("MaskField", a, r#"{"a":7,"b":8}"#, r#"{"a":0,"b":8}"#);
        check("MaskField", a, r#"{"a":7000000000,"b":8000000000}"#, r#"{"a":0,"b":8000000000}"#);
        check("MaskField", a, r#"{"a":7.5,"b":8.5}"#, r#"{"a":0.0,"b":8.5}"#);
        check("MaskField", a, r#"{"a":true,"b":true}"#, r#"{"a":false,"b":true}"#);
        check("MaskField", a, r#"{"a":[1],"b":[2]}"#, r#"{"a":[],"b":[2]}"#);
        check("MaskField", a, r#"{"a":null,"b":"y"}"#, r#"{"a":null,"b":"y"}"#);
        check("MaskField", a, r#"{"b":"y"}"#, r#"{"b":"y"}"#);
        check("MaskField", a, "null", "null");
        for form in [Form::Map, Form::Json] {
            check_form(form, "MaskField", a, r#"{"a":{"c":1}}"#, r#"{"a":{}}"#);
            check_form(form, "MaskField", a, r#"{"a":99999999999999999999}"#, r#"{"a":0}"#);
        }
        fails(&Form::ALL, "MaskField", a, "\"x\"", "MaskField needs a struct or a map, not a value of kind string");
    }

    #[test]
    fn numbers_and_texts_are_replaced() {
        let keys = &[("fields", "a"), ("replacement", "42")];
        check("MaskField", keys, r#"{"a":"x","b":"y"}"#, r#"{"a":"42","b":"y"}"#);
        check("MaskField", keys, r#"{"a":7,"b":8}"#, r#"{"a":42,"b":8}"#);
        check("MaskField", keys, r#"{"a":7.5,"b":8.5}"#, r#"{"a":42.0,"b":8.5}"#);
        for value in [r#"{"a":true}"#, r#"{"a":[1]}"#] {
            fails(&Form::ALL, "MaskField", keys, value, "MaskField can't put \"42\" in field \"a\" of kind");
        }
        let word = &[("fields", "a"), ("replacement", "***")];
        fails(&Form::ALL, "MaskField", word, r#"{"a":1}"#, "can't put \"***\" in field \"a\" of kind int32");
        let long = &[("fields", "a"), ("replacement", "7000000000")];
        fails(&[Form::Struct, Form::MapWithSchema], "MaskField", long, r#"{"a":1}"#, "of kind int32");
        check_form(Form::Json, "MaskField", long, r#"{"a":1}"#, r#"{"a":7000000000}"#);
        assert_eq!(config_faults("MaskField$Value", &[("fields", "")]), ["transforms.t.fields"]);
    }

    #[test]
    fn of_members_written_twice_the_last_one_counts() {
        let keys = &[("fields", "a"), ("replacement", "42")];
        check_form(Form::Json, "MaskField", keys, r#"{"a":[1],"b":1,"a":2}"#, r#"{"a":42,"b":1}"#);
    }

    #[test]
    fn every_kind_of_a_struct_has_its_empty_value() {
        let decimal = |text: &str| Value::Decimal(Box::new(BigDecimal::from_str(text).unwrap()));
        for (schema, value, masked) in [
            (Schema::optional(FieldType::Int8), Value::Int8(1), Value::Int8(0)),
            (Schema::optional(FieldType::Int16), Value::Int16(1), Value::Int16(0)),
            (Schema::optional(FieldType::Float32), Value::Float32(1.0), Value::Float32(0.0)),
            (Schema::optional(FieldType::Bytes), Value::Bytes("x".into()), Value::Bytes("".into())),
            (Schema::logical(Logical::Timestamp), Value::Date(1), Value::Date(0)),
            (Schema::decimal(2), decimal("1.25"), decimal("0.00")),
        ] {
            let (value, schema) = struct_of("a", schema, value);
            let record = apply_to("MaskField$Value", &[("fields", "a")], value, schema).unwrap();
            let Value::Struct(fields) = record.value else { panic!() };
            assert_eq!(fields.values(), [masked]);
        }
        for (replacement, expected) in [("1.5", Some("1.50")), ("1.555", None), ("x", None)] {
            let (value, schema) = struct_of("a", Schema::decimal(2), decimal("1.25"));
            let record = apply_to("MaskField$Value", &[("fields", "a"), ("replacement", replacement)], value, schema);
            assert_eq!(
                record.ok().map(|record| plain(&record.value)),
                expected.map(|text| format!("{{\"a\":{text}}}"))
            );
        }
    }

    #[test]
    fn a_null_becomes_the_default_if_wished() {
        for (replace, expected) in [("true", r#"{"a":5}"#), ("false", r#"{"a":null}"#)] {
            let (value, schema) = with_default("a", Value::Int32(5));
            let keys = [("fields", "b"), ("replace.null.with.default", replace)];
            assert_eq!(plain(&apply_to("MaskField$Value", &keys, value, schema).unwrap().value), expected);
        }
    }
}
