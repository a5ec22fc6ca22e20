//! A metric with its values, before it has a form.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use hdrhistogram::Histogram;

use super::catalogue::Metric;

/// Characters of a label's value.
pub const LABEL_CHARS_MAX: usize = 120;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// Anything else.
    Real(f64),
    /// A spread of microseconds, which the pages show in seconds.
    Micros(Box<Histogram<u64>>),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// One series: values of its metric's labels, in their order, and the value.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Values of the labels, bounded.
    pub labels: Vec<String>,
    /// The value.
    pub value: Value,
}

/// A metric with all its series.
#[derive(Clone, Debug)]
pub struct Family {
    /// Which metric.
    pub metric: &'static Metric,
    /// Its series; no two have the same labels.
    pub samples: Vec<Sample>,
}

impl Family {
    /// One without series.
    #[must_use]
    pub fn new(metric: &'static Metric) -> Self {
        Self { metric, samples: Vec::new() }
    }

    /// One of a single series without labels.
    #[must_use]
    pub fn single(metric: &'static Metric, value: impl Into<Value>) -> Self {
        let mut family = Self::new(metric);
        family.push(&[], value);
        family
    }

    /// Adds a series.
    pub fn push(&mut self, labels: &[&str], value: impl Into<Value>) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        let labels = labels.iter().map(|text| bounded(text)).collect();
        self.samples.push(Sample { labels, value: value.into() });
    }
}

/// A label's value within its bound. One that is cut ends with a number made from all of it, since two long names may begin alike.
fn bounded(text: &str) -> String {
    if text.len() <= LABEL_CHARS_MAX || text.chars().count() <= LABEL_CHARS_MAX {
        return text.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let cut: String = text.chars().take(LABEL_CHARS_MAX - 17).collect();
    format!("{cut}~{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_are_cut_and_stay_apart() {
        let long = |end: &str| bounded(&format!("{}{end}", "é".repeat(300)));
        assert_eq!(long("a").chars().count(), LABEL_CHARS_MAX);
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a"), long("a"));
        assert_eq!(bounded("short"), "short");
    }
}
