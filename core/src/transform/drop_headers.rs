//! `DropHeaders`: takes extensions away.

use super::named_fields::needed_list;
use super::{Outcome, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;

const HEADERS: ConfigKey = ConfigKey {
    name: "headers",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "Names of the extensions to take away.",
};

struct DropHeaders {
    headers: Vec<String>,
}

impl Transform for DropHeaders {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        for header in &self.headers {
            record.extensions.remove(header);
        }
        Ok(Outcome::Keep)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(DropHeaders { headers: needed_list(&HEADERS, &config.properties)? }))
}

inventory::submit! {
    TransformFactory {
        name: "drop-headers",
        java_class: "org.apache.rocketmq.connect.transforms.DropHeaders",
        aliases: &["org.apache.kafka.connect.transforms.DropHeaders"],
        targets: false,
        doc: "Takes extensions (headers) away.",
        keys: &[HEADERS],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{build, config_faults, headers, record};
    use crate::value::Value;

    #[test]
    fn named_headers_go_and_the_others_stay() {
        let mut record = record(Value::Null);
        for (name, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            record.extensions.set(name, value);
        }
        build("DropHeaders", &[("headers", "c , a,none")]).apply(&mut record).unwrap();
        assert_eq!(headers(&record), ["b=2"]);
        assert_eq!(config_faults("DropHeaders", &[("headers", " , ")]), ["transforms.t.headers"]);
        assert_eq!(config_faults("DropHeaders", &[]), ["transforms.t.headers"]);
    }
}
