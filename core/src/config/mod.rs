//! Configuration: parse, validate, typed. One definition of each key gives parsing, validation, REST answers and the
//! reference page.

pub mod connector;
pub mod docs;
pub mod java;
pub mod key;
pub mod worker;

/// A flat configuration as users write it: names and texts, sorted by name.
pub type Properties = std::collections::BTreeMap<String, String>;
