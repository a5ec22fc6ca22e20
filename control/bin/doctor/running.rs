//! Whether a worker runs already: who holds the lock on the stores, and who listens on the REST port.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rmqc_core::config::worker::WorkerConfig;
use rustix::io::Errno;

use super::finding::Finding;

/// Most processes that are looked through for the owner of a port.
const PROCESSES_MAX: usize = 65_536;

/// A process, as far as it may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its pid.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl Process {
    fn of(pid: u32) -> Self {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Self { pid, name: name.trim().to_owned() }
    }
}

/// The lock on the stores' directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody has it.
    Free,
    /// Somebody has it: who, if that can be seen.
    Held(Option<Process>),
    /// It can't be looked at.
    Unreadable(String),
}

impl Lock {
    /// Looks at the lock file, if there is one. The lock is tried for an instant as readers do, and given back.
    pub fn look(dir: &Path) -> Self {
        let file = match OpenOptions::new().read(true).open(dir.join("worker.lock")) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Self::Free,
            Err(error) => return Self::Unreadable(error.to_string()),
        };
        match file.try_lock_shared() {
            Ok(()) => Self::Free,
            Err(TryLockError::WouldBlock) => Self::Held(holder(&file)),
            Err(TryLockError::Error(error)) => Self::Unreadable(error.to_string()),
        }
    }
}

/// Who holds a lock on the file, by the kernel's table.
fn holder(file: &File) -> Option<Process> {
    let inode = file.metadata().ok()?.ino().to_string();
    let table = fs::read_to_string("/proc/locks").ok()?;
    holder_in(&table, &inode).map(Process::of)
}

fn holder_in(table: &str, inode: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        let (pid, file) = (words.next()?, words.next()?);
        // A waiting process has an arrow in its line.
        let held = !line.contains("->") && file.rsplit(':').next() == Some(inode);
        if held { pid.parse().ok().filter(|pid| *pid > 0) } else { None }
    })
}

/// The REST port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Free.
    Free,
    /// In use: by whom, if that can be seen.
    Used(Option<Process>),
    /// Ports below 1024 are not for everyone.
    Denied,
    /// The host is no address of this machine.
    NotHere(String),
}

impl Port {
    /// Tries to listen for an instant.
    pub fn look(host: &str, port: u16) -> Self {
        let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Self::NotHere(error.to_string()),
        };
        match TcpListener::bind(addresses.as_slice()) {
            Ok(_) => Self::Free,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::ADDRINUSE) => Self::Used(listener(port)),
                Some(Errno::ACCESS | Errno::PERM) => Self::Denied,
                _ => Self::NotHere(error.to_string()),
            },
        }
    }
}

/// The process that listens on a port; none when it is another user's.
fn listener(port: u16) -> Option<Process> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: Vec<String> = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten().take(PROCESSES_MAX);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_one = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    };
    pids.find(has_one).map(Process::of)
}

/// Inodes of the sockets that listen on a port, from the kernel's table.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let port = format!("{port:04X}");
    let inode = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next()?;
        let state = words.nth(1)?;
        let matches = state == LISTEN && local.rsplit(':').next() == Some(port.as_str());
        matches.then(|| words.nth(5).map(str::to_owned))?
    };
    table.lines().filter_map(inode).collect()
}

/// What lock and port together say.
pub(crate) fn judge(config: &WorkerConfig, lock: &Lock, port: &Port) -> Vec<Finding> {
    let store = config.store_dir.display().to_string();
    let address = format!("{}:{}", config.http_host, config.http_port);
    if let (Lock::Held(Some(holder)), Port::Used(Some(listener))) = (lock, port)
        && holder == listener
    {
        let found = format!("a worker runs with it and listens on {address}: {}", told(Some(holder)));
        let remedy = format!(
            "nothing, if that is the worker meant; to start another one first stop it (kill {}), or set \
             storePathRootDir and httpPort to others",
            holder.pid
        );
        return vec![Finding::warn("running", store, found, remedy)];
    }
    vec![judge_lock(store, lock), judge_port(address, port)]
}

