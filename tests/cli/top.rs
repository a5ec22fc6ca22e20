//! `rmqc-fast top`: its plain forms, and on a terminal of its own; what else is shown only on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::Fake;
use super::run::{ask, clean, run};
use super::support::{wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

const FLOW: &str = r#"{"at_ms":1,"window_ms":5000,
    "worker":{"id":"w1","version":"0.1.0","driver":"epoll","uptime_ms":60000,"rss_bytes":34000000,"cpu_share":0.5,
        "cluster":"embedded"},
    "shards":[{"shard":0,"busy":0.42,"tasks":3,"received_bytes_per_second":1500.0,"stalls":2}],
    "connectors":[{"name":"orders","type":"sink","class":"FileSink","state":"RUNNING",
        "health":{"state":"HEALTHY","cause":"it is at work"},"records_per_second":12400.0,"bytes_per_second":3100000.0,
        "lag_records":1240000,"latency_ms":[{"span":"store_to_put","count":9,"p50":1.5,"p90":2,"p99":12.5,"p999":13,
            "p9999":13,"max":13}],
        "limit":{"by":"target","sentence":"limited by the target: put took 93 %","confidence":0.93,"advice":"See it."},
        "tasks":[{"task":0,"shard":0,"state":"RUNNING","health":{"state":"HEALTHY","cause":"it is at work"}}]}]}"#;

#[test]
fn one_frame_is_printed_as_text_or_json() {
    let fake = Fake::start(&[("GET /v1/flow", 200, FLOW)]);
    let once = ask(fake.address, &["top", "--once"]).expect(0);
    once.says("Worker w1").says("RSS 34.0 MB").says("CPU 50 %").says("RECORDS/S");
    once.says(
        "orders     RUNNING  HEALTHY  12,400     3.1   1.2 M  1.5     12.5    limited by the target: put took 93 %",
    );
    assert!(!once.out.contains('\u{1b}'), "{once:?}");
    let document: serde_json::Value = serde_json::from_str(FLOW).unwrap();
    assert_eq!(ask(fake.address, &["top", "--json"]).expect(0).json(), document);
    assert_eq!(fake.lines(), ["GET /v1/flow", "GET /v1/flow"]);
}

#[test]
fn a_first_document_without_a_window_is_asked_for_again() {
    let empty = FLOW.replace("\"window_ms\":5000", "\"window_ms\":0");
    let fake = Fake::start(&[("GET /v1/flow", 200, &empty)]);
    ask(fake.address, &["top", "--once"]).expect(0).says("orders");
    assert_eq!(fake.lines().len(), 2);
}

#[test]
fn without_a_terminal_or_a_worker_it_says_so() {
    run(&["top"]).expect(2).complains("--once");
    run(&["top", "--once", "--server", "127.0.0.1:1"]).expect(3).complains("no worker answers");
    let old = Fake::start(&[]);
    ask(old.address, &["top", "--once"]).expect(1).complains("404");
}

/// The program on a pseudo-terminal of 80 columns and 24 lines.
struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut master, mut slave) = (0, 0);
        // SAFETY: openpty writes two descriptors, which nobody else owns, and reads the size.
        let made = unsafe {
            libc::openpty(&raw mut master, &raw mut slave, std::ptr::null_mut(), std::ptr::null(), &raw const size)
        };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: both are open and owned by these files from here on.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        let terminal = slave.as_raw_fd();
        let mut command: Command = clean(env!("CARGO_BIN_EXE_rmqc-fast"));
        command.args(arguments).env("TERM", "xterm-256color").env("NO_COLOR", "1");
        let end = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: plain system calls, allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::setsid();
                libc::ioctl(terminal, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        drop(slave);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, all) = (master.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            // A terminal that nobody writes to any more is an error here.
            while let Ok(read @ 1..) = reader.read(&mut some) {
                all.lock().unwrap().extend_from_slice(&some[..read]);
            }
        });
        Self { child, keys: master, shown }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn wait(&self, text: &str) {
        wait_until(&format!("{text:?} on the terminal"), DEADLINE, || self.text().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until it ends by itself.
    fn ended(&mut self) {
        let status = wait_for("the end", DEADLINE, || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.text());
    }

    /// Ends it by the key, and gives what was shown.
    fn quit(mut self) -> String {
        self.press("q");
        self.ended();
        // The terminal is given back: the other screen left, the cursor shown.
        self.wait("\u{1b}[?1049l");
        self.wait("\u{1b}[?25h");
        self.text()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_steer_it_on_a_terminal() {
    let fake = Fake::start(&[
        ("GET /v1/flow", 200, FLOW),
        ("PUT /v1/connectors/orders/pause", 202, ""),
        ("POST /v1/connectors/orders/restart?includeTasks=true", 202, "{}"),
    ]);
    let mut terminal = Terminal::start(&["top", "--server", &fake.address.to_string()]);
    terminal.wait("12,400");
    terminal.press("p");
    wait_until("the pause is asked for", DEADLINE, || {
        fake.lines().contains(&"PUT /v1/connectors/orders/pause".to_owned())
    });
    terminal.press("r");
    terminal.wait("y/n");
    terminal.press("y");
    wait_until("the restart is asked for", DEADLINE, || {
        fake.lines().contains(&"POST /v1/connectors/orders/restart?includeTasks=true".to_owned())
    });
    terminal.press("\r");
    terminal.wait("FileSink");
    let shown = terminal.quit();
    assert!(!shown.contains("\u{1b}[38;"), "no colours where NO_COLOR is set: {shown:?}");
}

#[test]
fn a_signal_ends_it_in_order() {
    let fake = Fake::start(&[("GET /v1/flow", 200, FLOW)]);
    let mut terminal = Terminal::start(&["top", "--server", &fake.address.to_string()]);
    terminal.wait("12,400");
    // SAFETY: a signal to a child that has not been waited for, so the pid is its own.
    assert_eq!(unsafe { libc::kill(libc::pid_t::try_from(terminal.child.id()).unwrap(), libc::SIGTERM) }, 0);
    terminal.ended();
    terminal.wait("\u{1b}[?1049l");
}

#[test]
fn it_waits_for_a_worker_that_is_not_there() {
    let terminal = Terminal::start(&["top", "--server", "127.0.0.1:1"]);
    terminal.wait("no worker answers");
    terminal.quit();
}

#[test]
fn long_work_shows_that_it_goes_on_but_only_on_a_terminal() {
    let answer = r#"{"dry_run":false,"replayed":3,"left":0,"by_topic":{},"queues":[]}"#;
    let fake = Fake::start(&[("POST /v1/connectors/c/dlq/replay", 200, answer)]);
    let quick = ask(fake.address, &["dlq", "replay", "c"]).expect(0);
    assert_eq!((quick.err.as_str(), quick.out.as_str()), ("", "3 dead letters replayed, 0 left\n"));

    // A worker that answers when the line has been seen.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let (seen, wait_for_it) = std::sync::mpsc::channel();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        wait_for_it.recv_timeout(DEADLINE).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
        stream.write_all((head + answer).as_bytes()).unwrap();
        // What was asked is read, so that the end of the connection takes nothing back.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let mut terminal = Terminal::start(&["dlq", "replay", "c", "--server", &server]);
    terminal.wait("replaying dead letters");
    seen.send(()).unwrap();
    terminal.wait("3 dead letters replayed");
    terminal.ended();
    serving.join().unwrap();
}
