use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rmqc_core::position::{RecordPartition, Scalar};

use super::*;

fn connector(name: &str, target: TargetState) -> StoredConnector {
    let properties = Properties::from([("connector.class".to_owned(), "x.Src".to_owned())]);
    let task = Properties::from([("task.id".to_owned(), "0".to_owned())]);
    StoredConnector { name: name.to_owned(), properties, target, epoch: 1_700_000_000_000, tasks: vec![task] }
}

fn position(partition: Scalar, next: &str) -> StoredPosition {
    StoredPosition {
        partition: RecordPartition(BTreeMap::from([("filename".to_owned(), partition)])),
        offset: BTreeMap::from([("nextPosition".to_owned(), Scalar::Text(next.to_owned()))]),
    }
}

fn status(name: &str) -> StoredStatus {
    let task = |index, trace: Option<&str>| StoredTaskStatus {
        index,
        state: if trace.is_some() { "FAILED" } else { "RUNNING" }.to_owned(),
        trace: trace.map(str::to_owned),
        generation: 1,
    };
    StoredStatus {
        connector: name.to_owned(),
        state: "RUNNING".to_owned(),
        trace: None,
        worker_id: "w1".to_owned(),
        generation: 1_700_000_000_001,
        tasks: vec![task(0, None), task(1, Some("disk full"))],
    }
}

/// What every form of the three stores must do.
fn suite(stores: &mut Stores) {
    assert!(stores.config.all().is_empty() && stores.state.all().is_empty());
    stores.config.put(&[connector("b", TargetState::Started), connector("a/ä", TargetState::Paused)]).unwrap();
    stores.config.put(&[connector("b", TargetState::Paused)]).unwrap();
    assert_eq!(stores.config.all(), [connector("a/ä", TargetState::Paused), connector("b", TargetState::Paused)]);
    stores.config.remove(&["b".to_owned(), "never".to_owned()]).unwrap();
    assert_eq!(stores.config.all().len(), 1);

    let file = || Scalar::Text("in.txt".to_owned());
    stores.position.put(&[("s".to_owned(), vec![position(file(), "1"), position(Scalar::Integer(7), "2")])]).unwrap();
    stores
        .position
        .put(&[("s".to_owned(), vec![position(Scalar::Integer(7), "3")]), ("t".to_owned(), vec![])])
        .unwrap();
    let mut of = stores.position.of("s");
    of.sort_by_key(|position| format!("{:?}", position.offset));
    assert_eq!(of, [position(file(), "1"), position(Scalar::Integer(7), "3")]);
    assert!(stores.position.of("t").is_empty());
    let offset = |next: &str| Some(position(Scalar::Null, next).offset);
    let partition = |value: Scalar| position(value, "").partition;
    let edits = vec![
        (partition(file()), None),
        (partition(Scalar::Integer(7)), offset("8")),
        (partition(Scalar::Integer(7)), offset("9")),
        (partition(Scalar::Boolean(true)), offset("1")),
        (partition(Scalar::Text("never".to_owned())), None),
    ];
    stores.position.alter("s", &edits).unwrap();
    assert_eq!(stores.position.of("s"), [position(Scalar::Integer(7), "9"), position(Scalar::Boolean(true), "1")]);
    stores.position.put(&[("u".to_owned(), vec![position(file(), "1")])]).unwrap();
    stores.position.remove("u").unwrap();
    stores.position.remove("never").unwrap();
    assert!(stores.position.of("u").is_empty());

    stores.state.replace(&[status("n"), status("m")]).unwrap();
    assert_eq!(stores.state.all(), [status("m"), status("n")]);
    stores.state.replace(&[status("n")]).unwrap();
    assert_eq!(stores.state.all(), [status("n")]);
}

#[test]
fn the_memory_form_keeps_what_it_is_given() {
    suite(&mut Stores::in_memory());
}

#[test]
fn the_file_form_keeps_it_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    suite(&mut Stores::in_files(dir.path()).unwrap());
    let again = Stores::in_files(dir.path()).unwrap();
    assert_eq!(again.config.all(), [connector("a/ä", TargetState::Paused)]);
    assert_eq!(again.position.of("s").len(), 2);
    assert!(again.position.of("u").is_empty());
    assert_eq!(again.state.all(), [status("n")]);
}

fn written(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join("config").join(name)).unwrap()
}

