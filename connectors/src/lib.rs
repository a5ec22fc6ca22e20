//! Sources and sinks: one folder a connector, each registering itself under its names in [`rmqc_core::registry`].
//! No async runtime, no socket and no file call of its own may ever enter this crate: the outside world is reached
//! through [`rmqc_core::host::Host`] only. `file` is the reference connector: copy that one.

pub mod generator;

pub mod file;

pub mod blackhole;

#[cfg(test)]
use rmqc_conformance::testing;
