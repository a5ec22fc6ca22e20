//! What the data plane is told when it starts.

use std::fmt;
use std::time::Duration;

/// How many shards, that is executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoresWanted {
    /// As many as the affinity mask and the CPU quota allow.
    Auto,
    /// This many; at most one per CPU of the affinity mask are started.
    Exactly(usize),
}

/// Whether each shard gets a CPU of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinWanted {
    /// When the CPUs are the worker's own and quiet.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Which I/O driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverWanted {
    /// io_uring where it may be used, otherwise epoll.
    Auto,
    /// io_uring, or an error that says why not.
    Uring,
    /// epoll.
    Epoll,
}

/// What a cluster with access control asks for. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Credentials {
    /// Name of the account.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// How to reach the RocketMQ cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Name servers as `host:port`.
    pub name_servers: Vec<String>,
    /// Given only with `aclEnable=true`.
    pub credentials: Option<Credentials>,
    /// Group under which sources send.
    pub producer_group: String,
    /// Whether topics that are missing are created.
    pub auto_create_topic: bool,
    /// How long one operation may take, tries included.
    pub operation_timeout: Duration,
}

/// All that the data plane needs to start.
#[derive(Clone, Debug)]
pub struct DataPlaneSettings {
    /// Number of shards.
    pub cores: CoresWanted,
    /// Pinning of the shards.
    pub pin: PinWanted,
    /// Driver under the shards.
    pub driver: DriverWanted,
    /// How long a shard may make no progress before it is replaced.
    pub stall_timeout: Duration,
    /// Most payload bytes that the tasks of one shard hold together.
    pub memory_bytes_max: u64,
    /// Share of the tasks' batches that are traced, from 0 to 1; their spans come with the shards' reports.
    pub trace_share: f64,
    /// The cluster.
    pub cluster: ClusterSettings,
}

/// Why something did not start: what, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {next}")]
pub struct StartError {
    what: String,
    next: String,
}

impl StartError {
    /// Names what failed and where, and what the user can do about it.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_show_the_secret() {
        let credentials = Credentials { access_key: "alice".to_owned(), secret_key: "hunter2".to_owned() };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
    }
}
