//! `pluginPaths` in the built worker: what lies there is told at the start and after `/plugin/reload`, and stops nothing.
#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use support::worker::Worker;
use support::{TempDir, wait_until};

#[test]
fn what_lies_under_the_paths_is_told_and_told_again() {
    let dir = TempDir::new("plugin-paths");
    let folder = dir.file("plugins");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("broken.jar"), "PK").unwrap();
    let class = folder.join("FileSourceConnector.class");
    std::fs::write(&class, "").unwrap();
    let paths = format!("pluginPaths= {} ,/no/such/folder,{}/*.jar", folder.display(), folder.display());
    let mut worker = Worker::start_with(&dir.file("worker"), "embedded", &[&paths]);
    let told = || worker.request("GET", "/v1/plugins/paths", "");
    wait_until("the first scan", Duration::from_secs(30), || told()["scanned"] == true);

    let first = told();
    let entry = |index: usize| first["paths"][index].clone();
    assert_eq!(entry(0)["entry"], folder.to_str().unwrap());
    let built_in = &entry(0)["found"][0];
    assert_eq!(built_in["path"], class.to_str().unwrap());
    assert_eq!(built_in["builtIn"], serde_json::json!(["FileSourceConnector"]));
    let broken = entry(0)["found"][1].clone();
    assert!(broken["reason"].as_str().unwrap().contains("no whole zip file"), "{broken}");
    assert!(entry(1)["problems"][0].as_str().unwrap().contains("/no/such/folder"), "{first}");
    assert_eq!(entry(2)["found"], serde_json::json!([broken]));
    let log = worker.log();
    assert!(!log.contains("panicked"), "{log}");

    std::fs::remove_file(&class).unwrap();
    assert_eq!(worker.get("/plugin/reload"), "Plugin reload succeeded");
    assert_eq!(told()["paths"][0]["found"].as_array().unwrap().len(), 1);
    worker.stop();
}
