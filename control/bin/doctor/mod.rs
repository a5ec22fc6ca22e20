//! `rmqc-fast doctor`: looks at everything that a worker needs, says what is wrong and what cures it.
//!
//! It starts no worker and changes nothing; with `--write` a topic of its own is made and removed. Each check runs on a
//! thread of its own, which is left behind if it hangs, so that the doctor itself always comes to an end.

mod brokers;
mod conf;
mod connectors;
mod files;
mod finding;
mod folders;
mod machine;
mod name_servers;
mod pace;
mod remote;
mod running;
mod store;
mod topics;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rmqc_core::config::key::{ConfigError, ConfigErrors};
use rmqc_core::config::worker::{ClusterAddress, WORKER_KEYS, WorkerConfig};
use rmqc_io::shard::pin::Layout;

use self::connectors::Connectors;
use self::finding::{Finding, Report, Status};
use self::name_servers::Known;
use self::pace::{Deadline, Pending, within};
use self::remote::Manner;
use crate::cli::WorkerFlags;
use crate::progress::Waiting;
use crate::{EXIT_FAILURE, say, wire};

/// Everything is over after this time.
const TIME_MAX: Duration = Duration::from_secs(9);
/// Time for files; the network needs the rest.
const FILES_TIME_MAX: Duration = Duration::from_secs(3);
/// Most brokers that are looked at.
const BROKERS_AT_ONCE_MAX: usize = 64;

/// What is to be looked at.
#[derive(Args, Debug)]
pub(crate) struct DoctorFlags {
    /// How the worker is to run.
    #[command(flatten)]
    worker: WorkerFlags,
    /// Configuration of a connector that shall run, as JSON; may be given more than once. Those in the store are always
    /// looked at.
    #[arg(long, value_name = "FILE")]
    connector: Vec<PathBuf>,
    /// Also make a topic of its own on each broker, write a message, read it back, and remove the topic.
    #[arg(long)]
    write: bool,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Looks at everything and tells it. The exit code is 0 when nothing failed, else 1.
///
/// # Errors
/// A conf file that can't be read.
pub(crate) fn run(flags: DoctorFlags) -> anyhow::Result<ExitCode> {
    let deadline = Deadline::after(TIME_MAX);
    let json = flags.json;
    let worker = flags.worker.clone();
    let file = conf::place(worker.config_file.as_deref());
    let hangs = || ConfigErrors::from(ConfigError::new("-c", format!("{file} can't be read: its file system hangs")));
    let conf = within(deadline.step(FILES_TIME_MAX), move || conf::read(&worker)).ok_or_else(hangs)??;
    let waiting = Waiting::start("looking at files and ports");
    let findings = examine(conf, flags, deadline, &waiting);
    drop(waiting);
    let report = Report(findings);
    if json {
        say(&format!("{:#}", report.json()));
    } else {
        say(&report.text());
    }
    Ok(if report.worst() == Status::Fail { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS })
}

/// Work whose findings are waited for.
struct Group {
    check: &'static str,
    looked_at: String,
    pending: Pending<Vec<Finding>>,
}

impl Group {
    fn start(
        check: &'static str,
        looked_at: impl Into<String>,
        work: impl FnOnce() -> Vec<Finding> + Send + 'static,
    ) -> Self {
        Self { check, looked_at: looked_at.into(), pending: Pending::start(work) }
    }

