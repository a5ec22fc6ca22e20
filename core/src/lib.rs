//! The words and rules of `rmqc-fast`: records, connectors, chains, task states, and the ports through which the
//! other rooms talk to each other. No socket, file, thread, async runtime or clock read may ever enter this crate.
//!
//! Modules stand in the order in which a record meets them.

pub mod calendar;
pub mod clock;
pub mod error;
pub mod id;
pub mod limits;

pub mod config;

pub mod java_text;
pub mod json;
pub mod position;
pub mod record;
pub mod schema;
pub mod value;

pub mod connector;
pub mod context;
pub mod host;
pub mod registry;

pub mod chain;
pub mod converter;
pub mod dlq;
pub mod predicate;
pub mod tolerance;
pub mod transform;

pub mod inflight;

pub mod cluster_port;
pub mod command;
pub mod metrics;
pub mod state;
pub mod tap;
pub mod trace;

#[cfg(test)]
mod testing;
