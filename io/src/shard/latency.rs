//! How long a task's records are on their way.

use hdrhistogram::Histogram;
use rmqc_core::metrics::{Latency, Span};

use super::steps::Micros;

/// Runs of records that are kept apart in one batch.
const RUNS_MAX: usize = 8;
/// In the place of the time of records that have none.
const NO_TIME: i64 = i64::MIN;

/// The latencies of one task.
#[derive(Default)]
pub struct Latencies(Vec<(Span, Micros)>);

impl Latencies {
    /// Those that are measured from and to these points; each is reported from the start.
    #[must_use]
    pub fn of(spans: &[Span]) -> Self {
        Self(spans.iter().map(|span| (*span, Micros::default())).collect())
    }

    /// So many records of this time are through now. Clocks that disagree make no negative times.
    pub fn record(&self, span: Span, then_ms: i64, now_ms: i64, count: u64) {
        if let Some((_, micros)) = self.0.iter().find(|(known, _)| *known == span).filter(|_| count > 0) {
            let waited_ms = u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0);
            micros.record(waited_ms.saturating_mul(1000), count);
        }
    }

    /// The records of a batch, so many, are through now.
    pub fn record_runs(&self, span: Span, runs: &TimeRuns, records: usize, now_ms: i64) {
        for (then_ms, count) in runs.counted(records).filter(|(then_ms, _)| *then_ms != NO_TIME) {
            self.record(span, then_ms, now_ms, count as u64);
        }
    }

    /// What to report: all that is measured, also before the first record.
    #[must_use]
    pub fn report(&self) -> Vec<Latency> {
        let histogram = |micros: &Micros| micros.get().or_else(|| Histogram::new(2).ok());
        self.0.iter().filter_map(|(span, micros)| Some(Latency { span: *span, micros: histogram(micros)? })).collect()
    }
}

/// The times of a batch's records, in their order: a source stamps many records alike, so a few runs are enough. When there
/// are more, neighbours are put together under the time in their middle. A record like the one before costs a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeRuns {
    /// Time of each run, and the place of its first record.
    runs: [(i64, usize); RUNS_MAX],
    len: usize,
    /// Time of the last run.
    last_ms: Option<i64>,
}

impl TimeRuns {
    /// Adds the record at this place of the batch; places follow one another.
    #[inline]
    pub fn push(&mut self, at: usize, time_ms: Option<i64>) {
        if at == 0 || self.last_ms != time_ms {
            self.begin(at, time_ms);
        }
    }

    fn begin(&mut self, at: usize, time_ms: Option<i64>) {
        if self.len == RUNS_MAX {
            self.halve(at);
        }
        if let Some(run) = self.runs.get_mut(self.len) {
            *run = (time_ms.unwrap_or(NO_TIME), at);
            self.len = self.len.saturating_add(1);
        }
        self.last_ms = time_ms;
    }

    fn halve(&mut self, end: usize) {
        let mut pairs = [(NO_TIME, 0); RUNS_MAX];
        let mut counted = self.counted(end);
        let (mut len, mut start) = (0usize, 0usize);
        while let (Some(a), Some(pair)) = (counted.next(), pairs.get_mut(len)) {
            let b = counted.next().unwrap_or((a.0, 0));
            *pair = (middle(a, b), start);
            start = start.saturating_add(a.1).saturating_add(b.1);
            len = len.saturating_add(1);
        }
        drop(counted);
        (self.runs, self.len) = (pairs, len);
    }

    /// The times of so many records, with the number of those that have each.
    fn counted(&self, records: usize) -> impl Iterator<Item = (i64, usize)> + '_ {
        let ends = self.runs.iter().take(self.len).skip(1).map(|(_, start)| *start).chain([records]);
        self.runs.iter().take(self.len).zip(ends).map(|((time_ms, start), end)| (*time_ms, end.saturating_sub(*start)))
    }

    /// The times of so many records one by one, as runs of their own.
    pub fn singles(self, records: usize) -> impl Iterator<Item = Self> {
        (0..records).map(move |at| {
            let run = self.runs.iter().take(self.len).rev().find(|(_, start)| *start <= at);
            let time_ms = run.map(|(time_ms, _)| *time_ms).filter(|time_ms| *time_ms != NO_TIME);
            let mut single = Self::default();
            single.push(0, time_ms);
            single
        })
    }
}

/// The time between two runs, nearer to the longer one; a time is known when one of them has it.
fn middle(a: (i64, usize), b: (i64, usize)) -> i64 {
    if a.0 == NO_TIME || b.0 == NO_TIME {
        return a.0.max(b.0);
    }
    let (weight_a, weight_b) = (a.1 as i128, b.1 as i128);
    let sum = i128::from(a.0).saturating_mul(weight_a).saturating_add(i128::from(b.0).saturating_mul(weight_b));
    let mean = sum.checked_div(weight_a.saturating_add(weight_b)).unwrap_or_default();
    i64::try_from(mean).unwrap_or(a.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(times: &[Option<i64>]) -> TimeRuns {
        let mut runs = TimeRuns::default();
        times.iter().enumerate().for_each(|(at, time_ms)| runs.push(at, *time_ms));
        runs
    }

    #[test]
    fn a_few_runs_hold_a_batch_of_any_size() {
        let alike = runs(&[Some(5); 1000]);
        assert_eq!(alike.counted(1000).collect::<Vec<_>>(), [(5, 1000)]);
        let times: Vec<Option<i64>> = (0..1000).map(Some).collect();
        let many = runs(&times);
        assert!(many.len <= RUNS_MAX);
        assert_eq!(many.counted(1000).map(|(_, count)| count).sum::<usize>(), 1000);
        let mean = many.counted(1000).map(|(at, count)| at * count as i64).sum::<i64>() / 1000;
        assert!((490..=500).contains(&mean), "{mean}");
        let mixed = runs(&[Some(1), Some(1), None, Some(3)]);
        assert_eq!(mixed.counted(4).collect::<Vec<_>>(), [(1, 2), (NO_TIME, 1), (3, 1)]);
        let singles: Vec<_> = mixed.singles(4).flat_map(|one| one.counted(1).collect::<Vec<_>>()).collect();
        assert_eq!(singles, [(1, 1), (1, 1), (NO_TIME, 1), (3, 1)]);
    }

    #[test]
    fn latencies_reach_beyond_the_first_size_of_a_histogram() {
        let latencies = Latencies::of(&[Span::RecordToAck]);
        assert_eq!(latencies.report()[0].micros.len(), 0);
        latencies.record_runs(Span::RecordToAck, &runs(&[Some(1000), Some(1000), None, Some(70_000)]), 4, 61_000);
        // Not measured here, and a clock that is ahead.
        latencies.record(Span::StoreToPut, 0, 1000, 1);
        let report = latencies.report();
        assert_eq!((report.len(), report[0].span, report[0].micros.len()), (1, Span::RecordToAck, 3));
        let most = report[0].micros.max();
        assert!((60_000_000..61_000_000).contains(&most), "{most}");
        assert_eq!(report[0].micros.min(), 0);
    }
}
