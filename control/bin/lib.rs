//! The program, as a library: [`main`] reads flags and files, starts the rooms in order, waits for a signal, stops them in
//! order. Whoever has connectors of their own writes a binary that registers them and calls it.
//!
//! # Code of one's own
//!
//! `rmqc-fast new connector NAME` writes a crate that builds, has a passing test and can be run; start there. By hand it
//! takes a crate that depends on this one, and on no other of the workspace:
//!
//! ```ignore
//! use rmqc_fast::prelude::*;
//!
//! /// Writes the value of every record in capitals.
//! struct Shout;
//!
//! impl Transform for Shout {
//!     fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
//!         if let Value::String(text) = &record.value {
//!             record.value = Value::text(text.to_str().to_uppercase());
//!         }
//!         Ok(Outcome::Keep)
//!     }
//! }
//!
//! register! {
//!     TransformFactory {
//!         name: "shout",
//!         java_class: "com.example.Shout",
//!         aliases: &[],
//!         targets: false,
//!         doc: "Writes the value of every record in capitals.",
//!         keys: &[],
//!         build: |_| Ok(Box::new(Shout)),
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     rmqc_fast::main()
//! }
//! ```
//!
//! The binary is the worker with everything that `rmqc-fast` has, and `shout` besides: configurations name it by `name`,
//! by `java_class`, or by the last part of that; `/plugin/list` shows what is a connector or converter. `tests/own_code`
//! in the repository is such a binary with one part of each kind.
//!
//! - [`prelude`] has the traits, the words and the factories; each trait says what the worker promises and what it
//!   expects.
//! - [`register!`] enters a factory in the table of what a configuration can name. A library crate that registers must be
//!   named once in the binary (`use my_connectors as _;`), else the linker leaves it out. A name that two parts claim is
//!   an error at the start.
//! - [`conformance`] is the exam that the built-in connectors sit: one line in a test.
//! - [`bytes`] and [`tracing`] are the versions that the traits and the log are made with.
//!
//! # What a task must keep to
//!
//! A task lives on one thread together with many others. It reaches the outside through [`prelude::Host`]: files,
//! changes of files, pauses, time. It must not block: a call that may wait for the network or a disk stops every task of
//! its shard, and a shard that stands still is replaced. What needs a library of another kind runs on a thread that the
//! task starts and is handed over in a bounded channel, into which the task looks between pauses (`host.sleep`). Such a
//! thread must not wake the task: a wake-up from another thread can get lost.
//!
//! # Versions
//!
//! This crate follows semantic versioning for what is public here: the items named above, their fields and methods. While
//! the version begins with `0.`, a change that can break a connector's build raises the second number and is told in
//! CHANGELOG.md with what to do; other releases raise the third. Names of configuration keys, the meaning of stored
//! positions and the REST API keep to the same rule. New methods of traits have defaults; new fields of factories are
//! breaking. The crates beneath (`rmqc-core` and the others) promise nothing. The least Rust version is in Cargo.toml, and
//! raising it raises the second number.

pub mod prelude;

mod admin;
mod cli;
mod client;
mod command;
mod doctor;
mod http;
mod logging;
mod new;
mod otlp;
mod progress;
mod quickstart;
mod reporters;
mod top;
mod wire;
mod worker;

/// The exam for connectors: a line in a test.
pub use rmqc_conformance as conformance;

/// Buffers that are handed on without copying: the `bytes` crate in the version that records use.
pub use bytes;

/// Log lines and their fields: the `tracing` crate in the version that the worker writes its log with.
pub use tracing;

#[doc(hidden)]
pub use inventory as __inventory;

/// Enters a factory in the table of everything that a configuration can name. At most one a call, outside functions; no
/// list names it, and it costs nothing at the start.
///
/// ```ignore
/// register! { PredicateFactory { name: "is-large", /* … */ } }
/// ```
#[macro_export]
macro_rules! register {
    ($factory:expr) => {
        $crate::__inventory::submit! { $factory }
    };
}

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use rmqc_control::known_secrets::KnownSecrets;
use rmqc_core::config::key::{ConfigError, ConfigErrors};
use rmqc_core::config::provider::Providers;
use rmqc_core::config::worker::{Environment, Parsed, WorkerConfig, provider_settings};
use rmqc_core::config::{Properties, java};
use tokio::signal::unix::{SignalKind, signal};

use worker::Worker;

// Named once, so that the linker keeps the connectors' entries in the registry.
use rmqc_connectors as _;

/// The flags or the configuration are wrong.
const EXIT_USAGE: u8 = 2;
/// Anything else went wrong.
const EXIT_FAILURE: u8 = 1;
/// Nobody answers at the worker's address.
const EXIT_UNREACHABLE: u8 = 3;

