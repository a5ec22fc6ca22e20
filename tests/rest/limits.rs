//! What a client may take of a worker: time, connections, memory. Spoken over raw sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rmqc_control::rest::RestLimits;
use serde_json::{Value, json};

use crate::world::{Wishes, World};

/// A limit that a test waits out.
const SHORT: Duration = Duration::from_millis(300);
/// No wait of a test is longer.
const DEADLINE: Duration = Duration::from_secs(10);

fn world(limits: RestLimits) -> World {
    World::start(Wishes { limits, ..Wishes::default() })
}

fn connect(world: &World) -> TcpStream {
    let socket = TcpStream::connect(world.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Everything until the worker closes; a reset ends it, too.
fn until_closed(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => panic!("still open: {error}; so far {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// One answer from a connection that stays open.
fn one_answer(socket: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

/// Sends byte after byte until the worker has had enough; gives how long that took.
fn trickle(mut socket: TcpStream, byte: &[u8]) -> Duration {
    let start = Instant::now();
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    loop {
        assert!(start.elapsed() < DEADLINE, "the worker waits for ever");
        // Paced by the read's time-out.
        if socket.write_all(byte).is_err() {
            return start.elapsed();
        }
        match socket.read(&mut [0; 4096]) {
            Ok(0) => return start.elapsed(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return start.elapsed(),
            Ok(_) => {}
        }
    }
}

#[test]
fn a_head_that_trickles_in_and_an_idle_connection_are_ended() {
    let world = world(RestLimits { head_timeout: SHORT, ..RestLimits::default() });
    let mut slow = connect(&world);
    slow.write_all(b"GET /getClusterInfo HTTP/1.1\r\nX: ").unwrap();
    assert!(trickle(slow, b"x") >= SHORT / 2);
    let mut silent = connect(&world);
    assert_eq!(until_closed(&mut silent), "");
    let mut idle = connect(&world);
    idle.write_all(b"GET /getClusterInfo HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(one_answer(&mut idle).0, 200);
    assert_eq!(until_closed(&mut idle), "", "kept alive, but not for ever");
    assert_eq!(world.get("/connectors/list")["status"], 200);
}

#[test]
fn a_body_that_trickles_in_is_given_up_and_holds_nobody_else_up() {
    let world = world(RestLimits { body_timeout: SHORT, ..RestLimits::default() });
    let mut slow: Vec<TcpStream> = (0..40).map(|_| connect(&world)).collect();
    for socket in &mut slow {
        socket.write_all(b"POST /connectors/c HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\n{").unwrap();
    }
    assert_eq!(world.get("/connectors/list")["status"], 200, "while more bodies trickle than may be read at once");
    for socket in &mut slow {
        let text = until_closed(socket);
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    }
    let answer = world.ask("POST", "/connectors/c", Some("{}")).json();
    assert_eq!(answer["errorCode"], 500, "bodies are read again: {answer}");
}

#[test]
fn further_connections_wait_until_there_is_room() {
    let world = world(RestLimits { connections_max: 3, ..RestLimits::default() });
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(&world)).collect();
    for socket in &mut held {
        socket.write_all(b"GET /getClusterInfo HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(one_answer(socket).0, 200);
    }
    let mut waiting = connect(&world);
    waiting.write_all(b"GET /getClusterInfo HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(SHORT)).unwrap();
    let kind = waiting.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{kind:?}");
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    drop(held.pop());
    assert_eq!(one_answer(&mut waiting).0, 200);
    drop((held, waiting));
    assert!(world.stop().is_empty());
}

#[test]
fn heads_are_bounded() {
    let world = world(RestLimits::default());
    let long = "x".repeat(60_000);
    let long_uri = format!("GET /connectors/c?config={long} HTTP/1.1\r\nHost: t\r\n\r\n");
    let many = "a: b\r\n".repeat(200);
    for (what, request, statuses) in [
        ("a long path is read", long_uri, &[200][..]),
        ("a longer one is not", format!("GET /{long}{long} HTTP/1.1\r\nHost: t\r\n\r\n"), &[414, 431]),
        ("a huge header", format!("GET / HTTP/1.1\r\nX: {long}{long}\r\n\r\n"), &[431]),
        ("many headers", format!("GET / HTTP/1.1\r\n{many}\r\n"), &[431]),
        ("no HTTP", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), &[400]),
        ("another version", "GET / HTTP/9.9\r\n\r\n".to_owned(), &[400]),
        (
            "two lengths",
            "POST /connectors/c HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy".to_owned(),
            &[400],
        ),
    ] {
        let mut socket = connect(&world);
        let _ = socket.write_all(request.as_bytes());
        let (status, _) = one_answer(&mut socket);
        assert!(statuses.contains(&status), "{what}: {status}");
    }
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let world = world(RestLimits::default());
    let mut socket = connect(&world);
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    let request = (0..20).map(|number| one(&format!("/connectors/c{number}/config"))).collect::<String>();
    socket.write_all(request.as_bytes()).unwrap();
    for number in 0..20 {
        let body: Value = serde_json::from_str(&one_answer(&mut socket).1).unwrap();
        assert_eq!(body["message"], format!("Connector[c{number}] does not exist"));
    }
}

#[test]
fn bodies_in_chunks_are_read_within_the_same_bound() {
    let world = world(RestLimits::default());
    let config = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"}).to_string();
    let (first, second) = config.split_at(10);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "POST /connectors/c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut socket = connect(&world);
    write!(socket, "{head}{}{}0\r\n\r\n", chunk(first), chunk(second)).unwrap();
    let (status, body) = one_answer(&mut socket);
    assert_eq!((status, &body[..13]), (200, "{\"status\":200"), "{body}");

    let mut socket = connect(&world);
    let many = chunk(&" ".repeat(100_000)).repeat(11);
    let _ = write!(socket, "{head}{many}0\r\n\r\n");
    assert_eq!(one_answer(&mut socket), (413, "Payload Too Large".to_owned()));
    assert_eq!(until_closed(&mut socket), "");

    let mut socket = connect(&world);
    write!(socket, "{head}nonsense\r\n").unwrap();
    assert_eq!(one_answer(&mut socket).0, 400);
}

#[test]
fn a_controller_that_stands_still_is_not_waited_for() {
    let (release, released) = mpsc::channel::<()>();
    let limits = RestLimits { answer_timeout: SHORT, ..RestLimits::default() };
    let world = World::start(Wishes { limits, ..Wishes::default() });
    world.block_store(released);
    let config = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"}).to_string();
    // The store does not return, so the change is not durable, so it is not confirmed.
    let answer = world.ask("POST", "/connectors/c", Some(&config));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap().contains("may still be done"), "{answer:?}");
    let answer = world.ask("GET", "/connectors/list", None);
    assert_eq!(
        (answer.status, answer.json()["errorCode"].clone()),
        (503, json!(500)),
        "nor does it say what it can't see"
    );
    assert_eq!(world.ask("GET", "/getClusterInfo", None).status, 200);
    release.send(()).unwrap();
    world.wait_for_state("c", 0, "RUNNING");
    assert!(world.stop().is_empty());
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_left() {
    let limits = RestLimits { write_timeout: SHORT, connections_max: 1, ..RestLimits::default() };
    let world = world(limits);
    // Answers of a megabyte each, and nobody who reads them: soon all buffers on the way are full.
    let value = "x".repeat(900_000);
    let config = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t", "long": value});
    world.create("c", &config);
    let mut deaf = connect(&world);
    let request = "GET /connectors/c/config HTTP/1.1\r\nHost: t\r\n\r\n".repeat(50);
    deaf.write_all(request.as_bytes()).unwrap();
    // There is room for one connection: this one is heard when the other is left.
    assert_eq!(world.get("/getClusterInfo")["status"], 200);
    drop(deaf);
}
