//! One core's state and loop.

pub mod context;
pub mod executor;
pub mod mailbox;
pub mod memory;
pub mod pin;
mod port;
pub mod tasks;
pub mod trouble;
mod watchdog;
