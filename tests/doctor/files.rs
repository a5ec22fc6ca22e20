//! Conf file, directories, stores, ports.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use super::support::TempDir;
use super::support::worker::{Worker, file_source};
use super::visit::{Setup, Visit};

/// A user without rights.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    // SAFETY: the call only reads.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn several_bad_keys_are_all_named() {
    let mut setup = Setup::new();
    setup.set("httpPort", "eighty");
    setup.set("operationTimeout", "3s");
    setup.set("htpHost", "127.0.0.1");
    setup.set("clusterName", "c");
    setup.set("aclEnable", "true");
    let visit = setup.visit();
    assert!(visit.finds("conf", "fail", "httpPort").contains("httpPort=8082"));
    assert!(visit.finds("conf", "fail", "operationTimeout").contains("operationTimeout=3000"));
    assert!(visit.finds("conf", "fail", "secretKey").contains("secretKey="));
    assert!(visit.finds("conf", "warn", "did you mean httpHost?").contains("correct the key's name"));
    assert!(visit.finds("conf", "warn", "clusterName").contains("remove the line"));
    // The other checks went on.
    visit.is_ok("store");
    for key in ["operationTimeout", "htpHost", "clusterName", "aclEnable"] {
        setup.unset(key);
    }
    setup.set("httpPort", "0");
    setup.visit().is_ok("conf");
}