fn judge_lock(store: String, lock: &Lock) -> Finding {
    const CHECK: &str = "store lock";
    match lock {
        Lock::Free => Finding::ok(CHECK, store, "no other worker uses it"),
        Lock::Held(who) => {
            let stop = who.as_ref().map_or("stop it".to_owned(), |who| format!("stop it (kill {})", who.pid));
            let found = format!("another worker uses it: {}", told(who.as_ref()));
            Finding::fail(
                CHECK,
                store,
                found,
                format!("{stop}, or set storePathRootDir=DIRECTORY to another directory"),
            )
        }
        Lock::Unreadable(why) => {
            let remedy = format!("chown {} {store}/worker.lock", rustix::process::geteuid());
            Finding::fail(CHECK, store, format!("worker.lock can't be looked at: {why}"), remedy)
        }
    }
}

fn judge_port(address: String, port: &Port) -> Finding {
    const CHECK: &str = "port";
    match port {
        Port::Free => Finding::ok(CHECK, address, "free"),
        Port::Used(who) => {
            let stop = who.as_ref().map_or(String::new(), |who| format!(", or stop it (kill {})", who.pid));
            let found = format!("in use by {}", told(who.as_ref()));
            Finding::fail(CHECK, address, found, format!("set httpPort (or --http-port) to another port{stop}"))
        }
        Port::Denied => {
            let remedy = "set httpPort to 1024 or more, or AmbientCapabilities=CAP_NET_BIND_SERVICE in systemd";
            Finding::fail(CHECK, address, "this user may not listen on it", remedy)
        }
        Port::NotHere(why) => {
            let remedy = "set httpHost=127.0.0.1, or to an address that ip addr shows";
            Finding::fail(CHECK, address, format!("is no address of this machine: {why}"), remedy)
        }
    }
}

fn told(who: Option<&Process>) -> String {
    match who {
        Some(Process { pid, name }) => format!("{name}, pid {pid}"),
        None => "a process of another user or container".to_owned(),
    }
}

/// Whether REST can be reached from elsewhere.
pub(crate) fn exposure(config: &WorkerConfig) -> Finding {
    const CHECK: &str = "exposure";
    let looked_at = format!("httpHost={}", config.http_host);
    let loopback = config.http_host.eq_ignore_ascii_case("localhost")
        || config.http_host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback {
        return Finding::ok(CHECK, looked_at, "REST is for this machine only");
    }
    let found = "REST is open to the network, and whoever reaches it can make the worker read and write files";
    Finding::warn(CHECK, looked_at, found, "set httpHost=127.0.0.1, or let a firewall pass only those who may")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 4242 08:01:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 08:01:77 0 EOF\n3: FLOCK  ADVISORY  READ 5 08:01:8 0 EOF\n";
        assert_eq!(holder_in(locks, "77"), Some(4242));
        assert_eq!(holder_in(locks, "78"), None);
        assert_eq!(holder_in("1: FLOCK\n2: FLOCK ADVISORY WRITE x 1:2:77", "77"), None);
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0 100\n\
            1: 0100007F:1F92 0100007F:1F93 01 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100\n";
        assert_eq!(listening(sockets, 8082), ["31337"]);
        assert!(listening(sockets, 8083).is_empty());
    }

    #[test]
    fn a_port_in_use_is_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Port::Used(Some(process)) = Port::look("127.0.0.1", port) else { panic!("the port is used") };
        assert_eq!(process.pid, std::process::id());
        drop(listener);
        assert_eq!(Port::look("127.0.0.1", port), Port::Free);
        assert!(matches!(Port::look("192.0.2.1", 0), Port::NotHere(_)));
    }

    #[test]
    fn a_lock_is_looked_at_without_being_made() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::look(dir.path()), Lock::Free);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let held = File::create(dir.path().join("worker.lock")).unwrap();
        held.try_lock().unwrap();
        assert_eq!(Lock::look(dir.path()), Lock::Held(Some(Process::of(std::process::id()))));
        drop(held);
        assert_eq!(Lock::look(dir.path()), Lock::Free);
    }
}
