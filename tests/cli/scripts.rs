//! The scripts in `bin`, in an installation of their own, so that no other test's worker is theirs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::run::{Outcome, clean};
use super::support::worker::free_port;
use super::support::{TempDir, repository, wait_for};

const DEADLINE: Duration = Duration::from_secs(30);

/// `bin` with the program, `conf` with a worker's configuration.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = TempDir::new("scripts");
        let (bin, conf) = (dir.file("bin"), dir.file("conf"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&conf).unwrap();
        for entry in fs::read_dir(repository().join("bin")).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), bin.join(entry.file_name())).unwrap();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_rmqc-fast"));
        // Another file system, perhaps.
        if fs::hard_link(program, bin.join("rmqc-fast")).is_err() {
            fs::copy(program, bin.join("rmqc-fast")).unwrap();
        }
        let text = format!(
            "namesrvAddr=embedded\nhttpPort={}\ncores=1\nioDriver=epoll\nstorePathRootDir={}\nlogDir={}\n",
            free_port(),
            dir.file("store").display(),
            dir.file("logs").display()
        );
        fs::write(conf.join("connect.conf"), text).unwrap();
        Self { dir }
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.dir.file("bin").join(name)
    }

    /// A script run by `sh`, as the documentation of old has it.
    fn command(&self, name: &str) -> Command {
        let mut command = clean("sh");
        command.arg(self.bin(name)).current_dir(self.dir.path()).env("HOME", self.dir.path());
        command
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Outcome {
        self.command(name).args(arguments).output().unwrap().into()
    }

    /// A worker, once it says that it is up.
    fn worker(&self, mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let running = Running(child);
        assert!(lines.any(|line| line == "The standalone worker boot success."), "the worker ended");
        running
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Running {
    fn exit_code(&mut self) -> Option<i32> {
        wait_for("the worker ends", DEADLINE, || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_is_started_asked_and_stopped() {
    let home = Home::new();
    home.run("connectshutdown.sh", &[]).expect(255).says("No connect running.\n");
    let mut start = home.command("connect-standalone.sh");
    start.args(["-c", "conf/connect.conf"]);
    let mut worker = home.worker(start);
    home.run("connectAdmin", &["getClusterInfo"]).expect(0).says(r#"{"status":200,"body":["#);
    fs::write(home.dir.file("in.json"), r#"{"connector.class":"file-source","filename":"x","connect.topicname":"t"}"#)
        .unwrap();
    home.run("connectAdmin", &["createConnector", "-c", "in", "-p", "in.json"]).expect(0).says(r#""status":200"#);
    home.run("connectAdmin", &["getAllocatedConnectors"]).expect(0).says("in ");
    home.run("connectAdmin", &["queryConnectorStatus", "-c", "lost"]).expect(1).says("errorCode");
    home.run("connectAdmin", &["stopAll"]).expect(0).says("[in] connectors are deleted");
    let pid = worker.0.id();
    let stop = home.run("connectshutdown.sh", &[]).expect(0);
    assert_eq!(
        stop.out,
        format!("The connect({pid}) is running...\nSend shutdown request to connect({pid}) OK\n"),
        "the scripts are replaced by the worker, so its pid is the child's"
    );
    assert_eq!(worker.exit_code(), Some(0));
    home.run("connectshutdown.sh", &[]).expect(255).says("No connect running.\n");
}

#[test]
fn nothing_else_is_ever_stopped() {
    let (home, other) = (Home::new(), Home::new());
    // Of the same name, but another program; then a worker of the other installation.
    let sleep = |name: &str| {
        let mut command = Command::new("sleep");
        Running(command.arg0(name).arg("600").stdin(Stdio::null()).spawn().unwrap())
    };
    let mut decoys = [sleep("rmqc-fast"), sleep(home.bin("rmqc-fast").to_str().unwrap())];
    let mut start = clean(home.bin("rmqc-fast").to_str().unwrap());
    start.args(["-c", "conf/connect.conf"]).current_dir(home.dir.path()).env("CONNECT_HOME", other.dir.path());
    let mut elsewhere = home.worker(start);
    home.run("connectshutdown.sh", &[]).expect(255).says("No connect running.");
    assert!(elsewhere.0.try_wait().unwrap().is_none(), "started with another CONNECT_HOME");
    for decoy in &mut decoys {
        assert!(decoy.0.try_wait().unwrap().is_none());
    }
    elsewhere.0.kill().unwrap();
    elsewhere.0.wait().unwrap();
    // One that was started without any script is found.
    let mut start = clean(other.bin("rmqc-fast").to_str().unwrap());
    start.args(["-c", "conf/connect.conf"]).current_dir(other.dir.path());
    let mut worker = other.worker(start);
    other.run("connectshutdown.sh", &[]).expect(0).says("OK");
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn distributed_mode_is_refused_clearly() {
    let home = Home::new();
    let outcome = home.run("connect-distributed.sh", &["-c", "conf/connect.conf"]).expect(1);
    outcome.complains("distributed mode is not there yet").complains("connect-standalone.sh");
}

#[test]
fn a_missing_program_is_named() {
    let home = Home::new();
    fs::remove_file(home.bin("rmqc-fast")).unwrap();
    let outcome: Outcome = home.command("connect-standalone.sh").env("PATH", "/usr/bin:/bin").output().unwrap().into();
    outcome.expect(1).complains("RMQC_FAST");
}
