//! Talks to one name server or broker: finds its address, connects, asks; each step with its own limit of time.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use rmqc_io::remoting::code::response;
use rmqc_io::remoting::connection::{CallError, Request, Response};
use rmqc_io::remoting::inquiry::Inquiry;
use rmqc_io::settings::Credentials;

use super::pace::{Deadline, within};

/// Longest wait for a name's address.
const RESOLVE_MAX: Duration = Duration::from_secs(2);
/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_millis(1_500);
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How to talk, and until when.
#[derive(Clone)]
pub(crate) struct Manner {
    /// With these every request is signed.
    pub credentials: Option<Credentials>,
    /// When everything has to be over.
    pub deadline: Deadline,
}

/// Why there is no answer, or none that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The name has no address.
    Unresolved(String),
    /// Nobody accepts a connection.
    Unreachable(String),
    /// Connected, but no answer came in time.
    Silent(u128),
    /// The connection broke, or something else than RocketMQ answered.
    Odd(String),
    /// The answer says no: code and words.
    Refused(i32, String),
}

impl Trouble {
    /// What happened, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Unresolved(why) => format!("the name can't be resolved: {why}"),
            Self::Unreachable(why) => format!("can't be reached: {why}"),
            Self::Silent(ms) => format!("accepts the connection, but gives no answer within {ms} ms"),
            Self::Odd(why) => format!("does not answer as RocketMQ does: {why}"),
            Self::Refused(code, remark) => format!("answers with code {code}: {remark}"),
        }
    }

    /// Whether the server does not let us.
    pub fn is_denied(&self) -> bool {
        let Self::Refused(code, remark) = self else { return false };
        *code == response::NO_PERMISSION || remark.contains("AclException") || remark.contains("Authentication")
    }
}

/// An open connection.
pub(crate) struct Peer {
    inquiry: Inquiry,
    deadline: Deadline,
    /// Time from the start to the open connection.
    pub connected_after: Duration,
}

impl Peer {
    /// Finds the address (`host:port`) and connects.
    ///
    /// # Errors
    /// Which step failed, and why.
    pub fn open(address: &str, manner: &Manner) -> Result<Self, Trouble> {
        let begin = Instant::now();
        let mut trouble = Trouble::Unresolved("it has no address".to_owned());
        for address in resolve(address, manner.deadline)? {
            let timeout = manner.deadline.step(CONNECT_MAX);
            match Inquiry::open(address, manner.credentials.clone(), timeout) {
                Ok(inquiry) => {
                    return Ok(Self { inquiry, deadline: manner.deadline, connected_after: begin.elapsed() });
                }
                Err(error) => trouble = Trouble::Unreachable(error.to_string()),
            }
        }
        Err(trouble)
    }

    /// Asks, and expects success.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Trouble> {
        let answer = self.inquiry.ask(request, self.deadline.step(ANSWER_MAX)).map_err(|error| match error {
            CallError::Timeout { after_ms, .. } => Trouble::Silent(after_ms),
            other => Trouble::Odd(other.to_string()),
        })?;
        match answer.header.code {
            response::SUCCESS => Ok(answer),
            code => Err(Trouble::Refused(code, answer.header.remark.unwrap_or_default())),
        }
    }
}

fn resolve(address: &str, deadline: Deadline) -> Result<Vec<SocketAddr>, Trouble> {
    let asked = address.to_owned();
    let time = deadline.step(RESOLVE_MAX);
    let found = within(time, move || asked.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    match found {
        Some(Ok(addresses)) => Ok(addresses),
        Some(Err(error)) => Err(Trouble::Unresolved(error.to_string())),
        None => Err(Trouble::Unresolved(format!("no answer from DNS within {} ms", time.as_millis()))),
    }
}
