//! The table of connectors against itself and against the folders of the source.

use std::collections::BTreeSet;
use std::path::Path;

use rmqc_core::registry::{ConnectorKind, connectors, duplicate_names, find_connector};

#[test]
fn no_name_is_claimed_twice() {
    assert_eq!(duplicate_names(), Vec::<String>::new());
}

#[test]
fn every_folder_registers_a_connector_and_every_connector_has_a_folder() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/src");
    let folders: BTreeSet<String> = std::fs::read_dir(source)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir() && entry.file_name() != "testing")
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let registered: BTreeSet<String> = connectors()
        .iter()
        .map(|factory| factory.name.rsplit_once('-').expect("a name and its kind").0.replace('-', "_"))
        .collect();
    assert!(!folders.is_empty());
    assert_eq!(folders, registered);
}

#[test]
fn a_connector_is_found_by_all_its_names() {
    for factory in connectors() {
        let kind = match factory.build.kind() {
            ConnectorKind::Source => "source",
            ConnectorKind::Sink => "sink",
        };
        assert_eq!(factory.name.rsplit_once('-').map(|(_, kind)| kind), Some(kind), "{}", factory.name);
        let simple = factory.java_class.rsplit('.').next().unwrap();
        let short = simple.strip_suffix("Connector").expect("a connector class");
        assert_eq!(factory.java_task_class, factory.java_class.replace("Connector", "Task"), "{}", factory.name);
        for asked in [factory.name, factory.java_class, simple, short] {
            let found = find_connector(asked).map(|found| found.name);
            assert_eq!(found, Some(factory.name), "asked for {asked}");
        }
    }
}
