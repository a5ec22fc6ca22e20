//! The worker against a real Apache RocketMQ, with Apache RocketMQ's own Java client as the other side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/client_suite/mod.rs"]
mod client_suite;

#[path = "../support/collector.rs"]
#[allow(dead_code, reason = "only spans are asked of it here")]
mod collector;

mod cluster;
mod file;
mod group;
mod helper;
mod locks;
mod messages;
mod position;
mod protocol;
mod records;
mod restart;
mod tags;
mod traces;
