//! The section «The same by hand», typed as it stands there.

use std::net::TcpStream;
use std::time::Duration;

use super::shell::Shell;
use super::support::worker::{free_port, wait_lines};
use super::support::{TempDir, repository, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
const SECTION: &str = "\n## The same by hand\n";

/// The section's block of code.
fn block() -> String {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split_once(SECTION).expect("the section").1;
    section.split("```\n").nth(1).expect("a block of code").to_owned()
}

/// The commands of the block: a line each, or more while a quote is open.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut open = false;
    for line in block.lines() {
        let code = line.split("  #").next().unwrap_or_default().trim_end();
        match commands.last_mut().filter(|_| open) {
            Some(command) => command.extend(["\n", code]),
            None if code.is_empty() => continue,
            None => commands.push(code.to_owned()),
        }
        open ^= code.matches('\'').count() % 2 == 1;
    }
    assert!(!open, "a quote is open at the end");
    commands
}

/// Changes what a test must change, and fails when the text has nothing to change.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "README does not say {from} any more");
    text.replace(from, to)
}

#[test]
fn the_session_by_hand_does_what_it_says() {
    let (home, port) = (TempDir::new("readme"), free_port());
    let (conf, output) = (home.file("connect.conf"), home.file("rmqc-out.txt"));
    let shipped = std::fs::read_to_string(repository().join("conf/connect.conf")).unwrap();
    std::fs::write(&conf, replaced(&shipped, "httpPort=8082", &format!("httpPort={port}"))).unwrap();

    let mut session = replaced(&block(), "127.0.0.1:8082", &format!("127.0.0.1:{port}"));
    session = replaced(&session, "/tmp/rmqc-", &format!("{}/rmqc-", home.path().display()));
    session = replaced(&session, "target/release/rmqc-fast", env!("CARGO_BIN_EXE_rmqc-fast"));
    session = replaced(&session, "conf/connect.conf", conf.to_str().unwrap());
    let mut commands = commands(&session).into_iter();
    assert_eq!(commands.next().as_deref(), Some("cargo build --release"), "Cargo has built it for this test");

    let mut shell = Shell::start(repository(), home.path());
    let mut seen = Vec::new();
    for command in commands {
        if command.starts_with("echo four") {
            // Who types is slower than the lines before; lines of different queues come in the order of their arrival.
            wait_lines(&output, 3, DEADLINE);
        }
        if command.starts_with("cat ") {
            wait_lines(&output, 4, DEADLINE);
        }
        let said = shell.run(&command);
        // Errors come with the status 200.
        assert!(!said.contains("errorCode"), "{command}: {said}");
        println!("$ {command}\n{said}");
        if command.ends_with('&') {
            // Bash forgets a job by number once it has seen it end, but not its exit code by pid.
            shell.run("worker=$!");
            // Who types sees the worker say that it is there.
            wait_until("the worker listens", DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        for (end, expected) in [
            ("/connectors/in/status", "RUNNING"),
            ("rmqc-out.txt", "one\ntwo\nthree\nfour\n"),
            ("/v1/worker", "driver_reason"),
            ("/metrics", "\nrmqc_task_blocked_seconds_total"),
        ] {
            if command.ends_with(end) {
                assert!(said.contains(expected), "{command}: {said}");
                seen.push(end);
            }
        }
    }
    assert_eq!(seen.len(), 4, "only these were looked at: {seen:?}");
    // Succeeds only if the worker ended with 0.
    shell.run("wait $worker");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "one\ntwo\nthree\nfour\n");
}
