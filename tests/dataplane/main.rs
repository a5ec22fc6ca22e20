//! The data plane from outside: tasks on shards against an embedded broker, with faults, on each I/O driver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod bounds;
mod captured;
mod direct;
mod errors;
mod failures;
mod flow;
mod flushes;
mod groups;
mod holding;
mod locks;
mod order;
mod signed;
mod spread;
mod starts;
mod steps;
mod stops;
mod support;
mod tags;
mod tap;
mod timing;

use rmqc_connectors as _;
