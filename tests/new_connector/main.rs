//! `rmqc-fast new connector` as its users run it: the built program writes a crate, the crate's own test passes, and the
//! worker that it builds moves records. The templates are compiled here and nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use support::worker::{Worker, wait_lines};
use support::{TempDir, repository};

/// The worker needs seconds; a busy machine and a debug build need more.
const DEADLINE: Duration = Duration::from_secs(60);

fn new_connector(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmqc-fast"));
    command.args(["new", "connector"]).args(arguments).current_dir(folder).env_remove("RMQC_SOURCE");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Where Cargo put the program that is tested: the folder `target`.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_rmqc-fast")).parent().and_then(Path::parent).unwrap().to_owned()
}

/// Runs Cargo in a crate without a network, into the workspace's target folder, so that libraries are not built again.
fn cargo(crate_folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).arg("--offline").current_dir(crate_folder).env("CARGO_TARGET_DIR", target_folder());
    let output = command.output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", said(&output));
}

#[test]
fn the_crate_passes_its_test_and_its_worker_moves_records() {
    let dir = TempDir::new("new-connector");
    let output = new_connector(dir.path(), &["sea-gull", "--rmqc", repository().to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let written = dir.file("sea-gull");
    cargo(&written, &["test", "--tests"]);
    cargo(&written, &["build", "--bin", "sea-gull"]);

    // One part only must compile too, without a warning.
    for part in ["source", "sink"] {
        let name = format!("only-{part}s");
        let output =
            new_connector(dir.path(), &[&name, &format!("--{part}"), "--rmqc", repository().to_str().unwrap()]);
        assert!(output.status.success(), "{}", said(&output));
        let mut manifest = std::fs::read_to_string(dir.file(&name).join("Cargo.toml")).unwrap();
        manifest.push_str("\n[lints.rust]\nwarnings = \"deny\"\n");
        std::fs::write(dir.file(&name).join("Cargo.toml"), manifest).unwrap();
        cargo(&dir.file(&name), &["check", "--tests"]);
    }

    let program = target_folder().join("debug/sea-gull");
    let mut worker = Worker::start_program(&program, &dir.file("worker"), "embedded");
    let config = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(written.join("conf").join(file)).unwrap()).unwrap()
    };
    let out = dir.file("out.txt");
    let mut sink = config("sea-gull-sink.json");
    sink["path"] = out.to_str().unwrap().into();
    worker.create("gull-out", &sink);
    worker.create("gull-in", &config("sea-gull-source.json"));
    let text = String::from_utf8(wait_lines(&out, 1000, DEADLINE)).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    let mut expected: Vec<_> = (0..1000).map(|number| format!("sea-gull {number}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    worker.stop();
    // It is no part of the workspace: what was built of it goes.
    std::fs::remove_file(program).unwrap();
}

#[test]
fn a_name_that_is_none_is_a_wrong_flag_and_writes_nothing() {
    let dir = TempDir::new("new-connector-names");
    for name in ["../gull", "Gull", "match", "file", ""] {
        let output = new_connector(dir.path(), &[name]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", said(&output));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let dir = TempDir::new("new-connector-refused");
    std::fs::create_dir(dir.file("tern")).unwrap();
    std::fs::write(dir.file("tern/README.md"), "mine").unwrap();
    let source = repository().to_str().unwrap();
    let output = new_connector(dir.path(), &["tern", "--rmqc", source]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--force"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(dir.file("tern/README.md")).unwrap(), "mine");
    let output = new_connector(dir.path(), &["tern", "--rmqc", source, "--force", "--sink"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(dir.file("tern/src/tern/sink.rs").exists() && !dir.file("tern/src/tern/source.rs").exists());
    assert!(std::fs::read_to_string(dir.file("tern/README.md")).unwrap().starts_with("# tern"));
}
