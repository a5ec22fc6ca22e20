//! `HoistField`: the whole key or value becomes the only field of a new one.

use std::sync::Arc;

use super::named_fields::{SchemaCache, needed_text};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, Schema};
use crate::value::{Map, Struct, Text, Value};

const FIELD: ConfigKey = ConfigKey {
    name: "field",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Name of the one field of the new struct, or map if there is no schema.",
};

struct HoistField {
    target: Target,
    field: Arc<str>,
    /// The same, as a map's key.
    key: Text,
    schemas: SchemaCache<Arc<Schema>>,
}

impl Transform for HoistField {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        let inner = std::mem::take(value);
        let Some(old) = &*schema else {
            // JSON text is not copied; it stays text inside of the map.
            *value = Value::Map(Arc::new(Map::from_pairs(vec![(Value::String(self.key.clone()), inner)])));
            return Ok(Outcome::Keep);
        };
        let new = self
            .schemas
            .get(old, |_| Ok(Arc::new(Schema::structure(vec![Field::new(self.field.clone(), old.clone())]))))?;
        *schema = Some((*new).clone());
        *value = Value::Struct(Arc::new(Struct::new((*new).clone(), vec![inner])));
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let field = needed_text(&FIELD, &config.properties)?;
    Ok(Box::new(HoistField {
        target: config.target.unwrap_or(Target::Value),
        key: Text::from(field.as_str()),
        field: field.into(),
        schemas: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "hoist-field",
        java_class: "org.apache.rocketmq.connect.transforms.HoistField",
        aliases: &["org.apache.kafka.connect.transforms.HoistField"],
        targets: true,
        doc: "Makes the whole key or value the only field of a new struct, or map if it has no schema; a null too.",
        keys: &[FIELD],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{Form, apply_to, check, config_faults};
    use super::*;

    #[test]
    fn whatever_it_is_becomes_a_field() {
        let keys = &[("field", "f")];
        check("HoistField", keys, r#"{"a":"x","b":"y"}"#, r#"{"f":{"a":"x","b":"y"}}"#);
        check("HoistField", keys, "7", r#"{"f":7}"#);
        check("HoistField", keys, "[1,2]", r#"{"f":[1,2]}"#);
        check("HoistField", keys, "null", r#"{"f":null}"#);
        assert_eq!(config_faults("HoistField$Value", &[]), ["transforms.t.field"]);
    }

    #[test]
    fn the_schema_is_made_once_and_holds_the_old_one() {
        let (value, schema) = Form::Struct.of(r#"{"a":"x"}"#);
        let record = apply_to("HoistField$Value", &[("field", "f")], value, schema.clone()).unwrap();
        assert_eq!(record.schema, Some(Arc::new(Schema::structure(vec![Field::new("f", schema.unwrap())]))));
    }

    #[test]
    fn the_deepest_json_may_be_hoisted() {
        let deepest = crate::limits::JSON_DEPTH_MAX;
        let text = format!("{}1{}", r#"{"a":"#.repeat(deepest), "}".repeat(deepest));
        let (value, schema) = Form::Json.of(&text);
        let record = apply_to("HoistField$Value", &[("field", "f")], value, schema).unwrap();
        let mut out = Vec::new();
        crate::json::write_value(&mut out, &record.value).unwrap();
        assert_eq!(out, format!(r#"{{"f":{text}}}"#).into_bytes());
    }
}
