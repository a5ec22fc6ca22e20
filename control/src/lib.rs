//! What decides and remembers: the stores, the controller with its tasks' states, and the REST API. No record passes
//! through here, and no socket but REST's is ever opened: shards and the cluster are reached through the ports of
//! `rmqc_core`.

pub mod known_secrets;
pub mod placement;
mod provider;
pub mod store;
pub mod worker;

pub mod controller;
pub mod flow;
pub mod health;
pub mod limit;
pub mod logs;
pub mod metrics;
pub mod plugins;
pub mod process;
pub mod rest;
pub mod trace;
pub mod words;
