//! Converters: bytes on the wire ↔ schema and value.

mod bytes;
mod charset;
mod json;
mod number;
mod string;

use std::sync::Arc;

use ::bytes::Bytes;

use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, Part, check_own_keys, prefixed};
use crate::error::Result;
use crate::registry::{converter_remedy, find_converter};
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

    /// The value's own bytes, if [`Converter::encode`] would give just these: who only reads them needs no handle of its
    /// own.
    fn own_bytes<'v>(&self, schema: Option<&Schema>, value: &'v Value) -> Option<&'v Bytes> {
        let _ = (schema, value);
        None
    }

    /// Value of bytes; `None` gives null.
    ///
    /// # Errors
    /// Malformed bytes (`Retry::BadRecord`).
    fn decode(&self, topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue>;

    /// The same into a place in which another value was. Both parts are replaced; but a schema that is there already need
    /// not be shared once more.
    ///
    /// # Errors
    /// As for [`Converter::decode`]; what is in the place then is of no use.
    fn decode_into(
        &self,
        topic: &str,
        bytes: Option<Bytes>,
        schema: &mut Option<Arc<Schema>>,
        value: &mut Value,
    ) -> Result<()> {
        let decoded = self.decode(topic, bytes)?;
        (*schema, *value) = (decoded.schema, decoded.value);
        Ok(())
    }
}

/// Puts a handle of a schema in a place, unless it is there already: to look is cheaper than to share.
fn put_schema(place: &mut Option<Arc<Schema>>, schema: &Arc<Schema>) {
    if !place.as_ref().is_some_and(|there| Arc::ptr_eq(there, schema)) {
        *place = Some(schema.clone());
    }
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
        let error = ConfigError::new(key.name, message).with_value(name);
        return Err(error.with_remedy(converter_remedy(name)).into());
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

/// The converter that `key` names, with its keys; none if it is not known.
#[must_use]
pub fn part(key: &ConfigKey, config: &Properties) -> Option<Part> {
    let factory = find_converter(key.text(config).unwrap_or_default())?;
    Some(Part { prefix: key.name.to_owned(), keys: factory.keys.to_vec(), own: own_keys(key, config) })
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
}
