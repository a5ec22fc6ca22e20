//! Messages as the Java worker wrote them, from the same lines and the same configuration. Bodies are compared as bytes,
//! JSON bodies as JSON, since the order of their members is an accident there.
//!
//! What differs on purpose: `UNIQ_KEY` and `connect.timestamp` are the only properties of a batched message, where the
//! Java client's single messages get `MSG_REGION`, `TRACE_ON` and `CLUSTER` from the broker; and an empty line is an
//! empty body with the String converter, where the Java client refuses it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::broker::TestBroker;
use super::support::plane::Options;
use super::support::{TempDir, number, on_each_driver, wait_for};

const JSON: &str = "org.apache.rocketmq.connect.runtime.converter.record.json.JsonConverter";

/// A configuration's keys, and for each line the body that was captured; `FILE` stands for the file's name.
struct Capture {
    config: &'static [(&'static str, &'static str)],
    messages: &'static [(&'static str, &'static str)],
}

const CAPTURES: [Capture; 3] = [
    Capture {
        config: &[],
        messages: &[("Hello", "Hello"), ("{\"a\": 1}", "{\"a\": 1}"), ("mehr Text: äöü 文件", "mehr Text: äöü 文件")],
    },
    Capture {
        config: &[("value.converter", JSON)],
        messages: &[
            (
                "RocketMQ",
                r#"{"schema":{"name":"FILE_line","optional":false,"type":"string","parameters":{}},"payload":"RocketMQ"}"#,
            ),
            (
                "Hello",
                r#"{"schema":{"name":"FILE_line","optional":false,"type":"string","parameters":{}},"payload":"Hello"}"#,
            ),
            (
                "Connect",
                r#"{"schema":{"name":"FILE_line","optional":false,"type":"string","parameters":{}},"payload":"Connect"}"#,
            ),
            ("", r#"{"schema":{"name":"FILE_line","optional":false,"type":"string","parameters":{}},"payload":""}"#),
        ],
    },
    Capture {
        config: &[("value.converter", JSON), ("value.converter.schemas.enable", "false")],
        messages: &[("RocketMQ", "\"RocketMQ\""), ("Hello", "\"Hello\""), ("Connect", "\"Connect\""), ("", "\"\"")],
    },
];

#[test]
fn messages_are_those_of_the_java_worker() {
    on_each_driver(|driver| {
        for capture in CAPTURES {
            let (dir, broker) = (TempDir::new(), TestBroker::start(driver));
            let file = dir.file("in.txt");
            let lines: Vec<_> = capture.messages.iter().map(|(line, _)| format!("{line}\n")).collect();
            std::fs::write(&file, lines.concat()).unwrap();
            let plane = Options::new(driver, broker.address).start();
            let own = [
                ("connector.class", "org.apache.rocketmq.connect.file.FileSourceConnector"),
                ("filename", &*file),
                ("connect.topicname", "fileTopic"),
            ];
            let config: Vec<_> = own.iter().chain(capture.config).copied().collect();
            let task = plane.run(&format!("captured-{}", number()), "file-source", &config);
            let count = capture.messages.len();
            let stored = wait_for("all messages", || {
                let stored: Vec<_> = broker.content("fileTopic").into_values().flatten().collect();
                (stored.len() == count).then_some(stored)
            });
            let bodies: BTreeSet<String> =
                stored.iter().map(|stored| shown(&String::from_utf8(stored.body.clone()).unwrap())).collect();
            let expected =
                capture.messages.iter().map(|(_, body)| shown(&body.replace("FILE", &file))).collect::<BTreeSet<_>>();
            assert_eq!(bodies, expected);
            for properties in broker.properties("fileTopic") {
                let names: Vec<&str> = properties.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(names, ["UNIQ_KEY", "connect.timestamp"]);
                assert!(properties[0].1.len() >= 32 && properties[0].1.bytes().all(|byte| byte.is_ascii_hexdigit()));
                assert!(properties[1].1.parse::<i64>().is_ok());
            }
            plane.stop(&task);
            plane.shut_down();
        }
    });
}

/// The text itself; of a JSON envelope a form that does not depend on the order of members.
fn shown(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(Value::Object(envelope)) if envelope.contains_key("payload") => Value::Object(envelope).to_string(),
        _ => body.to_owned(),
    }
}
