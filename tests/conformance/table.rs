//! The table of connectors against itself and against the folders of the source.

use std::collections::BTreeSet;
use std::path::Path;

use rmqc_core::registry::{connectors, duplicate_names};

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
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let registered: BTreeSet<String> = connectors()
        .iter()
        .map(|factory| factory.name.rsplit_once('-').expect("a name and its kind").0.replace('-', "_"))
        .collect();
    assert!(!folders.is_empty());
    assert_eq!(folders, registered);
}
