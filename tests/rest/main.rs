//! The REST API over a real socket, before a data plane that is played by `fake`.

// Helpers of tests are tests: what fails here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod changes;
mod cluster;
mod controller;
mod cross_site;
mod exposition;
mod fake;
mod flow;
mod kcctl;
mod limits;
mod plugins;
mod replay;
mod reporters;
mod shapes;
mod v1;
mod world;
