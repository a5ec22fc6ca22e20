//! OpenTelemetry's protobuf: all metrics as one `ExportMetricsServiceRequest`, where sums and gauges are numbers and histograms are
//! exponential ones; spans as one `ExportTraceServiceRequest`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use rmqc_core::trace::{BatchSpan, SpanKind, SpanPlace, SpanValue};

use super::catalogue::Kind;
use super::family::{Family, Sample, Value};
use super::spread::{SCHEMA, Sparse, ZERO_THRESHOLD_SECONDS, seconds, sparse, sum_seconds};
use crate::trace::RequestSpan;

/// Values count from the start on: OpenTelemetry's `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;

/// Messages of OpenTelemetry's `metrics.proto` and `trace.proto`, with the fields that are used here. Numbers of fields are the
/// protocol. They are written by hand, since the crate that has all of them brings the whole SDK along.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Request {
        #[prost(message, repeated, tag = "1")]
        pub resource_metrics: Vec<ResourceMetrics>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ResourceMetrics {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_metrics: Vec<ScopeMetrics>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
    }

    /// A text or a whole number, never both.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct AnyValue {
        #[prost(string, optional, tag = "1")]
        pub string_value: Option<String>,
        #[prost(int64, optional, tag = "3")]
        pub int_value: Option<i64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TraceRequest {
        #[prost(message, repeated, tag = "1")]
        pub resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub name: String,
        /// 1: internal, 2: of a server, 3: of a client, 4: of a producer, 5: of a consumer.
        #[prost(int32, tag = "6")]
        pub kind: i32,
        #[prost(fixed64, tag = "7")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub attributes: Vec<KeyValue>,
        #[prost(message, repeated, tag = "13")]
        pub links: Vec<Link>,
        #[prost(message, optional, tag = "15")]
        pub status: Option<Status>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Link {
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Status {
        #[prost(string, tag = "2")]
        pub message: String,
        /// 2: an error.
        #[prost(int32, tag = "3")]
        pub code: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ScopeMetrics {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub metrics: Vec<Metric>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Scope {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub version: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metric {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub description: String,
        #[prost(string, tag = "3")]
        pub unit: String,
        #[prost(message, optional, tag = "5")]
        pub gauge: Option<Numbers>,
        #[prost(message, optional, tag = "7")]
        pub sum: Option<Numbers>,
        #[prost(message, optional, tag = "10")]
        pub exponential_histogram: Option<Spreads>,
    }

    /// A gauge, which has only points, or a sum.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Numbers {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<Number>,
        #[prost(int32, tag = "2")]
        pub aggregation_temporality: i32,
        #[prost(bool, tag = "3")]
        pub is_monotonic: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Number {
        #[prost(fixed64, tag = "2")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        pub time_unix_nano: u64,
        #[prost(double, optional, tag = "4")]
        pub as_double: Option<f64>,
        #[prost(sfixed64, optional, tag = "6")]
        pub as_int: Option<i64>,
        #[prost(message, repeated, tag = "7")]
        pub attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Spreads {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<Spread>,
        #[prost(int32, tag = "2")]
        pub aggregation_temporality: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Spread {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        pub count: u64,
        #[prost(double, optional, tag = "5")]
        pub sum: Option<f64>,
        #[prost(sint32, tag = "6")]
        pub scale: i32,
        #[prost(fixed64, tag = "7")]
        pub zero_count: u64,
        #[prost(message, optional, tag = "8")]
        pub positive: Option<Buckets>,
        #[prost(double, optional, tag = "12")]
        pub min: Option<f64>,
        #[prost(double, optional, tag = "13")]
        pub max: Option<f64>,
        #[prost(double, tag = "14")]
        pub zero_threshold: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Buckets {
        #[prost(sint32, tag = "1")]
        pub offset: i32,
        #[prost(uint64, repeated, tag = "2")]
        pub bucket_counts: Vec<u64>,
    }
}

/// Who tells, and since when it counts.
pub struct Teller<'a> {
    /// Name of this worker.
    pub worker_id: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// When counting began.
    pub begin: SystemTime,
    /// Now.
    pub now: SystemTime,
}

impl Teller<'_> {
    fn resource(&self) -> wire::Resource {
        let own =
            [("service.name", "rmqc-fast"), ("service.instance.id", self.worker_id), ("service.version", self.version)];
        wire::Resource { attributes: own.into_iter().map(|(key, value)| attribute(key, value)).collect() }
    }

    fn scope(&self) -> wire::Scope {
        wire::Scope { name: "rmqc-fast".to_owned(), version: self.version.to_owned() }
    }
}

/// The body of a request to `/v1/traces`.
#[must_use]
pub fn trace_request(requests: &[RequestSpan], batches: Vec<BatchSpan>, teller: &Teller<'_>) -> Vec<u8> {
    let spans = requests.iter().map(span).chain(batches.into_iter().map(batch_span)).collect();
    let scope_spans = vec![wire::ScopeSpans { scope: Some(teller.scope()), spans }];
    let all = wire::ResourceSpans { resource: Some(teller.resource()), scope_spans };
    wire::TraceRequest { resource_spans: vec![all] }.encode_to_vec()
}

fn span(span: &RequestSpan) -> wire::Span {
    let attributes = vec![
        attribute("http.request.method", &span.method),
        attribute("url.path", &span.path),
        number_attribute("http.response.status_code", u64::from(span.status)),
    ];
    wire::Span {
        trace_id: span.place.trace_id.to_vec(),
        span_id: span.place.span_id.to_vec(),
        parent_span_id: span.place.parent_id.map(|id| id.to_vec()).unwrap_or_default(),
        name: format!("{} {}", span.method, span.path),
        kind: 2,
        start_time_unix_nano: nanos(span.begin),
        end_time_unix_nano: nanos(span.begin.checked_add(span.took).unwrap_or(span.begin)),
        attributes,
        links: Vec::new(),
        // A server's span is an error only where the server failed.
        status: (span.status >= 500).then_some(wire::Status { message: String::new(), code: 2 }),
    }
}

fn batch_span(span: BatchSpan) -> wire::Span {
    let mut attributes = vec![
        attribute("rmqc.connector", &span.task.connector),
        number_attribute("rmqc.task", u64::from(span.task.index)),
    ];
    attributes.extend(span.attributes.iter().map(|(name, value)| match value {
        SpanValue::Whole(value) => number_attribute(name, *value),
        SpanValue::Text(value) => attribute(name, value),
    }));
    let link = |place: &SpanPlace| wire::Link { trace_id: place.trace_id.to_vec(), span_id: place.span_id.to_vec() };
    wire::Span {
        trace_id: span.place.trace_id.to_vec(),
        span_id: span.place.span_id.to_vec(),
        parent_span_id: span.parent_id.map(|id| id.to_vec()).unwrap_or_default(),
        name: span.name.to_owned(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        },
        start_time_unix_nano: span.begin_unix_nanos,
        end_time_unix_nano: span.end_unix_nanos,
        attributes,
        links: span.links.iter().map(link).collect(),
        status: span.error.map(|message| wire::Status { message, code: 2 }),
    }
}

/// The body of a request to `/v1/metrics`.
#[must_use]
pub fn request(families: &[Family], teller: &Teller<'_>) -> Vec<u8> {
    let times = Times { begin: nanos(teller.begin), now: nanos(teller.now) };
    let metrics = families.iter().filter(|family| !family.samples.is_empty()).map(|family| metric(family, times));
    let (resource, scope) = (teller.resource(), teller.scope());
    let scope_metrics = vec![wire::ScopeMetrics { scope: Some(scope), metrics: metrics.collect() }];
    let all = wire::ResourceMetrics { resource: Some(resource), scope_metrics };
    wire::Request { resource_metrics: vec![all] }.encode_to_vec()
}

#[derive(Clone, Copy)]
struct Times {
    begin: u64,
    now: u64,
}

fn nanos(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(key: &str, value: &str) -> wire::KeyValue {
    wire::KeyValue {
        key: key.to_owned(),
        value: Some(wire::AnyValue { string_value: Some(value.to_owned()), int_value: None }),
    }
}

fn number_attribute(key: &str, value: u64) -> wire::KeyValue {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    wire::KeyValue { key: key.to_owned(), value: Some(wire::AnyValue { string_value: None, int_value: Some(value) }) }
}

/// Units as UCUM writes them.
fn unit(unit: &str) -> &'static str {
    match unit {
        "seconds" => "s",
        "bytes" => "By",
        "ratio" => "1",
        "records" => "{record}",
        _ => "",
    }
}

fn metric(family: &Family, times: Times) -> wire::Metric {
    let of = family.metric;
    let mut metric = wire::Metric {
        name: of.name.to_owned(),
        description: of.help.to_owned(),
        unit: unit(of.unit).to_owned(),
        ..wire::Metric::default()
    };
    let numbers = || family.samples.iter().filter_map(|sample| number(family, sample, times)).collect();
    match of.kind {
        Kind::Gauge | Kind::Info => {
            metric.gauge = Some(wire::Numbers { data_points: numbers(), ..wire::Numbers::default() });
        }
        Kind::Counter => {
            let points = numbers();
            let sum = wire::Numbers { data_points: points, aggregation_temporality: CUMULATIVE, is_monotonic: true };
            metric.sum = Some(sum);
        }
        Kind::Histogram => {
            let points = family.samples.iter().filter_map(|sample| spread(family, sample, times)).collect();
            metric.exponential_histogram =
                Some(wire::Spreads { data_points: points, aggregation_temporality: CUMULATIVE });
        }
    }
    metric
}

fn attributes(family: &Family, sample: &Sample) -> Vec<wire::KeyValue> {
    family.metric.labels.iter().zip(&sample.labels).map(|(key, value)| attribute(key, value)).collect()
}

fn number(family: &Family, sample: &Sample, times: Times) -> Option<wire::Number> {
    let (as_int, as_double) = match &sample.value {
        Value::Whole(value) => (Some(i64::try_from(*value).unwrap_or(i64::MAX)), None),
        Value::Real(value) => (None, Some(*value)),
        Value::Micros(_) => return None,
    };
    Some(wire::Number {
        start_time_unix_nano: times.begin,
        time_unix_nano: times.now,
        as_double,
        as_int,
        attributes: attributes(family, sample),
    })
}

fn spread(family: &Family, sample: &Sample, times: Times) -> Option<wire::Spread> {
    let Value::Micros(micros) = &sample.value else { return None };
    let sparse = sparse(micros);
    let some = !micros.is_empty();
    Some(wire::Spread {
        attributes: attributes(family, sample),
        start_time_unix_nano: times.begin,
        time_unix_nano: times.now,
        count: micros.len(),
        sum: Some(sum_seconds(micros)),
        scale: SCHEMA,
        zero_count: sparse.zero,
        positive: Some(buckets(&sparse)),
        min: some.then(|| seconds(micros.min())),
        max: some.then(|| seconds(micros.max())),
        zero_threshold: ZERO_THRESHOLD_SECONDS,
    })
}

/// Counts of all buckets from the first to the last that has values: at most 64 × 8. Indexes are those of the lower bounds here.
fn buckets(sparse: &Sparse) -> wire::Buckets {
    let Some((first, _)) = sparse.buckets.first() else { return wire::Buckets::default() };
    let mut counts: Vec<u64> = Vec::new();
    for (index, count) in &sparse.buckets {
        let at = usize::try_from(index.saturating_sub(*first)).unwrap_or(0);
        counts.resize(at, 0);
        counts.push(*count);
    }
    wire::Buckets { offset: first.saturating_sub(1), bucket_counts: counts }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue as c;
    use super::super::spread::upper_bound;
    use super::*;

    #[test]
    fn a_histogram_decodes_to_the_recorded_values() {
        let mut micros = hdrhistogram::Histogram::new(2).unwrap();
        for value in [0, 1_000, 1_000, 7_000, 90_000] {
            micros.record(value).unwrap();
        }
        let mut family = Family::new(c::CONNECTOR_LATENCY);
        family.push(&["a", "record_to_ack"], Value::Micros(Box::new(micros)));
        let (begin, now) = (UNIX_EPOCH + Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(3));
        let teller = Teller { worker_id: "w", version: "1", begin, now };
        let read = wire::Request::decode(request(&[family], &teller).as_slice()).unwrap();
        let metric = &read.resource_metrics[0].scope_metrics[0].metrics[0];
        let point = &metric.exponential_histogram.as_ref().unwrap().data_points[0];
        assert_eq!((metric.unit.as_str(), point.count, point.zero_count), ("s", 5, 1));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1_000_000_000, 3_000_000_000));
        let positive = point.positive.as_ref().unwrap();
        let count_of = |value: f64| {
            let holds = |at: &usize| {
                // Bucket i holds what is above base^i, up to base^(i+1).
                let index = positive.offset + i32::try_from(*at).unwrap();
                upper_bound(index) < value && value <= upper_bound(index + 1)
            };
            (0..positive.bucket_counts.len()).find(holds).map(|at| positive.bucket_counts[at])
        };
        assert_eq!([count_of(0.001), count_of(0.007), count_of(0.09)], [Some(2), Some(1), Some(1)]);
        assert_eq!(positive.bucket_counts.iter().sum::<u64>(), 4);
    }
}
