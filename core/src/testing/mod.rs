//! Random things for the tests of this crate.

pub(crate) mod json;
pub(crate) mod schema;