/// The whole program: reads the command line, does what it says, and gives the exit code: 0 done, 1 failed, 2 wrong flags
/// or configuration, 3 the worker can't be reached.
///
/// A binary of one's own registers its connectors and calls this.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|one| one.to_string_lossy().into_owned()).collect();
    if let Some((program, arguments)) = arguments.split_first()
        && admin::is_called_so(program)
    {
        return admin::run(arguments);
    }
    let cli = cli::Cli::parse();
    let result = match cli.command {
        Some(command) => carry_out(command),
        None => run(&cli.worker, cli.check),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say_error(&format!("{error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn carry_out(command: cli::Command) -> anyhow::Result<ExitCode> {
    use cli::Command;
    match command {
        Command::Quickstart(flags) => quickstart::run(&flags),
        Command::Doctor(flags) => doctor::run(flags),
        Command::New(flags) => new::run(&flags),
        Command::Connectors(flags) => flags.run(),
        Command::Tasks(flags) => flags.run(),
        Command::Offsets(flags) => flags.run(),
        Command::Dlq(flags) => flags.run(),
        Command::Plugins(flags) => flags.run(),
        Command::Validate(flags) => flags.run(),
        Command::Tap(flags) => flags.run(),
        Command::Top(flags) => flags.run(),
        Command::Worker(flags) => flags.run(),
        Command::Loggers(flags) => flags.run(),
        Command::Health(flags) => flags.run(),
        Command::Admin(flags) => Ok(flags.run()),
        Command::Completions(flags) => Ok(flags.run()),
        Command::Man(flags) => flags.run(),
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigErrors>() || error.is::<command::UsageError>() {
        EXIT_USAGE
    } else if let Some(client::RequestError::Unreachable { .. }) = error.downcast_ref() {
        EXIT_UNREACHABLE
    } else {
        EXIT_FAILURE
    }
}

/// Prints a line for people; a closed stdout is no reason to stop.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn say_error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "rmqc-fast: {line}");
}

/// Reads the worker's configuration from all its sources.
fn configuration(flags: &cli::WorkerFlags) -> anyhow::Result<Parsed> {
    let conf = match &flags.config_file {
        Some(path) => {
            let unreadable =
                |error: std::io::Error| ConfigError::new("-c", format!("cannot read {}: {error}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| ConfigErrors::from(unreadable(error)))?;
            java::parse(&text)?
        }
        None => Properties::new(),
    };
    let environment = environment_of(flags);
    let providers = Providers::registered(&provider_settings(&conf, &environment));
    Ok(WorkerConfig::build_resolved(&conf, &flags.properties(), &environment, &providers)?)
}

/// The environment of a worker with these flags.
fn environment_of(flags: &cli::WorkerFlags) -> Environment {
    let conf_dir = flags.config_file.as_deref().map(directory_of);
    Environment { conf_dir, ..environment() }
}

/// The directory that a file is in.
fn directory_of(file: &Path) -> PathBuf {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

fn environment() -> Environment {
    let text = |name: &str| std::env::var(name).ok();
    Environment {
        home: text("HOME"),
        connect_home: text("CONNECT_HOME"),
        name_servers: text("NAMESRV_ADDR"),
        io_driver: text("RMQC_IO"),
        conf_dir: None,
    }
}

fn run(flags: &cli::WorkerFlags, check: bool) -> anyhow::Result<ExitCode> {
    let Parsed { config, warnings, secrets } = configuration(flags)?;
    if check {
        reporters::topic_reporter(&config, &KnownSecrets::default())?;
        for warning in warnings {
            say_error(&warning);
        }
        say("The configuration is right.");
        return Ok(ExitCode::SUCCESS);
    }
    let known = Arc::new(KnownSecrets::default());
    known.learn("the worker", &secrets.0);
    let _flushes_at_the_end = logging::start(&config.log_dir, &known)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // Handlers stand before anything is started, so that no signal finds a half-started worker without one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let mut worker = Worker::start(&config, &known)?;
    tracing::info!("The standalone worker boot success.");
    say("The standalone worker boot success.");
    say(&worker.how_to_reach());
    runtime.block_on(async {
        let mut next = async || {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        let began = tokio::select! {
            () = next() => true,
            () = worker.ended() => false,
        };
        let start = std::time::Instant::now();
        if began {
            tracing::info!("Shutdown hook was invoked, 1");
        } else {
            tracing::error!("the worker ended though nobody asked for it");
        }
        let stopping = tokio::task::spawn_blocking(move || worker.stop());
        let left = tokio::select! {
            left = stopping => left??,
            () = next() => {
                say_error("stopped at once by a second signal; what was in flight is repeated at the next start");
                // The handle of the stop can't be waited for: that is what the second signal is about.
                std::process::exit(i32::from(EXIT_FAILURE));
            }
        };
        for line in &left {
            tracing::error!("{line}");
        }
        tracing::info!("Shutdown hook over, consuming total time(ms): {}", start.elapsed().as_millis());
        let clean = began && left.is_empty();
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) })
    })
}
