//! The Java project's tool: its commands, options, tables and messages, over the Java routes.

use std::os::unix::process::CommandExt as _;

use serde_json::json;

use super::fake::Fake;
use super::run::{Outcome, clean, run};
use super::support::TempDir;

/// Runs it with a conf file that names the worker, as the old script does.
fn admin(fake: &Fake, arguments: &[&str]) -> Outcome {
    let dir = TempDir::new("admin");
    let conf = dir.file("connect.conf");
    let (host, port) = (fake.address.ip(), fake.address.port());
    std::fs::write(&conf, format!("httpAddr={host}\nhttpPort={port}\n")).unwrap();
    run(&[&["admin", "-s", conf.to_str().unwrap()], arguments].concat())
}

#[test]
fn every_command_asks_a_java_route_and_prints_the_answer() {
    for (arguments, line) in [
        (&["stopConnector", "-c", "a b"][..], "GET /connectors/a%20b/stop"),
        (&["queryConnectorConfig", "-c", "in"], "GET /connectors/in/config"),
        (&["queryConnectorStatus", "--connectorName", "in"], "GET /connectors/in/status"),
        (&["stopAll"], "GET /connectors/stop/all"),
        (&["reloadPlugins"], "GET /plugin/reload"),
        (&["getConfigInfo"], "GET /connectors/list"),
        (&["getClusterInfo"], "GET /getClusterInfo"),
        (&["GETCLUSTERINFO"], "GET /getClusterInfo"),
        (&["pauseConnector", "-c", "in"], "GET /connectors/in/pause"),
        (&["pause", "-c", "in"], "GET /connectors/in/pause"),
        (&["resumeConnector", "-cin"], "GET /connectors/in/resume"),
        (&["pauseAll"], "GET /connectors/pause/all"),
        (&["resumeAll"], "GET /connectors/resume/all"),
        (&["listConnectors"], "GET /connectors/list"),
        (&["listPlugins"], "GET /plugin/list"),
        (&["queryTaskStatus", "-c", "in", "-t", "0"], "GET /connectors/in/tasks/0/status"),
    ] {
        // A percent sign is no format.
        let answer = r#"{"status":200,"body":"100% %d"}"#;
        let fake = Fake::start(&[(line, 200, answer)]);
        assert_eq!(admin(&fake, arguments).expect(0).out, format!("{answer}\n"));
        assert_eq!(fake.lines(), [line]);
        // Refused, with the Java worker's status 200.
        let fake = Fake::start(&[(line, 200, r#"{"errorCode":500,"message":"no"}"#)]);
        admin(&fake, arguments).expect(1).says("errorCode");
    }
}

#[test]
fn a_connector_is_created_from_a_file() {
    let dir = TempDir::new("admin");
    let file = dir.file("in.json");
    std::fs::write(&file, r#"{"connector.class":"C"}"#).unwrap();
    let fake = Fake::start(&[("POST /connectors/in", 200, r#"{"status":200,"body":{}}"#)]);
    admin(&fake, &["createConnector", "-c", "in", "-p", file.to_str().unwrap()]).expect(0).says("200");
    assert_eq!(fake.requests()[0].body, json!({"connector.class": "C"}));
    admin(&fake, &["createConnector", "-c", "in", "-p", "/nowhere"]).expect(1).says("/nowhere");
}

#[test]
fn what_is_allocated_is_a_table() {
    let connectors = r#"{"status":200,"body":{"in":{"connect.topicname":"t"}}}"#;
    let tasks = r#"{"status":200,"body":{"pendingTasks":[],"runningTasks":[{"connectorName":"in","taskState":"RUNNING",
        "config":{"task.id":"0","task.class":"org.x.FileSourceTask","connect.topicname":"t"}}]}}"#;
    let fake = Fake::start(&[("GET /allocated/connectors", 200, connectors), ("GET /allocated/tasks", 200, tasks)]);
    let table = admin(&fake, &["getAllocatedConnectors"]).expect(0);
    table.says("connectorName").says("update-timestamp").says("RUNNING          t");
    let table = admin(&fake, &["getAllocatedTasks"]).expect(0);
    table.says("taskName").says("taskId").says("FileSourceTask");
    admin(&fake, &["getAllocatedInfo"]).expect(0).says("connect.topicname").says("runningTasks");
    let fake = Fake::start(&[]);
    admin(&fake, &["getAllocatedTasks"]).expect(1).says("Not Found");
}

#[test]
fn help_and_mistakes_are_told_as_before() {
    let fake = Fake::start(&[]);
    let list = admin(&fake, &[]).expect(0);
    assert!(list.out.starts_with(
        "The most commonly used connectAdmin commands are:\n   createConnector           Create and start"
    ));
    list.says("\n\nSee 'connectAdmin help <command>' for more information on a specific command.");
    let usage = "usage: connectAdmin stopConnector -c <arg> [-h]\n -c,--connectorName <arg>   connector name\n";
    admin(&fake, &["help", "stopConnector"]).expect(0).says(usage);
    admin(&fake, &["stopConnector", "-h"]).expect(0).says(usage);
    admin(&fake, &["stopConnector"]).expect(2).says(usage).complains("Missing required option: c");
    admin(&fake, &["help"]).expect(2).says("The sub command help not exist.");
    admin(&fake, &["help", "lost"]).expect(2).says("The sub command lost not exist.");
    admin(&fake, &["lost"]).expect(2).says("The sub command lost not exist.");
    admin(&fake, &["-x"]).expect(255).says("usage: connect ");
    admin(&fake, &["-h"]).expect(0).says("usage: connect ");
    assert_eq!(fake.lines(), [] as [&str; 0]);
    run(&["admin", "-s", "/nowhere", "stopAll"]).expect(2).complains("/nowhere");
}

#[test]
fn nobody_there_is_an_exit_code_of_its_own() {
    let dir = TempDir::new("admin");
    let conf = dir.file("connect.conf");
    std::fs::write(&conf, "httpAddr=127.0.0.1\nhttpPort=1\n").unwrap();
    run(&["admin", "-s", conf.to_str().unwrap(), "getClusterInfo"]).expect(3).complains("127.0.0.1:1");
}

#[test]
fn the_program_is_connect_admin_by_that_name() {
    let outcome: Outcome = clean(env!("CARGO_BIN_EXE_rmqc-fast")).arg0("/x/connectAdmin").output().unwrap().into();
    outcome.expect(0).says("The most commonly used connectAdmin commands are:");
}
