//! `SetNull`: makes the key or the value null, and forgets its schema.
//!
//! Not as in Java: `$Value` really does it, extensions stay, and the keys of `PatternRename`, one of which Java demands
//! here, have no effect.

use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::value::Value;

const PATTERN: ConfigKey = ConfigKey {
    name: "field.pattern",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "No effect; accepted because the Java runtime demands it.",
};
const FLAGS: ConfigKey = ConfigKey { name: "field.pattern.flags", doc: "No effect.", ..PATTERN };
const REPLACEMENT: ConfigKey = ConfigKey { name: "field.replacement", doc: "No effect.", ..PATTERN };

struct SetNull(Target);

impl Transform for SetNull {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.0.of_mut(record);
        *value = Value::Null;
        *schema = None;
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(SetNull(config.target.unwrap_or(Target::Value))))
}

inventory::submit! {
    TransformFactory {
        name: "set-null",
        java_class: "org.apache.rocketmq.connect.transforms.SetNull",
        aliases: &[],
        targets: true,
        doc: "Makes the key or the value null.",
        keys: &[PATTERN, FLAGS, REPLACEMENT],
        build,
    }
}
