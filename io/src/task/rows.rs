//! Places for the records of a batch, used for one batch after the other.
//!
//! What most records of a task share (topic, partition, schemas) stays in its place when a batch is done, so the next
//! batch finds it there and looks whether it is the right one instead of sharing it anew: sharing costs two atomic steps
//! a record for each of them. What belongs to one record only (payload and properties) goes with its batch, since it
//! holds the buffers of the socket.

use std::ops::Deref;
use std::sync::Arc;

use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::schema::Schema;
use rmqc_core::value::Value;

/// Records, and places of earlier ones behind them.
#[derive(Default)]
pub(super) struct Rows {
    /// Records, then places that hold nothing of a payload.
    places: Vec<ConnectRecord>,
    /// Number of records.
    len: usize,
}

impl Deref for Rows {
    type Target = [ConnectRecord];

    fn deref(&self) -> &[ConnectRecord] {
        self.places.get(..self.len).unwrap_or_default()
    }
}

impl Rows {
    /// A place for one record more, which counts from now on. It has no key, value or extensions; whatever else is in it
    /// is left from an earlier record and must be replaced.
    #[inline]
    pub fn next(&mut self) -> &mut ConnectRecord {
        let at = self.len;
        if at >= self.places.len() {
            self.places.push(ConnectRecord::default());
        }
        self.len = at.saturating_add(1);
        #[expect(clippy::indexing_slicing, reason = "made long enough the lines before")]
        &mut self.places[at]
    }

    /// Keeps the first `len` records.
    pub fn truncate(&mut self, len: usize) {
        if let Some(gone) = self.places.get_mut(len..self.len) {
            gone.iter_mut().for_each(let_go);
            self.len = len;
        }
    }

    /// Lets the last record go.
    pub fn drop_last(&mut self) {
        self.truncate(self.len.saturating_sub(1));
    }

    /// Lets all records go.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Makes room for so many records more.
    pub fn reserve(&mut self, more: usize) {
        let free = self.places.len().saturating_sub(self.len);
        self.places.reserve(more.saturating_sub(free));
    }

    /// Records for which there is room.
    pub fn room(&self) -> usize {
        self.places.capacity()
    }
}

/// Lets everything go that belongs to one record only.
fn let_go(record: &mut ConnectRecord) {
    record.key = Value::Null;
    record.value = Value::Null;
    record.extensions = Extensions::Empty;
    let_schema_go(&mut record.key_schema);
    let_schema_go(&mut record.schema);
}

/// A schema that nobody else knows was made for this record.
fn let_schema_go(schema: &mut Option<Arc<Schema>>) {
    if schema.as_ref().is_some_and(|schema| Arc::strong_count(schema) == 1) {
        *schema = None;
    }
}

#[cfg(test)]
mod tests {
    use rmqc_core::schema::FieldType;

    use super::*;

    fn filled(rows: &mut Rows, text: &str) {
        let place = rows.next();
        assert_eq!((&place.key, &place.value, &place.extensions), (&Value::Null, &Value::Null, &Extensions::Empty));
        (place.key, place.value) = (Value::text(text), Value::text(text));
        place.extensions.set("k", text);
    }

    fn texts(rows: &Rows) -> Vec<String> {
        rows.iter().map(|record| format!("{:?}", record.value)).collect()
    }

    #[test]
    fn places_are_used_again_without_what_was_in_them() {
        let mut rows = Rows::default();
        ["a", "b", "c"].iter().for_each(|text| filled(&mut rows, text));
        rows.truncate(5);
        assert_eq!(texts(&rows).len(), 3);
        rows.truncate(1);
        filled(&mut rows, "d");
        assert_eq!(texts(&rows), texts_of(&["a", "d"]));
        rows.clear();
        assert!(rows.is_empty());
        let room = rows.room();
        ["e", "f", "g"].iter().for_each(|text| filled(&mut rows, text));
        assert_eq!((texts(&rows), rows.room()), (texts_of(&["e", "f", "g"]), room));
    }

    fn texts_of(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| format!("{:?}", Value::text(*text))).collect()
    }

    #[test]
    fn what_records_share_stays_and_what_is_one_records_own_goes() {
        let (mut rows, topic) = (Rows::default(), Arc::<str>::from("topic"));
        let shared = Arc::new(Schema::optional(FieldType::String));
        let place = rows.next();
        place.topic = Some(topic.clone());
        (place.key_schema, place.schema) = (Some(shared.clone()), Some(Arc::new(Schema::optional(FieldType::Struct))));
        rows.clear();
        assert_eq!((Arc::strong_count(&topic), Arc::strong_count(&shared)), (2, 2));
        let place = rows.next();
        assert!(place.key_schema.is_some() && place.schema.is_none());
    }

    #[test]
    fn there_is_room_for_what_was_asked_for() {
        let mut rows = Rows::default();
        rows.reserve(10);
        let room = rows.room();
        assert!(room >= 10);
        for _ in 0..10 {
            rows.next();
        }
        rows.clear();
        rows.reserve(10);
        assert_eq!(rows.room(), room);
    }
}
