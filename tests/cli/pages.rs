//! Help, completions and manual pages: every command is in them.

use super::run::run;
use super::support::TempDir;

/// Commands and what they consist of.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "connectors",
        &["list", "describe", "create", "apply", "diff", "pause", "resume", "restart", "stop", "delete", "config"],
    ),
    ("tasks", &["list", "show", "restart"]),
    ("offsets", &["get", "set", "reset"]),
    ("dlq", &["list", "show", "replay"]),
    ("plugins", &["list", "show"]),
    ("validate", &[]),
    ("tap", &[]),
    ("top", &[]),
    ("worker", &[]),
    ("loggers", &["get", "set"]),
    ("health", &[]),
    ("completions", &[]),
    ("man", &[]),
    ("quickstart", &[]),
];

#[test]
fn help_names_every_command_and_shows_examples() {
    let top = run(&["--help"]).expect(0);
    top.says("  admin ");
    for (command, parts) in COMMANDS {
        top.says(&format!("  {command} "));
        let help = run(&[command, "--help"]).expect(0);
        if *command != "quickstart" {
            help.says("Example");
        }
        for part in *parts {
            help.says(&format!("  {part} "));
            run(&[command, part, "--help"]).expect(0).says("Example").says(&format!("rmqc-fast {command} {part}"));
        }
    }
    run(&["--version"]).expect(0).says(env!("CARGO_PKG_VERSION"));
}

#[test]
fn completions_are_made_for_every_shell() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef rmqc-fast"),
        ("fish", "complete -c rmqc-fast"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(&["completions", shell]).expect(0);
        script.says(sign);
        for (command, _) in COMMANDS {
            script.says(command);
        }
    }
    run(&["completions", "cmd"]).expect(2);
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    run(&["man"]).expect(0).says(".TH rmqc").says("connectors");
    let dir = TempDir::new("man");
    let pages = dir.file("pages");
    run(&["man", pages.to_str().unwrap()]).expect(0);
    for (command, parts) in COMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("rmqc-fast-{command}.1"))).unwrap();
        assert!(page.contains(".SH"), "{page}");
        parts.iter().for_each(|part| assert!(pages.join(format!("rmqc-fast-{command}-{part}.1")).is_file(), "{part}"));
    }
    std::fs::write(dir.file("file"), "").unwrap();
    run(&["man", dir.file("file").to_str().unwrap()]).expect(1).complains("manual pages");
}
