//! The hot functions, each with its fixed input: `cargo bench` measures their time, the target `instructions` counts
//! their instructions and holds them to a budget. No clock, no socket, no thread and nothing random may enter a case: two
//! runs of one binary must do the very same work.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring tool fails by panicking"
)]

pub mod budget;
pub mod case;
pub mod cases;
pub mod json_records;
pub mod memory;
