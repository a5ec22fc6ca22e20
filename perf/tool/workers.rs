//! The worker as a side: started fresh for each measurement, measured by the operating system, stopped in order.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rmqc_io::driver::probe;
use rmqc_io::settings::DriverWanted;
use serde_json::{Value, json};

use super::machine::{memory_kib, process_cpu};
use super::options::Options;
use super::stats::{rounded, significant};
use crate::support::worker::{Worker, binary};
use crate::support::{TempDir, wait_until};

/// Longest time without any progress.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
    // Dropped last: the folder of the worker's store.
    _home: TempDir,
}

impl Running {
    /// Starts a worker; what it does from now on is measured.
    pub fn start(build: &Build, namesrv: &str, settings: &[&str]) -> Self {
        let home = TempDir::new("perf");
        let worker = build.start(home.path(), namesrv, settings);
        let cpu = process_cpu(worker.pid());
        Self { worker, began: Instant::now(), cpu, _home: home }
    }

    /// What it has cost since the start to move so many records. Call it at the moment when the last one arrived.
    pub fn measured(&self, records: u64, record_bytes: usize) -> Value {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = process_cpu(self.worker.pid()).saturating_sub(self.cpu);
        let mut told = throughput(records, record_bytes, seconds, cpu);
        told["rss_peak_kib"] = json!(memory_kib(self.worker.pid(), "VmHWM"));
        told["threads"] = json!(self.worker.threads());
        told
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
pub fn wait_count(what: &str, expected: u64, mut count: impl FnMut() -> u64) {
    let mut seen = count();
    while seen < expected {
        let before = seen;
        wait_until(&format!("{what}: more than {before} of {expected}"), PATIENCE, || {
            seen = count();
            seen > before
        });
    }
}
