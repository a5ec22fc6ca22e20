//! Hands the Java worker's metrics on, in the background: to the log and to a topic. Nothing here touches a task; a reporter that
//! fails says so once, is counted, and tries again at its next turn. When the worker is to stop each has a last turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rmqc_core::cluster_port::{ClusterError, ClusterPort, NewMessage};
use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigError, ConfigErrors};
use rmqc_core::config::worker::Secret;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Monitored;
use super::java::{JavaMetric, JavaMetrics, Pace};
use crate::controller::{Controller, Reports, Snapshot};

/// Pause between two reports, as in the Java worker.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Pause between two lines with the pace.
pub const PACE_INTERVAL: Duration = Duration::from_secs(60);
/// Queues of a topic that the reporter creates: those that the Java worker's has.
const TOPIC_QUEUES: u32 = 16;
/// Messages under way at once.
const SENDS_MAX: usize = 16;
/// Name in `/metrics` of what sends to a topic.
pub const TOPIC_REPORTER: &str = "rocketmq";
/// Classes that `metrics.reporter` may name.
pub const REPORTER_CLASSES: [&str; 1] = ["org.apache.rocketmq.connect.metrics.reporter.RocketMQScheduledReporter"];

/// Where a reporter sends to: what the file at `metricsConfigPath` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReporterConfig {
    /// Topic.
    pub topic: String,
    /// Name servers, `host:port` each; empty for the worker's own cluster, which `embedded` stands for.
    pub name_servers: Vec<String>,
    /// Producer group.
    pub group: String,
    /// Access key and secret key, when requests are signed.
    pub credentials: Option<(Secret, Secret)>,
}

