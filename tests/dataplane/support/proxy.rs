//! A proxy between the data plane and a broker that knows frames, so that it can lose, cut and answer them.
//!
//! Name server and broker share one address. The proxy puts its own in the place of theirs in routes, so that clients
//! come to it for everything.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It goes on later; everything behind it waits too.
    Late(Duration),
    /// It gets lost, and the connection stays.
    Lost,
    /// The connection is cut before it.
    Cut,
    /// Half of it goes on, then the connection is cut.
    Half,
    /// It does not go on; the proxy answers with this code.
    Refuse(i32),
}

/// Which way a frame goes, and its code (a request's code; 0 and more for answers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Request(i64),
    Answer(i64),
}

type Judge = Box<dyn FnMut(Frame, &[u8]) -> Fate + Send>;

struct Shared {
    address: SocketAddr,
    /// Where connections go now, and what stands in routes.
    upstream: Mutex<SocketAddr>,
    rewrite: bool,
    judge: Mutex<Judge>,
    connections: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    accepted: AtomicU64,
}

pub struct Proxy(Arc<Shared>);

impl Proxy {
    /// In front of `upstream`. With `rewrite`, brokers are reached through the proxy too.
    pub fn start(upstream: SocketAddr, rewrite: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            upstream: Mutex::new(upstream),
            rewrite,
            judge: Mutex::new(Box::new(|_, _| Fate::Pass)),
            connections: Mutex::default(),
            ended: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                let upstream = *accepting.upstream.lock().unwrap();
                let Ok(server) = TcpStream::connect(upstream) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                    accepting.connections.lock().unwrap().push(stream.try_clone().unwrap());
                }
                pump(&accepting, &client, &server, true);
                pump(&accepting, &server, &client, false);
            }
        });
        Self(shared)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Connections taken so far.
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::SeqCst)
    }

    pub fn judge(&self, judge: impl FnMut(Frame, &[u8]) -> Fate + Send + 'static) {
        *self.0.judge.lock().unwrap() = Box::new(judge);
    }

    pub fn go_to(&self, upstream: SocketAddr) {
        *self.0.upstream.lock().unwrap() = upstream;
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        for connection in self.0.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.0.address);
    }
}

fn pump(shared: &Arc<Shared>, from: &TcpStream, to: &TcpStream, to_broker: bool) {
    let (shared, mut from, mut to) = (shared.clone(), from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        while let Some(frame) = read_frame(&mut from) {
            if !forward(&shared, frame, &mut from, &mut to, to_broker) {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

pub fn read_frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).ok()?;
    let len = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
    frame.resize(4 + len, 0);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// The JSON header of a frame.
pub fn header(frame: &[u8]) -> serde_json::Value {
    let len = u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
    serde_json::from_slice(&frame[8..8 + len]).unwrap()
}

/// The body of a frame.
pub fn body(frame: &[u8]) -> &[u8] {
    let len = u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
    &frame[8 + len..]
}

/// A frame of a JSON header and a body.
pub fn frame(header: &serde_json::Value, body: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    let mut frame = u32::try_from(4 + header.len() + body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(body);
    frame
}

fn forward(shared: &Shared, mut frame: Vec<u8>, from: &mut TcpStream, to: &mut TcpStream, to_broker: bool) -> bool {
    let head = header(&frame);
    let code = head["code"].as_i64().unwrap();
    let which = if to_broker { Frame::Request(code) } else { Frame::Answer(code) };
    let fate = (shared.judge.lock().unwrap())(which, &frame);
    if !to_broker && shared.rewrite {
        rewrite(&mut frame, *shared.upstream.lock().unwrap(), shared.address);
    }
    match fate {
        Fate::Pass => to.write_all(&frame).is_ok(),
        Fate::Late(delay) => {
            std::thread::sleep(delay);
            to.write_all(&frame).is_ok()
        }
        Fate::Lost => true,
        Fate::Cut => false,
        Fate::Half => {
            let _ = to.write_all(&frame[..frame.len() / 2]);
            false
        }
        Fate::Refuse(code) => {
            let answer = serde_json::json!({
                "code": code, "flag": 1, "opaque": head["opaque"], "language": "JAVA", "version": 477,
                "remark": "refused by the test", "serializeTypeCurrentRPC": "JSON",
            });
            from.write_all(&self::frame(&answer, b"")).is_ok()
        }
    }
}

/// Puts one port in the place of another in answers that name brokers; both have five digits.
fn rewrite(frame: &mut [u8], old: SocketAddr, new: SocketAddr) {
    let (old, new) = (format!("127.0.0.1:{}", old.port()), format!("127.0.0.1:{}", new.port()));
    if old.len() != new.len() || frame.len() > 16 * 1024 {
        return;
    }
    let places: Vec<usize> =
        frame.windows(old.len()).enumerate().filter(|(_, at)| *at == old.as_bytes()).map(|(at, _)| at).collect();
    for at in places {
        frame[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
}
