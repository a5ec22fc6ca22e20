//! The five converters of single numbers: big-endian, of fixed length.

use std::sync::Arc;

use bytes::Bytes;

use super::{Converter, SchemaAndValue};
use crate::config::Properties;
use crate::config::key::ConfigErrors;
use crate::error::{ConnectError, Result, Stage};
use crate::registry::ConverterFactory;
use crate::schema::{FieldType, Schema};
use crate::value::Value;

/// One of the five.
#[derive(Clone, Copy)]
struct Form {
    class: &'static str,
    kind: FieldType,
    len: usize,
}

const SHORT: Form = Form {
    class: "org.apache.rocketmq.connect.runtime.converter.record.ShortConverter",
    kind: FieldType::Int16,
    len: 2,
};
const INTEGER: Form = Form {
    class: "org.apache.rocketmq.connect.runtime.converter.record.IntegerConverter",
    kind: FieldType::Int32,
    len: 4,
};
const LONG: Form = Form {
    class: "org.apache.rocketmq.connect.runtime.converter.record.LongConverter",
    kind: FieldType::Int64,
    len: 8,
};
const FLOAT: Form = Form {
    class: "org.apache.rocketmq.connect.runtime.converter.record.FloatConverter",
    kind: FieldType::Float32,
    len: 4,
};
const DOUBLE: Form = Form {
    class: "org.apache.rocketmq.connect.runtime.converter.record.DoubleConverter",
    kind: FieldType::Float64,
    len: 8,
};

/// The one NaN that Java's `Double.doubleToLongBits` knows.
const DOUBLE_NAN: u64 = 0x7ff8_0000_0000_0000;

struct NumberConverter {
    form: Form,
    schema: Arc<Schema>,
}

impl NumberConverter {
    fn bad(&self, what: String) -> ConnectError {
        ConnectError::bad_record(Stage::Convert, what).in_class(self.form.class)
    }
}

impl Converter for NumberConverter {
    fn encode(&self, topic: &str, _schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        let bytes = match (self.form.kind, value) {
            (_, Value::Null) => return Ok(None),
            (FieldType::Int16, Value::Int16(number)) => Bytes::copy_from_slice(&number.to_be_bytes()),
            (FieldType::Int32, Value::Int32(number)) => Bytes::copy_from_slice(&number.to_be_bytes()),
            (FieldType::Int64, Value::Int64(number)) => Bytes::copy_from_slice(&number.to_be_bytes()),
            (FieldType::Float32, Value::Float32(number)) => Bytes::copy_from_slice(&number.to_bits().to_be_bytes()),
            (FieldType::Float64, Value::Float64(number)) => {
                let bits = if number.is_nan() { DOUBLE_NAN } else { number.to_bits() };
                Bytes::copy_from_slice(&bits.to_be_bytes())
            }
            (kind, other) => {
                return Err(self.bad(format!("topic {topic}: expected {}, not {}", kind.java_name(), other.kind())));
            }
        };
        Ok(Some(bytes))
    }

    fn decode(&self, topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => number(self.form.kind, &bytes).ok_or_else(|| {
                let Form { kind, len, .. } = self.form;
                self.bad(format!("topic {topic}: {} takes {len} bytes, the body has {}", kind.java_name(), bytes.len()))
            })?,
        };
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}

/// The number of bytes of just its length.
fn number(kind: FieldType, bytes: &[u8]) -> Option<Value> {
    Some(match kind {
        FieldType::Int16 => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
        FieldType::Int32 => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
        FieldType::Int64 => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
        FieldType::Float32 => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
        FieldType::Float64 => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ => return None,
    })
}

fn converter(form: Form) -> Result<Box<dyn Converter>, ConfigErrors> {
    Ok(Box::new(NumberConverter { form, schema: Arc::new(Schema::optional(form.kind)) }))
}

/// The entry of one of them in the table.
const fn factory(
    name: &'static str,
    form: Form,
    doc: &'static str,
    build: fn(&Properties) -> Result<Box<dyn Converter>, ConfigErrors>,
) -> ConverterFactory {
    ConverterFactory { name, java_class: form.class, doc, keys: &[], build }
}

