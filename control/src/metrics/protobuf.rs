//! Prometheus' protobuf: `io.prometheus.client.MetricFamily`, each behind its length. Histograms are there twice, as classic buckets
//! and as native ones; a server takes those that it is set to.

use prost::Message;

use super::catalogue::Kind;
use super::family::{Family, Sample, Value};
use super::spread::{BOUNDS_US, SCHEMA, ZERO_THRESHOLD_SECONDS, cumulative, seconds, sparse, sum_seconds};

/// Messages of Prometheus' `metrics.proto`, with the fields that are used here. Numbers of fields are the protocol.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct LabelPair {
        #[prost(string, optional, tag = "1")]
        pub name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub value: Option<String>,
    }

    /// A gauge's or counter's value.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Number {
        #[prost(double, optional, tag = "1")]
        pub value: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Bucket {
        #[prost(uint64, optional, tag = "1")]
        pub cumulative_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub upper_bound: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BucketSpan {
        /// Gap to the span before it, or the first index.
        #[prost(sint32, optional, tag = "1")]
        pub offset: Option<i32>,
        #[prost(uint32, optional, tag = "2")]
        pub length: Option<u32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub sample_sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub schema: Option<i32>,
        #[prost(double, optional, tag = "6")]
        pub zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = "7")]
        pub zero_count: Option<u64>,
        #[prost(message, repeated, tag = "12")]
        pub positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "13")]
        pub positive_delta: Vec<i64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub gauge: Option<Number>,
        #[prost(message, optional, tag = "3")]
        pub counter: Option<Number>,
        #[prost(message, optional, tag = "7")]
        pub histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetricFamily {
        #[prost(string, optional, tag = "1")]
        pub name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub help: Option<String>,
        /// 0 counter, 1 gauge, 4 histogram.
        #[prost(int32, optional, tag = "3")]
        pub kind: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        pub metric: Vec<Metric>,
        #[prost(string, optional, tag = "5")]
        pub unit: Option<String>,
    }
}

/// The page as protobuf.
#[must_use]
pub fn protobuf(families: &[Family]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A family without a series is nothing to this form.
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        bytes.extend(message(family).encode_length_delimited_to_vec());
    }
    bytes
}

fn message(family: &Family) -> wire::MetricFamily {
    let metric = family.metric;
    wire::MetricFamily {
        name: Some(metric.sample_name()),
        help: Some(metric.help.to_owned()),
        kind: Some(match metric.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info => 1,
            Kind::Histogram => 4,
        }),
        metric: family.samples.iter().map(|sample| series(family, sample)).collect(),
        unit: Some(metric.unit).filter(|unit| !unit.is_empty()).map(str::to_owned),
    }
}

fn series(family: &Family, sample: &Sample) -> wire::Metric {
    let pair = |(name, value): (&&str, &String)| wire::LabelPair {
        name: Some((*name).to_owned()),
        value: Some(value.clone()),
    };
    let label = family.metric.labels.iter().zip(&sample.labels).map(pair).collect();
    let number = match &sample.value {
        Value::Whole(value) => *value as f64,
        Value::Real(value) => *value,
        Value::Micros(micros) => {
            return wire::Metric { label, histogram: Some(histogram(micros)), ..wire::Metric::default() };
        }
    };
    let number = Some(wire::Number { value: Some(number) });
    match family.metric.kind {
        Kind::Counter => wire::Metric { label, counter: number, ..wire::Metric::default() },
        _ => wire::Metric { label, gauge: number, ..wire::Metric::default() },
    }
}

fn histogram(micros: &hdrhistogram::Histogram<u64>) -> wire::Histogram {
    let bucket = |(bound, count): (&u64, u64)| wire::Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(seconds(*bound)),
    };
    let sparse = sparse(micros);
    let (positive_span, positive_delta) = spans(&sparse.buckets);
    wire::Histogram {
        sample_count: Some(micros.len()),
        sample_sum: Some(sum_seconds(micros)),
        bucket: BOUNDS_US.iter().zip(cumulative(micros)).map(bucket).collect(),
        schema: Some(SCHEMA),
        zero_threshold: Some(ZERO_THRESHOLD_SECONDS),
        zero_count: Some(sparse.zero),
        positive_span,
        positive_delta,
    }
}

