//! `HasHeaderKey`: the record has an extension (header) of a name.

use super::Predicate;
use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::PredicateFactory;

const NAME: ConfigKey = ConfigKey {
    name: "name",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Name of the extension, as extensions are named on records: a message's own without `connect-ext-`.",
};

struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &ConnectRecord) -> Result<bool> {
        Ok(record.extensions.get(&self.name).is_some())
    }
}

fn build(config: &Properties) -> Result<Box<dyn Predicate>, ConfigErrors> {
    let name = NAME.text(config).unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(ConfigError::new(NAME.name, "Config name is \"\", expected the name of an extension").into());
    }
    Ok(Box::new(HasHeaderKey { name }))
}

inventory::submit! {
    PredicateFactory {
        name: "has-header-key",
        java_class: "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
        doc: "Holds for records that have an extension of this name.",
        keys: &[NAME],
        build,
    }
}
