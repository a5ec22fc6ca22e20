//! `StringConverter`: text, in UTF-8 if nothing else is asked for. Text in UTF-8 that only passes through keeps its very
//! bytes, well-formed or not.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::charset::{self, Charset};
use super::{Converter, SchemaAndValue, put_schema};
use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind, nearest};
use crate::error::Result;
use crate::java_text;
use crate::registry::ConverterFactory;
use crate::schema::{FieldType, Schema};
use crate::value::{Text, Value};

const SERIALIZER: ConfigKey = ConfigKey {
    name: "serializer.encoding",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("UTF8"),
    unit: "",
    doc: "Character set of the text that is written, by a name that Java knows it by; what it can't express becomes `?`.",
};
const DESERIALIZER: ConfigKey = ConfigKey {
    name: "deserializer.encoding",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("UTF8"),
    unit: "",
    doc: "Character set of the text that is read.",
};

struct StringConverter {
    schema: Arc<Schema>,
    write: Charset,
    read: Charset,
}

impl Converter for StringConverter {
    fn encode(&self, _topic: &str, _schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        Ok(Some(match (value, self.write) {
            (Value::Null, _) => return Ok(None),
            (Value::Bytes(bytes), _) => bytes.clone(),
            (Value::String(text), Charset::Utf8) => text.as_bytes().clone(),
            (other, Charset::Utf8) => Bytes::from(java_text::value(other).into_owned()),
            (other, charset) => Bytes::from(charset.encode(&java_text::value(other)).into_owned()),
        }))
    }

    fn own_bytes<'v>(&self, _schema: Option<&Schema>, value: &'v Value) -> Option<&'v Bytes> {
        match (value, self.write) {
            (Value::Bytes(bytes), _) => Some(bytes),
            (Value::String(text), Charset::Utf8) => Some(text.as_bytes()),
            _ => None,
        }
    }

    fn decode(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value: self.value(bytes) })
    }

    fn decode_into(
        &self,
        _topic: &str,
        bytes: Option<Bytes>,
        schema: &mut Option<Arc<Schema>>,
        value: &mut Value,
    ) -> Result<()> {
        put_schema(schema, &self.schema);
        *value = self.value(bytes);
        Ok(())
    }
}

impl StringConverter {
    #[inline(always)]
    fn value(&self, bytes: Option<Bytes>) -> Value {
        match bytes {
            None => Value::Null,
            Some(bytes) if self.read == Charset::Utf8 => Value::String(Text::from_bytes(bytes)),
            Some(bytes) => match self.read.decode(&bytes) {
                Cow::Owned(text) => Value::text(text),
                Cow::Borrowed(_) => Value::String(Text::from_bytes(bytes)),
            },
        }
    }
}

fn charset(key: &ConfigKey, config: &Properties) -> Result<Charset, ConfigError> {
    let name = key.text(config).unwrap_or_default();
    Charset::find(name).ok_or_else(|| {
        let remedy = match nearest(name, charset::names()) {
            Some(near) => format!("did you mean {near}?"),
            None => "write a name such as UTF-8, ISO-8859-1 or GBK, or leave the key out".to_owned(),
        };
        let message = format!("Config {} is \"{name}\", expected a character set that is known here", key.name);
        ConfigError::new(key.name, message).with_value(name).with_remedy(remedy)
    })
}

fn build(config: &Properties) -> Result<Box<dyn Converter>, ConfigErrors> {
    let (write, read) = match (charset(&SERIALIZER, config), charset(&DESERIALIZER, config)) {
        (Ok(write), Ok(read)) => (write, read),
        (write, read) => return Err(ConfigErrors([write, read].into_iter().filter_map(Result::err).collect())),
    };
    Ok(Box::new(StringConverter { schema: Arc::new(Schema::optional(FieldType::String)), write, read }))
}

inventory::submit! {
    ConverterFactory {
        name: "string",
        java_class: "org.apache.rocketmq.connect.runtime.converter.record.StringConverter",
        doc: "Text. A value that is none is written as Java's `toString` gives it; bytes as they are.",
        keys: &[SERIALIZER, DESERIALIZER],
        build,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::Field;
    use crate::value::Struct;

    fn with(pairs: &[(&str, &str)]) -> Result<Box<dyn Converter>, ConfigErrors> {
        build(&pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn text_passes_through_without_a_copy() {
        let converter = build(&Properties::new()).unwrap();
        let bytes = Bytes::from(vec![b'a', 0xff, b'b']);
        let decoded = converter.decode("t", Some(bytes.clone())).unwrap();
        let encoded = converter.encode("t", None, &decoded.value).unwrap().unwrap();
        assert_eq!(converter.own_bytes(None, &decoded.value), Some(&encoded));
        assert_eq!(converter.own_bytes(None, &Value::Null), None);
        assert_eq!(encoded.as_ptr(), bytes.as_ptr());
        assert_eq!(converter.encode("t", None, &Value::Null).unwrap(), None);
        let null = converter.decode("t", None).unwrap();
        assert_eq!((null.value, null.schema.unwrap().field_type), (Value::Null, FieldType::String));
    }

    #[test]
    fn unknown_encodings_are_refused_by_name() {
        let errors = with(&[("serializer.encoding", "EBCDIC"), ("deserializer.encoding", "UTF-88")]).err().unwrap();
        let keys: Vec<_> = errors.0.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["serializer.encoding", "deserializer.encoding"]);
        assert!(errors.to_string().contains("did you mean utf-8?"), "{errors}");
    }

    #[test]
    fn each_way_has_its_own_encoding() {
        let converter = with(&[("serializer.encoding", "GBK"), ("deserializer.encoding", "ISO-8859-1")]).unwrap();
        let encoded = converter.encode("t", None, &Value::text("文")).unwrap().unwrap();
        assert_eq!(encoded, [0xce, 0xc4].as_slice());
        assert_eq!(converter.decode("t", Some(encoded)).unwrap().value, Value::text("ÎÄ"));
    }

    #[test]
    fn other_values_read_as_in_java() {
        let converter = build(&Properties::new()).unwrap();
        let field = |name| Field::new(name, Schema::optional(FieldType::Int32));
        let shape = Arc::new(Schema::structure(vec![field("a"), field("n"), field("b")]));
        let fields = Struct::new(shape, vec![Value::Int32(1), Value::Null, Value::Int32(2)]);
        for (value, text) in [
            (Value::Struct(Arc::new(fields)), "Struct{a=1,b=2}"),
            (Value::Float64(1e30), "1.0E30"),
            (Value::Boolean(true), "true"),
            (Value::array(vec![Value::Int64(1), Value::text("x")]), "[1, x]"),
        ] {
            assert_eq!(converter.encode("t", None, &value).unwrap().unwrap(), text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn text_survives_every_set_that_has_all_characters(text: String) {
            for name in ["UTF-8", "UTF-16", "UTF-16LE", "unicodelittle", "GB18030"] {
                // A mark at the beginning of text would be taken for the set's own; GB18030 has no place for some
                // characters of private use.
                let skipped = text.starts_with(['\u{feff}', '\u{fffe}']) || text.contains('\u{e5e5}');
                let converter = with(&[("serializer.encoding", name), ("deserializer.encoding", name)]).unwrap();
                let bytes = converter.encode("t", None, &Value::text(text.as_str())).unwrap();
                let back = converter.decode("t", bytes).unwrap().value;
                prop_assert!(skipped || back == Value::text(text.as_str()), "{name}");
            }
        }
    }
}
