//! One worker inside this process: stores, data plane, controller and REST, started and stopped in order.

use std::fs::{self, File, TryLockError};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};
use rmqc_control::controller::standalone::{Settings, start};
use rmqc_control::controller::{Controller, ConverterDefaults};
use rmqc_control::known_secrets::KnownSecrets;
use rmqc_control::metrics::Monitored;
use rmqc_control::metrics::reporters::TopicReporterConfig;
use rmqc_control::plugins::PluginPaths;
use rmqc_control::rest::{RestLimits, RestSettings, serve};
use rmqc_control::store::Stores;
use rmqc_control::worker::Patience;
use rmqc_core::config::provider::Providers;
use rmqc_core::config::worker::WorkerConfig;
use rmqc_core::registry::duplicate_names;
use tokio::sync::oneshot;

use crate::wire::{Plane, other_cluster_client};

/// A running worker.
pub(crate) struct Worker {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<anyhow::Result<Vec<String>>>,
    plane: Plane,
    /// Held until the end: the lock on the stores' directory.
    _lock: File,
}

impl Worker {
    /// Starts everything. REST listens only after the stores are loaded. `known` learns the connectors' secrets.
    ///
    /// # Errors
    /// Damaged stores, another worker on them, a port in use, a data plane that can't start.
    pub fn start(config: &WorkerConfig, known: &Arc<KnownSecrets>) -> anyhow::Result<Self> {
        let twice = duplicate_names();
        if !twice.is_empty() {
            bail!(
                "two parts of this binary claim the name {}: rename one's own connector, converter, transform or \
                 predicate (`name`, `java_class`), or leave one of the two out of the binary",
                twice.join(" and the name ")
            );
        }
        let topic_reporter = crate::reporters::topic_reporter(config, known)?;
        let begin = std::time::Instant::now();
        let lock = lock(&config.store_dir)?;
        let stores = Stores::in_files(&config.store_dir)?;
        tracing::info!("Load config/position/state data finished, cost {}ms. ", begin.elapsed().as_millis());
        let listener = listen(&config.http_host, config.http_port)?;
        let address = listener.local_addr()?;
        let plane = Plane::start(config)?;
        let info = plane.port.info();
        tracing::info!("I/O driver {}: {}", info.driver.name(), info.driver_reason);
        tracing::info!("{} shards, pinned: {}: {}", info.shards, info.pinned, info.pin_reason);
        tracing::info!("Current alive worker : {}", config.worker_id);
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let room = Room {
            config: config.clone(),
            stores,
            listener,
            plane: plane.handles(config)?,
            topic_reporter,
            known: Arc::clone(known),
            stopped,
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let result = room.run();
            // Dropping it tells the same.
            let _ = end.send(());
            result
        })?;
        Ok(Self { address, stop, ended, thread, plane, _lock: lock })
    }

    /// Where REST listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One line for people.
    pub fn how_to_reach(&self) -> String {
        let open = if self.address.ip().is_loopback() {
            "; set httpHost=0.0.0.0 to open it — a file source can read any file"
        } else {
            "; it is open to the network — a file source can read any file"
        };
        format!("REST on http://{}{open}", self.address)
    }

    /// Name servers in use.
    pub fn name_servers(&self) -> &[String] {
        &self.plane.name_servers
    }

    /// Completes when the worker ends by itself.
    pub async fn ended(&mut self) {
        let _ = (&mut self.ended).await;
    }

    /// Drains, commits, stores, ends; then stops the embedded broker. Gives what was left undone.
    ///
    /// # Errors
    /// When the worker broke on its way.
    pub fn stop(self) -> anyhow::Result<Vec<String>> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        let left = self.thread.join().map_err(|_| anyhow::anyhow!("the control thread panicked"))?;
        self.plane.stop();
        left
    }
}

/// What the control thread takes with it.
struct Room {
    config: WorkerConfig,
    stores: Stores,
    listener: TcpListener,
    plane: crate::wire::Handles,
    topic_reporter: Option<TopicReporterConfig>,
    known: Arc<KnownSecrets>,
    stopped: oneshot::Receiver<()>,
}

