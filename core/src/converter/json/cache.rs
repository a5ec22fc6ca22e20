//! Schemas that were met before, and their texts. Bounded in number and bytes: a full cache is emptied, which costs one
//! record in a thousand a little, where an order of use would cost every record.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::JSON_SCHEMA_CACHE_BYTES_MAX;
use crate::schema::Schema;

/// Room for a number of texts.
struct Room {
    entries_max: usize,
    bytes: usize,
}

impl Room {
    /// Whether another text fits beside so many; else all must go first.
    fn take(&mut self, entries: usize, bytes: usize) -> bool {
        let sum = self.bytes.saturating_add(bytes);
        let fits = entries < self.entries_max && sum <= JSON_SCHEMA_CACHE_BYTES_MAX;
        self.bytes = if fits { sum } else { bytes };
        fits
    }
}

/// From a schema's text to the schema.
pub(super) struct ParsedSchemas {
    room: Room,
    last: Option<(Bytes, Arc<Schema>)>,
    all: HashMap<Bytes, Arc<Schema>>,
}

impl ParsedSchemas {
    /// An empty cache of at most so many schemas.
    pub fn new(entries_max: usize) -> Self {
        Self { room: Room { entries_max, bytes: 0 }, last: None, all: HashMap::new() }
    }

    /// The schema of a text.
    pub fn find(&mut self, text: &[u8]) -> Option<Arc<Schema>> {
        if let Some((known, schema)) = &self.last
            && known == text
        {
            return Some(schema.clone());
        }
        let (known, schema) = self.all.get_key_value(text)?;
        self.last = Some((known.clone(), schema.clone()));
        Some(schema.clone())
    }

    /// Keeps a schema that was not found.
    pub fn keep(&mut self, text: Bytes, schema: &Arc<Schema>) {
        if self.room.entries_max == 0 {
            return;
        }
        if !self.room.take(self.all.len(), text.len()) {
            self.all.clear();
        }
        self.last = Some((text.clone(), schema.clone()));
        self.all.insert(text, schema.clone());
    }
}

/// From a schema to its text.
pub(super) struct WrittenSchemas {
    room: Room,
    /// By the schema's address, with a copy of it: at the address may be another schema by now.
    all: HashMap<usize, (Schema, Bytes)>,
}

impl WrittenSchemas {
    /// An empty cache of at most so many schemas.
    pub fn new(entries_max: usize) -> Self {
        Self { room: Room { entries_max, bytes: 0 }, all: HashMap::new() }
    }

    /// The text of a schema.
    pub fn find(&self, schema: &Schema) -> Option<Bytes> {
        let (known, text) = self.all.get(&std::ptr::from_ref(schema).addr())?;
        is_copy(known, schema).then(|| text.clone())
    }

    /// Keeps the text of a schema that was not found.
    pub fn keep(&mut self, schema: &Schema, text: Bytes) {
        if self.room.entries_max == 0 {
            return;
        }
        if !self.room.take(self.all.len(), text.len()) {
            self.all.clear();
        }
        self.all.insert(std::ptr::from_ref(schema).addr(), (schema.clone(), text));
    }
}

/// Whether both are the same schema. What they share is looked at by address only, for the copy keeps it alive.
fn is_copy(known: &Schema, schema: &Schema) -> bool {
    let same_text = |a: &Option<Arc<str>>, b: &Option<Arc<str>>| match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    let same_schema = |a: &Option<Arc<Schema>>, b: &Option<Arc<Schema>>| match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    known.field_type == schema.field_type
        && known.optional == schema.optional
        && known.version == schema.version
        && known.default.is_none()
        && schema.default.is_none()
        && same_text(&known.name, &schema.name)
        && same_text(&known.doc, &schema.doc)
        && same_schema(&known.key_schema, &schema.key_schema)
        && same_schema(&known.value_schema, &schema.value_schema)
        && known.parameters.len() == schema.parameters.len()
        && known
            .parameters
            .iter()
            .zip(&schema.parameters)
            .all(|(a, b)| Arc::ptr_eq(&a.0, &b.0) && Arc::ptr_eq(&a.1, &b.1))
        && known.fields.len() == schema.fields.len()
        && known
            .fields
            .iter()
            .zip(&schema.fields)
            .all(|(a, b)| Arc::ptr_eq(&a.name, &b.name) && Arc::ptr_eq(&a.schema, &b.schema))
}
