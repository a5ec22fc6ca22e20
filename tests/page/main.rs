//! The status page in headless Chromium, served by the built worker: loads, shows what moves, changes connectors by keyboard,
//! replays dead letters, and stays what it is before hostile names. `scenarios.mjs` says what the browser does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, Once};
use std::time::Duration;

use serde_json::{Value, json};
use support::worker::{Worker, file_sink, file_source};
use support::{TempDir, repository, wait_for, wait_until};

/// A scenario takes seconds; a busy machine needs more.
const DEADLINE: Duration = Duration::from_secs(180);

/// One browser at a time: two would measure each other.
static BROWSER: Mutex<()> = Mutex::new(());

/// A worker with something of everything.
struct Stage {
    worker: Worker,
    home: TempDir,
}

/// A child that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder() -> PathBuf {
    repository().join("tests/page")
}

/// Installs what the lock file names, once, unless it is there.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let wanted = std::fs::read_to_string(folder().join("package-lock.json")).unwrap();
        let mark = folder().join("node_modules/.installed");
        if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
            return;
        }
        let done = Command::new("npm").args(["ci", "--silent"]).current_dir(folder()).output();
        let done = done.expect("npm is needed for this test: apt-get install nodejs npm");
        assert!(done.status.success(), "npm ci: {}", String::from_utf8_lossy(&done.stderr));
        std::fs::write(mark, wanted).unwrap();
    });
}

impl Stage {
    fn start(name: &str) -> Self {
        let home = TempDir::new(name);
        let worker = Worker::start_with(home.path(), "embedded", &["cores=2", "workerId=stage-1"]);
        Self { worker, home }
    }

    /// Records that flow from a generator into a file.
    fn with_flow(self) -> Self {
        let source =
            json!({"connector.class": "generator-source", "connect.topicname": "orders", "records.per.second": 200});
        self.worker.create("orders-in", &source);
        self.worker.create("orders-out", &file_sink(&self.home.file("orders.txt"), "orders"));
        self.worker.wait_state("orders-out", "RUNNING");
        self
    }

    /// A sink whose folder is a file.
    fn with_failure(self) -> Self {
        std::fs::write(self.home.file("taken"), "").unwrap();
        self.worker.create("archive", &file_sink(&self.home.file("taken/out.txt"), "orders"));
        wait_until("the sink fails", DEADLINE, || {
            let states = self.worker.task_states("archive");
            states.iter().any(|state| state == "FAILED" || state == "UNASSIGNED")
        });
        self
    }

    /// A sink with one dead letter.
    fn with_letter(self) -> Self {
        std::fs::write(self.home.file("in.txt"), "{\"n\":1}\nno JSON <b>at all</b>\n{\"n\":2}\n").unwrap();
        self.worker.create("numbers-in", &file_source(&self.home.file("in.txt"), "numbers"));
        let mut sink = file_sink(&self.home.file("numbers.txt"), "numbers");
        for (key, value) in [
            ("value.format", "json"),
            ("value.converter", "json"),
            ("value.converter.schemas.enable", "false"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "numbers-dead"),
            ("errors.deadletterqueue.context.properties.enable", "true"),
        ] {
            sink[key] = Value::from(value);
        }
        self.worker.create("numbers-out", &sink);
        wait_until("the letter is stored", DEADLINE, || {
            let (status, body) = self.worker.answer("GET", "/v1/connectors/numbers-out/dlq", "");
            status == 200 && body.contains("no JSON")
        });
        self
    }

    /// Plays a scenario; it fails as the browser's side says.
    fn play(&self, scenario: &str) {
        install();
        let _alone = BROWSER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let profile = TempDir::new("chromium");
        let mut child = Command::new("node");
        child.arg("play.mjs").arg(scenario).arg(format!("http://{}", self.worker.address()));
        child.env("RMQC_HOME", self.home.path()).env("RMQC_PROFILE", profile.path());
        child.env("RMQC_DOCS", repository().join("docs")).current_dir(folder()).stdin(Stdio::null());
        let mut child = Ended(child.spawn().expect("node is needed for this test: apt-get install nodejs npm"));
        let status = wait_for(scenario, DEADLINE, || child.0.try_wait().unwrap());
        assert!(status.success(), "scenario {scenario} failed; what the browser did is above");
    }
}

#[test]
fn loads_at_once_and_asks_nobody_else() {
    Stage::start("page-load").with_flow().play("load");
}

#[test]
fn shows_what_moves_as_it_moves() {
    Stage::start("page-live").with_flow().with_failure().play("live");
}

#[test]
fn creates_a_connector_after_naming_what_is_wrong() {
    Stage::start("page-create").with_flow().play("create");
}

#[test]
fn everything_is_done_by_keyboard() {
    Stage::start("page-keyboard").with_flow().play("keyboard");
}

#[test]
fn dead_letters_are_shown_and_replayed() {
    Stage::start("page-letters").with_letter().play("letters");
}

#[test]
fn no_view_keeps_anybody_out() {
    Stage::start("page-access").with_flow().with_failure().with_letter().play("access");
}

#[test]
fn hostile_text_stays_text() {
    Stage::start("page-hostile").play("hostile");
}

#[test]
fn five_hundred_connectors_stay_smooth() {
    Stage::start("page-many").play("many");
}

#[test]
fn a_worker_that_goes_away_is_told_and_found_again() {
    Stage::start("page-away").play("away");
}

#[test]
fn other_sites_pages_change_nothing() {
    Stage::start("page-foreign").with_flow().play("foreign");
}

/// Makes the pictures of the documentation with `UPDATE_SCREENSHOTS=1`; else they are only taken.
#[test]
fn screenshots() {
    Stage::start("page-shots").with_flow().with_failure().with_letter().play("screenshots");
}
