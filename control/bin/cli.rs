//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rmqc_core::config::Properties;

use crate::admin::Admin;
use crate::command::connectors::Connectors;
use crate::command::dlq::Dlq;
use crate::command::loggers::Loggers;
use crate::command::offsets::Offsets;
use crate::command::pages::{Completions, Man};
use crate::command::plugins::Plugins;
use crate::command::tap::Tap;
use crate::command::tasks::Tasks;
use crate::command::validate::Validate;
use crate::command::worker::{Health, Worker};
use crate::doctor::DoctorFlags;
use crate::top::Top;

/// Moves records between Apache RocketMQ and everything else.
#[derive(Debug, Parser)]
#[command(
    name = "rmqc-fast",
    version,
    about,
    long_about = "Moves records between Apache RocketMQ and everything else: RocketMQ Connect, thread per core.\n\n\
        Without a subcommand a standalone worker runs until SIGTERM or SIGINT, then drains its tasks, commits, and \
        ends with 0. A second signal ends it at once. Exit codes: 0 done, 1 failure, 2 wrong flags or configuration.",
    after_help = "All keys of the conf file are in conf/reference.md. To see it work: rmqc-fast quickstart",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    /// What to do instead of running a worker.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the worker is to run.
    #[command(flatten)]
    pub worker: WorkerFlags,
    /// Check flags and conf file, say what is wrong, and end.
    #[arg(long)]
    pub check: bool,
}

/// What to do instead of running a worker.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Moves a file of numbered lines through a broker into another file, and proves from the files that none is lost
    /// and none is there twice.
    Quickstart(QuickstartFlags),
    /// Writes the beginnings of something of your own.
    #[command(subcommand)]
    New(crate::new::New),
    /// Looks at everything that a worker needs: conf file, machine, directories, ports, name servers, brokers, topics.
    /// Says what is wrong and what cures it. Starts no worker and changes nothing. Exit codes: 0 nothing failed, 1
    /// something failed, 2 wrong flags or a conf file that can't be read.
    Doctor(DoctorFlags),
    Connectors(Connectors),
    Tasks(Tasks),
    Offsets(Offsets),
    Dlq(Dlq),
    Plugins(Plugins),
    Validate(Validate),
    Tap(Tap),
    Top(Top),
    Worker(Worker),
    Loggers(Loggers),
    Health(Health),
    Admin(Admin),
    Completions(Completions),
    Man(Man),
}

/// An I/O driver.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Io {
    /// io_uring where it may be used, else epoll.
    Auto,
    /// io_uring or no start.
    Uring,
    /// epoll.
    Epoll,
}

/// Pinning.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Pin {
    /// When there is a CPU for each shard.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Io {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

impl Pin {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// How the worker is to run. Flags go before environment and file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WorkerFlags {
    /// Conf file: a Java .properties file. Without it all defaults apply.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Number of shards, one thread each: a number or `auto` [key: cores]
    #[arg(long, value_name = "N|auto")]
    cores: Option<String>,
    /// Pin each shard to a CPU of its own [key: pin]
    #[arg(long, value_enum)]
    pin: Option<Pin>,
    /// I/O driver under the shards [key: ioDriver, env: RMQC_IO]
    #[arg(long, value_enum)]
    io: Option<Io>,
    /// Port of the REST API, 0 for any free one [key: httpPort]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
}

impl WorkerFlags {
    /// No flag but a conf file.
    pub fn of_file(config_file: Option<PathBuf>) -> Self {
        Self { config_file, ..Self::default() }
    }

    /// The flags given, as keys of the conf file.
    pub fn properties(&self) -> Properties {
        let given = [
            ("cores", self.cores.clone()),
            ("pin", self.pin.map(|pin| pin.name().to_owned())),
            ("ioDriver", self.io.map(|io| io.name().to_owned())),
            ("httpPort", self.http_port.map(|port| port.to_string())),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// How the trial is to run.
#[derive(Args, Debug)]
pub(crate) struct QuickstartFlags {
    /// Lines to move.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub lines: u64,
    /// Bytes of each line, without its end.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u64).range(16..=1_000_000))]
    pub size: u64,
    /// Number of shards: a number or `auto`.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    cores: String,
    /// Name server, host:port. Without it a broker is started inside the program.
    #[arg(long, value_name = "ADDR")]
    pub namesrv: Option<String>,
    /// I/O driver.
    #[arg(long, value_enum)]
    io: Option<Io>,
    /// Directory for the files; it is kept. Without it a new one among the temporary files.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

impl QuickstartFlags {
    /// The flags given, as keys of the conf file.
    pub fn properties(&self) -> Properties {
        let mut given = Properties::from([("cores".to_owned(), self.cores.clone())]);
        if let Some(io) = self.io {
            given.insert("ioDriver".to_owned(), io.name().to_owned());
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_keys() {
        let cli = Cli::parse_from(["rmqc-fast", "-c", "x.conf", "--cores", "2", "--io", "epoll", "--http-port", "0"]);
        let properties = cli.worker.properties();
        let pairs: Vec<_> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(pairs, ["cores=2", "httpPort=0", "ioDriver=epoll"]);
    }
}
