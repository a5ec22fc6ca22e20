//! Who else is told the metrics: the log and a topic, as in the Java worker.

use std::sync::Arc;

use rmqc_control::controller::Controller;
use rmqc_control::known_secrets::KnownSecrets;
use rmqc_control::metrics::Monitored;
use rmqc_control::metrics::reporters::{
    PACE_INTERVAL, REPORT_INTERVAL, TopicReporterConfig, log_metrics, log_pace, send_metrics,
};
use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::config::java;
use rmqc_core::config::key::{ConfigError, ConfigErrors};
use rmqc_core::config::provider::Providers;
use rmqc_core::config::worker::WorkerConfig;

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

/// Starts what the configuration wants, in the present runtime. It ends with the controller.
pub(crate) fn start(
    config: &WorkerConfig,
    topic: Option<(TopicReporterConfig, Arc<dyn ClusterPort>)>,
    controller: &Controller,
    monitored: &Arc<Monitored>,
) {
    tokio::spawn(log_pace(controller.clone(), PACE_INTERVAL));
    if config.log_metrics {
        tokio::spawn(log_metrics(controller.clone(), REPORT_INTERVAL));
    }
    if let Some((reporter, cluster)) = topic {
        tokio::spawn(send_metrics(controller.clone(), cluster, reporter.topic, Arc::clone(monitored), REPORT_INTERVAL));
    }
}
