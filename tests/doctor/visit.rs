//! One worker's set-up, and the doctor's visits to it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::TempDir;

/// A conf file, and the directories that it names.
pub struct Setup {
    pub dir: TempDir,
    keys: BTreeMap<String, String>,
    pub arguments: Vec<String>,
}

impl Setup {
    /// One with nothing wrong but the broker inside the worker.
    pub fn new() -> Self {
        let dir = TempDir::new("doctor");
        let mut setup = Self { keys: BTreeMap::new(), arguments: Vec::new(), dir };
        let path = |name: &str| setup.dir.file(name).display().to_string();
        let (store, logs) = (path("store"), path("logs"));
        for (key, value) in
            [("storePathRootDir", &*store), ("logDir", &*logs), ("httpPort", "0"), ("ioDriver", "epoll")]
        {
            setup.set(key, value);
        }
        setup
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.keys.insert(key.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, key: &str) {
        self.keys.remove(key);
    }

    pub fn conf(&self) -> PathBuf {
        self.dir.file("connect.conf")
    }

    pub fn store(&self) -> PathBuf {
        self.dir.file("store")
    }

    /// Adds the configuration of a connector.
    pub fn connector(&mut self, name: &str, config: &Value) {
        let path = self.dir.file(&format!("{name}.json"));
        std::fs::write(&path, config.to_string()).unwrap();
        self.arguments.extend(["--connector".to_owned(), path.display().to_string()]);
    }

    pub fn visit(&self) -> Visit {
        self.visit_as(|| Ok(()))
    }

    /// With something done between fork and exec.
    pub fn visit_as(&self, before: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Visit {
        let mut command = self.command();
        // SAFETY: what the tests hand in makes plain system calls and allocates nothing.
        unsafe { command.pre_exec(before) };
        Visit::of(command)
    }

    /// The command, its conf file written.
    pub fn command(&self) -> Command {
        let lines: String = self.keys.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        // Written in place, so that the file's mode stays.
        std::fs::write(self.conf(), lines).unwrap();
        let mut command = doctor();
        command.arg("-c").arg(self.conf()).args(&self.arguments).arg("--json").env("HOME", self.dir.path());
        command
    }
}

/// The program, untouched by the test's own environment.
pub fn doctor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmqc-fast"));
    command.arg("doctor").env_remove("NAMESRV_ADDR").env_remove("RMQC_IO").env_remove("CONNECT_HOME");
    command
}

/// What the doctor said.
pub struct Visit {
    pub code: i32,
    pub took: Duration,
    pub text: String,
    json: Value,
}

impl Visit {
    pub fn of(mut command: Command) -> Self {
        let begin = Instant::now();
        let output = command.output().unwrap();
        let took = begin.elapsed();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_str(&text).unwrap_or_default();
        let code = output.status.code().unwrap_or_else(|| panic!("{}: {text}", output.status));
        Self { code, took, text, json }
    }

    fn of_check(&self, check: &str) -> Vec<&Value> {
        let all = self.json["checks"].as_array().unwrap_or_else(|| panic!("no findings: {}", self.text));
        all.iter().filter(|finding| finding["check"] == check).collect()
    }

    /// A finding of that check and status whose words hold `says`; gives its remedy.
    #[track_caller]
    pub fn finds(&self, check: &str, status: &str, says: &str) -> String {
        let found = self.of_check(check).into_iter().find(|finding| {
            let words = format!("{} {}", finding["lookedAt"], finding["found"]);
            finding["status"] == status && words.contains(says)
        });
        let Some(found) = found else { panic!("no {status} of {check} says {says}: {}", self.text) };
        assert_eq!(self.code, i32::from(self.json["fail"] != 0), "{}", self.text);
        assert!(status != "fail" || self.code == 1, "{}", self.text);
        found["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {found}")).to_owned()
    }

    /// That check was made, and found nothing wrong.
    #[track_caller]
    pub fn is_ok(&self, check: &str) {
        let found = self.of_check(check);
        assert!(!found.is_empty() && found.iter().all(|finding| finding["status"] == "ok"), "{check}: {}", self.text);
    }
}

/// The number after a word of the remedy.
#[track_caller]
pub fn number_after(text: &str, word: &str) -> u64 {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}
