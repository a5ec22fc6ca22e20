//! A name server and broker in one that answers as the test wants, and a name server that never does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};

/// What it answers.
pub struct State {
    /// Where it says that its broker is.
    pub broker: String,
    /// The broker's properties file.
    pub settings: String,
    /// The broker's figures.
    pub figures: Map<String, Value>,
    /// Topics: name, queues, permission.
    pub topics: Vec<(String, u32, u32)>,
    /// The access key without which the broker refuses everything.
    pub account: Option<String>,
    /// Whether topics may be made.
    pub may_create: bool,
}

pub struct Fake {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let figures = json!({ "brokerVersionDesc": "V5_5_0", "commitLogDiskRatio": "0.1" });
        let state = Arc::new(Mutex::new(State {
            broker: address.to_string(),
            settings: "brokerPermission=6\nmaxMessageSize=4194304\nautoCreateTopicEnable=true\n".to_owned(),
            figures: figures.as_object().unwrap().clone(),
            topics: Vec::new(),
            account: None,
            may_create: true,
        }));
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Sets the broker's clock so many seconds off.
    pub fn shift_clock(&self, seconds: i64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let started = i64::try_from(now.as_millis()).unwrap() + seconds * 1000 - 3_600_000;
        let mut state = self.state();
        state.figures.insert("bootTimestamp".to_owned(), started.to_string().into());
        state.figures.insert("runtime".to_owned(), "[ 0 days, 1 hours, 0 minutes, 0 seconds ]".into());
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    while let Some(request) = read(&mut stream) {
        let (code, fields, body) = answer(&state.lock().unwrap(), &request);
        let header = json!({
            "code": code, "flag": 1, "opaque": request["opaque"], "language": "JAVA", "version": 513,
            "remark": "as the test wants", "extFields": fields, "serializeTypeCurrentRPC": "JSON",
        })
        .to_string();
        let mut frame = u32::try_from(4 + header.len() + body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(header.as_bytes());
        frame.extend_from_slice(body.as_bytes());
        if stream.write_all(&frame).is_err() {
            return;
        }
    }
}

/// The header of the next request.
fn read(stream: &mut TcpStream) -> Option<Value> {
    let mut word = [0; 4];
    stream.read_exact(&mut word).ok()?;
    let mut rest = vec![0; u32::from_be_bytes(word) as usize];
    stream.read_exact(&mut rest).ok()?;
    let header = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
    serde_json::from_slice(&rest[4..4 + header]).ok()
}

fn answer(state: &State, request: &Value) -> (i32, Value, String) {
    let none = json!({});
    let fields = &request["extFields"];
    let from_broker = !matches!(request["code"].as_i64(), Some(105 | 106));
    if from_broker && state.account.as_deref().is_some_and(|account| fields["AccessKey"] != account) {
        return (16, none, String::new());
    }
    match request["code"].as_i64().unwrap() {
        106 => {
            let broker = json!({ "brokerAddrs": { "0": state.broker }, "brokerName": "broker-a", "cluster": "c" });
            (0, none, json!({ "brokerAddrTable": { "broker-a": broker } }).to_string())
        }
        105 => match state.topics.iter().find(|(name, _, _)| fields["topic"] == name.as_str()) {
            None => (17, none, String::new()),
            Some((_, queues, perm)) => {
                let route = json!({
                    "brokerDatas": [{ "brokerName": "broker-a", "brokerAddrs": { "0": state.broker } }],
                    "queueDatas": [{
                        "brokerName": "broker-a", "readQueueNums": queues, "writeQueueNums": queues, "perm": perm
                    }],
                });
                (0, none, route.to_string())
            }
        },
        26 => (0, none, state.settings.clone()),
        28 => (0, none, json!({ "table": state.figures }).to_string()),
        14 => (22, none, String::new()),
        30 => (0, json!({ "offset": "0" }), String::new()),
        17 if !state.may_create => (16, none, String::new()),
        215 | 216 => (0, none, String::new()),
        _ => (3, none, String::new()),
    }
}

/// Accepts connections and never says a word.
pub fn silent() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener)
}