/// Neighbouring buckets as spans, and each count as its difference from the one before.
fn spans(buckets: &[(i32, u64)]) -> (Vec<wire::BucketSpan>, Vec<i64>) {
    let mut spans: Vec<wire::BucketSpan> = Vec::new();
    let mut deltas = Vec::with_capacity(buckets.len());
    let (mut next, mut last) = (0_i32, 0_i64);
    for (index, count) in buckets {
        let gap = index.saturating_sub(next);
        match spans.last_mut().filter(|_| gap == 0) {
            Some(span) => span.length = span.length.map(|length| length.saturating_add(1)),
            None => spans.push(wire::BucketSpan { offset: Some(gap), length: Some(1) }),
        }
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count.saturating_sub(last));
        (next, last) = (index.saturating_add(1), count);
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue as c;
    use super::super::spread::upper_bound;
    use super::*;

    /// Reads the page back: family by family.
    fn read(mut bytes: &[u8]) -> Vec<wire::MetricFamily> {
        let mut families = Vec::new();
        while !bytes.is_empty() {
            families.push(wire::MetricFamily::decode_length_delimited(&mut bytes).unwrap());
        }
        families
    }

    /// Index and count of each native bucket, as a server makes them from spans and differences.
    fn native(histogram: &wire::Histogram) -> Vec<(i32, i64)> {
        let mut deltas = histogram.positive_delta.iter();
        let (mut index, mut count, mut out) = (0, 0, Vec::new());
        for span in &histogram.positive_span {
            index += span.offset();
            for _ in 0..span.length() {
                count += deltas.next().unwrap();
                out.push((index, count));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        out
    }

    #[test]
    fn a_native_histogram_decodes_to_the_recorded_values() {
        let values = [0_u64, 0, 12, 990, 1_000, 1_000, 1_090, 7_000, 250_000, 61_000_000];
        let mut micros = hdrhistogram::Histogram::new(3).unwrap();
        values.iter().for_each(|value| micros.record(*value).unwrap());
        let mut family = Family::new(c::CONNECTOR_LATENCY);
        family.push(&["a", "record_to_ack"], Value::Micros(Box::new(micros)));
        let families = read(&protobuf(&[family, Family::new(c::TASK_HOLDING)]));
        assert_eq!(families.len(), 1, "a family without series is left out");
        assert_eq!((families[0].name(), families[0].kind()), ("rmqc_connector_latency_seconds", 4));
        let histogram = families[0].metric[0].histogram.as_ref().unwrap();
        assert_eq!((histogram.sample_count(), histogram.zero_count(), histogram.schema()), (10, 2, SCHEMA));
        let buckets = native(histogram);
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<i64>(), 8);
        for value in values.into_iter().filter(|value| *value > 0) {
            let value = seconds(value);
            let of = |(index, _): &&(i32, i64)| {
                upper_bound(index - 1) * 0.999 < value && value <= upper_bound(*index) * 1.001
            };
            let (_, count) = buckets.iter().find(of).unwrap_or_else(|| panic!("no bucket for {value}: {buckets:?}"));
            assert!(*count > 0, "{value}");
        }
        assert_eq!(
            histogram.bucket.last().unwrap().cumulative_count(),
            9,
            "what is longer than 60 s is beyond the bounds"
        );
        let bound = histogram.bucket.iter().find(|bucket| bucket.upper_bound() == 0.001).unwrap();
        assert_eq!(bound.cumulative_count(), 6);
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let mut family = Family::new(c::TASK_LAG_RECORDS);
        family.push(&["c", "0"], 3_u64);
        let bytes = protobuf(&[family]);
        let body = &bytes[2..];
        // A length of two bytes, then field 1, a text of 21 bytes.
        assert_eq!(&body[..2], [0x0a, 21]);
        assert_eq!(&body[2..23], b"rmqc_task_lag_records");
        // Field 4, a series: two labels of fields 1 and 2, and a gauge in field 2 with the double 3.0 in its field 1.
        let series = [
            0x22, 38, 0x0a, 14, 0x0a, 9, b'c', b'o', b'n', b'n', b'e', b'c', b't', b'o', b'r', 0x12, 1, b'c', 0x0a, 9,
            0x0a, 4, b't', b'a', b's', b'k', 0x12, 1, b'0', 0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0x08, 0x40,
        ];
        assert!(body.windows(series.len()).any(|part| part == series), "{body:02x?}");
    }
}
