//! One request after the other over one blocking connection: for finding out what is wrong with a name server or broker.
//!
//! The tasks' client hides which server answered, tries again and backs off; whoever looks for a fault wants the very
//! answer of the very server, and an end in bounded time.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::connection::{CallError, Request, Response, encode_head};
use super::frame::FrameDecoder;
use super::header::Header;
use crate::settings::Credentials;

/// Most bytes of one read.
const READ_BYTES_MAX: usize = 64 * 1024;

/// An open connection.
pub struct Inquiry {
    stream: TcpStream,
    address: String,
    credentials: Option<Credentials>,
    decoder: FrameDecoder,
    next_opaque: i32,
}

impl Inquiry {
    /// Connects; with credentials every request is signed.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: SocketAddr, credentials: Option<Credentials>, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        let decoder = FrameDecoder::default();
        Ok(Self { stream, address: address.to_string(), credentials, decoder, next_opaque: 1 })
    }

    /// Sends a request and waits for its answer, whatever its code. After an error the connection is of no further use.
    ///
    /// # Errors
    /// A connection that broke, no answer in time, or bytes that make no sense.
    pub fn ask(&mut self, request: &Request, timeout: Duration) -> Result<Response, CallError> {
        let opaque = self.next_opaque;
        self.next_opaque = opaque.wrapping_add(1) & i32::MAX;
        let begin = Instant::now();
        let late = |address: &str| CallError::Timeout {
            address: address.to_owned(),
            code: request.code,
            after_ms: timeout.as_millis(),
        };
        let head = encode_head(request, opaque, 0, self.credentials.as_ref());
        let parts = std::iter::once(&head[..]).chain(request.body.iter().map(|part| &part[..]));
        let sent = self.stream.set_write_timeout(Some(timeout)).and_then(|()| {
            let mut parts = parts;
            parts.try_for_each(|part| self.stream.write_all(part))
        });
        sent.map_err(|error| if is_timeout(&error) { late(&self.address) } else { self.broken(&error) })?;
        loop {
            if let Some(answer) = self.answer_to(opaque, request.code)? {
                return Ok(answer);
            }
            let left = timeout.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(late(&self.address));
            }
            match self.read_some(left) {
                Ok(0) => return Err(self.broken(&io::Error::from(io::ErrorKind::UnexpectedEof))),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Err(late(&self.address)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// The answer, if it is among what has been read. Requests of the other side and late answers are passed over.
    fn answer_to(&mut self, opaque: i32, code: i32) -> Result<Option<Response>, CallError> {
        let malformed =
            |address: &str, reason| CallError::Malformed { address: address.to_owned(), request: code, reason };
        while let Some(frame) =
            self.decoder.next_frame().map_err(|error| malformed(&self.address, error.to_string()))?
        {
            let header = Header::decode(frame.form, &frame.header)
                .map_err(|error| malformed(&self.address, error.to_string()))?;
            if header.is_response() && header.opaque == opaque {
                return Ok(Some(Response { header, body: frame.body }));
            }
        }
        Ok(None)
    }

    fn read_some(&mut self, timeout: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(timeout))?;
        let (buffer, len_max) = self.decoder.read_target();
        let have = buffer.len();
        buffer.resize(have.saturating_add(len_max.min(READ_BYTES_MAX)), 0);
        let read = self.stream.read(buffer.get_mut(have..).unwrap_or_default());
        buffer.truncate(have.saturating_add(*read.as_ref().unwrap_or(&0)));
        read
    }

    fn broken(&self, error: &io::Error) -> CallError {
        CallError::Broken { address: self.address.clone(), reason: error.to_string() }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::embedded::{EmbeddedBroker, EmbeddedSettings};
    use crate::remoting::code::{request, response};
    use crate::settings::DriverWanted;

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[test]
    fn a_broker_answers_one_request_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let settings = EmbeddedSettings { dir: dir.path().to_owned(), address, driver: DriverWanted::Epoll };
        let broker = EmbeddedBroker::start(settings).unwrap();
        let mut inquiry = Inquiry::open(broker.address(), None, TIMEOUT).unwrap();
        let brokers = inquiry.ask(&Request::new(request::GET_BROKER_CLUSTER_INFO), TIMEOUT).unwrap();
        let brokers = crate::remoting::route::parse_brokers(&brokers.body).unwrap();
        assert_eq!(brokers[0].master, Some(broker.address().to_string()));
        let unknown = inquiry.ask(&Request::new(-7), TIMEOUT).unwrap();
        assert_eq!(unknown.header.code, response::REQUEST_CODE_NOT_SUPPORTED);
        broker.stop();
    }

    #[test]
    fn who_is_silent_speaks_nonsense_or_hangs_up_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ask = |timeout| {
            let mut inquiry = Inquiry::open(address, None, TIMEOUT).unwrap();
            let (mut other, _) = listener.accept().unwrap();
            (move || inquiry.ask(&Request::new(105), timeout), move |bytes: &[u8]| other.write_all(bytes).unwrap())
        };
        let (mut answer, _stays_open) = ask(Duration::from_millis(20));
        assert!(matches!(answer(), Err(CallError::Timeout { after_ms: 20, .. })));
        let (mut answer, mut say) = ask(TIMEOUT);
        say(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        assert!(matches!(answer(), Err(CallError::Malformed { .. })));
        let (mut answer, say) = ask(TIMEOUT);
        drop(say);
        assert!(matches!(answer(), Err(CallError::Broken { .. })));
    }
}
