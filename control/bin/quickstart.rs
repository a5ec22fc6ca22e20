//! `rmqc-fast quickstart`: a file of numbered lines goes through a file source, a broker and a file sink, all driven
//! through the worker's own REST API; then the two files are compared, and nothing but them.

mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rmqc_control::rest::{TaskInfoV1, WorkerInfoV1};
use rmqc_core::config::Properties;
use rmqc_core::config::worker::{Parsed, WorkerConfig};
use serde_json::{Value, json};

use crate::cli::QuickstartFlags;
use crate::progress::Way;
use crate::worker::Worker;
use crate::{EXIT_FAILURE, environment, logging, say, wire};

/// Without a new record at the sink for so long, it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the sink's file.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

const SOURCE: &str = "quickstart-source";
const SINK: &str = "quickstart-sink";

/// Runs the trial.
///
/// # Errors
/// Anything that kept it from being completed.
pub(crate) fn run(flags: &QuickstartFlags) -> anyhow::Result<ExitCode> {
    let trial = Trial::prepare(flags)?;
    let known = Arc::default();
    let _flushes_at_the_end = logging::start(&trial.config.log_dir, &known)?;
    let worker = Worker::start(&trial.config, &known)?;
    let measured = trial.measure(&worker);
    // The worker is stopped in order whatever happened, and the cluster is asked while the broker is still there.
    let queues = trial.queues(&worker);
    let left = worker.stop()?;
    let measured = measured?;
    if !left.is_empty() {
        bail!("the worker did not stop cleanly: {}", left.join("; "));
    }
    let verdict = trial.judge(&measured, queues)?;
    if verdict == ExitCode::SUCCESS {
        // The two files are worth a look, the broker's copy of them is not; after a failure everything stays.
        let _ = fs::remove_dir_all(&trial.config.store_dir);
    }
    Ok(verdict)
}

/// The trial's files and names.
struct Trial {
    lines: u64,
    input: PathBuf,
    output: PathBuf,
    topic: String,
    config: WorkerConfig,
}

/// What was seen while it ran.
struct Measured {
    source_seconds: f64,
    total_seconds: f64,
    tasks: Vec<TaskInfoV1>,
}

impl Trial {
    fn prepare(flags: &QuickstartFlags) -> anyhow::Result<Self> {
        // The process id alone may come again; the time of day makes the topic a new one.
        let millis = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        let unique = format!("{}-{millis}", std::process::id());
        let dir = match &flags.dir {
            Some(dir) => dir.clone(),
            None => std::env::temp_dir().join(format!("rmqc-quickstart-{unique}")),
        };
        let dir = std::path::absolute(dir)?;
        let place = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let conf = Properties::from([
            ("workerId".to_owned(), "quickstart".to_owned()),
            ("httpPort".to_owned(), "0".to_owned()),
            ("storePathRootDir".to_owned(), place(&format!("store-{unique}"))),
            ("logDir".to_owned(), place("logs")),
        ]);
        let mut given = flags.properties();
        let address = flags.namesrv.clone().unwrap_or_else(|| "embedded".to_owned());
        given.insert("namesrvAddr".to_owned(), address);
        let Parsed { config, .. } = WorkerConfig::build(&conf, &given, &environment())?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let trial = Self {
            lines: flags.lines,
            input: dir.join("in.txt"),
            output: dir.join(format!("out-{unique}.txt")),
            topic: format!("quickstart-{unique}"),
            config,
        };
        say(&format!("writing {} lines of {} bytes", flags.lines, flags.size));
        verify::write_lines(&trial.input, flags.lines, usize::try_from(flags.size)?)?;
        Ok(trial)
    }

    /// Creates both connectors and waits until everything is in the sink's file.
    fn measure(&self, worker: &Worker) -> anyhow::Result<Measured> {
        let rest = Rest::new(worker);
        let about: WorkerInfoV1 = serde_json::from_str(&rest.text("/v1/worker")?)?;
        say(&format!(
            "worker on {} shards, driver {} ({}), name server {}",
            about.shards.len(),
            about.driver,
            about.driver_reason,
            worker.name_servers().join(";"),
        ));
        let start = Instant::now();
        rest.create(
            SOURCE,
            &json!({
                "connector.class": "org.apache.rocketmq.connect.file.FileSourceConnector",
                "filename": self.input,
                "connect.topicname": self.topic,
            }),
        )?;
        // A sink normally begins with what comes after it; this one is to get everything.
        rest.create(
            SINK,
            &json!({
                "connector.class": "org.apache.rocketmq.connect.file.FileSinkConnector",
                "filename": self.output,
                "connect.topicnames": self.topic,
                "consume.from.where": "CONSUME_FROM_FIRST_OFFSET",
            }),
        )?;
        self.wait(&rest, start)
    }

