//! Sends all metrics, and sampled spans of REST requests and of tasks' batches, to an OpenTelemetry collector. The control thread only
//! gathers and encodes; a thread of its own talks to the collector, however slow that is. A last round is sent when the worker stops.
//!
//! At most one round waits. What finds no room is dropped and counted, and nothing is tried again: the next round has all the values
//! that the lost one had, since they count from the start; its spans are lost.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use rmqc_control::controller::Controller;
use rmqc_control::metrics::otlp::{Teller, request, trace_request};
use rmqc_control::metrics::{Monitored, gather};
use rmqc_core::command::ShardPort;
use rmqc_core::config::worker::OtlpConfig;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::http::agent;

/// Name in `/metrics`.
const REPORTER: &str = "otlp";
/// Longest time for one request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that a stop waits for the last values to be gathered.
const GATHER_PATIENCE: Duration = Duration::from_secs(2);
/// Longest time that it waits, once the tasks have drained, for the collector to have them.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// What is sent at one time.
struct Round {
    metrics: Vec<u8>,
    traces: Option<Vec<u8>>,
}

/// The rounds that are sent.
pub(crate) struct Rounds {
    leave: oneshot::Sender<()>,
    gathering: JoinHandle<()>,
    posted: oneshot::Receiver<()>,
}

impl Rounds {
    /// Sends a last round, with what is counted now. The result completes when it has been posted, or could not be.
    pub async fn end(self) -> impl Future<Output = ()> {
        let _ = self.leave.send(());
        if timeout(GATHER_PATIENCE, self.gathering).await.is_err() {
            tracing::warn!("the last metrics are not sent by OTLP: they are not gathered within {GATHER_PATIENCE:?}");
        }
        async {
            if timeout(LAST_PATIENCE, self.posted).await.is_err() {
                tracing::warn!("the last metrics may not be sent by OTLP: nobody answers within {LAST_PATIENCE:?}");
            }
        }
    }
}

/// Starts to send, in the present runtime, until the controller ends.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    config: OtlpConfig,
    worker_id: String,
    controller: Controller,
    port: Arc<dyn ShardPort>,
    monitored: Arc<Monitored>,
) -> std::io::Result<Rounds> {
    monitored.reporters.register(REPORTER);
    let (requests, waiting) = sync_channel::<Round>(1);
    let (pause, theirs) = (config.interval, Arc::clone(&monitored));
    let (leave, mut leaving) = oneshot::channel();
    let (all_posted, posted) = oneshot::channel();
    std::thread::Builder::new().name("otlp".to_owned()).spawn(move || {
        post_all(&config, &waiting, &theirs);
        // Nobody waits for it unless the worker stops.
        let _ = all_posted.send(());
    })?;
    let gathering = tokio::spawn(async move {
        let begin = SystemTime::now();
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = &mut leaving => last = true,
            }
            let Ok(families) = gather(&controller, &*port, &monitored).await else { return };
            let teller = Teller { worker_id: &worker_id, version: monitored.version, begin, now: SystemTime::now() };
            // The batches' spans came with the reports that the metrics are made of.
            let (requested, batches) = (monitored.traces.take(), monitored.traces.take_batches());
            let has_spans = !requested.is_empty() || !batches.is_empty();
            let traces = has_spans.then(|| trace_request(&requested, batches, &teller));
            match requests.try_send(Round { metrics: request(&families, &teller), traces }) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => monitored.reporters.add(REPORTER),
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    });
    Ok(Rounds { leave, gathering, posted })
}

/// Posts what comes until nothing comes any more; tells each change between working and failing once.
fn post_all(config: &OtlpConfig, waiting: &Receiver<Round>, monitored: &Monitored) {
    let agent = agent(REQUEST_PATIENCE);
    let mut failing = false;
    while let Ok(Round { metrics, traces }) = waiting.recv() {
        let sent = post(&agent, "/v1/metrics", config, &metrics);
        let sent = sent.and_then(|()| traces.map_or(Ok(()), |traces| post(&agent, "/v1/traces", config, &traces)));
        if sent.is_err() {
            monitored.reporters.add(REPORTER);
        }
        match (sent, failing) {
            (Err(cause), false) => tracing::warn!(
                "metrics can't be sent by OTLP: {cause}; they are sent again every {} s, tasks go on",
                config.interval.as_secs_f32()
            ),
            (Ok(()), true) => tracing::info!("metrics are sent to {} again", config.endpoint),
            _ => continue,
        }
        failing = !failing;
    }
}

fn post(agent: &ureq::Agent, path: &str, config: &OtlpConfig, body: &[u8]) -> Result<(), String> {
    let url = format!("{}{path}", config.endpoint);
    let mut request = agent.post(&url).content_type("application/x-protobuf");
    for (name, value) in &config.headers {
        request = request.header(name, &value.0);
    }
    let answer = request.send(body).map_err(|error| format!("{url}: {error}"))?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("{url} answers with status {status}")) }
}