inventory::submit! { factory("short", SHORT, "INT16 in 2 bytes, big-endian.", |_| converter(SHORT)) }
inventory::submit! { factory("integer", INTEGER, "INT32 in 4 bytes, big-endian.", |_| converter(INTEGER)) }
inventory::submit! { factory("long", LONG, "INT64 in 8 bytes, big-endian.", |_| converter(LONG)) }
inventory::submit! { factory("float", FLOAT, "FLOAT32 in 4 bytes, IEEE 754, big-endian.", |_| converter(FLOAT)) }
inventory::submit! { factory("double", DOUBLE, "FLOAT64 in 8 bytes, IEEE 754, big-endian.", |_| converter(DOUBLE)) }

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Retry;

    fn check(form: Form, value: Value, bytes: &[u8]) {
        let converter = converter(form).unwrap();
        let encoded = converter.encode("t", None, &value).unwrap().unwrap();
        assert_eq!(encoded, bytes, "{value:?}");
        let decoded = converter.decode("t", Some(encoded)).unwrap();
        assert_eq!(decoded, SchemaAndValue { schema: Some(Arc::new(Schema::optional(form.kind))), value });
    }

    #[test]
    fn numbers_have_the_bytes_of_the_java_converters() {
        check(INTEGER, Value::Int32(258), &[0, 0, 1, 2]);
        check(SHORT, Value::Int16(258), &[1, 2]);
        check(LONG, Value::Int64(-2), &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        check(FLOAT, Value::Float32(1.5), &[0x3f, 0xc0, 0, 0]);
        check(DOUBLE, Value::Float64(1.5), &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_double_has_one_nan_and_a_float_keeps_its_own() {
        let nan = f64::from_bits(0xfff0_0000_0000_0001);
        let encoded = converter(DOUBLE).unwrap().encode("t", None, &Value::Float64(nan)).unwrap().unwrap();
        assert_eq!(encoded, DOUBLE_NAN.to_be_bytes().as_slice());
        let nan = f32::from_bits(0xffc0_0001);
        let encoded = converter(FLOAT).unwrap().encode("t", None, &Value::Float32(nan)).unwrap().unwrap();
        assert_eq!(encoded, [0xff, 0xc0, 0, 1].as_slice());
    }

    #[test]
    fn what_does_not_fit_is_a_bad_record_of_that_class() {
        for form in [SHORT, INTEGER, LONG, FLOAT, DOUBLE] {
            let converter = converter(form).unwrap();
            assert_eq!(converter.encode("t", None, &Value::Null).unwrap(), None);
            let decoded = converter.decode("t", None).unwrap();
            assert_eq!((decoded.value, decoded.schema.unwrap().field_type), (Value::Null, form.kind));
            for len in (0..10).filter(|len| *len != form.len) {
                let error = converter.decode("t", Some(Bytes::from(vec![0; len]))).unwrap_err();
                assert_eq!((error.retry(), error.class()), (Retry::BadRecord, Some(form.class)));
            }
            for wrong in [Value::Int8(1), Value::text("1"), Value::Date(1)] {
                let error = converter.encode("t", None, &wrong).unwrap_err();
                assert_eq!((error.retry(), error.class()), (Retry::BadRecord, Some(form.class)));
            }
        }
        let error = converter(LONG).unwrap().encode("t", None, &Value::Int32(1)).unwrap_err();
        assert_eq!(error.to_string(), "topic t: expected INT64, not int32");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(short: i16, integer: i32, long: i64, float: f32, double: f64) {
            for (form, value) in [
                (SHORT, Value::Int16(short)),
                (INTEGER, Value::Int32(integer)),
                (LONG, Value::Int64(long)),
                (FLOAT, Value::Float32(float)),
                (DOUBLE, Value::Float64(double)),
            ] {
                let converter = converter(form).unwrap();
                let bytes = converter.encode("t", None, &value).unwrap();
                prop_assert_eq!(converter.decode("t", bytes).unwrap().value, value);
            }
        }
    }
}
