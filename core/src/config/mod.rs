//! Configuration: parse, validate, typed. One definition of each key gives parsing, validation, REST answers and the
//! reference page.

pub mod connector;
pub mod docs;
pub mod fault;
pub mod java;
pub mod kafka;
pub mod key;
pub mod provider;
pub mod secret;
pub mod worker;

/// A flat configuration as users write it: names and texts, sorted by name.
pub type Properties = std::collections::BTreeMap<String, String>;
