//! Schemas as JSON, both ways.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::decode::Reader;
use super::encode::Writer;
use super::fault::Fault;
use crate::json::{elements_of, members_of, position_in, text_of, write_display, write_string};
use crate::limits::JSON_SCHEMA_BYTES_MAX;
use crate::schema::{Field, FieldType, Schema};
use crate::value::Value;

/// The name of a type in JSON.
fn type_name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Int8 => "int8",
        FieldType::Int16 => "int16",
        FieldType::Int32 => "int32",
        FieldType::Int64 => "int64",
        FieldType::Float32 => "float",
        FieldType::Float64 => "double",
        FieldType::Boolean => "boolean",
        FieldType::String => "string",
        FieldType::Bytes => "bytes",
        FieldType::Array => "array",
        FieldType::Map => "map",
        FieldType::Struct => "struct",
    }
}

impl Writer<'_> {
    /// Writes a schema; that of a struct's field with the field's name.
    pub fn schema(&mut self, schema: &Schema, field: Option<&str>, levels: usize) -> Result<(), Fault> {
        let levels = levels.checked_sub(1).ok_or_else(|| Fault::new("schemas lie too deep inside each other"))?;
        self.out.push(b'{');
        if let Some(field) = field {
            self.text_member("field", field);
            self.out.push(b',');
        }
        self.text_member("type", type_name(schema.field_type));
        for (member, text) in [("name", &schema.name), ("doc", &schema.doc)] {
            if let Some(text) = text {
                self.out.push(b',');
                self.text_member(member, text);
            }
        }
        if let Some(version) = schema.version {
            self.out.extend_from_slice(b",\"version\":");
            write_display(self.out, version);
        }
        self.parameters(schema, levels);
        self.out.extend_from_slice(if schema.optional { b",\"optional\":true" } else { b",\"optional\":false" });
        if let Some(default) = schema.default.as_ref().filter(|default| !default.is_null()) {
            self.out.extend_from_slice(b",\"default\":");
            self.value(schema, default, levels).map_err(|fault| fault.in_member("default"))?;
        }
        self.inner_schemas(schema, levels)?;
        self.out.push(b'}');
        Ok(())
    }

    fn text_member(&mut self, name: &str, text: &str) {
        write_string(self.out, name);
        self.out.push(b':');
        write_string(self.out, text);
    }

    fn parameters(&mut self, schema: &Schema, levels: usize) {
        // A schema that Java code made with its constructor, as the file source does, has an empty map here; one made with
        // a builder has none. Whoever reads it sees no difference, but the bytes shall be Java's.
        let made_by_constructor =
            schema.name.is_some() && schema.version.is_none() && schema.field_type == FieldType::String;
        if schema.parameters.is_empty() && (levels == 0 || !made_by_constructor) {
            return;
        }
        self.out.extend_from_slice(b",\"parameters\":{");
        for (index, (name, text)) in schema.parameters.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.text_member(name, text);
        }
        self.out.push(b'}');
    }

    fn inner_schemas(&mut self, schema: &Schema, levels: usize) -> Result<(), Fault> {
        let element = if schema.field_type == FieldType::Array { "items" } else { "values" };
        for (member, inner) in [("keys", &schema.key_schema), (element, &schema.value_schema)] {
            if let Some(inner) = inner {
                self.out.push(b',');
                write_string(self.out, member);
                self.out.push(b':');
                self.schema(inner, None, levels).map_err(|fault| fault.in_member(member))?;
            }
        }
        if schema.field_type != FieldType::Struct {
            return Ok(());
        }
        let levels = levels.saturating_sub(1);
        self.out.extend_from_slice(b",\"fields\":[");
        for (index, field) in schema.fields.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let written = self.schema(&field.schema, Some(&field.name), levels);
            written.map_err(|fault| fault.in_item(index).in_member("fields"))?;
        }
        self.out.push(b']');
        Ok(())
    }
}

/// The schema of a text that was checked. Texts of defaults are parts of it.
pub(super) fn parse(text: &Bytes) -> Result<Schema, Fault> {
    if text.len() > JSON_SCHEMA_BYTES_MAX {
        return Err(Fault::at(0, format!("a schema of more than {JSON_SCHEMA_BYTES_MAX} bytes")));
    }
    Parser { text }.schema(text).map(|(schema, _)| schema)
}

/// Names and values.
type Parameters = Vec<(Arc<str>, Arc<str>)>;

struct Parser<'t> {
    text: &'t Bytes,
}

/// The members of a schema's text that count; null counts as missing.
#[derive(Default)]
struct Parts<'t> {
    kind: Option<&'t [u8]>,
    field: Option<&'t [u8]>,
    optional: Option<&'t [u8]>,
    name: Option<&'t [u8]>,
    version: Option<&'t [u8]>,
    doc: Option<&'t [u8]>,
    parameters: Option<&'t [u8]>,
    default: Option<&'t [u8]>,
    items: Option<&'t [u8]>,
    keys: Option<&'t [u8]>,
    values: Option<&'t [u8]>,
    fields: Option<&'t [u8]>,
}

