//! Golden frames and messages taken from an Apache broker, and a mutation loop over them; `captures/README.md` tells how
//! they were taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells by printing"
)]

#[path = "../support/fuzz_targets.rs"]
mod fuzz_targets;
mod golden;
mod mutation;

use std::path::PathBuf;

/// All captured files by name, in the order of their names.
fn captures() -> Vec<(String, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/captures");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut captures: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    captures.sort();
    assert!(captures.len() > 30, "the captures are there");
    captures
}

fn capture(name: &str) -> Vec<u8> {
    captures().into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no capture {name}")).1
}
