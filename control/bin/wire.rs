//! Joins the rooms: the one file that knows the data plane's own interface.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::command::ShardPort;
use rmqc_core::config::worker::{ClusterAddress, DriverChoice, PinChoice, Secret, WorkerConfig};
use rmqc_io::embedded::{EmbeddedBroker, EmbeddedSettings};
use rmqc_io::settings::{ClusterSettings, CoresWanted, Credentials, DataPlaneSettings, DriverWanted, PinWanted};

/// The data plane, and the broker if it is inside this process.
pub(crate) struct Plane {
    /// The shards.
    pub port: Arc<dyn ShardPort>,
    /// Name servers in use.
    pub name_servers: Vec<String>,
    broker: Option<EmbeddedBroker>,
}

/// What the control thread needs of it.
pub(crate) struct Handles {
    /// The shards.
    pub port: Arc<dyn ShardPort>,
    /// Name servers in use.
    pub name_servers: Vec<String>,
    /// Whether the broker is inside this process.
    pub embedded: bool,
    /// Calls to the cluster.
    pub cluster: Arc<dyn ClusterPort>,
}

impl Plane {
    /// Starts the broker, if wanted, then the shards.
    ///
    /// # Errors
    /// What could not be started, and why.
    pub fn start(config: &WorkerConfig) -> anyhow::Result<Self> {
        let driver = driver(config.io_driver);
        let (broker, name_servers) = match &config.cluster {
            ClusterAddress::NameServers(addresses) => (None, addresses.clone()),
            ClusterAddress::Embedded => {
                let dir: PathBuf = config.store_dir.join("embedded-broker");
                tracing::warn!(
                    "namesrvAddr=embedded: a broker runs inside this worker, with its messages in {}; it is for \
                     trying and testing, never for production",
                    dir.display()
                );
                let address = SocketAddr::from(([127, 0, 0, 1], 0));
                let broker = EmbeddedBroker::start(EmbeddedSettings { dir, address, driver })?;
                let address = broker.address().to_string();
                (Some(broker), vec![address])
            }
        };
        let settings = DataPlaneSettings {
            cores: cores(config),
            pin: pin(config),
            driver,
            stall_timeout: config.stall_timeout,
            memory_bytes_max: config.shard_memory_bytes,
            trace_share: config.otlp.as_ref().map_or(0.0, |otlp| otlp.trace_share),
            cluster: cluster(config, &name_servers),
        };
        match rmqc_io::start_data_plane(&settings) {
            Ok(port) => Ok(Self { port, name_servers, broker }),
            Err(error) => {
                if let Some(broker) = broker {
                    broker.stop();
                }
                Err(error.into())
            }
        }
    }

    /// Handles for the control thread.
    ///
    /// # Errors
    /// When the client for calls to the cluster can't be started.
    pub fn handles(&self, config: &WorkerConfig) -> anyhow::Result<Handles> {
        Ok(Handles {
            port: Arc::clone(&self.port),
            name_servers: self.name_servers.clone(),
            embedded: self.broker.is_some(),
            cluster: cluster_client(config, &self.name_servers)?,
        })
    }

    /// Stops the broker, after the shards have ended.
    pub fn stop(self) {
        drop(self.port);
        if let Some(broker) = self.broker {
            broker.stop();
        }
    }
}

/// A client for calls to the cluster.
///
/// # Errors
/// Why it can't be started.
pub(crate) fn cluster_client(config: &WorkerConfig, name_servers: &[String]) -> anyhow::Result<Arc<dyn ClusterPort>> {
    Ok(rmqc_io::start_cluster_client(&cluster(config, name_servers))?)
}

/// Number of shards asked for.
pub(crate) fn cores(config: &WorkerConfig) -> CoresWanted {
    config.cores.map_or(CoresWanted::Auto, CoresWanted::Exactly)
}

/// Pinning asked for.
pub(crate) fn pin(config: &WorkerConfig) -> PinWanted {
    match config.pin {
        PinChoice::Auto => PinWanted::Auto,
        PinChoice::On => PinWanted::On,
        PinChoice::Off => PinWanted::Off,
    }
}

/// What requests are signed with, if they are.
pub(crate) fn credentials(config: &WorkerConfig) -> Option<Credentials> {
    let (access, secret) = config.credentials.as_ref()?;
    Some(Credentials { access_key: access.0.clone(), secret_key: secret.0.clone() })
}

/// A client for calls to another cluster than the worker's, or to the same one as someone else.
///
/// # Errors
/// Why it can't be started.
pub(crate) fn other_cluster_client(
    config: &WorkerConfig,
    name_servers: &[String],
    group: &str,
    credentials: Option<&(Secret, Secret)>,
) -> anyhow::Result<Arc<dyn ClusterPort>> {
    let credentials =
        credentials.map(|(access, secret)| Credentials { access_key: access.0.clone(), secret_key: secret.0.clone() });
    let settings = ClusterSettings { credentials, producer_group: group.to_owned(), ..cluster(config, name_servers) };
    Ok(rmqc_io::start_cluster_client(&settings)?)
}

fn driver(choice: DriverChoice) -> DriverWanted {
    match choice {
        DriverChoice::Auto => DriverWanted::Auto,
        DriverChoice::Uring => DriverWanted::Uring,
        DriverChoice::Epoll => DriverWanted::Epoll,
    }
}

fn cluster(config: &WorkerConfig, name_servers: &[String]) -> ClusterSettings {
    ClusterSettings {
        name_servers: name_servers.to_vec(),
        credentials: credentials(config),
        producer_group: config.producer_group.clone(),
        auto_create_topic: config.auto_create_topic,
        operation_timeout: config.operation_timeout,
    }
}
