//! Runs the built program, and looks at what came of it.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// Fails unless it ended so.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The one JSON document that was printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Fails unless stdout has this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.out.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Fails unless stderr has this text.
    #[track_caller]
    pub fn complains(&self, text: &str) -> &Self {
        assert!(self.err.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command with nothing in its environment that steers it.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["RMQC_SERVER", "RMQC_IO", "RMQC_FAST", "NAMESRV_ADDR", "CONNECT_HOME", "http_proxy", "HTTP_PROXY"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program.
pub fn run(arguments: &[&str]) -> Outcome {
    clean(env!("CARGO_BIN_EXE_rmqc-fast")).args(arguments).output().unwrap().into()
}

/// Runs it against a worker.
pub fn ask(server: SocketAddr, arguments: &[&str]) -> Outcome {
    let command = &mut clean(env!("CARGO_BIN_EXE_rmqc-fast"));
    command.args(arguments).env("RMQC_SERVER", server.to_string()).output().unwrap().into()
}

/// Runs it against a worker with a text on stdin.
pub fn ask_with(server: SocketAddr, arguments: &[&str], input: &str) -> Outcome {
    let mut command = clean(env!("CARGO_BIN_EXE_rmqc-fast"));
    command.args(arguments).env("RMQC_SERVER", server.to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments ends without reading.
    match child.stdin.take().unwrap().write_all(input.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
        _ => {}
    }
    child.wait_with_output().unwrap().into()
}
