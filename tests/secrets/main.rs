//! A secret through a connector's whole life in the built program, with a kill in between: it is in no log line, no answer,
//! no metric, and in the store only where it was given in clear.
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

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use support::worker::{Worker, file_sink, wait_lines};
use support::{TempDir, wait_until};

/// Long and odd enough to be found only where it was leaked.
const SECRET: &str = "Tr0ub4dor-3-kaffeebohne";
const TOPIC: &str = "secrets";
const DEADLINE: Duration = Duration::from_secs(60);

/// A connector's life, every answer of it kept.
struct Life {
    worker: Worker,
    answers: RefCell<Vec<String>>,
}

impl Life {
    fn start(home: &Path) -> Self {
        let log_dir = format!("logDir={}", home.join("logs").display());
        let settings = [log_dir.as_str(), "task.restart.max=1", "task.restart.backoff.ms=10"];
        // More is logged than in production, so more could leak.
        let environment = [("RMQC_TEST_SECRET", SECRET), ("RUST_LOG", "debug")];
        let worker = Worker::start_in(home, "embedded", &settings, &environment);
        Self { worker, answers: RefCell::default() }
    }

    /// Asks and keeps the answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.worker.answer(method, path, &body);
        self.answers.borrow_mut().push(format!("{method} {path}: {status} {text}"));
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }

    #[track_caller]
    fn succeed(&self, method: &str, path: &str, body: &Value) {
        let answer = self.ask(method, path, body);
        assert_eq!(answer["status"], 200, "{method} {path}: {answer}");
    }

    fn wait(&self, what: &str, reached: impl Fn(&Value) -> bool) {
        wait_until(what, DEADLINE, || reached(&self.get("/connectors/c/status")["body"]));
    }

    /// Looks at everything that there is to be seen.
    fn look_around(&self, config: &Value) {
        for path in [
            "/connectors/list",
            "/connectors/c/config",
            "/connectors/c/status",
            "/connectors/c/tasks",
            "/connectors/c/tasks/0/status",
            "/allocated/connectors",
            "/allocated/tasks",
            "/getConfigInfo",
            "/getAllocatedInfo",
            "/getAllocatedConnectors",
            "/getAllocatedTasks",
            "/metrics",
            "/health",
            "/v1/worker",
            "/v1/tasks",
            "/v1/connectors?expand=status&expand=info",
            "/v1/connectors/c",
            "/v1/connectors/c/config",
            "/v1/connectors/c/status",
            "/v1/connectors/c/tasks",
            "/v1/connectors/c/offsets",
        ] {
            self.get(path);
        }
        self.ask("PUT", "/plugin/config/validate", config);
        self.ask("PUT", "/v1/connector-plugins/file-sink/config/validate", config);
    }

    /// The whole life. `bad` fails when it starts, `good` runs and writes `out`.
    fn live(&mut self, home: &Path, bad: &Value, good: &Value) {
        let mut wrong = good.clone();
        wrong["max.tasks"] = json!("abc");
        wrong["value.converter.decimal.format"] = wrong["db.password"].clone();
        assert!(self.ask("POST", "/connectors/wrong", &wrong)["errorCode"].is_number());
        self.ask("PUT", "/plugin/config/validate", &wrong);

        self.succeed("POST", "/connectors/c", bad);
        self.wait("the task to fail for good", |status| status["tasks"][0]["state"] == "FAILED");
        let trace = self.get("/connectors/c/status")["body"]["tasks"][0]["trace"].to_string();
        assert!(trace.contains("No such file"), "the cause is told: {trace}");
        self.look_around(bad);

        self.succeed("POST", "/connectors/c", good);
        let running = |status: &Value| status["tasks"][0]["state"] == "RUNNING";
        self.wait("the task to run", running);
        self.look_around(good);
        self.succeed("GET", "/connectors/c/pause", &Value::Null);
        self.wait("the task to be paused", |status| status["tasks"][0]["state"] == "PAUSED");
        self.succeed("GET", "/connectors/c/resume", &Value::Null);
        self.wait("the task to run", running);

        self.worker.kill();
        self.worker.start_again();
        self.wait("the task to run again", running);
        self.look_around(good);
        let source = json!({"connector.class": "generator-source", "connect.topicname": TOPIC, "records": "10",
            "records.per.second": "1000", "db.password": good["db.password"]});
        self.succeed("POST", "/connectors/source", &source);
        wait_lines(&home.join("out.txt"), 10, DEADLINE);

        self.succeed("GET", "/connectors/source/stop", &Value::Null);
        self.succeed("GET", "/connectors/c/stop", &Value::Null);
        self.look_around(good);
        self.worker.stop();
    }

    /// Where the secret is to be found: in clear, or as the store writes texts.
    fn leaks(&self, home: &Path) -> Vec<String> {
        let answers = self.answers.borrow();
        let mut leaks: Vec<String> = answers.iter().filter(|text| holds_secret(text.as_bytes())).cloned().collect();
        let mut files = Vec::new();
        walk(home, &mut files);
        assert!(files.iter().any(|file| file.ends_with("connect_runtime.log")), "the log is looked at: {files:?}");
        assert!(files.iter().any(|file| file.ends_with("worker.log")), "the console is looked at: {files:?}");
        assert!(
            files.iter().any(|file| file.to_string_lossy().contains("store/")),
            "the store is looked at: {files:?}"
        );
        let told = files.iter().filter(|file| !file.ends_with("secrets.properties"));
        for file in told.filter(|file| holds_secret(&std::fs::read(file).unwrap())) {
            leaks.push(file.display().to_string());
        }
        leaks
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn holds_secret(bytes: &[u8]) -> bool {
    let encoded = base64::engine::general_purpose::STANDARD.encode(SECRET);
    let finds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    // The end of a base64 text depends on what follows.
    finds(SECRET) || finds(&encoded[..encoded.len() - 4])
}

/// A sink that carries the secret beside its work.
fn sink(file: &Path, more: &[(&str, &str)]) -> Value {
    let mut config = file_sink(file, TOPIC);
    for (key, value) in more {
        config[*key] = json!(value);
    }
    config
}

#[test]
fn a_secret_given_in_clear_is_only_in_the_store_of_connectors() {
    let home = TempDir::new("secrets-clear");
    let url = format!("postgres://user:{SECRET}@db.example/x");
    let more = [("db.password", SECRET), ("connection.url", url.as_str())];
    let bad = sink(&home.file("missing/out.txt"), &more);
    let good = sink(&home.file("out.txt"), &more);
    let mut life = Life::start(home.path());
    life.live(home.path(), &bad, &good);
    let leaks = life.leaks(home.path());
    // The configurations of connectors and tasks, with their backups, hold what they were given.
    let stored = |leak: &&String| leak.contains("/store/config/") && leak.contains("Config.json");
    let elsewhere: Vec<_> = leaks.iter().filter(|leak| !stored(leak)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn a_secret_that_is_referred_to_is_nowhere() {
    let home = TempDir::new("secrets-references");
    let file = home.file("secrets.properties");
    std::fs::write(&file, format!("password={SECRET}\n")).unwrap();
    let password = format!("${{file:{}:password}}", file.display());
    // The cause of the failure names the file, and with it the secret.
    let bad = sink(&home.file("missing/${env:RMQC_TEST_SECRET}/out.txt"), &[("db.password", &password)]);
    let good = sink(&home.file("out.txt"), &[("db.password", &password), ("other.token", "${env:RMQC_TEST_SECRET}")]);
    let mut life = Life::start(home.path());
    life.live(home.path(), &bad, &good);
    let leaks = life.leaks(home.path());
    assert!(leaks.is_empty(), "{leaks:#?}");
}
