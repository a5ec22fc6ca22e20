//! One socket to a name server or broker: requests out, answers matched by their id, requests of the broker handed on.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::code::{request, response};
use super::frame::{self, FrameDecoder};
use super::header::{FLAG_ONEWAY, FLAG_RESPONSE, Header, JsonHeaderWriter};
use super::outgoing::write_front;
use super::sign;
use crate::driver::{Driver, StreamRead, StreamWrite};
use crate::local::{Event, SlotReceiver, SlotSender, slot};
use crate::settings::Credentials;

/// How often overdue requests are looked for.
const SWEEP: Duration = Duration::from_millis(500);

/// A header field to be sent.
#[derive(Clone, Debug)]
pub enum Field {
    /// Text.
    Text(Bytes),
    /// A number, written as decimal text.
    Number(i64),
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Bytes> for Field {
    fn from(text: Bytes) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Field {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Field {
    fn from(number: i32) -> Self {
        Self::Number(i64::from(number))
    }
}

/// A request: code, fields, and a body in parts that are sent one after the other without being joined.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Request code.
    pub code: i32,
    /// Header fields.
    pub fields: Vec<(&'static str, Field)>,
    /// Body.
    pub body: Vec<Bytes>,
}

impl Request {
    /// A request without fields and body.
    #[must_use]
    pub fn new(code: i32) -> Self {
        Self { code, fields: Vec::with_capacity(12), body: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = vec![body.into()];
        self
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Its header.
    pub header: Header,
    /// Its body, where it was received.
    pub body: BytesMut,
}

/// Why a call failed, and so whether the other side may have carried it out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// Surely not carried out: there was no connection.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Whom.
        address: String,
        /// Why.
        reason: String,
    },
    /// Maybe carried out: the connection broke before the answer.
    #[error("connection to {address} broke: {reason}")]
    Broken {
        /// Whom.
        address: String,
        /// Why.
        reason: String,
    },
    /// Maybe carried out: no answer in time.
    #[error("{address} did not answer request {code} within {after_ms} ms")]
    Timeout {
        /// Whom.
        address: String,
        /// Request code.
        code: i32,
        /// How long was waited, in ms.
        after_ms: u128,
    },
    /// The other side refused.
    #[error("{address} answered request {request} with code {code}: {remark}")]
    Refused {
        /// Who.
        address: String,
        /// Request code.
        request: i32,
        /// Response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// The answer makes no sense.
    #[error("answer of {address} to request {request}: {reason}")]
    Malformed {
        /// Who.
        address: String,
        /// Request code.
        request: i32,
        /// What is wrong.
        reason: String,
    },
}

impl CallError {
    /// The response code, when the other side refused.
    #[must_use]
    pub fn refusal(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

struct Pending {
    code: i32,
    sent: Instant,
    deadline: Instant,
    answer: SlotSender<Result<Response, CallError>>,
}

struct Inner {
    address: String,
    credentials: Option<Credentials>,
    next_opaque: Cell<i32>,
    outgoing: RefCell<VecDeque<Bytes>>,
    outgoing_changed: Event,
    pending: RefCell<HashMap<i32, Pending>>,
    /// Why the connection is closed; `None` while it is open.
    closed: RefCell<Option<String>>,
    closed_event: Event,
    notified: Event,
    /// When the other side was last heard of.
    heard: Cell<Instant>,
    traffic: Rc<Traffic>,
}

/// Bytes over all connections of one shard.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Open connections.
    pub connections: Cell<u64>,
    /// Bytes read.
    pub received: Cell<u64>,
    /// Bytes written.
    pub sent: Cell<u64>,
    /// Bytes of frames that had to be moved because they straddled two read buffers.
    pub moved: Cell<u64>,
}

fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get().wrapping_add(count));
}

/// An open connection. Clones share it; it closes when [`Connection::close`] is called or the other side goes.
#[derive(Clone)]
pub struct Connection {
    inner: Rc<Inner>,
}

impl Connection {
    /// Takes over a connected socket: starts its reader, writer and sweeper on this shard.
    ///
    /// `notified` happens whenever the broker says that a consumer group's membership changed, and when the connection
    /// closes.
    pub fn start<D: Driver>(
        address: SocketAddr,
        (reader, writer): (D::Reader, D::Writer),
        credentials: Option<Credentials>,
        notified: Event,
        traffic: Rc<Traffic>,
    ) -> Self {
        add(&traffic.connections, 1);
        let inner = Rc::new(Inner {
            address: address.to_string(),
            credentials,
            next_opaque: Cell::new(1),
            outgoing: RefCell::default(),
            outgoing_changed: Event::default(),
            pending: RefCell::default(),
            closed: RefCell::new(None),
            closed_event: Event::default(),
            notified,
            heard: Cell::new(Instant::now()),
            traffic,
        });
        D::spawn(read_loop::<D>(inner.clone(), reader));
        D::spawn(write_loop::<D>(inner.clone(), writer));
        D::spawn(sweep_loop::<D>(inner.clone()));
        Self { inner }
    }

    /// Whether requests can still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.inner.closed.borrow().is_none()
    }

    /// Whether the other is this very connection.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    /// The other side's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Sends a request now; the future gives the answer. Requests go out in the order of these calls. If the future
    /// is dropped the request stays sent and its answer is ignored.
    pub fn call(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> impl Future<Output = Result<Response, CallError>> + use<> {
        let (answer, receiver) = slot();
        self.register(request, timeout, answer);
        let inner = self.inner.clone();
        let code = request.code;
        async move { await_answer(&inner, receiver, code).await }
    }

    fn register(&self, request: &Request, timeout: Duration, answer: SlotSender<Result<Response, CallError>>) {
        let inner = &self.inner;
        if let Some(reason) = inner.closed.borrow().as_ref() {
            answer.send(Err(CallError::Connect { address: inner.address.clone(), reason: reason.clone() }));
            return;
        }
        let opaque = inner.next_opaque.get();
        inner.next_opaque.set(opaque.wrapping_add(1) & i32::MAX);
        let sent = Instant::now();
        let deadline = sent.checked_add(timeout).unwrap_or(sent);
        inner.pending.borrow_mut().insert(opaque, Pending { code: request.code, sent, deadline, answer });
        inner.enqueue(request, opaque, 0);
    }

    /// Sends a request that gets no answer.
    pub fn send_oneway(&self, request: &Request) {
        if self.is_open() {
            let opaque = self.inner.next_opaque.get();
            self.inner.next_opaque.set(opaque.wrapping_add(1) & i32::MAX);
            self.inner.enqueue(request, opaque, FLAG_ONEWAY);
        }
    }

    /// Closes; all waiting calls fail.
    pub fn close(&self, reason: &str) {
        self.inner.close(reason);
    }
}

async fn await_answer(
    inner: &Inner,
    receiver: SlotReceiver<Result<Response, CallError>>,
    code: i32,
) -> Result<Response, CallError> {
    match receiver.await {
        Some(answer) => answer,
        None => Err(inner.broken(&format!("request {code} was given up"))),
    }
}

impl Inner {
    fn enqueue(&self, request: &Request, opaque: i32, flag: i32) {
        let head = encode_head(request, opaque, flag, self.credentials.as_ref());
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.push_back(head.freeze());
        outgoing.extend(request.body.iter().filter(|part| !part.is_empty()).cloned());
        drop(outgoing);
        self.outgoing_changed.notify();
    }

    fn broken(&self, reason: &str) -> CallError {
        CallError::Broken { address: self.address.clone(), reason: reason.to_owned() }
    }

    fn close(&self, reason: &str) {
        if self.closed.borrow().is_some() {
            return;
        }
        *self.closed.borrow_mut() = Some(reason.to_owned());
        self.traffic.connections.set(self.traffic.connections.get().saturating_sub(1));
        self.outgoing.borrow_mut().clear();
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        for call in pending.into_values() {
            call.answer.send(Err(self.broken(reason)));
        }
        self.outgoing_changed.notify();
        self.closed_event.notify();
        // Whoever keeps up a membership must look where the broker is now.
        self.notified.notify();
    }

    fn take_frame(&self, frame: frame::Frame) -> Result<(), String> {
        let header = Header::decode(frame.form, &frame.header).map_err(|error| error.to_string())?;
        if !header.is_response() {
            self.answer_request(&header);
            return Ok(());
        }
        let call = self.pending.borrow_mut().remove(&header.opaque);
        // An answer without a caller came too late; its request has already failed.
        if let Some(call) = call {
            call.answer.send(Ok(Response { header, body: frame.body }));
        }
        Ok(())
    }

    /// The broker asks something: a changed group is passed on, everything else is not supported.
    fn answer_request(&self, header: &Header) {
        if header.code == request::NOTIFY_CONSUMER_IDS_CHANGED {
            self.notified.notify();
        }
        if header.is_oneway() {
            return;
        }
        let mut head = BytesMut::with_capacity(256);
        let mark = frame::begin(&mut head);
        let code = response::REQUEST_CODE_NOT_SUPPORTED;
        let mut writer = JsonHeaderWriter::open(&mut head, code, header.opaque, FLAG_RESPONSE);
        writer.remark("this client does not serve requests");
        writer.close();
        frame::finish(&mut head, mark, 0);
        self.outgoing.borrow_mut().push_back(head.freeze());
        self.outgoing_changed.notify();
    }

    fn expire(&self, now: Instant) {
        let mut pending = self.pending.borrow_mut();
        let overdue: Vec<i32> = pending
            .iter()
            .filter(|(_, call)| call.deadline <= now || call.answer.is_abandoned())
            .map(|(opaque, _)| *opaque)
            .collect();
        let calls: Vec<_> = overdue.iter().filter_map(|opaque| pending.remove(opaque)).collect();
        drop(pending);
        // A side that sent not one byte in all that time is behind a dead path, which the system would not notice for
        // many minutes: the next call is to take a new connection.
        let silent = calls.iter().any(|call| call.deadline <= now && self.heard.get() < call.sent);
        for call in calls {
            let after_ms = now.saturating_duration_since(call.sent).as_millis();
            let error = CallError::Timeout { address: self.address.clone(), code: call.code, after_ms };
            call.answer.send(Err(error));
        }
        if silent {
            self.close("the other side fell silent");
        }
    }
}

/// The frame of a request up to its body, signed when there are credentials.
pub(super) fn encode_head(request: &Request, opaque: i32, flag: i32, credentials: Option<&Credentials>) -> BytesMut {
    let body_len = request.body.iter().map(Bytes::len).sum();
    let mut head = BytesMut::with_capacity(512);
    let mark = frame::begin(&mut head);
    let mut writer = JsonHeaderWriter::open(&mut head, request.code, opaque, flag);
    for (name, value) in &request.fields {
        match value {
            Field::Text(text) => writer.text(name, text),
            Field::Number(number) => writer.number(name, *number),
        }
    }
    if let Some(credentials) = credentials {
        writer.text(sign::ACCESS_KEY, credentials.access_key.as_bytes());
        writer.text(sign::SIGNATURE, signature(credentials, request).as_bytes());
    }
    writer.close();
    frame::finish(&mut head, mark, body_len);
    head
}

fn signature(credentials: &Credentials, request: &Request) -> String {
    let mut fields: Vec<(&str, Bytes)> = request
        .fields
        .iter()
        .map(|(name, value)| match value {
            Field::Text(text) => (*name, text.clone()),
            Field::Number(number) => (*name, Bytes::from(number.to_string())),
        })
        .collect();
    fields.push((sign::ACCESS_KEY, Bytes::copy_from_slice(credentials.access_key.as_bytes())));
    fields.sort_by_key(|(name, _)| *name);
    sign::signature(credentials, fields.iter().map(|(_, value)| &value[..]), request.body.iter().map(|part| &part[..]))
}

async fn read_loop<D: Driver>(inner: Rc<Inner>, mut reader: D::Reader) {
    let mut decoder = FrameDecoder::default();
    let mut moved = 0;
    let reason = loop {
        let read = poll_fn(|cx| {
            if inner.closed.borrow().is_some() {
                return Poll::Ready(Ok(0));
            }
            let (buffer, len_max) = decoder.read_target();
            reader.poll_read(cx, buffer, len_max)
        })
        .await;
        match read {
            Ok(0) => break "closed by the other side".to_owned(),
            Ok(len) => {
                add(&inner.traffic.received, len as u64);
                inner.heard.set(Instant::now());
            }
            Err(error) => break error.to_string(),
        }
        if let Err(reason) = drain_frames(&inner, &mut decoder) {
            break reason;
        }
        add(&inner.traffic.moved, decoder.moved_bytes().saturating_sub(moved));
        moved = decoder.moved_bytes();
        D::yield_if_needed().await;
    };
    inner.close(&reason);
}

fn drain_frames(inner: &Inner, decoder: &mut FrameDecoder) -> Result<(), String> {
    while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
        inner.take_frame(frame)?;
    }
    Ok(())
}

async fn write_loop<D: Driver>(inner: Rc<Inner>, mut writer: D::Writer) {
    let mut sending: VecDeque<Bytes> = VecDeque::new();
    loop {
        let seen = inner.outgoing_changed.seen();
        sending.append(&mut inner.outgoing.borrow_mut());
        if inner.closed.borrow().is_some() {
            break;
        }
        if sending.is_empty() {
            inner.outgoing_changed.since(seen).await;
            continue;
        }
        let written = write_front(&mut writer, &mut sending).await;
        match written {
            Ok(len) => add(&inner.traffic.sent, len as u64),
            Err(error) => inner.close(&error.to_string()),
        }
        D::yield_if_needed().await;
    }
    writer.shutdown();
}

async fn sweep_loop<D: Driver>(inner: Rc<Inner>) {
    loop {
        let seen = inner.closed_event.seen();
        if inner.closed.borrow().is_some() {
            return;
        }
        let _ = crate::local::first(inner.closed_event.since(seen), D::sleep(SWEEP)).await;
        inner.expire(Instant::now());
    }
}
