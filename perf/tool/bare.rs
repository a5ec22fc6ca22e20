//! A RocketMQ client with nothing around it: blocking sockets, one thread, frames by hand. The best that a client of
//! this broker can do, beside the worker in the same run.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::null_broker::wire::{Request, whole_len};

/// A broker that answers nothing for so long has a problem.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Room for reading.
const BUFFER_BYTES: usize = 512 << 10;
/// Messages asked for at once; the broker caps it by its own settings.
pub const PULL_MESSAGES: i64 = 1_024;
/// Where a message's queue offset stands.
const QUEUE_OFFSET_AT: usize = 20;
/// Where the length of a message's body stands, and the body behind it; hosts have IPv4 addresses.
const BODY_LEN_AT: usize = 84;
/// How long the broker may hold a pull that finds nothing.
const SUSPEND: Duration = Duration::from_secs(15);

/// Cuts answers off a socket.
struct Answers {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Answers {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 }
    }

    /// Waits for the next answer and shows it.
    fn next<T>(&mut self, show: impl FnOnce(&Request<'_>) -> io::Result<T>) -> io::Result<T> {
        loop {
            if let Some((answer, len)) = Request::cut(&self.buffer[self.start..self.end]) {
                let shown = show(&answer)?;
                self.start += len;
                return Ok(shown);
            }
            let whole = whole_len(&self.buffer[self.start..self.end]).unwrap_or(0);
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if whole > self.buffer.len() {
                self.buffer.resize(whole, 0);
            }
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.end += read,
            }
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A frame's head for a JSON header and a body that follows.
fn head(header: &str, body_len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(8 + header.len());
    frame.extend_from_slice(&u32::try_from(4 + header.len() + body_len).unwrap().to_be_bytes());
    frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame
}

/// Sends batches to the queues in turn, with a window of requests in flight.
pub struct Producer {
    answers: Answers,
    topic: String,
    queues: usize,
    window: usize,
    sent: usize,
    in_flight: usize,
}

impl Producer {
    /// Connects.
    pub fn connect(address: &str, topic: &str, queues: usize, window: usize) -> io::Result<Self> {
        let answers = Answers::new(connect(address)?);
        Ok(Self { answers, topic: topic.to_owned(), queues, window, sent: 0, in_flight: 0 })
    }

    /// Sends a batch's body; waits while the window is full.
    ///
    /// # Errors
    /// When the broker refuses a batch, or the connection fails.
    pub fn send(&mut self, body: &[u8]) -> io::Result<()> {
        while self.in_flight >= self.window {
            self.take_answer()?;
        }
        let (topic, queue) = (&self.topic, self.sent % self.queues);
        let head = head(
            &format!(
                r#"{{"code":320,"language":"OTHER","version":477,"opaque":{},"flag":0,"extFields":{{"a":"bare","b":"{topic}","c":"TBW102","d":"4","e":"{queue}","f":"0","g":"0","h":"0","i":"","j":"0","k":"false","m":"true"}},"serializeTypeCurrentRPC":"JSON"}}"#,
                self.sent
            ),
            body.len(),
        );
        let mut parts = [io::IoSlice::new(&head), io::IoSlice::new(body)];
        let mut left = &mut parts[..];
        while !left.is_empty() {
            let written = self.answers.stream.write_vectored(left)?;
            io::IoSlice::advance_slices(&mut left, written);
        }
        self.sent += 1;
        self.in_flight += 1;
        Ok(())
    }

    fn take_answer(&mut self) -> io::Result<()> {
        self.answers.next(|answer| match answer.number("code") {
            0 => Ok(()),
            code => Err(io::Error::other(format!(
                "the broker refuses a batch with code {code}: {}",
                String::from_utf8_lossy(answer.text("remark"))
            ))),
        })?;
        self.in_flight -= 1;
        Ok(())
    }

    /// Waits for all answers.
    ///
    /// # Errors
    /// As for [`Producer::send`].
    pub fn finish(mut self) -> io::Result<()> {
        while self.in_flight > 0 {
            self.take_answer()?;
        }
        Ok(())
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulled {
    /// Messages.
    pub messages: u64,
    /// Answers that brought them.
    pub answers: u64,
}

/// Reads all queues of a topic from their beginning to their end, or until so many messages have come; one request a
/// queue is under way. Checks that the offsets are without gaps.
///
/// # Errors
/// When the broker refuses, an offset is wrong, or the connection fails.
pub fn pull(address: &str, topic: &str, queues: usize, wanted: Option<u64>) -> io::Result<Pulled> {
    let mut reader = Reader::connect(address, topic, queues, None)?;
    let (mut pulled, mut open) = (Pulled::default(), queues);
    let began = Instant::now();
    while open > 0 {
        let (queue, code, found) = reader.next(|_| ())?;
        match code {
            0 => {
                pulled.messages += found.unsigned_abs();
                pulled.answers += 1;
            }
            19 | 20 if wanted.is_none_or(|wanted| pulled.messages >= wanted) => {
                open -= 1;
                continue;
            }
            // The end is behind what is stored for a moment: asked again until there is as much as is wanted.
            19 | 20 if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(1)),
            code => return Err(io::Error::other(format!("the broker answers a pull with code {code}"))),
        }
        if wanted.is_some_and(|wanted| pulled.messages >= wanted) {
            return Ok(pulled);
        }
        reader.ask(queue)?;
    }
    Ok(pulled)
}

/// How far the queues of a topic are read.
struct Reader<'a> {
    answers: Answers,
    out: TcpStream,
    topic: &'a str,
    /// How long the broker may hold a pull.
    hold: Option<Duration>,
    next: Vec<i64>,
}

impl<'a> Reader<'a> {
    /// Connects, and asks each queue for its first messages.
    fn connect(address: &str, topic: &'a str, queues: usize, hold: Option<Duration>) -> io::Result<Self> {
        let stream = connect(address)?;
        let out = stream.try_clone()?;
        let mut reader = Self { answers: Answers::new(stream), out, topic, hold, next: vec![0; queues] };
        (0..queues).try_for_each(|queue| reader.ask(queue))?;
        Ok(reader)
    }

    /// Asks a queue for its next messages.
    fn ask(&mut self, queue: usize) -> io::Result<()> {
        self.out.write_all(&pull_request(self.topic, queue, self.next[queue], self.hold))
    }

    /// Waits for an answer and shows its messages; gives its queue, its code and their number.
    fn next(&mut self, show: impl FnOnce(&[u8])) -> io::Result<(usize, i64, i64)> {
        let next = &mut self.next;
        self.answers.next(|answer| {
            let queue = usize::try_from(answer.number("opaque")).map_err(io::Error::other)?;
            let (found, bad) = count(answer.body, next[queue]);
            if bad {
                return Err(io::Error::other(format!("queue {queue}: the offsets after {} have a gap", next[queue])));
            }
            let code = answer.number("code");
            next[queue] += if code == 0 { found } else { 0 };
            show(answer.body);
            Ok((queue, code, found))
        })
    }
}

/// A request for a queue's messages from an offset on; the broker may hold it for so long while there are none.
fn pull_request(topic: &str, queue: usize, offset: i64, hold: Option<Duration>) -> Vec<u8> {
    // A subscription is given; the request may be held.
    let (flag, suspend_ms) = hold.map_or((4, 0), |hold| (4 | 2, hold.as_millis()));
    head(
        &format!(
            r#"{{"code":11,"language":"OTHER","version":477,"opaque":{queue},"flag":0,"extFields":{{"consumerGroup":"bare","topic":"{topic}","queueId":"{queue}","queueOffset":"{offset}","maxMsgNums":"{PULL_MESSAGES}","sysFlag":"{flag}","commitOffset":"0","suspendTimeoutMillis":"{suspend_ms}","subscription":"*","subVersion":"0","expressionType":"TAG"}},"serializeTypeCurrentRPC":"JSON"}}"#
        ),
        0,
    )
}

/// Reads all queues of a topic from their beginning as they fill, and shows each message's body, until `show` says that it
/// was the last. One request a queue is under way; the broker holds it while there is nothing.
///
/// # Errors
/// As for [`pull`].
pub fn follow(
    address: &str,
    topic: &str,
    queues: usize,
    mut show: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut reader = Reader::connect(address, topic, queues, Some(SUSPEND))?;
    let mut moved = Instant::now();
    loop {
        let mut shown = ControlFlow::Continue(());
        let (queue, code, _) = reader.next(|body| shown = bodies(body).try_for_each(&mut show))?;
        match code {
            0 => moved = Instant::now(),
            19 | 20 if moved.elapsed() < PATIENCE => {}
            code => return Err(io::Error::other(format!("the broker answers a pull with code {code}"))),
        }
        if shown.is_break() {
            return Ok(());
        }
        reader.ask(queue)?;
    }
}

/// The bodies of an answer's messages.
fn bodies(mut messages: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = u32::from_be_bytes(*messages.first_chunk()?) as usize;
        let (message, rest) = messages.split_at_checked(len.max(1))?;
        messages = rest;
        let (len, body) = message.get(BODY_LEN_AT..)?.split_first_chunk()?;
        body.get(..u32::from_be_bytes(*len) as usize)
    })
}

/// Counts messages by their lengths; tells whether an offset is not the next one.
fn count(body: &[u8], first: i64) -> (i64, bool) {
    let (mut found, mut at, mut bad) = (0, 0, false);
    while at < body.len() {
        let message = &body[at..];
        let len = u32::from_be_bytes(*message.first_chunk().expect("a message's length")) as usize;
        let offset =
            message.get(QUEUE_OFFSET_AT..).and_then(|rest| rest.first_chunk().copied()).map(i64::from_be_bytes);
        bad |= offset != Some(first + found);
        found += 1;
        at += len.max(1);
    }
    (found, bad)
}
