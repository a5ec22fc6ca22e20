//! `Flatten`: fields within fields become fields, with names made of all names on the way. Lists stay as they are.

use std::sync::Arc;

use super::named_fields::{NamedFields, SchemaCache, bad, fits, parsed, read, shown, twice, untrimmed, with_fields};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::Json;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, FieldType, Schema};
use crate::value::{Map, Struct, Value};

const WHO: &str = "Flatten";

const DELIMITER: ConfigKey = ConfigKey {
    name: "delimiter",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("."),
    unit: "",
    doc: "Text between the names.",
};

struct Flatten {
    target: Target,
    delimiter: String,
    schemas: SchemaCache<Arc<Schema>>,
}

/// What the fields of a struct inherit from those around it.
#[derive(Clone, Copy)]
struct Inherited<'a> {
    prefix: Option<&'a str>,
    optional: bool,
    default: Option<&'a Value>,
}

impl Flatten {
    fn name(&self, prefix: Option<&str>, name: &str) -> String {
        prefix.map_or_else(|| name.to_owned(), |prefix| format!("{prefix}{}{name}", self.delimiter))
    }

    fn schema(&self, old: &Schema) -> Result<Arc<Schema>> {
        let mut fields = Vec::new();
        let around = Inherited { prefix: None, optional: old.optional, default: old.default.as_ref() };
        self.fields(old, around, &mut fields)?;
        with_fields(old, fields)
    }

    fn fields(&self, schema: &Schema, around: Inherited<'_>, out: &mut Vec<Field>) -> Result<()> {
        for field in &schema.fields {
            let name = self.name(around.prefix, &field.name);
            let inherited = match around.default {
                Some(Value::Struct(defaults)) => defaults.get(&field.name).filter(|value| !value.is_null()),
                _ => None,
            };
            let default = field.schema.default.as_ref().or(inherited);
            let optional = around.optional || field.schema.optional;
            match field.schema.field_type {
                FieldType::Struct => {
                    self.fields(&field.schema, Inherited { prefix: Some(&name), optional, default }, out)?;
                }
                FieldType::Map => {
                    let what = "of kind map, which has no fixed fields";
                    return Err(bad(format!("{WHO} can't flatten the field \"{}\" {what}", shown(&name))));
                }
                _ if optional == field.schema.optional && inherited.is_none() => {
                    out.push(Field::new(name, field.schema.clone()));
                }
                _ => {
                    let leaf = Schema { optional, default: default.cloned(), ..field.schema.as_ref().clone() };
                    out.push(Field::new(name, leaf));
                }
            }
        }
        Ok(())
    }

    fn of_map(&self, old: &Map) -> Result<Map> {
        let mut pairs = Vec::with_capacity(old.len());
        self.pairs(old, None, &mut pairs)?;
        let names: Vec<Value> = pairs.iter().map(|(name, _): &(Value, Value)| name.clone()).collect();
        let map = Map::from_pairs(pairs);
        if map.len() < names.len() {
            let again = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|one| one == *name));
            return Err(twice(&again.map(|(_, name)| crate::java_text::value(name)).unwrap_or_default()));
        }
        Ok(map)
    }

    fn pairs(&self, map: &Map, prefix: Option<&str>, out: &mut Vec<(Value, Value)>) -> Result<()> {
        for (key, value) in map.iter() {
            let Value::String(key) = key else {
                return Err(bad(format!("{WHO} needs texts for keys, not one of kind {}", key.kind())));
            };
            let name = self.name(prefix, &key.to_str());
            match value {
                Value::Map(inner) => self.pairs(inner, Some(&name), out)?,
                Value::Json(inner) if inner.is_object() => self.pairs(&parsed(inner), Some(&name), out)?,
                Value::Struct(_) => {
                    return Err(bad(format!("{WHO}: the field \"{}\" of a map is a struct", shown(&name))));
                }
                flat => out.push((Value::text(name), flat.clone())),
            }
        }
        Ok(())
    }
}

/// The values of a struct's leaves; null for all of them where a struct is null.
fn values(schema: &Schema, fields: Option<&Struct>, out: &mut Vec<Value>) {
    for (place, field) in schema.fields.iter().enumerate() {
        let value = fields.and_then(|fields| fields.values().get(place));
        let value = value.map(|value| read(&field.schema, value, true)).unwrap_or_default();
        match (field.schema.field_type, &value) {
            (FieldType::Struct, Value::Struct(inner)) => values(&field.schema, Some(inner), out),
            (FieldType::Struct, _) => values(&field.schema, None, out),
            _ => out.push(value),
        }
    }
}

fn is_flat(json: &Json) -> bool {
    json.members().all(|member| !member.raw_value.starts_with(b"{"))
}

