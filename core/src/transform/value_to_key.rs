//! `ValueToKey`: makes a key of some of the value's fields.

use std::sync::Arc;

use super::named_fields::{
    NamedFields, REPLACE_NULL, SchemaCache, bad, fits, needed_list, no_field, read, with_fields,
};
use super::{Outcome, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::{Editor, Json};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, Schema};
use crate::value::{Map, Struct, Value};

const WHO: &str = "ValueToKey";

const FIELDS: ConfigKey = ConfigKey {
    name: "fields",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "Names of the value's fields that make up the key. One that a map lacks is null in the key; one that a struct \
          lacks is an error, and so is a null value.",
};

/// How to make a key of a struct.
struct Plan {
    schema: Arc<Schema>,
    /// Places of the fields in the value.
    places: Vec<usize>,
}

struct ValueToKey {
    fields: Vec<String>,
    replace_null: bool,
    plans: SchemaCache<Plan>,
}

impl ValueToKey {
    fn plan(&self, value: &Schema) -> Result<Plan> {
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut places = Vec::with_capacity(self.fields.len());
        for name in &self.fields {
            let place = value.field_index(name).ok_or_else(|| no_field(WHO, name))?;
            places.push(place);
            fields.extend(value.fields.get(place).map(|field| Field::new(field.name.clone(), field.schema.clone())));
        }
        Ok(Plan { schema: with_fields(&Schema::structure(Vec::new()), fields)?, places })
    }

    fn of_struct(&self, value: &Struct) -> Result<Struct> {
        let plan = self.plans.get(value.schema(), |schema| self.plan(schema))?;
        let places = plan.schema.fields.iter().zip(&plan.places);
        let values = places.map(|(field, place)| {
            read(&field.schema, value.values().get(*place).unwrap_or(&Value::Null), self.replace_null)
        });
        let values = values.collect();
        Ok(Struct::new(plan.schema.clone(), values))
    }

    fn of_map(&self, value: &Map) -> Map {
        let pair = |name: &String| (Value::text(name.as_str()), value.get(name).cloned().unwrap_or_default());
        Map::from_pairs(self.fields.iter().map(pair).collect())
    }

    fn of_text(&self, value: &Json) -> Json {
        let mut editor = Editor::with_capacity(64);
        for name in &self.fields {
            editor.put(name, value.raw_member(name).unwrap_or(b"null"));
        }
        editor.finish()
    }
}

impl Transform for ValueToKey {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let mut value = record.value.clone();
        let schema = record.schema.as_ref();
        let Some(fields) = NamedFields::take(WHO, &mut value, schema)? else {
            return Err(bad("ValueToKey can't make a key of a value that is null"));
        };
        (record.key, record.key_schema) = match fields {
            NamedFields::Struct(fields) => {
                let key = self.of_struct(&fields)?;
                let schema = key.schema().clone();
                (Value::Struct(Arc::new(key)), Some(schema))
            }
            NamedFields::Map(map) => {
                let key = self.of_map(&map);
                let values = schema.and_then(|schema| schema.value_schema.as_ref());
                let all_fit = values.is_some_and(|values| key.iter().all(|(_, value)| fits(values, value)));
                (Value::Map(Arc::new(key)), schema.filter(|_| all_fit).cloned())
            }
            NamedFields::Json(json) => (Value::Json(self.of_text(&json)), None),
        };
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let mut fields: Vec<String> = Vec::new();
    for name in needed_list(&FIELDS, &config.properties)? {
        if !fields.contains(&name) {
            fields.push(name);
        }
    }
    let replace_null = REPLACE_NULL.boolean(&config.properties);
    Ok(Box::new(ValueToKey { fields, replace_null, plans: SchemaCache::default() }))
}

inventory::submit! {
    TransformFactory {
        name: "value-to-key",
        java_class: "org.apache.rocketmq.connect.transforms.ValueToKey",
        aliases: &["org.apache.kafka.connect.transforms.ValueToKey"],
        targets: false,
        doc: "Makes the key of some of the value's fields.",
        keys: &[FIELDS, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{Form, apply_to, config_faults, fails, plain, with_default};
    use super::*;

    fn key(form: Form, fields: &str, value: &str) -> String {
        let (value, schema) = form.of(value);
        let record = apply_to("ValueToKey", &[("fields", fields)], value.clone(), schema).unwrap();
        assert_eq!(record.value, value);
        assert_eq!(matches!(record.key, Value::Struct(_)), form == Form::Struct);
        plain(&record.key)
    }

    #[test]
    fn the_key_holds_the_named_fields_in_their_order() {
        for form in Form::ALL {
            assert_eq!(key(form, "c, a", r#"{"a":"x","b":"y","c":"z"}"#), r#"{"c":"z","a":"x"}"#, "{form:?}");
            assert_eq!(key(form, "a,a", r#"{"a":"x","b":"y"}"#), r#"{"a":"x"}"#, "{form:?}");
        }
        for form in [Form::Map, Form::MapWithSchema, Form::Json] {
            assert_eq!(key(form, "a,n", r#"{"a":"x"}"#), r#"{"a":"x","n":null}"#, "{form:?}");
        }
        fails(&[Form::Struct], "ValueToKey", &[("fields", "n")], r#"{"a":"x"}"#, "there is no field \"n\"");
        fails(&Form::ALL, "ValueToKey", &[("fields", "n")], "null", "a value that is null");
        fails(&Form::ALL, "ValueToKey", &[("fields", "n")], "true", "not a value of kind boolean");
        assert_eq!(config_faults("ValueToKey", &[("fields", ",")]), ["transforms.t.fields"]);
    }

    #[test]
    fn a_null_becomes_the_default_if_wished() {
        for (replace, expected) in [("true", r#"{"a":5}"#), ("false", r#"{"a":null}"#)] {
            let (value, schema) = with_default("a", Value::Int32(5));
            let keys = [("fields", "a"), ("replace.null.with.default", replace)];
            assert_eq!(plain(&apply_to("ValueToKey", &keys, value, schema).unwrap().key), expected);
        }
    }
}
