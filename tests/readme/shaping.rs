//! The section «Shaping records»: its connector, created as it stands there, does what the text says.

use std::time::Duration;

use serde_json::Value;

use super::support::worker::{Worker, file_source, wait_lines};
use super::support::{TempDir, repository};

const DEADLINE: Duration = Duration::from_secs(60);
const SECTION: &str = "\n## Shaping records\n";

#[test]
fn records_are_shaped_as_the_section_says() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split_once(SECTION).expect("the section").1.split("\n## ").next().unwrap();
    let config = section.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a configuration");
    let mut config: Value = serde_json::from_str(config).unwrap();
    let (before, after) = {
        let mut quoted = section.split('`').filter(|text| text.starts_with("{\"customer\""));
        (quoted.next().expect("the line"), quoted.next().expect("what comes out"))
    };

    let home = TempDir::new("shaping");
    let (input, output) = (home.file("orders.json"), home.file("out.txt"));
    assert_eq!(config["filename"], "/tmp/rmqc-orders.txt");
    config["filename"] = Value::from(output.to_str().unwrap());
    std::fs::write(&input, format!("{{\"customer\":\"test-7\",\"address\":{{}}}}\nno JSON\n{before}\n")).unwrap();
    let mut worker = Worker::start(home.path(), "embedded");
    worker.create("orders", &config);
    worker.create("in", &file_source(&input, "orders"));
    assert_eq!(String::from_utf8(wait_lines(&output, 1, DEADLINE)).unwrap(), format!("{after}\n"));
    let letters = home.file("letters.txt");
    worker.create("letters", &super::support::worker::file_sink(&letters, "orders-dead"));
    assert_eq!(wait_lines(&letters, 1, DEADLINE), b"no JSON\n");
    worker.stop();
    assert_eq!(std::fs::read_to_string(&output).unwrap(), format!("{after}\n"), "nothing else came through");
}
