//! Wrong connector configurations against the real connectors: every fault is named at once, with key, value, reason and
//! remedy, and nothing of it is left behind. Right ones with references: what these stand for is seen by nobody but the
//! task.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../rest/cluster.rs"]
mod cluster;
mod port;
mod references;
mod table;

// Named, so that the linker keeps the connectors' entries in the registry.
use rmqc_connectors as _;
