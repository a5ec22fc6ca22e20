//! Who else is told the metrics: the log and a topic, as in the Java worker.

use std::sync::Arc;
use std::time::Duration;

use rmqc_control::controller::Controller;
use rmqc_control::known_secrets::KnownSecrets;
use rmqc_control::metrics::Monitored;
use rmqc_control::metrics::reporters::{
    PACE_INTERVAL, REPORT_INTERVAL, TopicReporterConfig, Turns, log_metrics, log_pace, send_metrics,
};
use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::config::java;
use rmqc_core::config::key::{ConfigError, ConfigErrors};
use rmqc_core::config::provider::Providers;
use rmqc_core::config::worker::WorkerConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longest time that a stop waits for the last turns.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// What the file at `metricsConfigPath` says; none without one. Its secrets become known.
///
/// # Errors
/// A file that can't be read, or everything wrong with it.
pub(crate) fn topic_reporter(
    config: &WorkerConfig,
    known: &KnownSecrets,
) -> anyhow::Result<Option<TopicReporterConfig>> {
    let Some(path) = &config.metrics_config else { return Ok(None) };
    let shown = path.display();
    let in_file = |mut errors: ConfigErrors| {
        errors.0.iter_mut().for_each(|error| error.message = format!("metricsConfigPath {shown}: {}", error.message));
        errors
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = "name a file that the worker may read, or take the key out of the conf file";
        let message = format!("metricsConfigPath: cannot read {shown}: {error}");
        ConfigErrors::from(ConfigError::new("metricsConfigPath", message).with_remedy(remedy))
    })?;
    let looked_up = Providers::registered(&config.providers).resolve(&java::parse(&text).map_err(in_file)?);
    if !looked_up.errors.is_empty() {
        return Err(in_file(ConfigErrors(looked_up.errors)).into());
    }
    let mut secrets: Vec<(String, String)> =
        looked_up.provided.iter().map(|one| (one.value.clone(), one.reference.clone())).collect();
    let reporter = TopicReporterConfig::of(&looked_up.properties).map_err(in_file)?;
    if let Some((access, secret)) = &reporter.credentials {
        secrets.extend([access, secret].map(|one| (one.0.clone(), "******".to_owned())));
    }
    known.learn("the metrics reporter", &secrets);
    Ok(Some(reporter))
}

/// The reporters that were started.
pub(crate) struct Reporters {
    leave: watch::Sender<()>,
    under_way: JoinSet<()>,
}

impl Reporters {
    /// Lets each of them tell what is counted now, and ends them.
    pub async fn end(mut self) {
        let _ = self.leave.send(());
        if timeout(LAST_PATIENCE, async { while self.under_way.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("the last metrics may not be reported: it takes longer than {LAST_PATIENCE:?}");
        }
    }
}

/// Starts what the configuration wants, in the present runtime.
pub(crate) fn start(
    config: &WorkerConfig,
    topic: Option<(TopicReporterConfig, Arc<dyn ClusterPort>)>,
    controller: &Controller,
    monitored: &Arc<Monitored>,
) -> Reporters {
    let (leave, leaving) = watch::channel(());
    let turns = |pause| Turns::new(controller.clone(), pause, leaving.clone());
    let mut under_way = JoinSet::new();
    under_way.spawn(log_pace(turns(PACE_INTERVAL)));
    if config.log_metrics {
        under_way.spawn(log_metrics(turns(REPORT_INTERVAL)));
    }
    if let Some((reporter, cluster)) = topic {
        under_way.spawn(send_metrics(turns(REPORT_INTERVAL), cluster, reporter.topic, Arc::clone(monitored)));
    }
    Reporters { leave, under_way }
}
