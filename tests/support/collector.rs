//! An OpenTelemetry collector that is played: it takes OTLP over HTTP and reads it with OpenTelemetry's own types.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// The trace and the span of another system.
const TRACE_ID: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN_ID: u64 = 0xb7ad_6b71_6920_3331;

/// They as a `traceparent`.
pub fn context() -> String {
    format!("00-{TRACE_ID:032x}-{SPAN_ID:016x}-01")
}

/// Lets every record of a source carry them.
pub fn carry_context(source: &mut serde_json::Value) {
    source["transforms"] = "context".into();
    source["transforms.context.class"] = "InsertHeader".into();
    source["transforms.context.header"] = "traceparent".into();
    source["transforms.context.value.literal"] = context().into();
}

/// Fails unless the span is linked to them, and to nothing else.
pub fn check_link(span: &Span) {
    let link = &span.links[0];
    assert_eq!((&link.trace_id[..], &link.span_id[..]), (&TRACE_ID.to_be_bytes()[..], &SPAN_ID.to_be_bytes()[..]));
    assert_eq!(span.links.len(), 1, "one context, however many messages carry it");
}

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    /// Its path.
    pub path: String,
    /// Its headers, in small letters.
    pub head: String,
    body: ExportMetricsServiceRequest,
    /// Spans, of a request to `/v1/traces`.
    pub spans: Vec<Span>,
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match attributes.iter().find(|one| one.key == key)?.value.as_ref()? {
        Any { value: Some(AnyValue::StringValue(text)) } => Some(text.clone()),
        _ => None,
    }
}

/// A batch that was traced.
pub struct Batch {
    /// The span of it as a whole.
    pub root: Span,
    /// Those of its steps.
    pub parts: Vec<Span>,
}

impl Batch {
    /// Names of its steps, in the order in which they began, each once.
    pub fn steps(&self) -> Vec<&str> {
        let mut parts: Vec<&Span> = self.parts.iter().collect();
        parts.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
        let mut names: Vec<&str> = parts.iter().map(|span| span.name.as_str()).collect();
        names.dedup();
        names
    }

    /// The first span of that step.
    pub fn step(&self, name: &str) -> &Span {
        self.parts.iter().find(|span| span.name == name).unwrap()
    }

    /// Fails unless every step belongs to the batch and lies within it.
    pub fn check(&self) {
        let root = &self.root;
        assert!((root.trace_id.len(), root.span_id.len()) == (16, 8) && root.start_time_unix_nano > 0);
        assert!(root.start_time_unix_nano <= root.end_time_unix_nano);
        for part in &self.parts {
            assert_eq!(part.parent_span_id, root.span_id, "{part:?}");
            assert!(part.start_time_unix_nano <= part.end_time_unix_nano, "{part:?}");
            assert!(root.start_time_unix_nano <= part.start_time_unix_nano, "{part:?} {root:?}");
            assert!(part.end_time_unix_nano <= root.end_time_unix_nano, "{part:?} {root:?}");
        }
    }
}

/// Whether a span has that text.
pub fn told(span: &Span, key: &str, value: &str) -> bool {
    text(&span.attributes, key).as_deref() == Some(value)
}

/// A number that a span tells.
pub fn number(span: &Span, key: &str) -> Option<i64> {
    match span.attributes.iter().find(|one| one.key == key)?.value.as_ref()? {
        Any { value: Some(AnyValue::IntValue(number)) } => Some(*number),
        _ => None,
    }
}

impl Request {
    /// All metrics in it.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.body.resource_metrics.iter().flat_map(|one| &one.scope_metrics).flat_map(|one| &one.metrics)
    }

    /// Who sends it.
    pub fn resource(&self, key: &str) -> Option<String> {
        text(&self.body.resource_metrics[0].resource.as_ref()?.attributes, key)
    }

    /// The value of a sum whose point has that attribute.
    pub fn sum(&self, name: &str, key: &str, value: &str) -> Option<i64> {
        let Some(Data::Sum(sum)) = &self.metrics().find(|metric| metric.name == name)?.data else { return None };
        assert!(sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Cumulative);
        let point = sum.data_points.iter().find(|point| text(&point.attributes, key).as_deref() == Some(value))?;
        assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano <= point.time_unix_nano);
        match point.value? {
            Value::AsInt(count) => Some(count),
            Value::AsDouble(_) => None,
        }
    }
}

