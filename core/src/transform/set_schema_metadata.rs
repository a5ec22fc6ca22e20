//! `SetSchemaMetadata`: gives a schema another name or version.

use std::sync::Arc;

use super::named_fields::{REPLACE_NULL, SchemaCache, bad, read, wrong};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::Schema;
use crate::value::{Struct, Value};

const NAME: ConfigKey = ConfigKey {
    name: "schema.name",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "The schema's new name; empty: it stays.",
};
const VERSION: ConfigKey = ConfigKey {
    name: "schema.version",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "The schema's new version, a whole number; empty: it stays.",
};

struct SetSchemaMetadata {
    target: Target,
    name: Option<Arc<str>>,
    version: Option<i32>,
    replace_null: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl Transform for SetSchemaMetadata {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        let Some(old) = &*schema else {
            if value.is_null() {
                return Ok(Outcome::Keep);
            }
            return Err(bad(format!("SetSchemaMetadata needs a schema; this value of kind {} has none", value.kind())));
        };
        let new = self.schemas.get(old, |old| {
            Ok(Arc::new(Schema {
                name: self.name.clone().or_else(|| old.name.clone()),
                version: self.version.or(old.version),
                ..old.clone()
            }))
        })?;
        if let Value::Struct(fields) = value {
            let values = fields.iter().map(|(field, value)| read(&field.schema, value, self.replace_null)).collect();
            *fields = Arc::new(Struct::new((*new).clone(), values));
        }
        *schema = Some((*new).clone());
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let name = NAME.text(&config.properties).filter(|name| !name.is_empty()).map(Arc::from);
    let version = match VERSION.text(&config.properties).unwrap_or_default() {
        "" => None,
        text => Some(text.parse().map_err(|_| wrong(&VERSION, &config.properties, "a whole number of 32 bits"))?),
    };
    if name.is_none() && version.is_none() {
        let message = format!("Config {} and {} are both empty, expected one of them", NAME.name, VERSION.name);
        return Err(ConfigError::new(NAME.name, message).into());
    }
    Ok(Box::new(SetSchemaMetadata {
        target: config.target.unwrap_or(Target::Value),
        name,
        version,
        replace_null: REPLACE_NULL.boolean(&config.properties),
        schemas: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "set-schema-metadata",
        java_class: "org.apache.rocketmq.connect.transforms.SetSchemaMetadata",
        aliases: &["org.apache.kafka.connect.transforms.SetSchemaMetadata"],
        targets: true,
        doc: "Gives the schema of the key or value another name, version or both.",
        keys: &[NAME, VERSION, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{Form, apply_to, check_form, config_faults, fails, plain, with_default};
    use super::*;

    const BOTH: &[(&str, &str)] = &[("schema.name", "n"), ("schema.version", "3")];

    #[test]
    fn name_and_version_change_and_nothing_else() {
        for form in [Form::Struct, Form::MapWithSchema] {
            check_form(form, "SetSchemaMetadata", BOTH, r#"{"a":"x"}"#, r#"{"a":"x"}"#);
            let (value, schema) = form.of(r#"{"a":"x"}"#);
            let record = apply_to("SetSchemaMetadata$Value", BOTH, value, schema.clone()).unwrap();
            let expected = Schema { name: Some("n".into()), version: Some(3), ..schema.unwrap().as_ref().clone() };
            assert_eq!(record.schema.as_deref(), Some(&expected));
            if let Value::Struct(fields) = &record.value {
                assert_eq!(**fields.schema(), expected);
            }
        }
        let (value, schema) = Form::Struct.of("7");
        let record = apply_to("SetSchemaMetadata$Value", &[("schema.version", "2")], value, schema).unwrap();
        let schema = record.schema.unwrap();
        assert_eq!((schema.name.clone(), schema.version), (None, Some(2)));
    }

    #[test]
    fn without_a_schema_only_null_passes() {
        for form in [Form::Map, Form::Json] {
            check_form(form, "SetSchemaMetadata", BOTH, "null", "null");
        }
        fails(&[Form::Map, Form::Json], "SetSchemaMetadata", BOTH, r#"{"a":1}"#, "of kind map has none");
        let name = ["transforms.t.schema.name"];
        assert_eq!(config_faults("SetSchemaMetadata$Key", &[]), name);
        assert_eq!(config_faults("SetSchemaMetadata$Key", &[("schema.version", "x")]), ["transforms.t.schema.version"]);
    }

    #[test]
    fn a_null_becomes_the_default_if_wished() {
        for (replace, expected) in [("true", r#"{"a":5}"#), ("false", r#"{"a":null}"#)] {
            let (value, schema) = with_default("a", Value::Int32(5));
            let keys = [("schema.name", "n"), ("replace.null.with.default", replace)];
            assert_eq!(plain(&apply_to("SetSchemaMetadata$Value", &keys, value, schema).unwrap().value), expected);
        }
    }
}
