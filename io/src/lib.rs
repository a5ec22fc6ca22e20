//! Bytes in motion: I/O drivers, per-core shards, the RocketMQ wire protocol, producer, consumer, task loops, and the
//! embedded broker. No REST, no configuration files, no connector of its own may ever enter this crate.
//!
//! Modules stand in the order in which a record meets them.

pub mod settings;

pub mod driver;
pub mod host;
pub mod local;
mod pace;
pub mod shard;

pub mod task;

pub mod producer;
pub mod remoting;

pub mod consumer;

pub mod cluster;
pub mod embedded;

use std::sync::Arc;

use rmqc_core::command::ShardPort;

pub use crate::cluster::start_cluster_client;
use crate::settings::{DataPlaneSettings, StartError};

/// Starts the shards and gives the port to them.
///
/// # Errors
/// When the driver that was asked for can't be had, or a shard does not start.
pub fn start_data_plane(settings: &DataPlaneSettings) -> Result<Arc<dyn ShardPort>, StartError> {
    shard::executor::start_shards(
        settings,
        shard::tasks::DataShard {
            cluster: settings.cluster.clone(),
            memory_bytes_max: settings.memory_bytes_max,
            trace_share: settings.trace_share,
        },
    )
}
