//! The built worker as a process: started with a configuration of its own, spoken to over its REST API, stopped or
//! killed by its pid.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{wait_for, wait_until};

/// Longest time from exec to the first answer.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest time from SIGTERM to the end, with everything in flight drained and committed.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// Longest time for a connector to come to a state.
const STATE_DEADLINE: Duration = Duration::from_secs(60);
/// Longest wait for one answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// A worker. Whatever of it still runs when the value is dropped is killed; after a failed test its log is shown.
pub struct Worker {
    program: PathBuf,
    folder: PathBuf,
    http_port: u16,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Worker {
    /// Writes a configuration and starts a worker on it. The folder holds its configuration, store and log.
    pub fn start(folder: &Path, namesrv: &str) -> Self {
        Self::start_with(folder, namesrv, &[])
    }

    /// The same for another program: a worker with connectors of its own.
    pub fn start_program(program: &Path, folder: &Path, namesrv: &str) -> Self {
        Self::start_program_in(program, folder, namesrv, &[], &[])
    }

    /// The same with further `key=value` lines of configuration. `RMQC_IO` in the environment chooses the driver.
    pub fn start_with(folder: &Path, namesrv: &str, settings: &[&str]) -> Self {
        Self::start_in(folder, namesrv, settings, &[])
    }

    /// The same with further variables in its environment.
    pub fn start_in(folder: &Path, namesrv: &str, settings: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_program_in(&binary(), folder, namesrv, settings, environment)
    }

    /// The same for a program, settings and environment of its own.
    pub fn start_program_in(
        program: &Path,
        folder: &Path,
        namesrv: &str,
        settings: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let http_port = free_port();
        std::fs::create_dir_all(folder.join("store")).unwrap();
        let mut conf = format!(
            "namesrvAddr={namesrv}\nhttpPort={http_port}\nstorePathRootDir={}\n",
            folder.join("store").display()
        );
        if let Some(driver) = std::env::var("RMQC_IO").ok().filter(|driver| !driver.is_empty()) {
            conf.push_str(&format!("ioDriver={driver}\n"));
        }
        for setting in settings {
            conf.push_str(setting);
            conf.push('\n');
        }
        std::fs::write(folder.join("connect.conf"), conf).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut worker =
            Self { program: program.to_owned(), folder: folder.to_owned(), http_port, environment, child: None };
        worker.start_again();
        worker
    }

    /// Starts the worker again after it ended, on the same configuration and store; gives the time to the first answer.
    pub fn start_again(&mut self) -> Duration {
        assert!(self.child.is_none(), "the worker runs");
        let log = self.log_file();
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.join("connect.conf")).stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // SAFETY: prctl is a plain system call, allowed between fork and exec.
        unsafe {
            // A test that is itself killed must not leave its worker behind.
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let began = Instant::now();
        self.child = Some(command.spawn().expect("the worker starts"));
        loop {
            // Closer than elsewhere: start-up is measured by this, too.
            match self.try_request("GET", "/getClusterInfo", "") {
                Ok((200, _)) => return began.elapsed(),
                _ => {
                    if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                        panic!("the worker ended at once: {status}\n{}", self.log_tail());
                    }
                    assert!(
                        began.elapsed() < START_DEADLINE,
                        "no answer after {START_DEADLINE:?}\n{}",
                        self.log_tail()
                    );
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the worker runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and the wait until everything is drained and committed.
    ///
    /// # Panics
    /// If it takes too long or ends with an error.
    pub fn stop(&mut self) -> Duration {
        let mut child = self.child.take().expect("the worker runs");
        let began = Instant::now();
        // SAFETY: a signal to a child that has not been waited for, so the pid is its own.
        assert_eq!(unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), libc::SIGTERM) }, 0);
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > STOP_DEADLINE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the worker did not stop within {STOP_DEADLINE:?}\n{}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.success(), "the worker stopped with {status}\n{}", self.log_tail());
        began.elapsed()
    }

