//! The command line, as whoever types sees it: what is sent to a worker, what is printed, how it ends.
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

mod admin;
mod commands;
mod fake;
mod pages;
mod run;
mod scripts;
mod top;
mod whole;
