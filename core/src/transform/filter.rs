//! `Filter`: drops every record that it applies to; a predicate says to which.

use super::{Outcome, Transform, TransformConfig};
use crate::config::key::ConfigErrors;
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;

struct Filter;

impl Transform for Filter {
    fn apply(&self, _record: &mut ConnectRecord) -> Result<Outcome> {
        Ok(Outcome::Drop)
    }
}

fn build(_config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(Filter))
}

inventory::submit! {
    TransformFactory {
        name: "filter",
        java_class: "org.apache.rocketmq.connect.transforms.Filter",
        aliases: &["org.apache.kafka.connect.transforms.Filter"],
        targets: false,
        doc: "Drops every record that it applies to; use it with a predicate.",
        keys: &[],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{build, record};
    use super::*;
    use crate::value::Value;

    #[test]
    fn every_record_is_dropped() {
        let chain = build("Filter", &[]);
        for value in [Value::Null, Value::text("x")] {
            assert_eq!(chain.apply(&mut record(value)).unwrap(), Outcome::Drop);
        }
    }
}
