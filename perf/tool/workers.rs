//! The worker as a side: started fresh for each measurement, measured by the operating system, stopped in order.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rmqc_io::driver::probe;
use rmqc_io::settings::DriverWanted;
use serde_json::{Value, json};

use super::machine::{memory_kib, process_cpu};
use super::options::Options;
use super::stats::{rounded, significant};
use crate::support::TempDir;
use crate::support::worker::{Worker, binary};

/// Longest time without any progress.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a count.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A build of the worker, and how it is run.
#[derive(Clone, Debug)]
pub struct Build {
    /// Its name in the results.
    pub name: String,
    program: PathBuf,
    driver: Option<&'static str>,
}

impl Build {
    /// The builds that a run compares: the worker, and the one that `--against` names.
    pub fn chosen(options: &Options) -> Vec<Self> {
        let build = |name: &str, program: PathBuf| Self { name: name.to_owned(), program, driver: None };
        let mut builds = vec![build("worker", binary())];
        builds.extend(options.against.clone().map(|program| build("against", program)));
        builds
    }

    /// The worker on each driver that this machine allows.
    pub fn drivers() -> Vec<Self> {
        let build = |driver| Self { name: format!("worker {driver}"), program: binary(), driver: Some(driver) };
        let uring = probe::choose(DriverWanted::Uring, 1).is_ok().then_some("uring");
        uring.into_iter().chain(["epoll"]).map(build).collect()
    }

    /// Starts it on a new folder with further `key=value` lines; `RMQC_WORKER` has more of them.
    pub fn start(&self, folder: &Path, namesrv: &str, settings: &[&str]) -> Worker {
        let more = std::env::var("RMQC_WORKER").unwrap_or_default();
        let settings: Vec<&str> = settings.iter().copied().chain(more.split_whitespace()).collect();
        let environment: Vec<(&str, &str)> = self.driver.map(|driver| ("RMQC_IO", driver)).into_iter().collect();
        Worker::start_program_in(&self.program, folder, namesrv, &settings, &environment)
    }
}

/// A worker under measurement.
pub struct Running {
    /// The worker.
    pub worker: Worker,
    began: Instant,
    cpu: Duration,
    /// What this tool had used at the start.
    tool_cpu: Duration,
    // Dropped last: the folder of the worker's store.
    _home: TempDir,
}

impl Running {
    /// Starts a worker; what it does from now on is measured.
    pub fn start(build: &Build, namesrv: &str, settings: &[&str]) -> Self {
        let home = TempDir::new("perf");
        let worker = build.start(home.path(), namesrv, settings);
        let (cpu, tool_cpu) = (process_cpu(worker.pid()), process_cpu(std::process::id()));
        Self { worker, began: Instant::now(), cpu, tool_cpu, _home: home }
    }

    /// What it has cost since the start to move so many records, and what this tool has used meanwhile. Call it at the
    /// moment when the last one arrived.
    pub fn measured(&self, records: u64, record_bytes: usize) -> Value {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = process_cpu(self.worker.pid()).saturating_sub(self.cpu);
        let beside = process_cpu(std::process::id()).saturating_sub(self.tool_cpu);
        let mut told = throughput(records, record_bytes, seconds, cpu);
        told[BESIDE] = json!(rounded(beside.as_secs_f64() / seconds, 3));
        told["rss_peak_kib"] = json!(memory_kib(self.worker.pid(), "VmHWM"));
        told["threads"] = json!(self.worker.threads());
        told
    }
}

/// Cores that others took while a worker was measured: this tool, and what it has started.
const BESIDE: &str = "beside_cpu_share";

/// Adds what another process has used while a worker was measured; another side's measurement stays as it is.
pub fn add_beside(told: &mut Value, cpu: Duration) {
    if let (Some(share), Some(seconds)) = (told[BESIDE].as_f64(), told["seconds"].as_f64()) {
        told[BESIDE] = json!(rounded(share + cpu.as_secs_f64() / seconds.max(1e-3), 3));
    }
}

/// What every measurement of a throughput tells.
pub fn throughput(records: u64, record_bytes: usize, seconds: f64, cpu: Duration) -> Value {
    json!({
        "records": records,
        "record_bytes": record_bytes,
        "seconds": rounded(seconds, 3),
        "records_per_second": significant(records as f64 / seconds),
        "cpu_us_per_record": significant(cpu.as_secs_f64() * 1e6 / records as f64),
        "cpu_share": rounded(cpu.as_secs_f64() / seconds, 3),
    })
}

/// Waits until a count has come to what is expected, as long as it grows.
///
/// # Panics
/// If it stands still for the whole patience.
pub fn wait_count(what: &str, expected: u64, count: impl FnMut() -> u64) {
    wait_count_every(LOOK_AGAIN, what, expected, count);
}

/// The same with a pause of one's own between two looks.
///
/// # Panics
/// If it stands still for the whole patience.
pub fn wait_count_every(pause: Duration, what: &str, expected: u64, mut count: impl FnMut() -> u64) {
    let (mut seen, mut moved) = (count(), Instant::now());
    while seen < expected {
        assert!(moved.elapsed() < PATIENCE, "{what}: {seen} of {expected}, and no more within {PATIENCE:?}");
        std::thread::sleep(pause);
        let now = count();
        if now > seen {
            (seen, moved) = (now, Instant::now());
        }
    }
}