/// The collector.
pub struct Collector {
    /// Its address, with the scheme.
    pub url: String,
    status: Arc<AtomicU16>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Collector {
    /// Takes requests on threads of their own until the test ends.
    pub fn start() -> Self {
        let (listener, address) = listener();
        Self::listen(format!("http://{address}"), listener, |socket| socket)
    }

    /// The same behind TLS, with a certificate for `localhost` of no known authority: its PEM is given too.
    pub fn start_safe() -> (Self, String) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![cert.der().clone()], key).unwrap());
        let wrapped = move |socket| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            rustls::StreamOwned::new(connection, socket)
        };
        let (listener, address) = listener();
        (Self::listen(format!("https://localhost:{}", address.port()), listener, wrapped), cert.pem())
    }

    fn listen<S: Read + Write>(
        url: String,
        listener: TcpListener,
        wrapped: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    ) -> Self {
        let (status, requests) = (Arc::new(AtomicU16::new(200)), Arc::<Mutex<Vec<Request>>>::default());
        let (answers, taken, wrapped) = (Arc::clone(&status), Arc::clone(&requests), Arc::new(wrapped));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (answers, taken, wrapped) = (Arc::clone(&answers), Arc::clone(&taken), Arc::clone(&wrapped));
                std::thread::spawn(move || serve(wrapped(socket.unwrap()), &answers, &taken));
            }
        });
        Self { url, status, requests }
    }

    /// The line of a worker's configuration that names it.
    pub fn setting(&self) -> String {
        format!("otlpEndpoint={}", self.url)
    }

    /// From now on every request is answered so; what is refused is not kept.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Forgets what came.
    pub fn forget(&self) {
        self.requests.lock().unwrap().clear();
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.requests.lock().unwrap().is_empty()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.requests.lock().unwrap().iter().flat_map(|request| request.spans.clone()).collect()
    }

    /// Waits for a whole trace: the span of a connector's batch, of which this holds, and all others of its trace.
    pub fn wait_for_batch(&self, connector: &str, deadline: Duration, holds: impl Fn(&Batch) -> bool) -> Batch {
        let found = || {
            let spans = self.spans();
            let is_root = |span: &&Span| {
                span.parent_span_id.is_empty()
                    && span.name.ends_with(" batch")
                    && told(span, "rmqc.connector", connector)
            };
            let batches = spans.iter().filter(is_root).map(|root| Batch {
                root: root.clone(),
                parts: spans.iter().filter(|one| one.trace_id == root.trace_id && *one != root).cloned().collect(),
            });
            batches.into_iter().find(|batch| holds(batch))
        };
        crate::support::wait_for("the spans of a batch", deadline, found)
    }

    /// Waits for a request of which this holds.
    pub fn wait_for(&self, deadline: Duration, holds: impl Fn(&Request) -> bool) -> Request {
        let found = || self.requests.lock().unwrap().iter().find(|request| holds(request)).cloned();
        crate::support::wait_for("a request to the collector", deadline, found)
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn serve(socket: impl Read + Write, status: &AtomicU16, requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let status = status.load(Ordering::SeqCst);
        if status == 200 {
            let request = if path == "/v1/traces" {
                let read = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
                let scopes = read.resource_spans.into_iter().flat_map(|one| one.scope_spans);
                let spans = scopes.flat_map(|one| one.spans).collect();
                Request { path, head, body: ExportMetricsServiceRequest::default(), spans }
            } else {
                let body = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
                Request { path, head, body, spans: Vec::new() }
            };
            requests.lock().unwrap().push(request);
        }
        let _ = write!(reader.get_mut(), "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    }
}