impl Room {
    fn run(self) -> anyhow::Result<Vec<String>> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.work())
    }

    async fn work(self) -> anyhow::Result<Vec<String>> {
        let Self { config, stores, listener, plane, topic_reporter, known, stopped } = self;
        let monitored = Arc::new(Monitored::tracing(
            env!("CARGO_PKG_VERSION"),
            config.otlp.as_ref().map_or(0.0, |otlp| otlp.trace_share),
        ));
        let topic = match topic_reporter {
            // Without name servers it is the worker's own cluster.
            Some(reporter) => {
                let servers = Some(&reporter.name_servers).filter(|own| !own.is_empty()).unwrap_or(&plane.name_servers);
                let credentials = reporter.credentials.as_ref();
                let client = other_cluster_client(&config, servers, &reporter.group, credentials)?;
                Some((reporter, client))
            }
            None => None,
        };
        let settings = Settings {
            worker_id: config.worker_id.clone(),
            converters: ConverterDefaults { key: config.key_converter.clone(), value: config.value_converter.clone() },
            providers: Arc::new(Providers::registered(&config.providers)),
            secrets: known,
            patience: Patience { start: config.start_timeout, stop: config.stop_timeout, restart: config.restart },
            state_interval: config.state_interval,
            traces: Arc::clone(&monitored.traces),
        };
        let rest = RestSettings {
            worker_id: config.worker_id.clone(),
            allowed_origins: config.http_allowed_origins.clone(),
            real_status: config.rest_real_status,
            mask_secrets: config.mask_secrets,
            version: env!("CARGO_PKG_VERSION"),
            name_servers: plane.name_servers.clone(),
            embedded: plane.embedded,
            stall_timeout: config.stall_timeout,
            plugin_paths: Arc::new(PluginPaths::new(config.plugin_paths.clone())),
            limits: RestLimits::default(),
            log_levels: crate::logging::levels(),
            monitored: Arc::clone(&monitored),
        };
        // Aside, so that a file system that doesn't answer holds nothing up.
        if let Err(error) = rest.plugin_paths.scan_aside(|| {}) {
            tracing::warn!("pluginPaths are not looked through: no thread can be started: {error}");
        }
        let (controller, mut running): (Controller, _) =
            start(settings, plane.port.clone(), Arc::clone(&plane.cluster), stores);
        let start_otlp = |otlp| {
            let (port, monitored) = (Arc::clone(&plane.port), Arc::clone(&monitored));
            crate::otlp::start(otlp, config.worker_id.clone(), controller.clone(), port, monitored)
        };
        let rounds = config.otlp.clone().map(start_otlp).transpose()?;
        let reporters = crate::reporters::start(&config, topic, &controller, &monitored);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (close, closed) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, controller.clone(), plane.port, plane.cluster, rest, async {
            let _ = closed.await;
        }));
        let left = tokio::select! {
            _ = stopped => {
                let last_round = async {
                    match rounds {
                        Some(rounds) => Some(rounds.end().await),
                        None => None,
                    }
                };
                let (posted, ()) = tokio::join!(last_round, reporters.end());
                let left = controller.shutdown(config.stop_timeout).await.unwrap_or_default();
                running.await?;
                if let Some(posted) = posted {
                    posted.await;
                }
                left
            }
            ended = &mut running => {
                ended?;
                vec!["the data plane has ended".to_owned()]
            }
        };
        let _ = close.send(());
        // A client that keeps its connection open does not keep the worker up.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), server).await;
        Ok(left)
    }
}

/// Makes sure that no other worker uses these stores.
fn lock(dir: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}; set storePathRootDir", dir.display()))?;
    let path = dir.join("worker.lock");
    let file =
        File::create(&path).with_context(|| format!("cannot create {}; set storePathRootDir", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another worker uses {}; stop it or set storePathRootDir to another directory", dir.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("httpHost {host} is no address of this machine"))?
        .collect();
    let listener = TcpListener::bind(addresses.as_slice())
        .with_context(|| format!("cannot listen on {host}:{port}; set httpPort (or --http-port) to another port"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
