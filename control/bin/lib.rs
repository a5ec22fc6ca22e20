//! The program: reads flags and files, starts the rooms in order, waits for a signal, stops them in order.

mod cli;
mod client;
mod logging;
mod quickstart;
mod wire;
mod worker;

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
    let cli = cli::Cli::parse();
    let result = match &cli.command {
        Some(cli::Command::Quickstart(wishes)) => quickstart::run(wishes),
        None => run(&cli.worker),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say_error(&format!("{error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<ConfigErrors>().is_some() {
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
    let mut environment = environment();
    environment.conf_dir = flags.config_file.as_deref().map(directory_of);
    let providers = Providers::registered(&provider_settings(&conf, &environment));
    Ok(WorkerConfig::build_resolved(&conf, &flags.properties(), &environment, &providers)?)
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

fn run(flags: &cli::WorkerFlags) -> anyhow::Result<ExitCode> {
    let Parsed { config, warnings, secrets } = configuration(flags)?;
    if flags.check {
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
