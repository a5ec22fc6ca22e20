//! Sockets around the broker: one task accepts, two serve each connection, one looks at the clock.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::broker::{Broker, Caller, ConnectionId, Moment};
use crate::driver::{Driver, StreamListener, StreamRead, StreamWrite};
use crate::local::{Event, First, Semaphore, first};
use crate::remoting::frame::FrameDecoder;
use crate::remoting::header::Header;
use crate::remoting::outgoing::write_front;

/// How often deadlines of long polls are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often what was stored is made durable.
const FLUSH: Duration = Duration::from_secs(1);
/// How long to wait after an error of `accept`, which most often means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most connections.
const CONNECTIONS_MAX: usize = 4_096;
/// While more bytes than that wait to be sent to a client, nothing more is read from it.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Both clocks.
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mono = self.start.elapsed().as_millis();
        Moment { wall_ms: i64::try_from(wall).unwrap_or(i64::MAX), mono_ms: u64::try_from(mono).unwrap_or(u64::MAX) }
    }
}

/// What waits to be sent to one client.
#[derive(Default)]
struct Link {
    unsent: RefCell<VecDeque<Bytes>>,
    unsent_bytes: Cell<usize>,
    closed: Cell<bool>,
    /// Something was added, sent, or the connection is to be closed.
    changed: Event,
}

impl Link {
    fn close(&self) {
        self.closed.set(true);
        self.changed.notify();
    }

    fn add(&self, parts: Vec<Bytes>) {
        let len: usize = parts.iter().map(Bytes::len).sum();
        self.unsent_bytes.set(self.unsent_bytes.get().saturating_add(len));
        self.unsent.borrow_mut().extend(parts.into_iter().filter(|part| !part.is_empty()));
        self.changed.notify();
    }

    fn sent(&self, len: usize) {
        self.unsent_bytes.set(self.unsent_bytes.get().saturating_sub(len));
        self.changed.notify();
    }
}

/// All that the tasks share.
struct Server {
    broker: RefCell<Broker>,
    clock: Clock,
    links: RefCell<HashMap<ConnectionId, Rc<Link>>>,
    last_connection: Cell<ConnectionId>,
    flushing: Semaphore,
    stopping: Cell<bool>,
    stop: Event,
}

impl Server {
    /// Hands the broker's frames to their connections. Those of connections that are gone are dropped.
    fn distribute(&self) {
        let outbox = self.broker.borrow_mut().take_outbox();
        if outbox.is_empty() {
            return;
        }
        let links = self.links.borrow();
        for outgoing in outbox {
            if let Some(link) = links.get(&outgoing.to) {
                link.add(outgoing.parts);
            }
        }
    }

    /// Makes durable what the broker has for its disk, off this thread. One at a time: the later must win.
    async fn flush<D: Driver>(&self) {
        let _turn = self.flushing.acquire().await;
        let work = self.broker.borrow_mut().flush_work();
        if work.is_empty() {
            return;
        }
        if let Err(error) = D::unblock(move || work.run()).await {
            tracing::error!(%error, "the embedded broker could not make its data durable; they are in the system's memory only");
            self.broker.borrow_mut().note_offsets_changed();
        }
    }
}

/// Serves until `stopped` completes; then everything stored is made durable.
pub(super) async fn serve<D: Driver>(
    broker: Broker,
    clock: Clock,
    listener: D::Listener,
    stopped: impl Future<Output = ()>,
) {
    let server = Rc::new(Server {
        broker: RefCell::new(broker),
        clock,
        links: RefCell::default(),
        last_connection: Cell::new(0),
        flushing: Semaphore::new(1),
        stopping: Cell::new(false),
        stop: Event::default(),
    });
    D::spawn(accept_loop::<D>(server.clone(), listener));
    D::spawn_control(tick_loop::<D>(server.clone()));
    D::spawn_control(flush_loop::<D>(server.clone()));
    stopped.await;
    server.stopping.set(true);
    server.stop.notify();
    for link in server.links.borrow().values() {
        link.close();
    }
    server.flush::<D>().await;
}

