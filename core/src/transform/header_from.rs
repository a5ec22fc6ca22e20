//! `HeaderFrom`: moves or copies fields to extensions.
//!
//! Extensions are texts: a value becomes its Java text, a struct, map or list its JSON text. A null takes an extension of
//! that name away, since there is no null among texts.

use std::sync::Arc;

use super::named_fields::{NamedFields, REPLACE_NULL, SchemaCache, field, needed_list, read, with_fields};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::java_text;
use crate::json::{MemberChange, write_value};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::Schema;
use crate::value::{Map, Struct, Text, Value};

const WHO: &str = "HeaderFrom";

const FIELDS: ConfigKey = ConfigKey {
    name: "fields",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "Names of fields of the key or value. One that a struct lacks is an error.",
};
const HEADERS: ConfigKey = ConfigKey {
    name: "headers",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "Names of the extensions for them, as many and in the same order.",
};
const OPERATION: ConfigKey = ConfigKey {
    name: "operation",
    aliases: &[],
    kind: KeyKind::Choice(&["move", "copy"]),
    default: None,
    unit: "",
    doc: "Whether the fields go (`move`) or stay (`copy`).",
};

/// How to take fields out of a struct.
struct Plan {
    schema: Arc<Schema>,
    /// Places of the fields that stay.
    places: Vec<usize>,
}

struct HeaderFrom {
    target: Target,
    fields: Vec<String>,
    headers: Vec<Text>,
    moves: bool,
    replace_null: bool,
    plans: SchemaCache<Plan>,
}

impl HeaderFrom {
    fn is_moved(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field == name)
    }

    fn plan(&self, old: &Schema) -> Result<Plan> {
        let staying = || old.fields.iter().enumerate().filter(|(_, field)| !self.is_moved(&field.name));
        let schema = with_fields(old, staying().map(|(_, field)| field.clone()).collect())?;
        Ok(Plan { schema, places: staying().map(|(place, _)| place).collect() })
    }

    fn struct_without(&self, old: &Struct) -> Result<Struct> {
        let plan = self.plans.get(old.schema(), |schema| self.plan(schema))?;
        let places = plan.schema.fields.iter().zip(&plan.places);
        let values = places.map(|(field, place)| {
            read(&field.schema, old.values().get(*place).unwrap_or(&Value::Null), self.replace_null)
        });
        Ok(Struct::new(plan.schema.clone(), values.collect()))
    }

    fn map_without(&self, mut map: Arc<Map>) -> Arc<Map> {
        for name in &self.fields {
            if map.get(name).is_some() {
                Arc::make_mut(&mut map).remove(name);
            }
        }
        map
    }

    /// What is left of the value.
    fn rest(&self, fields: NamedFields, schema: &mut Option<Arc<Schema>>) -> Result<Value> {
        Ok(match fields {
            NamedFields::Struct(old) if self.moves => {
                let new = self.struct_without(&old)?;
                *schema = Some(new.schema().clone());
                Value::Struct(Arc::new(new))
            }
            NamedFields::Struct(old) => Value::Struct(old),
            NamedFields::Map(old) if self.moves => Value::Map(self.map_without(old)),
            NamedFields::Map(old) => Value::Map(old),
            NamedFields::Json(old) if self.moves => {
                Value::Json(old.edited(|member| {
                    if self.is_moved(&member.name()) { MemberChange::Drop } else { MemberChange::Keep }
                }))
            }
            NamedFields::Json(old) => Value::Json(old),
        })
    }
}

/// The text of a value in an extension.
fn header_text(value: &Value) -> Result<Option<Text>> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::Json(_) => {
            let mut out = Vec::new();
            write_value(&mut out, &without_schemas(value))?;
            Some(Text::from_bytes(out.into()))
        }
        flat => Some(java_text::value(flat).into_owned().into()),
    })
}

/// A value as one without schemas: structs as maps, dates as their milliseconds, and no text of foreign spelling in it.
fn without_schemas(value: &Value) -> Value {
    match value {
        Value::Date(time_ms) => Value::Int64(*time_ms),
        Value::Array(values) => Value::array(values.iter().map(without_schemas).collect()),
        Value::Map(map) => {
            let pairs = map.iter().map(|(key, value)| (key.clone(), without_schemas(value))).collect();
            Value::Map(Arc::new(Map::from_pairs(pairs)))
        }
        Value::Struct(fields) => {
            let pairs =
                fields.iter().map(|(field, value)| (Value::text(&*field.name), without_schemas(value))).collect();
            Value::Map(Arc::new(Map::from_pairs(pairs)))
        }
        Value::Json(json) => json.parse(),
        flat => flat.clone(),
    }
}

