//! One client's connection: requests cut from large reads, answers gathered into one write for each read.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::books::Books;
use super::prepared::Prepared;
use super::wire::{Request, put_answer, put_members_changed, whole_len};
use super::{PREPARED, Settings};
use crate::tool::stamped;

/// Room for reading; a frame beyond it makes it grow.
const BUFFER_BYTES: usize = 2 << 20;
/// How often a quiet connection looks whether a waiting pull is overdue.
const TICK: Duration = Duration::from_millis(250);
/// Bytes of a batch's item before its body.
const ITEM_HEAD_BYTES: usize = 20;

const SUSPEND: i64 = 2;
const ONEWAY: i64 = 2;

mod code {
    pub const SUCCESS: i32 = 0;
    pub const SYSTEM_ERROR: i32 = 1;
    pub const NOT_SUPPORTED: i32 = 3;
    pub const PULL_NOT_FOUND: i32 = 19;
    pub const QUERY_NOT_FOUND: i32 = 22;
}

/// Not a request of the protocol: tells what was counted.
pub const TELL_FIGURES: i32 = 9_001;
/// Not a request of the protocol: forgets the waits so far.
pub const FORGET_WAITS: i32 = 9_002;

/// A pull at the end of its queue.
struct Waiting {
    until: Instant,
    opaque: i64,
    fields: [(&'static str, i64); 3],
}

/// The server's side of one connection.
pub struct Connection {
    stream: TcpStream,
    books: Arc<Mutex<Books>>,
    settings: Settings,
    address: String,
    prepared: Option<(Vec<u8>, Prepared)>,
    waiting: Vec<Waiting>,
    /// Groups of which the client is a member.
    groups: BTreeSet<String>,
    /// Changes of members by now, and as of the last time the client was told.
    changes: Arc<AtomicU64>,
    told: u64,
    out: Vec<u8>,
}

impl Connection {
    /// Takes a connection over.
    pub fn new(stream: TcpStream, books: Arc<Mutex<Books>>, settings: Settings, address: String) -> Self {
        let changes = books.lock().unwrap().changes();
        Self {
            stream,
            groups: BTreeSet::new(),
            told: changes.load(Ordering::Relaxed),
            changes,
            books,
            settings,
            address,
            prepared: None,
            waiting: Vec::new(),
            out: Vec::with_capacity(64 << 10),
        }
    }

    /// Answers until the client closes.
    pub fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(TICK))?;
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        let (mut start, mut end) = (0, 0);
        loop {
            match self.stream.read(&mut buffer[end..]) {
                Ok(0) => return Ok(()),
                Ok(read) => end += read,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            while let Some((request, len)) = Request::cut(&buffer[start..end]) {
                self.answer(&request)?;
                start += len;
            }
            if start == end {
                (start, end) = (0, 0);
            } else if let Some(whole) = whole_len(&buffer[start..end]).filter(|whole| start + whole > buffer.len()) {
                // The frame under way does not fit behind the others: it moves to the front.
                buffer.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                buffer.resize(buffer.len().max(whole), 0);
            } else if end == buffer.len() {
                buffer.copy_within(start..end, 0);
                (start, end) = (0, end - start);
            }
            self.give_up_overdue();
            self.tell_changes();
            self.flush()?;
        }
    }

    /// Tells the members of groups that members came or went, so that they share the queues anew.
    fn tell_changes(&mut self) {
        let changes = self.changes.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.told, changes) != changes {
            self.groups.iter().for_each(|group| put_members_changed(&mut self.out, group));
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn put(&mut self, code: i32, opaque: i64, fields: &[(&str, i64)]) {
        put_answer(&mut self.out, code, opaque, fields, 0);
    }

    fn put_json(&mut self, opaque: i64, body: &Value) {
        let body = body.to_string();
        put_answer(&mut self.out, code::SUCCESS, opaque, &[], body.len());
        self.out.extend_from_slice(body.as_bytes());
    }

    fn answer(&mut self, request: &Request) -> io::Result<()> {
        let opaque = request.number("opaque");
        match i32::try_from(request.number("code")).unwrap() {
            320 | 310 | 10 => self.sent(request, opaque),
            11 | 361 => self.pull(request, opaque)?,
            14 => {
                let (group, topic) = (request.text("consumerGroup"), request.text("topic"));
                let committed = self.books().committed(group, topic, request.number("queueId"));
                match committed {
                    Some(offset) => self.put(code::SUCCESS, opaque, &[("offset", offset)]),
                    None => self.put(code::QUERY_NOT_FOUND, opaque, &[]),
                }
            }
            15 => {
                let (group, topic) = (request.text("consumerGroup"), request.text("topic"));
                self.books().commit(group, topic, request.number("queueId"), request.number("commitOffset"));
                self.acknowledge(request, opaque);
            }
            30 => {
                let end = self.end(request.text("topic"), request.number("queueId"));
                self.put(code::SUCCESS, opaque, &[("offset", end)]);
            }
            29 | 31 => self.put(code::SUCCESS, opaque, &[("offset", 0)]),
            32 => self.put(code::SUCCESS, opaque, &[("timestamp", 0)]),
            34 => {
                self.heartbeat(request.body);
                self.acknowledge(request, opaque);
            }
            35 => {
                self.books().leave(request.text("consumerGroup"), request.text("clientID"));
                self.acknowledge(request, opaque);
            }
            38 => {
                let members = self.books().members(request.text("consumerGroup"));
                match members.is_empty() {
                    true => self.put(code::SYSTEM_ERROR, opaque, &[]),
                    false => self.put_json(opaque, &json!({ "consumerIdList": members })),
                }
            }
            41 => {
                let asked: Value = serde_json::from_slice(request.body).unwrap_or_default();
                self.put_json(opaque, &json!({ "lockOKMQSet": asked["mqSet"] }));
            }
            17 | 42 | 200 | 207 | 215 | 216 => self.acknowledge(request, opaque),
            105 => {
                let queues = self.settings.queues;
                let broker = json!({ "brokerAddrs": { "0": self.address }, "brokerName": "null", "cluster": "null" });
                let queues = json!({
                    "brokerName": "null", "perm": 6, "readQueueNums": queues, "writeQueueNums": queues, "topicSysFlag": 0
                });
                let route = json!({ "brokerDatas": [broker], "filterServerTable": {}, "queueDatas": [queues] });
                self.put_json(opaque, &route);
            }
            106 => {
                let broker = json!({ "brokerAddrs": { "0": self.address }, "brokerName": "null", "cluster": "null" });
                let info = json!({ "brokerAddrTable": { "null": broker }, "clusterAddrTable": { "null": ["null"] } });
                self.put_json(opaque, &info);
            }
            206 => {
                let names = self.books().topic_names();
                self.put_json(opaque, &json!({ "topicList": names }));
            }
            TELL_FIGURES => {
                let mut figures = self.books().figures();
                figures["cpu_us"] = json!(super::own_cpu_us());
                self.put_json(opaque, &figures);
            }
            FORGET_WAITS => {
                self.books().forget_waits();
                self.put(code::SUCCESS, opaque, &[]);
            }
            _ => self.put(code::NOT_SUPPORTED, opaque, &[]),
        }
        Ok(())
    }

    fn acknowledge(&mut self, request: &Request, opaque: i64) {
        if request.number("flag") & ONEWAY == 0 {
            self.put(code::SUCCESS, opaque, &[]);
        }
    }

    /// Messages of a request, counted by their lengths alone.
    fn sent(&mut self, request: &Request, opaque: i64) {
        let batch = request.text("m") == b"true" || request.text("batch") == b"true";
        let (topic, queue) = match request.text("b") {
            b"" => (request.text("topic"), request.number("queueId")),
            topic => (topic, request.number("e")),
        };
        let queue = queue.max(0);
        let stamped = self.settings.stamped;
        let books = self.books.clone();
        let mut books = books.lock().unwrap();
        let mut messages = 1;
        if batch {
            (messages, _) = items(request.body, |body| {
                if stamped && let Some((due, written)) = stamped::since(body) {
                    books.arrived(due, written);
                }
            });
        } else if stamped && let Some((due, written)) = stamped::since(request.body) {
            books.arrived(due, written);
        }
        let first = books.receive(topic, queue, messages, request.body.len());
        drop(books);
        if request.number("flag") & ONEWAY == 0 {
            self.put(code::SUCCESS, opaque, &[("queueId", queue), ("queueOffset", first)]);
        }
    }

    /// Offset after a queue's last message.
    fn end(&self, topic: &[u8], queue: i64) -> i64 {
        if topic.starts_with(PREPARED.as_bytes()) {
            // The first queues have what does not divide evenly.
            let (records, queues) = (self.settings.records, self.settings.queues as i64);
            return records / queues + i64::from(queue < records % queues);
        }
        self.books().queue(topic, queue).received
    }

    fn pull(&mut self, request: &Request, opaque: i64) -> io::Result<()> {
        let (topic, queue, offset) = (request.text("topic"), request.number("queueId"), request.number("queueOffset"));
        let end = self.end(topic, queue);
        let left = if topic.starts_with(PREPARED.as_bytes()) { end - offset } else { 0 };
        if left <= 0 {
            let fields = [("nextBeginOffset", offset.min(end)), ("minOffset", 0), ("maxOffset", end)];
            if request.number("sysFlag") & SUSPEND == 0 {
                self.put(code::PULL_NOT_FOUND, opaque, &fields);
            } else {
                let wait = Duration::from_millis(request.number("suspendTimeoutMillis").clamp(0, 60_000) as u64);
                self.waiting.push(Waiting { until: Instant::now() + wait, opaque, fields });
            }
            return Ok(());
        }
        if self.prepared.as_ref().is_none_or(|(prepared, _)| prepared != topic) {
            let Settings { pull_messages, body_bytes, content, .. } = self.settings;
            self.prepared = Some((topic.to_vec(), Prepared::new(topic, pull_messages, body_bytes, content)));
        }
        let (_, prepared) = self.prepared.as_mut().unwrap();
        // As a broker does it: the message that reaches the bound of bytes is the last.
        let fit = (self.settings.pull_bytes / prepared.message_bytes()).max(1);
        let count = (left as usize).min(self.settings.pull_messages).min(fit);
        let count = count.min(usize::try_from(request.number("maxMsgNums")).unwrap_or(1).max(1));
        let next = offset + count as i64;
        let body = prepared.at(queue, offset, count);
        let fields = [("nextBeginOffset", next), ("minOffset", 0), ("maxOffset", end), ("suggestWhichBrokerId", 0)];
        put_answer(&mut self.out, code::SUCCESS, opaque, &fields, body.len());
        write_both(&mut self.stream, &self.out, body)?;
        self.out.clear();
        self.books().deliver(topic, queue, count as i64);
        Ok(())
    }

    fn give_up_overdue(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let out = &mut self.out;
        self.waiting.retain(|waiting| {
            if waiting.until <= now {
                put_answer(out, code::PULL_NOT_FOUND, waiting.opaque, &waiting.fields, 0);
            }
            waiting.until > now
        });
    }

    fn heartbeat(&mut self, body: &[u8]) {
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let client = told["clientID"].as_str().unwrap_or_default();
        for consumer in told["consumerDataSet"].as_array().into_iter().flatten() {
            let group = consumer["groupName"].as_str().unwrap_or_default();
            self.books().join(group, client);
            self.groups.insert(group.to_owned());
        }
    }
}

/// Goes through the items of a batch; gives their number and the bytes that they take.
///
/// # Panics
/// If they don't end where the body does: a malformed batch must not pass for a fast one.
pub fn items(body: &[u8], mut each: impl FnMut(&[u8])) -> (i64, usize) {
    let (mut count, mut at) = (0, 0);
    while at < body.len() {
        let len = u32::from_be_bytes(*body[at..].first_chunk().expect("an item's length")) as usize;
        each(&body[(at + ITEM_HEAD_BYTES).min(body.len())..(at + len).min(body.len())]);
        assert!(len > ITEM_HEAD_BYTES, "an item of {len} bytes");
        at += len;
        count += 1;
    }
    assert_eq!(at, body.len(), "the last item does not end with the batch");
    (count, at)
}

fn write_both(stream: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut parts = [IoSlice::new(head), IoSlice::new(body)];
    let mut left = &mut parts[..];
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
