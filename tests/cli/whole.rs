//! Every command against a real worker, with the broker in the box: from a file to a file, and back in time.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::run::{Outcome, ask, ask_with};
use super::support::worker::{Worker, wait_lines};
use super::support::{TempDir, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn json_of(server: SocketAddr, arguments: &[&str]) -> Value {
    ask(server, &[arguments, &["--json"]].concat()).expect(0).json()
}

/// Stops a connector and waits until its offsets may be changed.
fn stop(server: SocketAddr, name: &str) {
    ask(server, &["connectors", "stop", name]).expect(0).says("is stopped");
    wait_until("its tasks have left", DEADLINE, || {
        let dry = json_of(server, &["offsets", "reset", name, "--dry-run"]);
        dry["refused"].is_null()
    });
}

#[test]
fn a_connectors_whole_life_is_led_from_the_command_line() {
    let dir = TempDir::new("whole");
    let worker = Worker::start_with(&dir.file("worker"), "embedded", &["cores=1", "ioDriver=epoll"]);
    let server = worker.address();
    let (input, output) = (dir.file("in.txt"), dir.file("out.txt"));
    std::fs::write(&input, "one\ntwo\nthree\n").unwrap();

    // The worker itself.
    ask(server, &["worker"]).expect(0).says("epoll").says("SHARD");
    ask(server, &["connectors", "list"]).expect(0).says("No connectors.");
    ask(server, &["plugins"]).expect(0).says("FileSinkConnector");
    ask(server, &["plugins", "show", "file-sink"]).expect(0).says("filename").says("(required)");
    ask(server, &["loggers", "set", "rmqc_io", "DEBUG"]).expect(0);
    ask(server, &["loggers", "get", "rmqc_io"]).expect(0).says("DEBUG");
    ask(server, &["loggers", "set", "rmqc_io", "LOUD"]).expect(1).complains("LOUD");

    // Two connectors.
    let both = json!([
        {"name": "in", "config": {"connector.class": "file-source", "filename": input, "connect.topicname": "whole"}},
        {"name": "out", "config": {"connector.class": "file-sink", "filename": output, "connect.topicnames": "whole",
            "consume.from.where": "CONSUME_FROM_FIRST_OFFSET", "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": "whole-dead"}},
    ])
    .to_string();
    ask_with(server, &["validate", "-f", "-"], &both).expect(0).says("in: accepted\nout: accepted");
    let faulty = both.replace("filename", "filenam");
    ask_with(server, &["validate", "-f", "-"], &faulty).expect(1).says("remedy").says("filename");
    ask_with(server, &["connectors", "diff", "-f", "-"], &both).expect(1).says("in: not on the worker");
    ask_with(server, &["connectors", "apply", "-f", "-"], &both).expect(0).says("in created\nout created");
    ask_with(server, &["connectors", "apply", "-f", "-"], &both).expect(0).says("in unchanged\nout unchanged");
    ask_with(server, &["connectors", "diff", "-f", "-"], &both).expect(0).says("in: equal");
    ask_with(server, &["connectors", "apply", "-f", "-"], &faulty).expect(1).complains("filename");
    ask_with(server, &["connectors", "create", "in", "-f", "-"], r#"{"connector.class":"file-source"}"#).expect(1);
    wait_lines(&output, 3, DEADLINE);
    ask(server, &["connectors", "describe", "out"]).expect(0).says("RUNNING").says("errors.tolerance = all");
    ask(server, &["connectors", "config", "in"]).expect(0).says("connect.topicname=whole");
    assert_eq!(json_of(server, &["connectors", "list"])["in"]["status"]["type"], "source");
    ask(server, &["connectors", "list"]).expect(0).says("1/1");
    ask(server, &["tasks", "list", "in"]).expect(0).says("RUNNING");
    ask(server, &["tasks", "show", "in", "0"]).expect(0).says("connect.topicname = whole");
    ask(server, &["connectors", "describe", "out"]).expect(0).says("Limit:");
    ask(server, &["top", "--once"]).expect(0).says("epoll").says("SHARD").says("in ").says("out ");
    let flow = json_of(server, &["top"]);
    assert_eq!(flow["connectors"][1]["name"], "out", "{flow}");
    assert_eq!(flow["connectors"][1]["records_total"], 3, "{flow}");
    assert!(flow["window_ms"].as_u64().is_some_and(|ms| ms >= 200), "{flow}");
    wait_until("both are healthy", DEADLINE, || ask(server, &["health"]).code == 0);

    // Pauses, restarts, live records.
    for (action, state) in [("pause", "PAUSED"), ("resume", "RUNNING")] {
        ask(server, &["connectors", action, "out"]).expect(0);
        wait_until(state, DEADLINE, || json_of(server, &["tasks", "list", "out"])[0]["state"] == state);
    }
    ask(server, &["connectors", "restart", "out"]).expect(0);
    ask(server, &["connectors", "restart", "out", "--only-failed"]).expect(0);
    ask(server, &["connectors", "restart", "in", "--tasks"]).expect(0);
    wait_until("its task is back", DEADLINE, || json_of(server, &["tasks", "list", "in"])[0]["state"] == "RUNNING");
    ask(server, &["tasks", "restart", "in", "0"]).expect(0);
    ask(server, &["tasks", "restart", "in", "7"]).expect(1);
    wait_until("its task is back", DEADLINE, || json_of(server, &["tasks", "list", "in"])[0]["state"] == "RUNNING");
    tap(server, &input);

    // Back in time: dry, then really.
    let offsets = json_of(server, &["offsets", "get", "out"]);
    assert!(offsets["offsets"].as_array().is_some_and(|all| !all.is_empty()), "{offsets}");
    ask(server, &["offsets", "reset", "out", "--to", "earliest"]).expect(1).complains("STOPPED");
    stop(server, "out");
    let lines = std::fs::read_to_string(&output).unwrap().lines().count();
    let dry = json_of(server, &["offsets", "reset", "out", "--to", "earliest", "--dry-run"]);
    let again: i64 = dry["offsets"].as_array().unwrap().iter().map(|one| one["records_again"].as_i64().unwrap()).sum();
    assert_eq!(again, i64::try_from(lines).unwrap(), "{dry}");
    ask(server, &["offsets", "reset", "out", "--to", "earliest"]).expect(0).says("success");
    ask(server, &["connectors", "resume", "out"]).expect(0);
    wait_lines(&output, 2 * lines, DEADLINE);
    stop(server, "in");
    let place = json_of(server, &["offsets", "get", "in"]);
    let set = ask_with(server, &["offsets", "set", "in", "-f", "-", "--dry-run"], &place.to_string()).expect(0);
    set.says("Nothing was changed");
    ask(server, &["offsets", "reset", "in"]).expect(0).says("success");
    ask(server, &["offsets", "get", "in"]).expect(0).says("Nothing is stored.");

    // Dead letters: none.
    ask(server, &["dlq", "list", "in"]).expect(1);
    dead_letters(&|arguments| ask(server, arguments));

    // The end.
    ask(server, &["connectors", "delete", "in"]).expect(2).complains("--yes");
    ask(server, &["connectors", "delete", "in", "--positions", "--yes"]).expect(0);
    ask(server, &["connectors", "delete", "out", "--group", "--yes"]).expect(0);
    ask(server, &["connectors", "describe", "out"]).expect(1).complains("not found");
    ask(server, &["connectors", "list"]).expect(0).says("No connectors.");
}

/// Lines that are written while someone looks are seen.
fn tap(server: SocketAddr, input: &std::path::Path) {
    use std::io::Write as _;
    let seen = std::thread::spawn(move || {
        ask(server, &["tap", "in", "--stage", "poll", "--limit", "1", "--seconds", "30", "--json"])
    });
    let mut file = std::fs::OpenOptions::new().append(true).open(input).unwrap();
    let mut written = 0;
    wait_for("a record is seen", DEADLINE, || {
        // The look begins at a moment that nobody else is told of.
        if written < 500 {
            writeln!(file, "line {written}").unwrap();
            written += 1;
        }
        seen.is_finished().then_some(())
    });
    let seen = seen.join().unwrap().expect(0);
    assert!(seen.json()["value"].as_str().unwrap().starts_with("line "), "{seen:?}");
}

fn dead_letters(ask: &dyn Fn(&[&str]) -> Outcome) {
    ask(&["dlq", "list", "out"]).expect(0).says("0 dead letters in topic whole-dead");
    ask(&["dlq", "show", "out"]).expect(0).says("No dead letters.");
    ask(&["dlq", "replay", "out", "--dry-run"]).expect(0).says("0 dead letters would be replayed, 0 left");
}
