//! The declared shape of a value.

use std::sync::Arc;

use crate::value::Value;

/// The kind of value a schema declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit IEEE 754 number.
    Float32,
    /// 64-bit IEEE 754 number.
    Float64,
    /// True or false.
    Boolean,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A list; `value_schema` is its elements' shape.
    Array,
    /// A map; `key_schema` and `value_schema` are its pairs' shape.
    Map,
    /// Named fields.
    Struct,
}

impl FieldType {
    /// All types.
    pub const ALL: [Self; 12] = [
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::Boolean,
        Self::String,
        Self::Bytes,
        Self::Array,
        Self::Map,
        Self::Struct,
    ];

    /// The name of the Java enum constant.
    #[must_use]
    pub fn java_name(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Struct => "STRUCT",
        }
    }
}

/// A meaning on top of a field type, told by the schema's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logical {
    /// BYTES: two's complement, big-endian, unscaled; parameter `scale`. [`Value::Decimal`].
    Decimal,
    /// INT32: days since 1970-01-01. [`Value::Date`].
    Date,
    /// INT32: milliseconds of the day, 0 to 86,400,000. [`Value::Date`].
    Time,
    /// INT64: milliseconds since 1970-01-01 UTC. [`Value::Date`].
    Timestamp,
}

impl Logical {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Decimal, Self::Date, Self::Time, Self::Timestamp];

    /// The schema name that stands for it.
    #[must_use]
    pub fn schema_name(self) -> &'static str {
        match self {
            Self::Decimal => "io.openmessaging.connector.api.data.logical.Decimal",
            Self::Date => "io.openmessaging.connector.api.data.logical.Date",
            Self::Time => "io.openmessaging.connector.api.data.logical.Time",
            Self::Timestamp => "io.openmessaging.connector.api.data.logical.Timestamp",
        }
    }

    /// The type under it.
    #[must_use]
    pub fn field_type(self) -> FieldType {
        match self {
            Self::Decimal => FieldType::Bytes,
            Self::Date | Self::Time => FieldType::Int32,
            Self::Timestamp => FieldType::Int64,
        }
    }
}

/// Name of the parameter that holds a Decimal's scale.
pub const DECIMAL_SCALE: &str = "scale";

/// The declared shape of a value. `name` is the schema's own name, e.g. `/data/in.txt_line`.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Kind of the value.
    pub field_type: FieldType,
    /// Name of the schema, if it has one.
    pub name: Option<Arc<str>>,
    /// Version of the schema, if it has one.
    pub version: Option<i32>,
    /// Whether null is allowed.
    pub optional: bool,
    /// Value in the place of a missing one.
    pub default: Option<Value>,
    /// What it is about.
    pub doc: Option<Arc<str>>,
    /// Further names and values, in order.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    /// STRUCT: the fields, in order.
    pub fields: Vec<Field>,
    /// MAP: shape of the keys.
    pub key_schema: Option<Arc<Schema>>,
    /// MAP: shape of the values; ARRAY: of the elements.
    pub value_schema: Option<Arc<Schema>>,
}

/// One field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, unique in its struct.
    pub name: Arc<str>,
    /// Its shape.
    pub schema: Arc<Schema>,
}

impl Field {
    /// A field.
    pub fn new(name: impl Into<Arc<str>>, schema: impl Into<Arc<Schema>>) -> Self {
        Self { name: name.into(), schema: schema.into() }
    }
}

impl Schema {
    /// An unnamed, required schema of the given kind.
    #[must_use]
    pub fn required(field_type: FieldType) -> Self {
        Self {
            field_type,
            name: None,
            version: None,
            optional: false,
            default: None,
            doc: None,
            parameters: Vec::new(),
            fields: Vec::new(),
            key_schema: None,
            value_schema: None,
        }
    }

    /// An unnamed, optional schema of the given kind: what every simple converter answers.
    #[must_use]
    pub fn optional(field_type: FieldType) -> Self {
        Self { optional: true, ..Self::required(field_type) }
    }

    /// An optional schema of a logical type other than Decimal.
    #[must_use]
    pub fn logical(logical: Logical) -> Self {
        Self { name: Some(Arc::from(logical.schema_name())), version: Some(1), ..Self::optional(logical.field_type()) }
    }

    /// An optional schema of decimals with so many digits after the point.
    #[must_use]
    pub fn decimal(scale: i64) -> Self {
        Self {
            parameters: vec![(Arc::from(DECIMAL_SCALE), Arc::from(scale.to_string()))],
            ..Self::logical(Logical::Decimal)
        }
    }

    /// An optional schema of lists.
    pub fn array(element: impl Into<Arc<Self>>) -> Self {
        Self { value_schema: Some(element.into()), ..Self::optional(FieldType::Array) }
    }

    /// An optional schema of maps.
    pub fn map(key: impl Into<Arc<Self>>, value: impl Into<Arc<Self>>) -> Self {
        Self { key_schema: Some(key.into()), value_schema: Some(value.into()), ..Self::optional(FieldType::Map) }
    }

    /// An optional schema of structs.
    #[must_use]
    pub fn structure(fields: Vec<Field>) -> Self {
        Self { fields, ..Self::optional(FieldType::Struct) }
    }

    /// Its logical type, if its name and type say so.
    #[must_use]
    pub fn logical_type(&self) -> Option<Logical> {
        let name = self.name.as_deref()?;
        Logical::ALL.into_iter().find(|one| one.schema_name() == name && one.field_type() == self.field_type)
    }

    /// Value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }

    /// Digits after the point of a Decimal.
    #[must_use]
    pub fn decimal_scale(&self) -> Option<i64> {
        self.parameter(DECIMAL_SCALE)?.parse().ok()
    }

    /// Place of a field.
    #[must_use]
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| &*field.name == name)
    }

    /// A field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }
}
