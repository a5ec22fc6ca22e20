//! A worker that answers what it is told, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// One request, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method and path with query, e.g. `GET /v1/worker`.
    pub line: String,
    /// Its body; null without one.
    pub body: Value,
}

/// It listens until the process ends.
pub struct Fake {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Starts one: to each method and path, status and body. What it does not know is 404.
    pub fn start(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let answers: BTreeMap<String, (u16, String)> =
            answers.iter().map(|(line, status, body)| ((*line).to_owned(), (*status, (*body).to_owned()))).collect();
        let heard = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &answers, &heard);
            }
        });
        Self { address, requests }
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Methods and paths of what was asked so far.
    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

/// One request on one connection.
fn serve(stream: TcpStream, answers: &BTreeMap<String, (u16, String)>, heard: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let line = head[0].trim_end_matches(" HTTP/1.1").to_owned();
    let text = String::from_utf8(body).unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    heard.lock().unwrap().push(Request { line: line.clone(), body });
    let missing = (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#.to_owned());
    let (status, body) = answers.get(&line).cloned().unwrap_or(missing);
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    // Who asked may be gone.
    let _ = write!(reader.get_mut(), "HTTP/1.1 {status} Text\r\n{length}Connection: close\r\n\r\n{body}");
}