impl<'t> Parts<'t> {
    fn of(object: &'t [u8]) -> Self {
        let mut parts = Self::default();
        for member in members_of(object) {
            let part = match &*member.name() {
                "type" => &mut parts.kind,
                "field" => &mut parts.field,
                "optional" => &mut parts.optional,
                "name" => &mut parts.name,
                "version" => &mut parts.version,
                "doc" => &mut parts.doc,
                "parameters" => &mut parts.parameters,
                "default" => &mut parts.default,
                "items" => &mut parts.items,
                "keys" => &mut parts.keys,
                "values" => &mut parts.values,
                "fields" => &mut parts.fields,
                _ => continue,
            };
            *part = Some(member.raw_value).filter(|raw| *raw != b"null");
        }
        parts
    }
}

impl<'t> Parser<'t> {
    fn position(&self, raw: &[u8]) -> usize {
        position_in(self.text, raw).unwrap_or(0)
    }

    fn fault(&self, raw: &[u8], what: impl Into<String>) -> Fault {
        Fault::at(self.position(raw), what)
    }

    /// A schema, and the name of the field that it is of.
    fn schema(&self, raw: &'t [u8]) -> Result<(Schema, Option<Arc<str>>), Fault> {
        if raw.first() != Some(&b'{') {
            return Err(self.fault(raw, "expected a schema, which is an object"));
        }
        let parts = Parts::of(raw);
        let kind = self.kind(raw, &parts)?;
        let mut schema = Schema {
            name: self.text("name", parts.name)?,
            doc: self.text("doc", parts.doc)?.filter(|doc| !doc.is_empty()),
            version: parts.version.and_then(|raw| std::str::from_utf8(raw).ok()?.parse().ok()),
            optional: parts.optional == Some(b"true"),
            parameters: self.parameters(parts.parameters)?,
            ..Schema::required(kind)
        };
        match kind {
            FieldType::Array => schema.value_schema = Some(self.inner(raw, "items", parts.items)?),
            FieldType::Map => {
                schema.key_schema = Some(self.inner(raw, "keys", parts.keys)?);
                schema.value_schema = Some(self.inner(raw, "values", parts.values)?);
            }
            FieldType::Struct => schema.fields = self.fields(raw, parts.fields)?,
            _ => {}
        }
        if let Some(default) = parts.default {
            schema.default = Some(self.default(default, &schema)?);
        }
        Ok((schema, self.text("field", parts.field)?))
    }

    fn kind(&self, raw: &[u8], parts: &Parts<'_>) -> Result<FieldType, Fault> {
        let missing = || self.fault(raw, "the schema has no type").in_member("type");
        let text = self.text("type", parts.kind)?.ok_or_else(missing)?;
        let kind = FieldType::ALL.into_iter().find(|kind| type_name(*kind) == &*text);
        kind.ok_or_else(|| {
            let known = FieldType::ALL.map(type_name).join(", ");
            self.fault(parts.kind.unwrap_or(raw), format!("expected one of {known}")).in_member("type")
        })
    }

    fn text(&self, name: &str, raw: Option<&[u8]>) -> Result<Option<Arc<str>>, Fault> {
        let Some(raw) = raw else { return Ok(None) };
        let text = text_of(raw).ok_or_else(|| self.fault(raw, "expected a text").in_member(name))?;
        Ok(Some(Arc::from(text)))
    }

    fn parameters(&self, raw: Option<&[u8]>) -> Result<Parameters, Fault> {
        let Some(raw) = raw else { return Ok(Vec::new()) };
        if raw.first() != Some(&b'{') {
            return Err(self.fault(raw, "expected an object of texts").in_member("parameters"));
        }
        let mut parameters = Parameters::new();
        let mut known = HashSet::new();
        for member in members_of(raw) {
            let name: Arc<str> = Arc::from(member.name());
            let text = text_of(member.raw_value).unwrap_or_else(|| String::from_utf8_lossy(member.raw_value));
            if known.insert(name.clone()) {
                parameters.push((name, Arc::from(text)));
            } else if let Some((_, old)) = parameters.iter_mut().find(|(known, _)| *known == name) {
                *old = Arc::from(text);
            }
        }
        Ok(parameters)
    }

    fn inner(&self, outer: &[u8], name: &str, raw: Option<&'t [u8]>) -> Result<Arc<Schema>, Fault> {
        let missing = || self.fault(outer, "missing").in_member(name);
        let (schema, _) = self.schema(raw.ok_or_else(missing)?).map_err(|fault| fault.in_member(name))?;
        Ok(Arc::new(schema))
    }

    fn fields(&self, outer: &[u8], raw: Option<&'t [u8]>) -> Result<Vec<Field>, Fault> {
        let Some(raw) = raw.filter(|raw| raw.first() == Some(&b'[')) else {
            return Err(self.fault(raw.unwrap_or(outer), "expected a list of schemas").in_member("fields"));
        };
        let mut fields = Vec::new();
        let mut known = HashSet::new();
        for (index, element) in elements_of(raw).enumerate() {
            let inside = |fault: Fault| fault.in_item(index).in_member("fields");
            let (schema, name) = self.schema(element).map_err(inside)?;
            let name = name.ok_or_else(|| inside(self.fault(element, "the field has no name").in_member("field")))?;
            if !known.insert(name.clone()) {
                return Err(inside(self.fault(element, "another field has this name").in_member("field")));
            }
            fields.push(Field::new(name, schema));
        }
        Ok(fields)
    }

    /// The default of a schema that has none yet.
    fn default(&self, raw: &[u8], schema: &Schema) -> Result<Value, Fault> {
        let shape = Arc::new(schema.clone());
        Reader::new(self.text, self.position(raw)).value(&shape).map_err(|fault| fault.in_member("default"))
    }
}