async fn accept_loop<D: Driver>(server: Rc<Server>, listener: D::Listener) {
    loop {
        let seen = server.stop.seen();
        if server.stopping.get() {
            return;
        }
        let accepted = match first(server.stop.since(seen), listener.accept()).await {
            First::A(()) => return,
            First::B(accepted) => accepted,
        };
        match accepted {
            Ok((reader, writer, address)) => start_connection::<D>(&server, reader, writer, address),
            Err(error) => {
                tracing::warn!(%error, "the embedded broker could not take a connection");
                D::sleep(ACCEPT_PAUSE).await;
            }
        }
        D::yield_if_needed().await;
    }
}

fn start_connection<D: Driver>(server: &Rc<Server>, reader: D::Reader, mut writer: D::Writer, address: SocketAddr) {
    if server.links.borrow().len() >= CONNECTIONS_MAX {
        writer.shutdown();
        return;
    }
    let connection = server.last_connection.get().wrapping_add(1);
    server.last_connection.set(connection);
    let link = Rc::new(Link::default());
    server.links.borrow_mut().insert(connection, link.clone());
    D::spawn(write_loop::<D>(link.clone(), writer));
    let server = server.clone();
    D::spawn(async move {
        read_loop::<D>(&server, connection, address, &link, reader).await;
        link.close();
        server.links.borrow_mut().remove(&connection);
        server.broker.borrow_mut().disconnect(connection);
        server.distribute();
    });
}

/// Ends when the client goes, or sends what is not a frame: nothing after that could be trusted.
async fn read_loop<D: Driver>(
    server: &Server,
    connection: ConnectionId,
    address: SocketAddr,
    link: &Link,
    mut reader: D::Reader,
) {
    let mut decoder = FrameDecoder::default();
    loop {
        let read = poll_fn(|cx| {
            let (buffer, len_max) = decoder.read_target();
            reader.poll_read(cx, buffer, len_max)
        });
        match read.await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        loop {
            let frame = match decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return refuse(address, &error),
            };
            let header = match Header::decode(frame.form, &frame.header) {
                Ok(header) => header,
                Err(error) => return refuse(address, &error),
            };
            let caller = Caller { connection, address, now: server.clock.now() };
            server.broker.borrow_mut().request(caller, &header, &frame.body.freeze());
            server.distribute();
            wait_until_sent(link).await;
            D::yield_if_needed().await;
            if link.closed.get() {
                return;
            }
        }
    }
}

fn refuse(address: SocketAddr, error: &dyn std::fmt::Display) {
    tracing::warn!(%address, %error, "the embedded broker closed a connection");
}

/// Waits while a client does not take what it asked for.
async fn wait_until_sent(link: &Link) {
    loop {
        let seen = link.changed.seen();
        if link.unsent_bytes.get() <= UNSENT_BYTES_MAX || link.closed.get() {
            return;
        }
        link.changed.since(seen).await;
    }
}

async fn write_loop<D: Driver>(link: Rc<Link>, mut writer: D::Writer) {
    let mut sending: VecDeque<Bytes> = VecDeque::new();
    loop {
        let seen = link.changed.seen();
        sending.append(&mut link.unsent.borrow_mut());
        if link.closed.get() {
            break;
        }
        if sending.is_empty() {
            link.changed.since(seen).await;
            continue;
        }
        let write = write_front(&mut writer, &mut sending);
        // A client that takes nothing must not keep a closed connection open.
        let written = match first(closed(&link), write).await {
            First::A(()) => break,
            First::B(written) => written,
        };
        match written {
            Ok(len) => link.sent(len),
            Err(_) => link.close(),
        }
        D::yield_if_needed().await;
    }
    writer.shutdown();
}

async fn closed(link: &Link) {
    loop {
        let seen = link.changed.seen();
        if link.closed.get() {
            return;
        }
        link.changed.since(seen).await;
    }
}

async fn tick_loop<D: Driver>(server: Rc<Server>) {
    while !server.stopping.get() {
        D::sleep(TICK).await;
        server.broker.borrow_mut().tick(server.clock.now());
        server.distribute();
    }
}

async fn flush_loop<D: Driver>(server: Rc<Server>) {
    while !server.stopping.get() {
        D::sleep(FLUSH).await;
        server.flush::<D>().await;
    }
}