#[test]
fn the_files_are_those_of_the_java_worker() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = Stores::in_files(dir.path()).unwrap();
    let mut source = connector("fileSource", TargetState::Started);
    source.tasks.clear();
    stores.config.put(&[source]).unwrap();
    let text = Scalar::Text("in.txt".to_owned());
    stores.position.put(&[("fileSource".to_owned(), vec![position(text, "25")])]).unwrap();
    assert_eq!(
        written(dir.path(), "position.json"),
        r#"{"eyJuYW1lc3BhY2UiOiJmaWxlU291cmNlIiwicGFydGl0aW9uIjp7ImZpbGVuYW1lIjoiaW4udHh0In19":"eyJvZmZzZXQiOnsibmV4dFBvc2l0aW9uIjoiMjUifX0="}"#
    );
    assert_eq!(
        written(dir.path(), "connectorConfig.json"),
        r#"{"ZmlsZVNvdXJjZQ==":"eyJlcG9jaCI6MTcwMDAwMDAwMDAwMCwicHJvcGVydGllcyI6eyJjb25uZWN0b3IuY2xhc3MiOiJ4LlNyYyJ9LCJ0YXJnZXRTdGF0ZSI6IlNUQVJURUQifQ=="}"#
    );
}

#[test]
fn a_stopped_connector_is_a_paused_one_to_the_java_worker() {
    use base64::Engine as _;
    let dir = tempfile::tempdir().unwrap();
    let mut stores = Stores::in_files(dir.path()).unwrap();
    stores.config.put(&[connector("a", TargetState::Stopped)]).unwrap();
    let file: BTreeMap<String, String> = serde_json::from_str(&written(dir.path(), "connectorConfig.json")).unwrap();
    let engine = base64::engine::general_purpose::STANDARD;
    let value = String::from_utf8(engine.decode(&file[&engine.encode("a")]).unwrap()).unwrap();
    assert!(value.ends_with(r#""stopped":true,"targetState":"PAUSED"}"#), "{value}");
    assert_eq!(Stores::in_files(dir.path()).unwrap().config.all()[0].target, TargetState::Stopped);
    // A worker that does not know the member let it go on.
    let resumed = value.replace("PAUSED", "STARTED");
    let file = BTreeMap::from([(engine.encode("a"), engine.encode(resumed))]);
    fs::write(dir.path().join("config/connectorConfig.json"), serde_json::to_string(&file).unwrap()).unwrap();
    assert_eq!(Stores::in_files(dir.path()).unwrap().config.all()[0].target, TargetState::Started);
}

#[test]
fn a_java_workers_positions_are_read_whatever_the_order_and_width_of_numbers() {
    use base64::Engine as _;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("config")).unwrap();
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let key = encode(r#"{"partition":{"filename":7},"namespace":"s"}"#);
    let file = format!("{{ \"{key}\" : \"{}\" }}\n", encode(r#"{"offset":{"nextPosition":"9"}}"#));
    fs::write(dir.path().join("config/position.json"), file).unwrap();
    let mut stores = Stores::in_files(dir.path()).unwrap();
    assert_eq!(stores.position.of("s"), [position(Scalar::Integer(7), "9")]);
    stores.position.put(&[("s".to_owned(), vec![position(Scalar::Integer(7), "10")])]).unwrap();
    assert_eq!(stores.position.of("s").len(), 1, "the same partition, not a second one");
}

#[test]
fn a_damaged_file_gives_way_to_its_backup() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = Stores::in_files(dir.path()).unwrap();
    stores.config.put(&[connector("a", TargetState::Started)]).unwrap();
    stores.config.put(&[connector("b", TargetState::Started)]).unwrap();
    let path = dir.path().join("config/connectorConfig.json");
    for damage in [&b""[..], b"{\"YQ==\":\"!\"}", b"{\"YQ==\":", b"\xff"] {
        fs::write(&path, damage).unwrap();
        let names: Vec<_> =
            Stores::in_files(dir.path()).unwrap().config.all().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["a"], "{damage:?}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(Stores::in_files(dir.path()).unwrap().config.all().len(), 1);
}

#[test]
fn damage_without_a_backup_refuses_the_start_and_names_file_place_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("config")).unwrap();
    fs::write(dir.path().join("config/position.json"), "{\"a\":\n  nonsense}").unwrap();
    let error = Stores::in_files(dir.path()).err().unwrap().to_string();
    assert!(error.contains("position.json is damaged at byte"), "{error}");
    assert!(error.contains("restore it from a copy, or move it"), "{error}");
    fs::write(dir.path().join("config/position.json"), "").unwrap();
    let error = Stores::in_files(dir.path()).err().unwrap().to_string();
    assert!(error.contains("the file is empty"), "{error}");
}

#[test]
fn a_failed_write_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = Stores::in_files(dir.path()).unwrap();
    stores.config.put(&[connector("a", TargetState::Started)]).unwrap();
    // A directory where the temporary file belongs makes every write fail, also for root.
    fs::create_dir(dir.path().join("config/connectorConfig.json.tmp")).unwrap();
    assert!(stores.config.put(&[connector("b", TargetState::Started)]).is_err());
    assert_eq!(stores.config.all().len(), 1);
    assert_eq!(Stores::in_files(dir.path()).unwrap().config.all().len(), 1);
}