impl Transform for Flatten {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        *value = match NamedFields::take(WHO, value, schema.as_ref())? {
            None => Value::Null,
            Some(NamedFields::Struct(old)) => {
                let new = self.schemas.get(old.schema(), |old| self.schema(old))?;
                let mut leaves = Vec::with_capacity(new.fields.len());
                values(old.schema(), Some(&old), &mut leaves);
                *schema = Some((*new).clone());
                Value::Struct(Arc::new(Struct::new((*new).clone(), leaves)))
            }
            Some(NamedFields::Json(old)) if is_flat(&old) => Value::Json(old),
            Some(NamedFields::Json(old)) => Value::Map(Arc::new(self.of_map(&parsed(&old))?)),
            Some(NamedFields::Map(old)) => {
                let map = self.of_map(&old)?;
                let values = schema.as_ref().and_then(|schema| schema.value_schema.as_ref());
                if !values.is_some_and(|values| map.iter().all(|(_, value)| fits(values, value))) {
                    *schema = None;
                }
                Value::Map(Arc::new(map))
            }
        };
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(Flatten {
        target: config.target.unwrap_or(Target::Value),
        delimiter: untrimmed(&DELIMITER, &config.properties),
        schemas: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "flatten",
        java_class: "org.apache.rocketmq.connect.transforms.Flatten",
        aliases: &["org.apache.kafka.connect.transforms.Flatten"],
        targets: true,
        doc: "Makes fields within fields fields of their own, with names made of all names on the way. Lists stay as they \
              are, and so does a null.",
        keys: &[DELIMITER],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{Form, apply_to, check, check_form, fails, plain, struct_of};
    use super::*;

    #[test]
    fn fields_within_fields_become_fields() {
        let nested = r#"{"a":{"b":1,"c":{"d":"x"}},"e":{"f":true}}"#;
        check("Flatten", &[], nested, r#"{"a.b":1,"a.c.d":"x","e.f":true}"#);
        check("Flatten", &[("delimiter", "")], nested, r#"{"ab":1,"acd":"x","ef":true}"#);
        check("Flatten", &[("delimiter", " - ")], nested, r#"{"a - b":1,"a - c - d":"x","e - f":true}"#);
        check("Flatten", &[], r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"y"}"#);
        check("Flatten", &[], r#"{"a":{"b":null,"c":[{"d":1}]}}"#, r#"{"a.b":null,"a.c":[{"d":1}]}"#);
        check("Flatten", &[], r#"{"a":{}}"#, "{}");
        check("Flatten", &[], "null", "null");
        check_form(Form::Json, "Flatten", &[], r#"{"a":null,"b":{"c":1}}"#, r#"{"a":null,"b.c":1}"#);
    }

    #[test]
    fn what_can_not_be_flattened_is_an_error() {
        fails(&Form::ALL, "Flatten", &[], "[1]", "Flatten needs a struct or a map, not a value of kind array");
        fails(&Form::ALL, "Flatten", &[], r#"{"a.b":1,"a":{"b":2}}"#, "two fields would be called \"a.b\"");
        let (value, schema) = struct_of("m", Schema::map(leaf(), leaf()), Value::Null);
        let error = apply_to("Flatten$Value", &[], value, schema).unwrap_err();
        assert!(error.to_string().contains("can't flatten the field \"m\" of kind map"), "{error}");
        let map = Value::Map(Arc::new(Map::from_pairs(vec![(Value::Int32(1), Value::Null)])));
        let error = apply_to("Flatten$Value", &[], map, None).unwrap_err();
        assert!(error.to_string().contains("needs texts for keys"), "{error}");
    }

    fn leaf() -> Schema {
        Schema::required(FieldType::Int32)
    }

    #[test]
    fn a_null_struct_gives_nulls_and_optional_fields() {
        let inner = Schema::structure(vec![Field::new("x", leaf()), Field::new("y", leaf())]);
        let (value, schema) = struct_of("a", inner, Value::Null);
        let record = apply_to("Flatten$Value", &[], value, schema).unwrap();
        assert_eq!(plain(&record.value), r#"{"a.x":null,"a.y":null}"#);
        assert!(record.schema.unwrap().fields.iter().all(|field| field.schema.optional));
    }

    #[test]
    fn a_default_of_a_struct_is_handed_down() {
        let (default, inner) = struct_of("x", leaf(), Value::Int32(5));
        let inner = Schema { default: Some(default), optional: false, ..inner.unwrap().as_ref().clone() };
        let (value, schema) = struct_of("a", inner, Value::Null);
        let record = apply_to("Flatten$Value", &[], value, schema).unwrap();
        assert_eq!(plain(&record.value), r#"{"a.x":5}"#);
        assert_eq!(record.schema.unwrap().fields[0].schema.default, Some(Value::Int32(5)));
    }
}