#[test]
fn a_secret_that_everyone_can_read() {
    let mut setup = Setup::new();
    setup.set("aclEnable", "true");
    setup.set("accessKey", "alice");
    setup.set("secretKey", "hunter2-of-the-test");
    setup.visit();
    fs::set_permissions(setup.dir.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(setup.conf(), Permissions::from_mode(0o644)).unwrap();
    let visit = setup.visit();
    let remedy = visit.finds("secrets", "warn", "secretKey");
    assert!(!visit.text.contains("hunter2"), "{}", visit.text);
    apply(&remedy);
    setup.visit().is_ok("secrets");
}

/// Carries a remedy out that is one command.
fn apply(command: &str) {
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

#[test]
fn a_store_that_may_not_be_written() {
    let setup = Setup::new();
    fs::set_permissions(setup.dir.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(setup.store()).unwrap();
    fs::set_permissions(setup.store(), Permissions::from_mode(0o555)).unwrap();
    let visit = || {
        let mut command = setup.command();
        if is_root() {
            // The program itself may lie where nobody else may go.
            let program = setup.dir.file("rmqc-fast");
            if !program.exists() {
                fs::copy(env!("CARGO_BIN_EXE_rmqc-fast"), &program).unwrap();
            }
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            command = std::process::Command::new(program);
            command.args(arguments).env("HOME", setup.dir.path()).env_remove("NAMESRV_ADDR").env_remove("RMQC_IO");
            command.uid(NOBODY).gid(NOBODY);
        }
        Visit::of(command)
    };
    let remedy = visit().finds("store", "fail", "Permission denied");
    assert!(remedy.contains("chown -R") && remedy.contains("storePathRootDir="), "{remedy}");
    if is_root() {
        apply(remedy.split(',').next().unwrap());
    }
    fs::set_permissions(setup.store(), Permissions::from_mode(0o755)).unwrap();
    visit().is_ok("store");
}

#[test]
fn a_limit_of_file_size() {
    let setup = Setup::new();
    fs::create_dir(setup.store()).unwrap();
    let visit = setup.visit_as(|| {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: plain system calls; the structure outlives the one that reads it.
        let failed = unsafe {
            // Otherwise the first write beyond the limit ends the process.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN) == libc::SIG_ERR
                || libc::setrlimit(libc::RLIMIT_FSIZE, &raw const none) != 0
        };
        if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    });
    let remedy = visit.finds("store", "fail", "File too large");
    assert!(remedy.contains("ulimit -f unlimited"), "{remedy}");
    setup.visit().is_ok("store");
}

/// A small file system of its own, seen by this thread and its children only; none without the rights for it.
fn small_file_system(at: &Path) -> bool {
    let path = std::ffi::CString::new(at.to_str().unwrap()).unwrap();
    // SAFETY: all texts end with 0 and outlive the calls.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=300m".as_ptr().cast()) == 0
    }
}

#[test]
fn a_full_disk() {
    // On a thread of its own, with whose end its mounts are gone.
    std::thread::spawn(|| {
        let setup = Setup::new();
        fs::create_dir(setup.store()).unwrap();
        if !small_file_system(&setup.store()) {
            // Only root can make one; a_limit_of_file_size stands for the write that fails.
            return;
        }
        let filler = setup.store().join("filler");
        let fill = |bytes: u64| {
            let path = std::ffi::CString::new(filler.to_str().unwrap()).unwrap();
            File::create(&filler).unwrap();
            // SAFETY: the path ends with 0 and outlives the call.
            let file = unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
            // SAFETY: the descriptor was just opened; takes space without writing it.
            let taken = unsafe { libc::fallocate(file, 0, 0, i64::try_from(bytes).unwrap()) | libc::close(file) };
            assert_eq!(taken, 0, "{}", std::io::Error::last_os_error());
        };
        fill(300 << 20);
        let visit = setup.visit();
        let remedy = visit.finds("store", "fail", "No space left");
        assert!(remedy.contains("df -h"), "{remedy}");
        visit.finds("store", "fail", "0 MiB free");
        fill(200 << 20);
        setup.visit().finds("store", "warn", "100 MiB free");
        fs::remove_file(&filler).unwrap();
        setup.visit().is_ok("store");
    })
    .join()
    .unwrap();
}

#[test]
fn a_store_that_another_worker_uses() {
    let setup = Setup::new();
    fs::create_dir(setup.store()).unwrap();
    let held = File::create(setup.store().join("worker.lock")).unwrap();
    held.try_lock().unwrap();
    let remedy = setup.visit().finds("store lock", "fail", "another worker uses it");
    assert!(remedy.contains("storePathRootDir="), "{remedy}");
    assert!(remedy.contains(&format!("kill {}", std::process::id())), "{remedy}");
    drop(held);
    setup.visit().is_ok("store lock");
}

#[test]
fn the_worker_itself_is_no_fault() {
    let dir = TempDir::new("doctor-running");
    let mut worker = Worker::start_with(dir.path(), "embedded", &[&format!("logDir={}", dir.file("logs").display())]);
    worker.create("stored", &file_source(&dir.file("in.txt"), "lines"));
    let visit = || {
        let mut command = super::visit::doctor();
        command.args(["--json", "-c"]).arg(dir.file("connect.conf"));
        Visit::of(command)
    };
    let seen = visit();
    let remedy = seen.finds("running", "warn", &format!("pid {}", worker.pid()));
    assert!(remedy.starts_with("nothing, if that is the worker meant"), "{remedy}");
    assert_eq!(seen.code, 0, "{}", seen.text);
    // The connectors in the store are looked at, too.
    seen.is_ok("connector");
    assert!(seen.text.contains("\"stored\""), "{}", seen.text);
    worker.stop();
    visit().is_ok("port");
}

#[test]
fn a_damaged_store() {
    let setup = Setup::new();
    let config = setup.store().join("config");
    fs::create_dir_all(&config).unwrap();
    let file = config.join("connectorConfig.json");
    fs::write(&file, "{\"bm90IGpzb24=\":").unwrap();
    let remedy = setup.visit().finds("store", "fail", "is damaged at byte");
    assert!(remedy.contains("move it and"), "{remedy}");
    fs::write(config.join("connectorConfig.json.bak"), "{}").unwrap();
    let remedy = setup.visit().finds("store", "warn", "its backup");
    assert!(remedy.contains("cp the .bak file over it"), "{remedy}");
    fs::copy(config.join("connectorConfig.json.bak"), &file).unwrap();
    setup.visit().is_ok("store");
    assert_eq!(fs::read(&file).unwrap(), b"{}", "the doctor leaves files as they are");
}

#[test]
fn a_port_in_use_and_one_open_to_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setup = Setup::new();
    setup.set("httpPort", &listener.local_addr().unwrap().port().to_string());
    let remedy = setup.visit().finds("port", "fail", &format!("pid {}", std::process::id()));
    assert!(remedy.contains("set httpPort"), "{remedy}");
    drop(listener);
    setup.visit().is_ok("port");
    setup.set("httpHost", "0.0.0.0");
    let remedy = setup.visit().finds("exposure", "warn", "open to the network");
    assert!(remedy.contains("httpHost=127.0.0.1"), "{remedy}");
    setup.set("httpHost", "127.0.0.1");
    setup.visit().is_ok("exposure");
    setup.set("pluginPaths", "/no/such/plugins");
    setup.visit().finds("plugins", "warn", "/no/such/plugins");
    fs::create_dir(setup.dir.file("plugins")).unwrap();
    setup.set("pluginPaths", &setup.dir.file("plugins").display().to_string());
    setup.visit().is_ok("plugins");
}