    fn findings(self, time: Duration) -> Vec<Finding> {
        let hung = |_: ()| vec![hangs(self.check, &self.looked_at, time)];
        self.pending.wait(time).ok_or(()).unwrap_or_else(hung)
    }
}

fn hangs(check: &'static str, looked_at: &str, time: Duration) -> Finding {
    let found = format!("looking at it did not end within {} ms", time.as_millis());
    let remedy = match check {
        "broker" => "restart the broker, or see its logs/rocketmqlogs/broker.log".to_owned(),
        "port" => format!("see whether httpHost resolves (getent hosts {looked_at}), or set httpHost=127.0.0.1"),
        _ => format!("see what hangs: timeout 5 stat {looked_at}; dmesg tells of file systems that do not answer"),
    };
    Finding::fail(check, looked_at, found, remedy)
}

fn examine(mut conf: conf::Conf, flags: DoctorFlags, deadline: Deadline, waiting: &Waiting) -> Vec<Finding> {
    let mut findings = std::mem::take(&mut conf.findings);
    let config = Arc::new(conf.config);
    let layout = machine::layout(&config);
    findings.push(machine::clock(brokers::now_ms()));
    findings.push(machine::cores(&config, &layout));
    findings.extend(machine::driver(&config, layout.shards));
    findings.push(running::exposure(&config));

    // Files and network at the same time: either may hang.
    let manner = Manner { credentials: wire::credentials(&config), deadline };
    let servers = {
        let (config, manner) = (Arc::clone(&config), manner.clone());
        Pending::start(move || name_servers::look(&config, &manner))
    };
    let files_time = deadline.step(FILES_TIME_MAX);
    let store_dir = config.store_dir.clone();
    let stores = Pending::start(move || store::look(&store_dir));
    let connector_paths: Vec<String> = flags.connector.iter().map(|path| path.display().to_string()).collect();
    let files = Pending::start(move || connectors::from_files(&flags.connector));
    let groups = file_groups(&config, conf.file, conf.given);

    let store_path = config.store_dir.display().to_string();
    let (found, mut named) =
        stores.wait(files_time).unwrap_or_else(|| (vec![hangs("store", &store_path, files_time)], Vec::new()));
    findings.extend(found);
    let given = files.wait(files_time);
    let (found, more) =
        given.unwrap_or_else(|| (vec![hangs("connector", &connector_paths.join(" "), files_time)], Vec::new()));
    findings.extend(found);
    for group in groups {
        findings.extend(group.findings(files_time));
    }
    // A file that is given stands for the connector of its name.
    named.retain(|(name, _)| !more.iter().any(|(newer, _)| newer == name));
    named.extend(more);
    let all = connectors::look(&named, &config, layout.shards);
    findings.extend(all.findings.iter().cloned());

    waiting.now("asking the name servers");
    let (found, known) = servers.wait(deadline.step(TIME_MAX)).unwrap_or_default();
    findings.extend(found);
    findings.push(open_files(&config, &layout, &all, &known));
    waiting.now("asking the brokers");
    findings.extend(cluster(&config, &known, &all, flags.write, &manner));
    findings
}

/// What needs nothing but this machine's files and ports.
fn file_groups(config: &Arc<WorkerConfig>, file: Option<PathBuf>, given: rmqc_core::config::Properties) -> Vec<Group> {
    let (for_logs, for_port) = (Arc::clone(config), Arc::clone(config));
    let conf = file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    vec![
        Group::start("secrets", conf, move || {
            let secrets = file.and_then(|file| files::secrets(&file, &given, WORKER_KEYS));
            secrets.into_iter().chain(files::plugins(&given)).collect()
        }),
        Group::start("logs", config.log_dir.display().to_string(), move || files::logs(&for_logs.log_dir)),
        Group::start("port", config.http_host.clone(), move || {
            let lock = running::Lock::look(&for_port.store_dir);
            let port = running::Port::look(&for_port.http_host, for_port.http_port);
            running::judge(&for_port, &lock, &port)
        }),
    ]
}

fn open_files(config: &WorkerConfig, layout: &Layout, all: &Connectors, known: &Known) -> Finding {
    let servers = match &config.cluster {
        ClusterAddress::Embedded => 1,
        ClusterAddress::NameServers(addresses) => addresses.len(),
    };
    machine::open_files(layout.shards, all.tasks, servers.saturating_add(known.brokers.len()))
}

/// Brokers, then topics, then, if wanted, a trial.
fn cluster(config: &WorkerConfig, known: &Known, all: &Connectors, write: bool, manner: &Manner) -> Vec<Finding> {
    let Some(server) = known.server.clone() else { return Vec::new() };
    let time = || manner.deadline.step(TIME_MAX);
    let groups: Vec<(Option<String>, Group)> = known
        .brokers
        .iter()
        .take(BROKERS_AT_ONCE_MAX)
        .map(|broker| {
            let (master, looked_at) = (broker.master.clone(), broker.name.clone());
            let (broker, server, manner) = (broker.clone(), server.clone(), manner.clone());
            (master, Group::start("broker", looked_at, move || brokers::look(&broker, &server, &manner)))
        })
        .collect();
    let mut findings = Vec::new();
    let mut masters = Vec::new();
    for (master, group) in groups {
        let found = group.findings(time());
        // One finding that failed: it can't be reached, or answers nothing.
        let reached = found.first().is_some_and(|first| first.status != Status::Fail);
        masters.extend(master.filter(|_| reached));
        findings.extend(found);
    }
    let cluster = known.brokers.first().map(|broker| broker.cluster.as_str()).unwrap_or_default();
    let around = topics::Surroundings {
        name_server: &server,
        cluster,
        auto_create: config.auto_create_topic,
        filled: all.wanted.iter().filter(|one| one.role == connectors::Role::Source).map(|one| &*one.topic).collect(),
        masters: &masters,
    };
    findings.extend(topics::look(&all.wanted, &around, manner));
    if write {
        for master in &masters {
            findings.extend(write::look(master, [&server, cluster], &config.producer_group, manner));
        }
    }
    findings
}
