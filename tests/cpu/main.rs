//! A connector that always fails costs next to nothing beside a worker without connectors, while it waits to be started
//! again and when it is given up; says why; and comes back through the API once the cause is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::Value;

use support::worker::{Worker, file_sink};
use support::{TempDir, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// What is measured: the CPU time of a worker over so long.
const WINDOW: Duration = Duration::from_secs(11);

/// A worker with one connector that can't open its file.
struct Failing {
    home: TempDir,
    worker: Worker,
}

fn worker(home: &TempDir, settings: &[&str]) -> Worker {
    Worker::start_with(home.path(), "embedded", &[&["cores=1"], settings].concat())
}

impl Failing {
    fn start(name: &str, settings: &[&str]) -> Self {
        let home = TempDir::new(name);
        // Something else stands in the place of the file's folder: it may go away by itself, so it is tried again.
        std::fs::write(home.file("taken"), "").unwrap();
        let worker = worker(&home, settings);
        worker.create("c", &file_sink(&home.file("taken/out.txt"), "t"));
        Self { home, worker }
    }

    fn task(&self) -> Value {
        self.worker.get("/connectors/c/status")["tasks"][0].clone()
    }

    /// Waits until the task says so, and why.
    fn wait_failed(&self, told: &str) {
        wait_until("the task tells its failure", DEADLINE, || {
            let trace = self.task()["trace"].as_str().unwrap_or_default().to_owned();
            trace.contains("Not a directory") && trace.contains("taken/out.txt") && trace.contains(told)
        });
    }

    /// Takes the cause away.
    fn mend(&self) {
        std::fs::remove_file(self.home.file("taken")).unwrap();
        std::fs::create_dir(self.home.file("taken")).unwrap();
    }

    fn wait_running(&self) {
        wait_until("the task runs", DEADLINE, || self.task()["state"] == "RUNNING");
        assert_eq!(self.task()["trace"], Value::Null, "an old cause is no present one");
    }
}

#[test]
fn a_connector_that_always_fails_costs_next_to_nothing_and_comes_back() {
    let given_up = Failing::start("cpu-given-up", &["task.restart.max=2", "task.restart.backoff.ms=10"]);
    let often = ["task.restart.max=1000", "task.restart.backoff.ms=1000", "task.restart.backoff.max.ms=2000"];
    let trying = Failing::start("cpu-trying", &often);
    given_up.wait_failed("not again until");
    trying.wait_failed("");

    let home = TempDir::new("cpu-idle");
    let idle = worker(&home, &[]);
    let workers = [&given_up.worker, &trying.worker, &idle];
    let before = workers.map(Worker::cpu);
    let began = Instant::now();
    wait_until("the window is over", WINDOW * 2, || began.elapsed() >= WINDOW);
    let (after, elapsed) = (workers.map(Worker::cpu), began.elapsed());
    let [given_up_used, trying_used, idle_used] = std::array::from_fn(|at| after[at].saturating_sub(before[at]));
    println!("CPU in {elapsed:?}: given up {given_up_used:?}, trying {trying_used:?}, idle {idle_used:?}");
    for (what, used) in [("given up", given_up_used), ("trying", trying_used)] {
        let more = used.saturating_sub(idle_used);
        assert!(more * 100 < elapsed, "{what}: {more:?} of CPU in {elapsed:?} is more than one percent");
    }
    assert_eq!(given_up.task()["state"], "FAILED");
    given_up.wait_failed("not again until");

    trying.mend();
    trying.wait_running();
    given_up.mend();
    let restart = "/v1/connectors/c/restart?includeTasks=true&onlyFailed=true";
    let (status, text) = given_up.worker.answer("POST", restart, "");
    assert!((200..300).contains(&status), "{status} {text}");
    given_up.wait_running();
}
