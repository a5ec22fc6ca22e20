//! A name server and broker that keep nothing: they acknowledge at once and count, and answer pulls from messages made
//! beforehand. In a process of its own, so that what it costs is not counted as the worker's.
//!
//! It is no broker: nothing sent to it can be read again. A topic whose name begins with `prepared` has messages from
//! the start; every other one only counts what it is sent.

mod books;
pub mod connection;
pub mod prepared;
pub mod wire;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use self::books::Books;
use self::connection::{Connection, FORGET_WAITS, TELL_FIGURES};
use self::prepared::Content;
use self::wire::{PREFIX_BYTES, Request, whole_len};
use crate::support::wait_for;
use crate::support::worker::free_port;
use crate::tool::machine::process_cpu;

/// Beginning of the names of topics that have messages.
pub const PREPARED: &str = "prepared";
/// The word that makes this executable the null broker.
pub const MODE: &str = "null_broker";
/// Its settings, as `name=value` words, when another process starts it.
pub const ENVIRONMENT: &str = "RMQC_NULL_BROKER";

const START_DEADLINE: Duration = Duration::from_secs(20);

/// What it answers with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Port on loopback; 0 for a free one.
    pub port: u16,
    /// Queues of every topic.
    pub queues: usize,
    /// Messages of a prepared topic, over all its queues.
    pub records: i64,
    /// Bytes of a prepared message's body.
    pub body_bytes: usize,
    /// What is in it.
    pub content: Content,
    /// Most messages of one answer to a pull.
    pub pull_messages: usize,
    /// Most bytes of one.
    pub pull_bytes: usize,
    /// Bodies begin with stamps, see `stamped.rs`: their waits are measured at arrival.
    pub stamped: bool,
}

impl Default for Settings {
    /// As an Apache broker with its default caps.
    fn default() -> Self {
        Self {
            port: 0,
            queues: 4,
            records: 1_000_000,
            body_bytes: 100,
            content: Content::Text,
            pull_messages: 32,
            pull_bytes: 256 << 10,
            stamped: false,
        }
    }
}

impl Settings {
    /// The same with caps as an Apache broker should have them for large reads.
    pub fn raised_caps(self) -> Self {
        Self { pull_messages: 1_024, pull_bytes: 1 << 20, ..self }
    }

    /// Reads `name=value` words, and `--name value` as a person writes them.
    ///
    /// # Errors
    /// Names the word that can't be read.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut settings = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.strip_prefix("--") {
                Some(name) => (name, words.next().map_or("", String::as_str)),
                None => word.split_once('=').unwrap_or((word, "")),
            };
            let number = || value.parse::<u64>().map_err(|_| format!("{word}: a number should follow"));
            let size = || Ok::<_, String>(usize::try_from(number()?).unwrap_or(usize::MAX));
            match name {
                "port" => settings.port = value.parse().map_err(|_| format!("{word}: a port should follow"))?,
                "queues" => settings.queues = size()?.clamp(1, 1_024),
                "records" => settings.records = number()?.cast_signed(),
                "bytes" => settings.body_bytes = size()?,
                "pull-messages" => settings.pull_messages = size()?.clamp(1, 65_536),
                "pull-bytes" => settings.pull_bytes = size()?,
                "content" if value == "text" => settings.content = Content::Text,
                "content" if value == "json" => settings.content = Content::Json,
                "stamped" => settings.stamped = value == "true",
                _ => {
                    return Err(format!(
                        "{word}: unknown; known are --port --queues --records --bytes --content text|json --pull-messages --pull-bytes --stamped true"
                    ));
                }
            }
        }
        Ok(settings)
    }

    fn words(&self) -> String {
        let content = if self.content == Content::Json { "json" } else { "text" };
        format!(
            "port={} queues={} records={} bytes={} content={content} pull-messages={} pull-bytes={} stamped={}",
            self.port, self.queues, self.records, self.body_bytes, self.pull_messages, self.pull_bytes, self.stamped
        )
    }
}

