//! What README and `conf` promise a newcomer, taken from their very text: the shell session, the flags, the examples.
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

mod conf;
mod session;
mod shaping;
mod shell;
