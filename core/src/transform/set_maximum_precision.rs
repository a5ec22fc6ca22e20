//! `SetMaximumPrecision`: lowers the declared precision of decimals.
//!
//! As in Java: the schema's parameter `connect.decimal.precision` (64 where it is missing) is lowered to the limit, and
//! values are not rounded; only top-level fields. Not as in Java: the limit is demanded, maps whose schema says Decimal
//! are lowered too, schemas keep everything else, and a parameter that is no number is a bad record. A map without a
//! schema declares no precision and stays as it is.

use std::cell::RefCell;
use std::sync::Arc;

use super::common::{bad_record, with_fields, wrong_kind};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, Logical, Schema};
use crate::value::{Struct, Value};

const CLASS: &str = "org.apache.rocketmq.connect.transforms.SetMaximumPrecision";
const PRECISION: &str = "connect.decimal.precision";
const PRECISION_DEFAULT: i64 = 64;

const MAXIMUM: ConfigKey = ConfigKey {
    name: "precision.max",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: i32::MAX as i64 },
    default: None,
    unit: "digits",
    doc: "Largest precision that a decimal may declare.",
};

struct SetMaximumPrecision {
    target: Target,
    maximum: i64,
    /// The last schema and what became of it.
    last: RefCell<Option<(Arc<Schema>, Arc<Schema>)>>,
}

impl SetMaximumPrecision {
    /// The schema of one decimal, lowered; any other as it is.
    fn decimal(&self, schema: &Arc<Schema>) -> Result<Arc<Schema>> {
        if schema.logical_type() != Some(Logical::Decimal) {
            return Ok(schema.clone());
        }
        let declared = match schema.parameter(PRECISION) {
            None => PRECISION_DEFAULT,
            Some(text) => text.trim().parse().map_err(|_| {
                bad_record(CLASS, &format!("found a schema whose {PRECISION} is \"{text}\", not a whole number"))
            })?,
        };
        if declared <= self.maximum {
            return Ok(schema.clone());
        }
        let mut lowered = Schema::clone(schema);
        let maximum: Arc<str> = Arc::from(self.maximum.to_string());
        match lowered.parameters.iter_mut().find(|(name, _)| &**name == PRECISION) {
            Some((_, value)) => *value = maximum,
            None => lowered.parameters.push((Arc::from(PRECISION), maximum)),
        }
        Ok(Arc::new(lowered))
    }

    /// The schema with its fields, or its keys and values, lowered; the same one if nothing is to be lowered.
    fn lowered(&self, schema: &Arc<Schema>) -> Result<Arc<Schema>> {
        if let Some((old, new)) = &*self.last.borrow()
            && (Arc::ptr_eq(old, schema) || old == schema)
        {
            return Ok(new.clone());
        }
        let field = |field: &Field| Ok(Field { name: field.name.clone(), schema: self.decimal(&field.schema)? });
        let part = |part: &Option<Arc<Schema>>| part.as_ref().map(|part| self.decimal(part)).transpose();
        let fields = schema.fields.iter().map(field).collect::<Result<Vec<_>>>()?;
        let mut lowered = with_fields(schema, fields, |default| default.values().to_vec());
        if !matches!(schema.default, Some(Value::Struct(_))) {
            lowered.default.clone_from(&schema.default);
        }
        lowered.key_schema = part(&schema.key_schema)?;
        lowered.value_schema = part(&schema.value_schema)?;
        let lowered = if lowered == **schema { schema.clone() } else { Arc::new(lowered) };
        *self.last.borrow_mut() = Some((schema.clone(), lowered.clone()));
        Ok(lowered)
    }
}

impl Transform for SetMaximumPrecision {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        match value {
            Value::Null => {}
            Value::Struct(fields) => {
                let lowered = self.lowered(fields.schema())?;
                if !Arc::ptr_eq(&lowered, fields.schema()) {
                    *value = Value::Struct(Arc::new(Struct::new(lowered.clone(), fields.values().to_vec())));
                    *schema = Some(lowered);
                }
            }
            Value::Map(_) => {
                if let Some(declared) = schema {
                    *schema = Some(self.lowered(declared)?);
                }
            }
            Value::Json(json) if json.is_object() => {}
            other => return Err(wrong_kind(CLASS, other)),
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(SetMaximumPrecision {
        target: config.target.unwrap_or(Target::Value),
        maximum: MAXIMUM.integer(&config.properties),
        last: RefCell::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "set-maximum-precision",
        java_class: CLASS,
        aliases: &[],
        targets: true,
        doc: "Lowers the precision that decimals declare; values are not rounded.",
        keys: &[MAXIMUM],
        build,
    }
}
