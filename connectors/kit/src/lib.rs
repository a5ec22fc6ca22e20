//! The exam for connectors, whoever wrote them, and the host that they sit it on. It stands on `rmqc_core` alone: nothing
//! of the worker may ever enter this crate, so that a connector is judged by what the traits promise.
//!
//! In a test, one line is enough:
//!
//! ```ignore
//! rmqc_fast::conformance::check("my-source", &[("path", "/tmp/in.txt")]);
//! ```
//!
//! [`check`] asks everything below of one connector, with a configuration with which it works; [`check_all`] asks what
//! needs no outside system of all connectors of the test's binary. [`Exam`] has more to choose, above all for sinks: who
//! tells what is in the target gets loss and repeats checked.
//!
//! | Part | Asked |
//! |---|---|
//! | definition | names; keys explained, unambiguous, with good defaults; bad values refused by key, all at once; the split into tasks bounded, repeatable and valid; building touches nothing outside |
//! | source | starts and stops without leaving files or watches open; every record has a position; a batch is never filled beyond its bound, so that a sink that blocks stops the source there; every position resumes with the next record, so that only a crash repeats; `poll` may be dropped at every `.await`; a failing host loses nothing |
//! | sink | starts and stops without leaving files or watches open; after `Retry::Later` the same batch is taken and stands there once; after a fatal error a new task takes it; a put that is dropped halfway loses nothing |
//!
//! What it can't see: descriptors and threads that a task opens without its host, and what an outside system does on its
//! own. Those need a test against the real system.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate runs in tests only, where a failure is a panic"
)]

mod definition;
mod drive;
mod exam;
mod nowhere;
mod sink;
mod source;
pub mod testing;

#[cfg(test)]
mod tests;

pub use exam::{Exam, Violation, check, check_all};
