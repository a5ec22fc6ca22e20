//! `ExtractField`: a field takes the place of the whole key or value.

use super::named_fields::{NamedFields, REPLACE_NULL, field, needed_text, no_field};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::FieldType;

const WHO: &str = "ExtractField";

const FIELD: ConfigKey = ConfigKey {
    name: "field",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Name of the field. A map without it gives null; a struct without it is an error.",
};

struct ExtractField {
    target: Target,
    field: String,
    replace_null: bool,
}

impl Transform for ExtractField {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        let taken = NamedFields::take(WHO, value, schema.as_ref())?;
        let old = match &taken {
            Some(NamedFields::Struct(fields)) => Some(fields.schema().clone()),
            _ => schema.take(),
        };
        *schema = match old {
            None => None,
            Some(old) if old.field_type == FieldType::Struct => {
                let found = old.field(&self.field).ok_or_else(|| no_field(WHO, &self.field))?;
                Some(found.schema.clone())
            }
            Some(old) => old.value_schema.clone(),
        };
        if let Some(fields) = &taken {
            *value = field(WHO, fields, &self.field, self.replace_null)?;
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(ExtractField {
        target: config.target.unwrap_or(Target::Value),
        field: needed_text(&FIELD, &config.properties)?,
        replace_null: REPLACE_NULL.boolean(&config.properties),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "extract-field",
        java_class: "org.apache.rocketmq.connect.transforms.ExtractField",
        aliases: &["org.apache.kafka.connect.transforms.ExtractField"],
        targets: true,
        doc: "Puts a field of the key or value in the place of the whole. A null stays null.",
        keys: &[FIELD, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::kafka_testing::{Form, apply_to, check, config_faults, fails, with_default};
    use super::*;
    use crate::schema::Schema;
    use crate::value::Value;

    #[test]
    fn a_field_takes_the_place_of_the_whole() {
        let a = &[("field", "a")];
        check("ExtractField", a, r#"{"a":"x","b":"y"}"#, r#""x""#);
        check("ExtractField", a, r#"{"b":{"c":1},"a":{"c":2}}"#, r#"{"c":2}"#);
        check("ExtractField", a, r#"{"a":null,"b":"x"}"#, "null");
        check("ExtractField", a, "null", "null");
        for form in [Form::Map, Form::MapWithSchema, Form::Json] {
            super::super::kafka_testing::check_form(form, "ExtractField", a, r#"{"b":"y"}"#, "null");
        }
        fails(&[Form::Struct], "ExtractField", a, r#"{"b":"y"}"#, "there is no field \"a\"");
        fails(&Form::ALL, "ExtractField", a, "7", "ExtractField needs a struct or a map, not a value of kind int32");
        fails(&Form::ALL, "ExtractField", a, "[7]", "not a value of kind array");
        assert_eq!(config_faults("ExtractField$Key", &[("field", "")]), ["transforms.t.field"]);
    }

    #[test]
    fn the_schema_is_that_of_the_field() {
        let (value, schema) = Form::Struct.of(r#"{"a":"x"}"#);
        let record = apply_to("ExtractField$Value", &[("field", "a")], value, schema).unwrap();
        assert_eq!(record.schema, Some(Arc::new(Schema::optional(FieldType::String))));
        let (_, schema) = Form::Struct.of(r#"{"a":"x"}"#);
        let record = apply_to("ExtractField$Value", &[("field", "a")], Value::Null, schema).unwrap();
        assert_eq!(record.schema, Some(Arc::new(Schema::optional(FieldType::String))));
        let (value, schema) = Form::MapWithSchema.of(r#"{"b":"x"}"#);
        let record = apply_to("ExtractField$Value", &[("field", "a")], value, schema).unwrap();
        assert_eq!(record.schema, Some(Arc::new(Schema::optional(FieldType::String))));
    }

    #[test]
    fn a_null_becomes_the_default_if_wished() {
        for (replace, expected) in [("true", Value::Int32(5)), ("false", Value::Null)] {
            let keys = [("field", "a"), ("replace.null.with.default", replace)];
            let (value, schema) = with_default("a", Value::Int32(5));
            assert_eq!(apply_to("ExtractField$Value", &keys, value, schema).unwrap().value, expected);
        }
    }
}
