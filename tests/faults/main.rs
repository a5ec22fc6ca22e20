//! What must hold while the worker and the broker are killed under load: nothing is lost, what is repeated stays within
//! bounds, and keyed records keep their order.
//!
//! `RMQC_FULL=1` runs the full size. The moments of the faults come from a seed that is printed; `RMQC_SEED` replays it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod kills;
mod order;
mod poison;

use std::time::Duration;

/// Longest standstill that is still no failure: a broker's restart is within it.
const PATIENCE: Duration = Duration::from_secs(120);