impl Transform for HeaderFrom {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        let Some(fields) = NamedFields::take(WHO, value, schema.as_ref())? else { return Ok(Outcome::Keep) };
        let text = |name: &String| header_text(&field(WHO, &fields, name, self.replace_null)?);
        let texts = self.fields.iter().map(text).collect::<Result<Vec<_>>>()?;
        *value = self.rest(fields, schema)?;
        for (header, text) in self.headers.iter().zip(texts) {
            match text {
                Some(text) => record.extensions.set(header.clone(), text),
                None => record.extensions.remove(&header.to_str()),
            }
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let fields = needed_list(&FIELDS, &config.properties)?;
    let headers = needed_list(&HEADERS, &config.properties)?;
    if fields.len() != headers.len() {
        let (key, count) = (HEADERS.name, fields.len());
        let message = format!("Config {key} has {} names, expected {count}, as many as {}", headers.len(), FIELDS.name);
        return Err(ConfigError::new(key, message).into());
    }
    let operation = OPERATION.text(&config.properties).unwrap_or_default();
    Ok(Box::new(HeaderFrom {
        target: config.target.unwrap_or(Target::Value),
        fields,
        headers: headers.into_iter().map(Text::from).collect(),
        moves: operation.eq_ignore_ascii_case("move"),
        replace_null: REPLACE_NULL.boolean(&config.properties),
        plans: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "header-from",
        java_class: "org.apache.rocketmq.connect.transforms.HeaderFrom",
        aliases: &["org.apache.kafka.connect.transforms.HeaderFrom"],
        targets: true,
        doc: "Moves or copies fields of the key or value to extensions (headers). A null has none and stays null.",
        keys: &[FIELDS, HEADERS, OPERATION, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{
        Form, apply_to, check, config_faults, fails, headers, plain, struct_of, with_default,
    };
    use super::*;
    use crate::schema::{FieldType, Logical};

    const MOVE: &[(&str, &str)] = &[("fields", "a,b"), ("headers", "h,i"), ("operation", "move")];
    const COPY: &[(&str, &str)] = &[("fields", "a,a"), ("headers", "h,i"), ("operation", "Copy")];

    #[test]
    fn fields_are_moved_or_copied() {
        check("HeaderFrom", MOVE, r#"{"a":"x","b":"y","c":"z"}"#, r#"{"c":"z"}"#);
        check("HeaderFrom", COPY, r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"y"}"#);
        check("HeaderFrom", MOVE, "null", "null");
        for form in Form::ALL {
            for (value, expected) in [
                (r#"{"a":"x","b":"y"}"#, &["h=x", "i=y"][..]),
                (r#"{"a":7,"b":8.50}"#, &["h=7", "i=8.5"]),
                (r#"{"a":true,"b":null}"#, &["h=true"]),
                (r#"{"a":[1, 2],"b":[]}"#, &["h=[1,2]", "i=[]"]),
                (r#"{"a":{"c" : "z"},"b":{}}"#, &[r#"h={"c":"z"}"#, "i={}"]),
            ] {
                let (value, schema) = form.of(value);
                assert_eq!(headers(&apply_to("HeaderFrom$Key", MOVE, value, schema).unwrap()), expected, "{form:?}");
            }
        }
        fails(&Form::ALL, "HeaderFrom", MOVE, "7", "HeaderFrom needs a struct or a map, not a value of kind int32");
    }

    #[test]
    fn a_field_that_is_not_there_is_an_error_in_a_struct_only() {
        fails(&[Form::Struct], "HeaderFrom", MOVE, r#"{"a":"x"}"#, "there is no field \"b\"");
        for form in [Form::MapWithSchema, Form::Map, Form::Json] {
            let (value, schema) = form.of(r#"{"a":"x"}"#);
            let record = apply_to("HeaderFrom$Value", MOVE, value, schema).unwrap();
            assert_eq!((headers(&record), plain(&record.value)), (vec!["h=x".to_owned()], "{}".to_owned()));
        }
    }

    #[test]
    fn dates_and_structs_have_texts() {
        let inner = struct_of("d", Schema::logical(Logical::Timestamp), Value::Date(5));
        let (value, schema) = struct_of("a", inner.1.unwrap().as_ref().clone(), inner.0);
        let record = apply_to("HeaderFrom$Value", COPY, value, schema).unwrap();
        assert_eq!(headers(&record), [r#"h={"d":5}"#, r#"i={"d":5}"#]);
        let (value, schema) = struct_of("a", Schema::optional(FieldType::Bytes), Value::Bytes("xy".into()));
        assert_eq!(headers(&apply_to("HeaderFrom$Value", COPY, value, schema).unwrap()), ["h=xy", "i=xy"]);
    }

    #[test]
    fn a_null_takes_the_header_away_unless_there_is_a_default() {
        let keys = |replace| [COPY, &[("replace.null.with.default", replace)]].concat();
        for (replace, expected) in [("true", &["h=5", "i=5"][..]), ("false", &[])] {
            let (value, schema) = with_default("a", Value::Int32(5));
            assert_eq!(headers(&apply_to("HeaderFrom$Value", &keys(replace), value, schema).unwrap()), expected);
        }
    }

    #[test]
    fn wrong_configurations_are_named() {
        let faults = config_faults("HeaderFrom$Key", &[("fields", "a,b"), ("headers", "h"), ("operation", "move")]);
        assert_eq!(faults, ["transforms.t.headers"]);
        let faults = config_faults("HeaderFrom$Key", &[("fields", "a"), ("headers", "h"), ("operation", "steal")]);
        assert_eq!(faults, ["transforms.t.operation"]);
    }
}
