//! `rmqc-fast doctor` against broken set-ups: each is found, its remedy named, and once the remedy is applied all is well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod cluster;
mod fake;
mod files;
mod machine;
#[path = "../support/mod.rs"]
mod support;
mod visit;

use std::time::Duration;

use visit::{Setup, Visit, doctor};

/// The doctor is done after this time, whatever hangs.
const TIME_MAX: Duration = Duration::from_secs(12);

#[test]
fn a_sound_setup_is_ok_and_stays_as_it_was() {
    let setup = Setup::new();
    let visit = setup.visit();
    assert_eq!(visit.code, 0, "{}", visit.text);
    for check in ["conf", "driver", "memlock", "cores", "clock", "exposure", "store", "store lock", "logs", "port"] {
        visit.is_ok(check);
    }
    visit.finds("name server", "warn", "embedded");
    let left: Vec<_> = std::fs::read_dir(setup.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["connect.conf"], "nothing else was made");
}

#[test]
fn people_get_lines_with_the_remedy_below() {
    let setup = Setup::new();
    drop(setup.command());
    let mut command = doctor();
    let visit = Visit::of({
        command.arg("-c").arg(setup.conf());
        command
    });
    assert_eq!(visit.code, 0);
    assert!(visit.text.contains("\nwarn  name server  namesrvAddr=embedded: "), "{}", visit.text);
    assert!(visit.text.contains("\n      remedy:      set namesrvAddr=HOST:9876"), "{}", visit.text);
    assert!(visit.text.trim_end().ends_with("1 warn, 0 fail"), "{}", visit.text);
}

#[test]
fn what_can_not_be_read_ends_with_2() {
    let visit = Visit::of({
        let mut command = doctor();
        command.args(["-c", "/no/such/file"]);
        command
    });
    assert_eq!(visit.code, 2);
    assert!(visit.text.contains("/no/such/file"), "{}", visit.text);
    let visit = Visit::of({
        let mut command = doctor();
        command.arg("--no-such-flag");
        command
    });
    assert_eq!(visit.code, 2);
}

#[test]
fn the_doctor_ends_whatever_hangs() {
    let (one, _listens) = fake::silent();
    let (other, _listens_too) = fake::silent();
    let mut setup = Setup::new();
    setup.set("namesrvAddr", &format!("{one};{other}"));
    // A pipe that nobody writes to: whoever opens it waits.
    let pipe = setup.dir.file("pipe.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    setup.arguments.extend(["--connector".to_owned(), pipe.display().to_string()]);
    let visit = setup.visit();
    visit.finds("connector", "fail", "did not end within");
    visit.finds("name server", "fail", "no answer");
    assert!(visit.took < TIME_MAX, "{:?}", visit.took);
}
