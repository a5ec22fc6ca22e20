//! `InsertHeader`: gives every record the same extension.

use super::named_fields::{needed_text, untrimmed};
use super::{Outcome, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::value::Text;

const HEADER: ConfigKey = ConfigKey {
    name: "header",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Name of the extension; one of that name is replaced.",
};
const VALUE: ConfigKey = ConfigKey {
    name: "value.literal",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Its value, as it is.",
};

struct InsertHeader {
    header: Text,
    value: Text,
}

impl Transform for InsertHeader {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        record.extensions.set(self.header.clone(), self.value.clone());
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let header = needed_text(&HEADER, &config.properties)?;
    Ok(Box::new(InsertHeader { header: header.into(), value: untrimmed(&VALUE, &config.properties).into() }))
}

inventory::submit! {
    TransformFactory {
        name: "insert-header",
        java_class: "org.apache.rocketmq.connect.transforms.InsertHeader",
        aliases: &["org.apache.kafka.connect.transforms.InsertHeader"],
        targets: false,
        doc: "Gives every record the same extension (header).",
        keys: &[HEADER, VALUE],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{build, config_faults, headers, record};
    use crate::value::Value;

    #[test]
    fn a_header_is_added_or_replaced() {
        let mut record = record(Value::Null);
        record.extensions.set("b", "2");
        build("InsertHeader", &[("header", "a"), ("value.literal", " 1 ")]).apply(&mut record).unwrap();
        build("InsertHeader", &[("header", "b"), ("value.literal", "")]).apply(&mut record).unwrap();
        assert_eq!(headers(&record), ["b=", "a= 1 "]);
        assert_eq!(config_faults("InsertHeader", &[("value.literal", "x"), ("header", "")]), ["transforms.t.header"]);
        assert_eq!(config_faults("InsertHeader", &[("header", "x")]), ["transforms.t.value.literal"]);
    }
}
