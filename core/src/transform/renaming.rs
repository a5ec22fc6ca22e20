//! Giving other names to top-level fields, on every kind of value that has fields.
//!
//! New names are worked out once: a schema's when it changes, single ones on their first appearance (a bounded number
//! is remembered). JSON text keeps everything between its names byte by byte.
//!
//! Two fields of a STRUCT that end with one name are an error; of a map's the last value stays, at the first one's
//! place, as in Java.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::common::{bad_record, with_fields, wrong_kind};
use super::{Outcome, Target};
use crate::error::Result;
use crate::json::{Json, NameHasher, Renamed, Renamer, write_string};
use crate::limits::RENAMED_NAMES_MAX;
use crate::record::ConnectRecord;
use crate::schema::{Field, Schema};
use crate::value::{Map, Struct, Text, Value};

/// Names longer than this are worked out each time.
const REMEMBERED_NAME_BYTES_MAX: usize = 256;

/// Members of the last object that are remembered in their order: the next one's are the same, more often than not.
const LAST_NAMES_MAX: usize = 64;

/// Gives the new name, or nothing where the old one stays.
pub(crate) trait NameChange {
    /// The new name of a field.
    ///
    /// # Errors
    /// A name on which the rule fails (`Retry::BadRecord`).
    fn new_name(&self, name: &str) -> Result<Option<String>>;
}

/// A new name: as a value, and as it stands between the quotes of JSON text.
struct NewName {
    text: Text,
    raw: Bytes,
}

/// A name that was met, and what became of it.
struct Known {
    name: Box<[u8]>,
    new: Option<NewName>,
}

/// Names that were met. So few are remembered that collisions cost little.
type Names = HashMap<Box<[u8]>, Rc<Known>, BuildHasherDefault<NameHasher>>;

/// Renames top-level fields of one half of a record.
pub(crate) struct Renaming<C> {
    class: &'static str,
    target: Target,
    change: C,
    /// The last STRUCT schema and what became of it.
    schema: RefCell<Option<(Arc<Schema>, Arc<Schema>)>>,
    names: RefCell<Names>,
    /// Those of the last JSON object, in its order.
    last: RefCell<Vec<Rc<Known>>>,
    renamer: RefCell<Renamer>,
}

impl<C: NameChange> Renaming<C> {
    pub(crate) fn new(class: &'static str, target: Target, change: C) -> Self {
        Self {
            class,
            target,
            change,
            schema: RefCell::default(),
            names: RefCell::default(),
            last: RefCell::default(),
            renamer: RefCell::default(),
        }
    }

    pub(crate) fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let (value, schema) = self.target.of_mut(record);
        match value {
            Value::Null => {}
            Value::Struct(fields) => {
                let renamed = self.renamed_schema(fields.schema())?;
                *value = Value::Struct(Arc::new(Struct::new(renamed.clone(), fields.values().to_vec())));
                *schema = Some(renamed);
            }
            Value::Map(map) => {
                if let Some(renamed) = self.renamed_map(map)? {
                    *value = Value::Map(Arc::new(renamed));
                }
            }
            Value::Json(json) if json.is_object() => {
                if let Some(renamed) = self.renamed_json(json)? {
                    *value = renamed;
                }
            }
            other => return Err(wrong_kind(self.class, other)),
        }
        Ok(Outcome::Keep)
    }

    fn renamed_schema(&self, schema: &Arc<Schema>) -> Result<Arc<Schema>> {
        if let Some((known, renamed)) = &*self.schema.borrow()
            && (Arc::ptr_eq(known, schema) || known == schema)
        {
            return Ok(renamed.clone());
        }
        let mut fields: Vec<Field> = Vec::with_capacity(schema.fields.len());
        for field in &schema.fields {
            let name = self.change.new_name(&field.name)?.map_or_else(|| field.name.clone(), Arc::from);
            if fields.iter().any(|known| known.name == name) {
                return Err(bad_record(self.class, &format!("would give two fields the name {name}")));
            }
            fields.push(Field { name, schema: field.schema.clone() });
        }
        let renamed = Arc::new(with_fields(schema, fields, |default| default.values().to_vec()));
        *self.schema.borrow_mut() = Some((schema.clone(), renamed.clone()));
        Ok(renamed)
    }

    /// Keys that are no texts stay as they are.
    fn renamed_map(&self, map: &Map) -> Result<Option<Map>> {
        let mut pairs = Vec::with_capacity(map.len());
        let mut changed = false;
        for (key, value) in map.iter() {
            let new = match key {
                Value::String(name) => {
                    self.known(name.as_bytes())?.new.as_ref().map(|new| Value::String(new.text.clone()))
                }
                _ => None,
            };
            changed |= new.is_some();
            pairs.push((new.unwrap_or_else(|| key.clone()), value.clone()));
        }
        Ok(changed.then(|| Map::from_pairs(pairs)))
    }

    fn renamed_json(&self, json: &Json) -> Result<Option<Value>> {
        let (mut at, mut last) = (0usize, self.last.borrow_mut());
        let renamed = self.renamer.borrow_mut().rename(json, |raw_name, place| {
            let expected = last.get(at).filter(|known| *known.name == *raw_name);
            let met;
            let known = match expected {
                Some(known) => known,
                None => {
                    met = self.known(raw_name)?;
                    match last.get_mut(at) {
                        Some(other) => *other = met.clone(),
                        None if at < LAST_NAMES_MAX => last.push(met.clone()),
                        None => {}
                    }
                    &met
                }
            };
            at = at.saturating_add(1);
            if let Some(new) = &known.new {
                place.set(&new.raw);
            }
            Ok(())
        });
        drop(last);
        let renamed = renamed?;
        Ok(match renamed {
            Renamed::Unchanged => None,
            Renamed::Edited(json) => Some(Value::Json(json)),
            Renamed::TakeApart => match json.parse() {
                Value::Map(map) => Some(Value::Map(self.renamed_map(&map)?.map_or(map, Arc::new))),
                other => return Err(wrong_kind(self.class, &other)),
            },
        })
    }

    /// What becomes of a name.
    fn known(&self, name: &[u8]) -> Result<Rc<Known>> {
        if let Some(known) = self.names.borrow().get(name) {
            return Ok(known.clone());
        }
        let new = self.change.new_name(&String::from_utf8_lossy(name))?.map(|new| {
            let mut quoted = Vec::with_capacity(new.len().saturating_add(2));
            write_string(&mut quoted, &new);
            let quoted = Bytes::from(quoted);
            let raw = quoted.slice(1..quoted.len().saturating_sub(1).max(1));
            NewName { text: Text::from(new), raw }
        });
        let mut names = self.names.borrow_mut();
        let known = Rc::new(Known { name: Box::from(name), new });
        if names.len() < RENAMED_NAMES_MAX && name.len() <= REMEMBERED_NAME_BYTES_MAX {
            names.insert(known.name.clone(), known.clone());
        }
        Ok(known)
    }
}