impl TopicReporterConfig {
    /// Reads it.
    ///
    /// # Errors
    /// Everything wrong at once.
    pub fn of(properties: &Properties) -> Result<Self, ConfigErrors> {
        let text = |key: &str| properties.get(key).map(|text| text.trim()).unwrap_or_default();
        let mut errors = Vec::new();
        let class = text("metrics.reporter");
        if !REPORTER_CLASSES.contains(&class) {
            let classes = REPORTER_CLASSES.join(", ");
            let message = format!("metrics.reporter is \"{class}\", expected one of: {classes}");
            errors.push(ConfigError::new("metrics.reporter", message).with_value(class));
        }
        for key in ["metrics.topic", "name.srv.addr"] {
            if text(key).is_empty() {
                errors.push(ConfigError::new(key, format!("{key} is missing, which a reporter to a topic needs")));
            }
        }
        let name_servers: Vec<String> = match text("name.srv.addr") {
            "embedded" => Vec::new(),
            list => list.split([';', ',']).map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        };
        let is_address = |one: &&String| {
            one.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if let Some(wrong) = name_servers.iter().find(|one| !is_address(one)) {
            let message = format!("name.srv.addr names \"{wrong}\", expected host:port;host:port");
            errors.push(ConfigError::new("name.srv.addr", message).with_value(wrong.as_str()));
        }
        let signed = match text("acl.enable").to_ascii_lowercase().as_str() {
            "" | "false" => false,
            "true" => true,
            other => {
                let message = format!("acl.enable is \"{other}\", expected true or false");
                errors.push(ConfigError::new("acl.enable", message).with_value(other));
                false
            }
        };
        for key in ["access.key", "secret.key"].into_iter().filter(|key| signed && text(key).is_empty()) {
            errors.push(ConfigError::new(key, format!("{key} is missing, which acl.enable=true needs")));
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let group = Some(text("group.id")).filter(|group| !group.is_empty()).unwrap_or("rmqc-metrics-reporter");
        Ok(Self {
            topic: text("metrics.topic").to_owned(),
            name_servers,
            group: group.to_owned(),
            credentials: signed.then(|| (Secret(text("access.key").to_owned()), Secret(text("secret.key").to_owned()))),
        })
    }
}

/// Looks at all tasks at every interval, and a last time when told to leave. A turn that is missed is not made up for.
pub struct Turns {
    controller: Controller,
    begin: Instant,
    pause: Duration,
    ticks: Interval,
    /// Changes when the worker is to stop; nothing after the last turn.
    leave: Option<watch::Receiver<()>>,
}

impl Turns {
    /// Turns of the tasks of a worker, to be made in its runtime.
    #[must_use]
    pub fn new(controller: Controller, pause: Duration, leave: watch::Receiver<()>) -> Self {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { controller, begin: Instant::now(), pause, ticks, leave: Some(leave) }
    }

    /// The next look, and the time since the first; none when the worker has stopped.
    async fn next(&mut self) -> Option<(Snapshot, Reports, Duration)> {
        let leave = self.leave.as_mut()?;
        tokio::select! {
            _ = self.ticks.tick() => {}
            _ = leave.changed() => self.leave = None,
        }
        let (snapshot, reports) = tokio::join!(self.controller.look(), self.controller.report());
        Some((snapshot.ok()?, reports.ok()?, self.begin.elapsed()))
    }
}

/// Logs how many records a second all sources and sinks move.
pub async fn log_pace(mut turns: Turns) {
    let (mut pace, mut first) = (Pace::default(), true);
    while let Some((snapshot, reports, now)) = turns.next().await {
        let (source, sink) = pace.take(&snapshot, &reports, now);
        // The first look only begins the first interval.
        if !std::mem::take(&mut first) {
            tracing::info!(target: "RocketmqConnectStats", "[CONNECTPS] source_task_tps {source:.1} sink_task_tps {sink:.1}");
        }
    }
}

/// Logs the metrics of all tasks.
pub async fn log_metrics(mut turns: Turns) {
    let mut metrics = JavaMetrics::default();
    while let Some((snapshot, reports, now)) = turns.next().await {
        for line in lines(&metrics.take(&snapshot, &reports, now)) {
            tracing::info!(target: "RocketmqConnectStats", "{line}");
        }
    }
}

/// One line for each group of each task.
fn lines(metrics: &[JavaMetric]) -> Vec<String> {
    let mut groups: BTreeMap<(String, u32, &str), Vec<String>> = BTreeMap::new();
    for metric in metrics {
        let key = (metric.task.connector.replace(char::is_control, " "), metric.task.index, metric.group);
        groups.entry(key).or_default().push(metric.to_string());
    }
    let line = |((connector, task, group), values): ((String, u32, &str), Vec<String>)| {
        format!("{group} connector={connector} task={task}: {}", values.join(", "))
    };
    groups.into_iter().map(line).collect()
}

/// Tells of a reporter's failures: each change between working and failing once.
#[derive(Debug, Default)]
struct Trouble {
    failing: bool,
}

impl Trouble {
    /// What to say about this turn, if anything: a warning or a note.
    fn heard(&mut self, outcome: &Result<(), String>) -> Option<Result<(), String>> {
        let failing = outcome.is_err();
        if std::mem::replace(&mut self.failing, failing) == failing { None } else { Some(outcome.clone()) }
    }
}

/// Sends the metrics of all tasks to a topic, a message each: `KEYS` is the registry's key, the body the value as text.
pub async fn send_metrics(mut turns: Turns, cluster: Arc<dyn ClusterPort>, topic: String, monitored: Arc<Monitored>) {
    monitored.reporters.register(TOPIC_REPORTER);
    let (pause, mut trouble, mut metrics) = (turns.pause, Trouble::default(), JavaMetrics::default());
    while let Some((snapshot, reports, now)) = turns.next().await {
        let values = metrics.take(&snapshot, &reports, now);
        let outcome = match tokio::time::timeout(pause, send_all(&cluster, &topic, &values)).await {
            Ok(outcome) => outcome.map_err(|error| error.0),
            Err(_) => Err(format!("not all of {} messages were stored within {} s", values.len(), pause.as_secs_f32())),
        };
        if outcome.is_err() {
            monitored.reporters.add(TOPIC_REPORTER);
        }
        match trouble.heard(&outcome) {
            Some(Err(cause)) => tracing::warn!(
                "the metrics reporter can't send to topic {topic}: {cause}; it tries again every {} s, tasks go on",
                pause.as_secs_f32()
            ),
            Some(Ok(())) => tracing::info!("the metrics reporter sends to topic {topic} again"),
            None => {}
        }
    }
}

async fn send_all(cluster: &Arc<dyn ClusterPort>, topic: &str, metrics: &[JavaMetric]) -> Result<(), ClusterError> {
    if metrics.is_empty() {
        return Ok(());
    }
    if cluster.topic_queues(topic).await?.is_none() {
        cluster.create_topic(topic, TOPIC_QUEUES).await?;
    }
    let mut under_way: JoinSet<Result<(), ClusterError>> = JoinSet::new();
    for metric in metrics {
        if under_way.len() >= SENDS_MAX {
            joined(under_way.join_next().await)?;
        }
        let (cluster, message) = (Arc::clone(cluster), message(topic, metric));
        under_way.spawn(async move { cluster.send(message).await.map(drop) });
    }
    while let Some(outcome) = under_way.join_next().await {
        joined(Some(outcome))?;
    }
    Ok(())
}

fn joined(outcome: Option<Result<Result<(), ClusterError>, tokio::task::JoinError>>) -> Result<(), ClusterError> {
    match outcome {
        None => Ok(()),
        Some(Ok(sent)) => sent,
        Some(Err(broke)) => Err(ClusterError(format!("a send broke: {broke}"))),
    }
}

fn message(topic: &str, metric: &JavaMetric) -> NewMessage {
    NewMessage {
        topic: topic.to_owned(),
        properties: vec![("KEYS".to_owned(), metric.registry_key())],
        body: Bytes::from(metric.value_text()),
    }
}

#[cfg(test)]
mod tests {
    use rmqc_core::id::TaskId;

    use super::super::java::JavaKind;
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_file_of_a_reporter_is_read_or_refused_with_all_that_is_wrong() {
        let class = ("metrics.reporter", REPORTER_CLASSES[0]);
        let right = [class, ("metrics.topic", "m"), ("name.srv.addr", "a:1; b:2")];
        let config = TopicReporterConfig::of(&properties(&right)).unwrap();
        assert_eq!(config.name_servers, ["a:1", "b:2"]);
        assert_eq!(
            (config.topic.as_str(), config.group.as_str(), &config.credentials),
            ("m", "rmqc-metrics-reporter", &None)
        );
        let keys = [("acl.enable", "true"), ("access.key", "me"), ("secret.key", "hush"), ("group.id", "g")];
        let signed = TopicReporterConfig::of(&properties(&[&right[..], &keys[..]].concat())).unwrap();
        assert_eq!(signed.credentials.as_ref().map(|(access, _)| access.0.as_str()), Some("me"));
        assert!(!format!("{signed:?}").contains("hush"));
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let wrong: &[Case<'_>] = &[
            (&[("metrics.reporter", "com.example.Mine")], &["metrics.reporter", "metrics.topic", "name.srv.addr"]),
            (&[class, ("metrics.topic", "m"), ("name.srv.addr", "a")], &["name.srv.addr"]),
            (&[class, right[1], right[2], ("acl.enable", "true")], &["access.key", "secret.key"]),
            (&[class, right[1], right[2], ("acl.enable", "yes")], &["acl.enable"]),
        ];
        for (pairs, keys) in wrong {
            let errors = TopicReporterConfig::of(&properties(pairs)).unwrap_err().0;
            assert_eq!(&errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), keys);
        }
        let unknown = TopicReporterConfig::of(&properties(&[("metrics.reporter", "com.example.Mine")])).unwrap_err();
        assert!(unknown.0[0].message.contains(REPORTER_CLASSES[0]), "{unknown:?}");
    }

    #[test]
    fn a_message_has_the_key_and_the_value_as_java_writes_them() {
        let task = TaskId::new("a,b=c d", 3);
        let (group, name) = ("source-task-metrics", "source-record-poll-rate");
        let metric = JavaMetric { group, name, kind: JavaKind::MeanRate, task, value: 3.0 };
        let sent = message("m", &metric);
        let key =
            "rocketmq.connect:source-task-metrics,source-record-poll-rate,MeanRate,connector=a%2Cb%3Dc%20d,task=3";
        assert_eq!(sent.properties, [("KEYS".to_owned(), key.to_owned())]);
        assert_eq!(&sent.body[..], b"3.0");
        assert_eq!(lines(&[metric]), ["source-task-metrics connector=a,b=c d task=3: source-record-poll-rate 3.0"]);
    }

    #[test]
    fn trouble_is_told_once_per_change() {
        let mut trouble = Trouble::default();
        let away = || Err("away".to_owned());
        let said: Vec<_> =
            [Ok(()), away(), away(), Ok(()), Ok(()), away()].iter().map(|one| trouble.heard(one)).collect();
        assert_eq!(said, [None, Some(away()), None, Some(Ok(())), None, Some(away())]);
    }
}