    fn wait(&self, rest: &Rest, start: Instant) -> anyhow::Result<Measured> {
        let goal = fs::metadata(&self.input)?.len();
        let mut progress = Way::new(goal, "at the sink");
        let mut source_seconds = None;
        let mut moved = (0, Instant::now());
        let mut asked = Instant::now();
        loop {
            std::thread::sleep(LOOK_INTERVAL);
            let there = length(&self.output)?;
            if there > moved.0 {
                moved = (there, Instant::now());
            }
            progress.show(there);
            let complete = there >= goal;
            if complete || (source_seconds.is_none() && asked.elapsed() >= 5 * LOOK_INTERVAL) {
                asked = Instant::now();
                let tasks = rest.tasks()?;
                let sum = |name: &str, count: fn(&TaskInfoV1) -> u64| -> u64 {
                    tasks.iter().filter(|task| task.connector == name).map(count).sum()
                };
                let sent = sum(SOURCE, |task| task.records_out);
                if sent >= self.lines && source_seconds.is_none() {
                    source_seconds = Some(start.elapsed().as_secs_f64());
                }
                // A line that comes twice fills the file too early; then there is more to come.
                if complete && sum(SINK, |task| task.records_out) >= sent && sent >= self.lines {
                    progress.end();
                    let total_seconds = (moved.1 - start).as_secs_f64();
                    let source_seconds = source_seconds.unwrap_or(total_seconds).min(total_seconds);
                    return Ok(Measured { source_seconds, total_seconds, tasks });
                }
            }
            if moved.1.elapsed() > PATIENCE {
                progress.end();
                let listed = rest.text("/connectors/list").unwrap_or_else(|error| error.to_string());
                bail!(
                    "nothing new in {} for {} s, {there} of {goal} bytes are there; connectors: {listed}; see {}",
                    self.output.display(),
                    PATIENCE.as_secs(),
                    self.config.log_dir.join("connect_runtime.log").display()
                );
            }
        }
    }

    /// Number of the topic's queues, if the cluster tells.
    fn queues(&self, worker: &Worker) -> Option<u32> {
        let client = wire::cluster_client(&self.config, worker.name_servers()).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let route = runtime.block_on(client.topic_queues(&self.topic)).ok()??;
        Some(route.iter().map(|broker| broker.write_queues).sum())
    }

    fn judge(&self, measured: &Measured, queues: Option<u32>) -> anyhow::Result<ExitCode> {
        self.tell(measured);
        let verdict = verify::compare(&self.input, &self.output)?;
        say(&format!("in: {}", self.input.display()));
        say(&format!("out: {}", self.output.display()));
        say(&format!(
            "checked, from these files alone: each of {} lines by number and SHA-1 of its bytes",
            verdict.lines
        ));
        let queues_told = queues.map_or("an unknown number of".to_owned(), |queues| queues.to_string());
        let ordered = queues.is_none_or(|queues| u32::try_from(verdict.sequences).is_ok_and(|least| least <= queues));
        say(&format!(
            "order: the out file can be merged from {} ordered sequences, the topic has {queues_told} queues: {}",
            verdict.sequences,
            if ordered { "as it must be if each queue kept its order" } else { "so at least one queue lost its order" }
        ));
        if verdict.foreign > 0 {
            say(&format!("changed or foreign lines: {}", verdict.foreign));
        }
        say(&format!("lost={} duplicated={}", verdict.lost, verdict.duplicated));
        let clean = verdict.lost == 0 && verdict.duplicated == 0 && verdict.foreign == 0 && ordered;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) })
    }

    fn tell(&self, measured: &Measured) {
        let lines = precise(self.lines);
        say(&format!(
            "in: {:.0} records/s ({:.2} s), through to the sink's file: {:.0} records/s ({:.2} s)",
            lines / measured.source_seconds.max(1e-9),
            measured.source_seconds,
            lines / measured.total_seconds.max(1e-9),
            measured.total_seconds,
        ));
        let copied: u64 = measured.tasks.iter().map(|task| task.bytes_copied).sum();
        say(&format!("copied in user space: {:.1} bytes a record, source and sink together", precise(copied) / lines));
        for latency in measured.tasks.iter().filter_map(|task| task.latency_ms.as_ref()) {
            say(&format!(
                "latency from source to sink, in ms: p50 {} p90 {} p99 {} p99.9 {} max {} ({} records)",
                latency.p50, latency.p90, latency.p99, latency.p999, latency.max, latency.count
            ));
        }
    }
}

/// A count as a number to divide; counts here stay far below 2^52.
#[allow(clippy::cast_precision_loss)]
fn precise(count: u64) -> f64 {
    count as f64
}

/// Length of a file that may not be there yet.
fn length(path: &Path) -> anyhow::Result<u64> {
    match fs::metadata(path) {
        Ok(status) => Ok(status.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

/// The worker's REST API, over HTTP as any client would.
struct Rest {
    agent: ureq::Agent,
    base: String,
}

impl Rest {
    fn new(worker: &Worker) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build();
        Self { agent: ureq::Agent::new_with_config(config), base: format!("http://{}", worker.address()) }
    }

    fn text(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.base);
        let mut answer = self.agent.get(&url).call().with_context(|| format!("GET {path}"))?;
        answer.body_mut().read_to_string().with_context(|| format!("GET {path}"))
    }

    fn tasks(&self) -> anyhow::Result<Vec<TaskInfoV1>> {
        Ok(serde_json::from_str(&self.text("/v1/tasks")?)?)
    }

    fn create(&self, name: &str, config: &Value) -> anyhow::Result<()> {
        let url = format!("{}/connectors/{name}", self.base);
        let mut answer =
            self.agent.post(&url).send(config.to_string()).with_context(|| format!("cannot create {name}"))?;
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        if let Some(message) = answer.get("message").and_then(Value::as_str) {
            bail!("cannot create {name}: {message}");
        }
        Ok(())
    }
}
