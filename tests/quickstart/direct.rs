//! A direct connector in the built program, with no broker to reach.

use std::time::Duration;

use serde_json::json;

use super::support::TempDir;
use super::support::worker::{Worker, wait_lines};

const LINES: usize = 5000;
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_direct_connector_fills_a_file_and_goes_on_where_it_stopped() {
    let home = TempDir::new("direct");
    let out = home.file("out.txt");
    let mut worker = Worker::start(home.path(), "127.0.0.1:1");
    let config = json!({
        "connector.class": "generator-source",
        "connector.direct.enable": "true",
        "source.task.class": "rmqc.connectors.GeneratorSourceTask",
        "sink.task.class": "org.apache.rocketmq.connect.file.FileSinkTask",
        "records": LINES.to_string(),
        "records.per.second": "5000",
        "record.bytes": "40",
        "filename": out.to_str().unwrap(),
    });
    worker.create("direct", &config);
    worker.wait_state("direct", "RUNNING");
    wait_lines(&out, LINES / 10, DEADLINE);
    worker.stop();
    worker.start_again();
    worker.ensure("direct", &config);
    let content = String::from_utf8(wait_lines(&out, LINES, DEADLINE)).unwrap();
    let numbers: Vec<usize> = content.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(0..LINES), "each line once, in order");
    worker.stop();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), content, "the stop added nothing");
}
