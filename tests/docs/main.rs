//! The pages in `docs`: every command of their shell blocks is typed as it stands there, and shows what the page says.
//!
//! In a block of code marked `sh`, a line `# shows: TEXT` says that the output of the command before it holds this text,
//! sooner or later: the command is repeated until it does. Pages use port 8082 and files below `/tmp/rmqc`, which a test
//! replaces by its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

#[path = "../readme/shell.rs"]
mod shell;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use shell::Shell;
use support::worker::free_port;
use support::{TempDir, repository};

/// What a page promises is there within this time.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two tries of one command.
const PAUSE: Duration = Duration::from_millis(100);
const SHOWS: &str = "# shows: ";

/// A command and what its output must hold.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    shows: Vec<String>,
}

/// The steps of all `sh` blocks of a page, in order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    let mut open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(kind) => {
                assert!(!open, "a command has no end before the block's: {steps:?}");
                inside = !inside && kind == "sh";
                continue;
            }
            None if !inside => continue,
            None => {}
        }
        if open {
            let step = steps.last_mut().expect("an open command");
            step.command.push('\n');
            step.command.push_str(line);
        } else if let Some(text) = line.strip_prefix(SHOWS) {
            steps.last_mut().expect("a command before what it shows").shows.push(text.to_owned());
            continue;
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else {
            steps.push(Step { command: line.to_owned(), shows: Vec::new() });
        }
        let command = &steps.last().expect("a command").command;
        let quotes = command.matches('\'').count() % 2 == 1;
        let document = command.contains("<<") && !command.ends_with("\nEOF");
        open = quotes || document || command.ends_with('\\');
    }
    steps
}

/// Types a page's commands.
fn follow(name: &str) {
    let page = std::fs::read_to_string(repository().join("docs").join(name)).unwrap();
    let (home, port) = (TempDir::new("docs"), free_port());
    // The program under the name that the pages use, and the folder that they are read in.
    let tools = home.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rmqc-fast"), tools.join("rmqc-fast")).unwrap();
    let files = home.path().join("rmqc");
    let typed = page.replace("8082", &port.to_string()).replace("/tmp/rmqc", files.to_str().unwrap());
    let mut shell = Shell::start(repository(), home.path());
    shell.run(&format!("export PATH={}:$PATH RMQC_SERVER=http://127.0.0.1:{port}", tools.display()));
    let steps = steps(&typed);
    assert!(steps.iter().any(|step| !step.shows.is_empty()), "{name} shows nothing");
    for Step { command, shows } in steps {
        let end = Instant::now() + DEADLINE;
        loop {
            let (code, said) = shell.attempt(&command);
            let missing: Vec<_> = shows.iter().filter(|text| !said.contains(text.as_str())).collect();
            if missing.is_empty() && code == "0" {
                println!("$ {command}\n{said}");
                break;
            }
            let over = shows.is_empty() || Instant::now() > end;
            assert!(!over, "{name}: {command}\nended with {code} and without {missing:?}:\n{said}");
            std::thread::sleep(PAUSE);
        }
    }
    shell.run("for job in $(jobs -p); do kill $job; wait $job; done");
}

#[test]
fn steps_are_read_as_they_are_typed() {
    let page =
        "text\n```sh\na 'b\nc'\n# shows: x y\n\n# a remark\nd <<EOF\ne\nEOF\nf \\\n  g\n```\n```\nnot typed\n```\n";
    let step = |command: &str, shows: &[&str]| Step {
        command: command.to_owned(),
        shows: shows.iter().map(|text| (*text).to_owned()).collect(),
    };
    let expected = [step("a 'b\nc'", &["x y"]), step("d <<EOF\ne\nEOF", &[]), step("f \\\n  g", &[])];
    assert_eq!(steps(page), expected);
}

/// Every page has a test, so that none is forgotten.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            follow($page);
        })*
    };
}

pages! {
    run_it: "run-it.md",
    migrate: "migrate-from-java.md",
    write_a_connector: "write-a-connector.md",
    errors_and_dlq: "errors-and-dlq.md",
    offsets: "offsets.md",
    operate: "operate.md",
    secrets: "secrets.md",
    watch: "watch.md",
}

#[test]
fn every_page_is_followed() {
    let all = std::fs::read_dir(repository().join("docs")).unwrap();
    let mut all: Vec<String> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.retain(|name| name.ends_with(".md") && name != "README.md");
    all.sort();
    let mut tested: Vec<&str> = PAGES.to_vec();
    tested.sort_unstable();
    assert_eq!(all, tested);
}
