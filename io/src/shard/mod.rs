//! One core's state and loop.

pub mod context;
pub mod executor;
pub mod failures;
pub mod latency;
pub mod mailbox;
pub mod memory;
pub mod pin;
mod port;
pub mod stalls;
pub mod steps;
pub mod tasks;
pub mod trace;
pub mod tracer;
pub mod trouble;
mod watchdog;
