//! Converters: bytes on the wire ↔ schema and value.

mod bytes;
mod charset;
mod json;
mod number;
mod string;

use std::sync::Arc;

use ::bytes::Bytes;

use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, check_own_keys, prefixed, unknown_own_keys};
use crate::error::Result;
use crate::registry::find_converter;
use crate::schema::Schema;
use crate::value::Value;

/// A value with its shape, as a converter decodes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaAndValue {
    /// Shape, if the converter knows it.
    pub schema: Option<Arc<Schema>>,
    /// Value.
    pub value: Value,
}

/// Turns values into message bytes and back. Both ways hand handles on where the form allows it, without copying.
pub trait Converter {
    /// Bytes of a value; `None` for null.
    ///
    /// # Errors
    /// A value of a kind that this form can't hold (`Retry::BadRecord`).
    fn encode(&self, topic: &str, schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>>;

    /// Value of bytes; `None` gives null.
    ///
    /// # Errors
    /// Malformed bytes (`Retry::BadRecord`).
    fn decode(&self, topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue>;
}

/// Key that the runtime gives every converter, besides the converter's own.
const IS_KEY: &str = "isKey";

/// Builds the converter that `key` (`key.converter` or `value.converter`) names in a connector's configuration, from its
/// own keys `KEY.NAME`.
///
/// # Errors
/// Everything wrong with it, under full names: an unknown class, unknown and malformed keys.
pub fn converter_from_config(
    key: &ConfigKey,
    config: &Properties,
    is_key: bool,
) -> Result<Box<dyn Converter>, ConfigErrors> {
    let name = key.text(config).unwrap_or_default();
    let Some(factory) = find_converter(name) else {
        let message = format!("Failed to find any class that implements RecordConverter and which name matches {name}");
        return Err(ConfigError::new(key.name, message).into());
    };
    let mut own = own_keys(key, config);
    check_own_keys(key.name, factory.keys, &own)?;
    own.insert(IS_KEY.to_owned(), is_key.to_string());
    (factory.build)(&own).map_err(|errors| prefixed(key.name, errors))
}

/// The keys `KEY.NAME`, as `NAME`.
fn own_keys(key: &ConfigKey, config: &Properties) -> Properties {
    let prefix = format!("{}.", key.name);
    let own = config.iter().filter_map(|(name, text)| Some((name.strip_prefix(&prefix)?.to_owned(), text.clone())));
    own.filter(|(name, _)| name != IS_KEY).collect()
}

/// What to say about keys that the converter which `key` names does not know.
#[must_use]
pub fn unknown_keys(key: &ConfigKey, config: &Properties) -> Vec<String> {
    let factory = find_converter(key.text(config).unwrap_or_default());
    factory.map(|factory| unknown_own_keys(key.name, factory.keys, &own_keys(key, config))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::connector::VALUE_CONVERTER;

    fn errors(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let config = pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let built = converter_from_config(&VALUE_CONVERTER, &config, false);
        built.err().map(|errors| errors.0).into_iter().flatten().map(|error| (error.key, error.message)).collect()
    }

    #[test]
    fn wrong_keys_are_named_in_full() {
        let json = ("value.converter", "org.apache.rocketmq.connect.runtime.converter.record.json.JsonConverter");
        assert_eq!(errors(&[json, ("value.converter.schemas.enable", "FALSE"), ("key.converter.x", "y")]), []);
        let wrong = errors(&[
            json,
            ("value.converter.schemas.enable", "no"),
            ("value.converter.decimal.fromat", "BASE64"),
            ("value.converter.schemas.cache.size", "-1"),
        ]);
        let keys: Vec<_> = wrong.iter().map(|(key, _)| key.as_str()).collect();
        let expected = ["schemas.enable", "schemas.cache.size"];
        assert_eq!(keys, expected.map(|key| format!("value.converter.{key}")));
        let wrong = errors(&[("value.converter", "string"), ("value.converter.serializer.encoding", "x")]);
        assert_eq!(wrong[0].0, "value.converter.serializer.encoding");
        assert!(wrong[0].1.starts_with("Config value.converter.serializer.encoding is \"x\""), "{wrong:?}");
        assert_eq!(errors(&[("value.converter", "avro?")])[0].0, "value.converter");
    }

    #[test]
    fn unknown_keys_are_accepted_and_told() {
        let config = [("value.converter", "json"), ("value.converter.decimal.fromat", "BASE64")];
        assert_eq!(errors(&config), []);
        let config = config.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let told = unknown_keys(&VALUE_CONVERTER, &config);
        assert!(told[0].ends_with("did you mean value.converter.decimal.format?"), "{told:?}");
    }
}