    /// Where its REST API is.
    pub fn address(&self) -> std::net::SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http_port).into()
    }

    /// Pid of the running worker.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the worker runs").id()
    }

    /// The folder with its configuration, store and log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    // ---- REST --------------------------------------------------------------------------------------------------------

    /// Sends a request and gives the answer's JSON.
    ///
    /// # Panics
    /// If there is no answer, or none that is JSON.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, body) = match self.try_request(method, path, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: {error}\n{}", self.log_tail()),
        };
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{method} {path}: {status}, {error}: {body}"))
    }

    /// Sends a request and gives the answer as it comes: its HTTP status and its text.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn answer(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_request(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// GET; gives the `body` of a successful answer.
    ///
    /// # Panics
    /// If the answer is an error.
    pub fn get(&self, path: &str) -> Value {
        self.expect_success(path, self.request("GET", path, ""))
    }

    /// Creates a connector.
    ///
    /// # Panics
    /// If the worker refuses it.
    pub fn create(&self, name: &str, config: &Value) {
        let path = format!("/connectors/{name}");
        self.expect_success(&path, self.request("POST", &path, &config.to_string()));
    }

    /// Creates a connector unless the worker still has it: a standalone worker may forget configurations at a restart.
    pub fn ensure(&self, name: &str, config: &Value) {
        if self.request("GET", &format!("/connectors/{name}/config"), "").get("errorCode").is_some() {
            self.create(name, config);
        }
    }

    /// Pauses a connector.
    pub fn pause(&self, name: &str) {
        self.get(&format!("/connectors/{name}/pause"));
    }

    /// Resumes a connector.
    pub fn resume(&self, name: &str) {
        self.get(&format!("/connectors/{name}/resume"));
    }

    /// Stops and deletes a connector.
    pub fn delete(&self, name: &str) {
        self.get(&format!("/connectors/{name}/stop"));
    }

    /// The states of a connector's tasks, by task number; empty while there are none.
    pub fn task_states(&self, name: &str) -> Vec<String> {
        let answer = self.request("GET", &format!("/connectors/{name}/status"), "");
        let tasks = answer["body"]["tasks"].as_array().cloned().unwrap_or_default();
        tasks.iter().map(|task| task["state"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Waits until the connector has tasks and all are in a state.
    ///
    /// # Panics
    /// After a deadline, with the connector's status.
    pub fn wait_state(&self, name: &str, state: &str) {
        let end = Instant::now() + STATE_DEADLINE;
        loop {
            let states = self.task_states(name);
            if !states.is_empty() && states.iter().all(|found| found == state) {
                return;
            }
            if Instant::now() > end || (state != "FAILED" && states.iter().any(|found| found == "FAILED")) {
                let status = self.request("GET", &format!("/connectors/{name}/status"), "");
                panic!("{name} is not {state}: {status}\n{}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn expect_success(&self, path: &str, answer: Value) -> Value {
        assert!(answer.get("errorCode").is_none(), "{path}: {answer}\n{}", self.log_tail());
        answer.get("body").cloned().unwrap_or(answer)
    }

    /// One request on a connection of its own.
    fn try_request(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http_port))?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other(format!("no head: {text}")))?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            return Ok((status, unchunk(body)));
        }
        Ok((status, body.to_owned()))
    }

    // ---- readings ----------------------------------------------------------------------------------------------------

    /// CPU time that the process has used so far, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in parentheses may hold anything; the numbers start after it.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // SAFETY: sysconf reads a constant.
        let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap();
        Duration::from_micros(ticks * 1_000_000 / per_second)
    }

    /// A line of `/proc/PID/status` in KiB, such as `VmRSS` (memory now) and `VmHWM` (its peak).
    pub fn memory_kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        found.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap()
    }

    /// Threads of the process.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().count()
    }

    /// All that the worker has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("worker.log")).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.folder.join("worker.log")).unwrap()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        format!("---- {}\n{tail}\n----", self.folder.join("worker.log").display())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The worker's program: Cargo's own for tests of its package, or the one that `RMQC_BINARY` names.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("RMQC_BINARY").map(PathBuf::from);
    named.or_else(|| option_env!("CARGO_BIN_EXE_rmqc-fast").map(PathBuf::from)).expect("RMQC_BINARY names the worker")
}

/// A port that nobody listened on a moment ago. Below those that the kernel gives to outgoing connections: one of them
/// could take the port before its listener does.
pub fn free_port() -> u16 {
    const FIRST: u32 = 28_100;
    const COUNT: u32 = 4_600;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = (0..COUNT).find_map(|_| {
        // Processes that run at the same time have pids near each other, and want ports that are not.
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT).unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    });
    free.expect("a free port")
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let (Some(chunk), Some(rest)) = (rest.get(..size), rest.get(size..)) else { break };
        if size == 0 {
            break;
        }
        whole.push_str(chunk);
        body = rest.trim_start_matches("\r\n");
    }
    whole
}

// ---- the file connectors, as every test configures them --------------------------------------------------------------

/// Configuration of a file source.
pub fn file_source(file: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "org.apache.rocketmq.connect.file.FileSourceConnector",
        "filename": file.to_str().unwrap(),
        "connect.topicname": topic,
    })
}

/// Configuration of a file sink that starts with the first message.
pub fn file_sink(file: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "org.apache.rocketmq.connect.file.FileSinkConnector",
        "filename": file.to_str().unwrap(),
        "connect.topicnames": topic,
        "consume.from.where": "CONSUME_FROM_FIRST_OFFSET",
    })
}

/// Waits until a file has at least so many bytes.
///
/// # Panics
/// If it does not grow for the whole patience.
pub fn wait_bytes(path: &Path, bytes: u64, patience: Duration) {
    let mut seen = 0;
    while seen < bytes {
        let before = seen;
        wait_until(&format!("{} grows beyond {before} of {bytes} bytes", path.display()), patience, || {
            seen = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            seen > before || seen >= bytes
        });
    }
}

/// Waits until a file exists and gives its content once it has so many lines.
pub fn wait_lines(path: &Path, lines: usize, deadline: Duration) -> Vec<u8> {
    wait_for(&format!("{lines} lines in {}", path.display()), deadline, || {
        let content = std::fs::read(path).ok()?;
        (content.iter().filter(|byte| **byte == b'\n').count() >= lines).then_some(content)
    })
}
