//! `Cast`: turns fields, or a whole key or value, into values of other types.

mod value;

use std::sync::Arc;

use self::value::cast;
use super::named_fields::{
    NamedFields, REPLACE_NULL, SchemaCache, bad, keep_if_fits, needed_list, parsed, read, shown, with_fields, wrong,
};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::Properties;
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, FieldType, Schema};
use crate::value::{Map, Struct, Value};

const WHO: &str = "Cast";

const SPEC: ConfigKey = ConfigKey {
    name: "spec",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "Fields and their new types, as `field:type,field:type`, or one type alone for the whole key or value. Types: \
          int8, int16, int32, int64, float32, float64, boolean, string. A number beyond the new type's range and a text \
          that is none of it are errors.",
};

/// What is cast to what.
enum Spec {
    Whole(FieldType),
    Fields(Vec<(String, FieldType)>),
}

struct Cast {
    target: Target,
    spec: Spec,
    replace_null: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

/// A value cast; errors tell the field, if it is one.
fn cast_field(name: Option<&str>, value: &Value, schema: Option<&Schema>, to: FieldType) -> Result<Value> {
    cast(value, schema, to).map_err(|reason| {
        let place = name.map(|name| format!("field \"{}\" of kind ", shown(name))).unwrap_or_default();
        let text = match value {
            Value::String(text) => format!(" \"{}\"", shown(&text.to_str())),
            _ => String::new(),
        };
        let to = to.java_name().to_ascii_lowercase();
        bad(format!("{WHO} can't make {to} of {place}{}{text}: {reason}", value.kind()))
    })
}

/// The schema of a cast value, with nothing of the old one but whether it is optional, and the default.
fn cast_schema(name: Option<&str>, old: &Schema, to: FieldType) -> Result<Schema> {
    let default = old.default.as_ref().map(|default| cast_field(name, default, Some(old), to)).transpose()?;
    Ok(Schema { optional: old.optional, default, ..Schema::required(to) })
}

fn fields_schema(old: &Schema, casts: &[(String, FieldType)]) -> Result<Arc<Schema>> {
    let mut fields = old.fields.clone();
    for field in &mut fields {
        if let Some((name, to)) = casts.iter().find(|(name, _)| **name == *field.name) {
            *field = Field::new(field.name.clone(), cast_schema(Some(name), &field.schema, *to)?);
        }
    }
    with_fields(old, fields)
}

fn struct_values(old: &Struct, casts: &[(String, FieldType)], replace_null: bool) -> Result<Vec<Value>> {
    let value = |(field, value): (&Field, &Value)| {
        let value = read(&field.schema, value, replace_null);
        match casts.iter().find(|(name, _)| **name == *field.name) {
            Some((name, to)) => cast_field(Some(name), &value, Some(&field.schema), *to),
            None => Ok(value),
        }
    };
    old.iter().map(value).collect()
}

fn of_map(mut map: Arc<Map>, casts: &[(String, FieldType)], schema: &mut Option<Arc<Schema>>) -> Result<Arc<Map>> {
    let values = schema.as_ref().and_then(|schema| schema.value_schema.clone());
    for (name, to) in casts {
        let Some(value) = map.get(name) else { continue };
        let value = cast_field(Some(name), value, values.as_deref(), *to)?;
        keep_if_fits(schema, &value);
        if let Some(place) = Arc::make_mut(&mut map).get_mut(name) {
            *place = value;
        }
    }
    Ok(map)
}

impl Cast {
    fn whole(&self, value: &mut Value, schema: &mut Option<Arc<Schema>>, to: FieldType) -> Result<()> {
        *value = cast_field(None, value, schema.as_deref(), to)?;
        if let Some(old) = &*schema {
            *schema = Some((*self.schemas.get(old, |old| Ok(Arc::new(cast_schema(None, old, to)?)))?).clone());
        }
        Ok(())
    }
}

impl Transform for Cast {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        if value.is_null() {
            return Ok(Outcome::Keep);
        }
        let casts = match &self.spec {
            Spec::Whole(to) => {
                self.whole(value, schema, *to)?;
                return Ok(Outcome::Keep);
            }
            Spec::Fields(casts) => casts,
        };
        match NamedFields::take(WHO, value, schema.as_ref())? {
            None => {}
            Some(NamedFields::Struct(old)) => {
                let new = self.schemas.get(old.schema(), |old| fields_schema(old, casts))?;
                let values = struct_values(&old, casts, self.replace_null)?;
                *schema = Some((*new).clone());
                *value = Value::Struct(Arc::new(Struct::new((*new).clone(), values)));
            }
            Some(NamedFields::Map(old)) => *value = Value::Map(of_map(old, casts, schema)?),
            Some(NamedFields::Json(old)) if casts.iter().all(|(name, _)| old.raw_member(name).is_none()) => {
                *value = Value::Json(old);
            }
            Some(NamedFields::Json(old)) => *value = Value::Map(of_map(parsed(&old), casts, schema)?),
        }
        Ok(Outcome::Keep)
    }
}

/// The type of a name that `spec` may use.
fn type_of(name: &str) -> Option<FieldType> {
    let types = FieldType::ALL.into_iter();
    let mut castable =
        types.filter(|one| !matches!(one, FieldType::Bytes | FieldType::Array | FieldType::Map | FieldType::Struct));
    castable.find(|one| one.java_name().eq_ignore_ascii_case(name.trim()))
}

fn spec(properties: &Properties) -> Result<Spec, ConfigErrors> {
    let parts = needed_list(&SPEC, properties)?;
    if let [whole] = parts.as_slice()
        && let Some(to) = type_of(whole)
    {
        return Ok(Spec::Whole(to));
    }
    let mut casts: Vec<(String, FieldType)> = Vec::new();
    for part in &parts {
        let cast = part.split_once(':').and_then(|(name, to)| Some((name.trim(), type_of(to)?)));
        let Some((name, to)) = cast.filter(|(name, _)| !name.is_empty() && casts.iter().all(|(one, _)| one != name))
        else {
            return Err(wrong(&SPEC, properties, "one type alone, or pairs like field:type, each field once"));
        };
        casts.push((name.to_owned(), to));
    }
    Ok(Spec::Fields(casts))
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(Cast {
        target: config.target.unwrap_or(Target::Value),
        spec: spec(&config.properties)?,
        replace_null: REPLACE_NULL.boolean(&config.properties),
        schemas: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "cast",
        java_class: "org.apache.rocketmq.connect.transforms.Cast",
        aliases: &["org.apache.kafka.connect.transforms.Cast"],
        targets: true,
        doc: "Turns fields, or the whole key or value, into values of other types. A null stays null.",
        keys: &[SPEC, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests;
