//! The two text forms: Prometheus' 0.0.4 and OpenMetrics 1.0.0.

use std::fmt::Write as _;

use super::catalogue::Kind;
use super::family::{Family, Sample, Value};
use super::spread::{BOUNDS_US, cumulative, seconds, sum_seconds};

/// Prometheus' text, version 0.0.4.
#[must_use]
pub fn prometheus(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let (name, help) = (family.metric.sample_name(), family.metric.help);
        // This form knows no infos: they are gauges.
        let kind = if family.metric.kind == Kind::Info { Kind::Gauge } else { family.metric.kind };
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", help_text(help), kind.name());
        samples(&mut text, family, false);
    }
    text
}

/// OpenMetrics text, version 1.0.0.
#[must_use]
pub fn open_metrics(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let metric = family.metric;
        let name = metric.name;
        let _ = writeln!(text, "# TYPE {name} {}", metric.kind.name());
        if !metric.unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {}", metric.unit);
        }
        let _ = writeln!(text, "# HELP {name} {}", escaped(metric.help));
        samples(&mut text, family, true);
    }
    text.push_str("# EOF\n");
    text
}

fn samples(text: &mut String, family: &Family, open: bool) {
    let name = family.metric.sample_name();
    for sample in &family.samples {
        let micros = match &sample.value {
            Value::Whole(value) => {
                line(text, &name, family, sample, None, &value.to_string());
                continue;
            }
            Value::Real(value) => {
                line(text, &name, family, sample, None, &value.to_string());
                continue;
            }
            Value::Micros(micros) => micros,
        };
        let bucket = format!("{name}_bucket");
        for (bound, count) in BOUNDS_US.iter().zip(cumulative(micros)) {
            line(text, &bucket, family, sample, Some(&bound_text(*bound, open)), &count.to_string());
        }
        let count = micros.len().to_string();
        line(text, &bucket, family, sample, Some("+Inf"), &count);
        line(text, &format!("{name}_sum"), family, sample, None, &sum_seconds(micros).to_string());
        line(text, &format!("{name}_count"), family, sample, None, &count);
    }
}

/// A bucket's bound in seconds; OpenMetrics wants a point in it.
fn bound_text(micros: u64, open: bool) -> String {
    let bound = seconds(micros);
    if open && bound.fract() == 0.0 { format!("{bound:.1}") } else { bound.to_string() }
}

// Writing to a String can't fail, so results are dropped here.
fn line(text: &mut String, name: &str, family: &Family, sample: &Sample, bound: Option<&str>, value: &str) {
    text.push_str(name);
    let own = family.metric.labels.iter().copied().zip(sample.labels.iter().map(String::as_str));
    let mut before = '{';
    for (label, value) in own.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(text, "{before}{label}=\"{}\"", escaped(value));
        before = ',';
    }
    let _ = writeln!(text, "{} {value}", if before == ',' { "}" } else { "" });
}

/// Text within quotes: `\`, `"` and line ends escaped.
fn escaped(text: &str) -> String {
    help_text(text).replace('"', "\\\"")
}

/// Text of a help line in Prometheus' form, where quotes stay.
fn help_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}