/// Serves until the process is asked to end (SIGTERM, SIGINT); prints its address at first, what it counted at last.
///
/// # Panics
/// If it can't listen.
pub fn serve(settings: Settings) {
    // Before any thread exists, so that all of them leave the signals to this one.
    let signals = block_end_signals();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).expect("the port is free");
    let address = listener.local_addr().unwrap().to_string();
    println!("{}", json!({ "null_broker": address, "pid": std::process::id() }));
    let books = Arc::new(Mutex::new(Books::new(settings.queues)));
    let shared = books.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let connection = Connection::new(stream, shared.clone(), settings, address.clone());
            std::thread::spawn(move || {
                if let Err(error) = connection.serve() {
                    // A client that was killed resets its connections.
                    println!("{}", json!({ "null_broker_connection": error.to_string() }));
                }
            });
        }
    });
    wait_for_signal(&signals);
    let mut figures = books.lock().unwrap().figures();
    figures["cpu_us"] = json!(own_cpu_us());
    println!("{figures}");
}

fn block_end_signals() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset makes the set; the other calls only read it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        set.assume_init()
    }
}

fn wait_for_signal(set: &libc::sigset_t) {
    let mut signal = 0;
    // SAFETY: both pointers are to live values.
    unsafe { libc::sigwait(set, &raw mut signal) };
}

/// CPU time of this process so far, in µs.
fn own_cpu_us() -> u64 {
    u64::try_from(process_cpu(std::process::id()).as_micros()).unwrap_or(0)
}

/// A null broker in a process of its own, which ends with this value or with this process.
pub struct NullBroker {
    child: Child,
    address: SocketAddr,
    /// One connection for all questions: a new one each time would be a load of its own.
    control: Mutex<TcpStream>,
    /// What its start has cost.
    started: Duration,
}

impl NullBroker {
    /// Starts one: this very executable, told by its first argument and its environment to be one.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start(settings: Settings) -> Self {
        let settings = Settings { port: if settings.port == 0 { free_port() } else { settings.port }, ..settings };
        let mut command = Command::new(std::env::current_exe().unwrap());
        // The last two are for a test's executable, of which this is one test.
        command.args([MODE, "--nocapture", "--exact"]).env(ENVIRONMENT, settings.words());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // SAFETY: prctl is a plain system call, allowed between fork and exec.
        unsafe {
            // A measurement that is itself killed must not leave it behind.
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = command.spawn().expect("the null broker starts");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
        let control = wait_for("the null broker listens", START_DEADLINE, || TcpStream::connect(address).ok());
        control.set_read_timeout(Some(START_DEADLINE)).unwrap();
        let started = process_cpu(child.id());
        Self { child, address, control: Mutex::new(control), started }
    }

    /// Address of name server and broker.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// CPU time of its process since it listens.
    pub fn cpu(&self) -> Duration {
        process_cpu(self.child.id()).saturating_sub(self.started)
    }

    /// What it counted so far.
    pub fn figures(&self) -> Value {
        self.ask(TELL_FIGURES)
    }

    fn ask(&self, code: i32) -> Value {
        let mut control = self.control.lock().unwrap();
        let header = json!({ "code": code, "opaque": 0, "flag": 0 }).to_string();
        let mut frame = u32::try_from(header.len() + 4).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(header.as_bytes());
        control.write_all(&frame).expect("the null broker listens");
        let mut answer = vec![0; PREFIX_BYTES];
        control.read_exact(&mut answer).expect("the null broker answers");
        answer.resize(whole_len(&answer).unwrap(), 0);
        control.read_exact(&mut answer[PREFIX_BYTES..]).expect("the null broker answers");
        let (answer, _) = Request::cut(&answer).unwrap();
        assert_eq!(answer.number("code"), 0, "the null broker knows request {code}");
        serde_json::from_slice(answer.body).unwrap_or_default()
    }

    /// One of its counts.
    pub fn count(&self, name: &str) -> u64 {
        self.figures()[name].as_u64().unwrap_or(0)
    }

    /// Ends the warm-up of latencies.
    pub fn forget_waits(&self) {
        self.ask(FORGET_WAITS);
    }
}

impl Drop for NullBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
