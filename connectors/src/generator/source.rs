//! `generator-source`: see the module's page for partition and offset.
//!
//! Per record of 100 bytes: one copy out of a pool of letters, no allocation (one per block of records), one clock
//! reading and at most one timer per poll.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rmqc_core::clock::MonotonicTime;
use rmqc_core::connector::SourceTask;
use rmqc_core::context::{Backlog, TaskContext, Waiting};
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::host::Host;
use rmqc_core::limits::FILE_BLOCK_BYTES;
use rmqc_core::position::{Position, RecordOffset, RecordPartition, Scalar};
use rmqc_core::record::{ConnectRecord, Extensions, RecordBatch};
use rmqc_core::schema::{FieldType, Schema};
use rmqc_core::value::{Text, Value};

use super::config::GeneratorConfig;
use super::content::{Content, Letters};

const OFFSET_FIELD: &str = "next";
/// When records were due: with a rate, a record that a hold-up delays keeps the time at which it was to be made. So whoever
/// measures from a record's time sees the delay too, and a stalled target can't make a run look quick.
struct Time {
    now_ms: i64,
    /// The rate, and the time since its first record was due.
    schedule: Option<(u64, Duration)>,
}

impl Time {
    /// The time of the record with so many before it.
    fn of(&self, before: u64) -> i64 {
        let Some((rate, elapsed)) = self.schedule else { return self.now_ms };
        let due_ms = u128::from(before).saturating_mul(1000).checked_div(u128::from(rate)).unwrap_or(0);
        let late_ms = i64::try_from(elapsed.as_millis().saturating_sub(due_ms)).unwrap_or(0);
        self.now_ms.saturating_sub(late_ms)
    }
}

/// Without catching up, what is overdue is made at once only up to this part of a second's records.
const BURSTS_PER_SECOND: u64 = 10;

/// A task of `generator-source`.
pub struct GeneratorSource {
    host: Rc<dyn Host>,
    config: GeneratorConfig,
    partition: Arc<RecordPartition>,
    /// Of text; JSON has none.
    schema: Option<Arc<Schema>>,
    letters: Letters,
    keys: Vec<Text>,
    /// Number of the next record.
    next: u64,
    /// Records made since `started`, and those that were let go by.
    made: u64,
    started: Option<MonotonicTime>,
    /// Told by how many records it is late.
    backlog: Rc<Backlog>,
}

impl GeneratorSource {
    /// A task that goes on from the context's committed position.
    ///
    /// # Errors
    /// When the committed position is not a record's number.
    pub fn new(config: GeneratorConfig, context: &TaskContext) -> Result<Self> {
        let stripe = format!("{}/{}", config.stripe_first, config.stripe_step);
        let partition = RecordPartition::single("stripe", stripe);
        let next = match context.stored_offset(&partition).and_then(|stored| stored.offset.get(OFFSET_FIELD)) {
            None => config.stripe_first,
            Some(Scalar::Text(text)) => text.parse().map_err(|_| bad_position(text))?,
            Some(Scalar::Integer(number)) => u64::try_from(*number).map_err(|_| bad_position(number))?,
            Some(other) => return Err(bad_position(&format!("{other:?}"))),
        };
        let schema = match config.record_content {
            Content::Text => Some(Arc::new(Schema::required(FieldType::String))),
            Content::Json => None,
        };
        Ok(Self {
            host: context.host.clone(),
            partition: Arc::new(partition),
            schema,
            letters: Letters::new(config.seed),
            keys: (0..config.key_count).map(|key| Text::from(format!("key-{key}"))).collect(),
            next,
            made: 0,
            started: None,
            backlog: context.backlog.clone(),
            config,
        })
    }

    /// How many records may be made now; waits until it is at least one. Safe to drop.
    async fn due(&mut self) -> usize {
        let Some(rate) = self.config.records_per_second else {
            self.backlog.set(Waiting::NOTHING);
            return usize::MAX;
        };
        loop {
            let now = self.host.monotonic();
            let elapsed = now.saturating_sub(*self.started.get_or_insert(now));
            let scheduled = elapsed.as_nanos().saturating_mul(u128::from(rate)) / 1_000_000_000 + 1;
            let mut due = scheduled.saturating_sub(u128::from(self.made));
            let burst_max = u128::from(rate / BURSTS_PER_SECOND).max(1);
            if !self.config.catch_up && due > burst_max {
                due = burst_max;
                self.made = u64::try_from(scheduled.saturating_sub(due)).unwrap_or(u64::MAX);
            }
            self.tell_late(due, rate);
            if due > 0 {
                return usize::try_from(due).unwrap_or(usize::MAX);
            }
            let next_ns = u128::from(self.made).saturating_mul(1_000_000_000).div_ceil(u128::from(rate));
            let next_at = Duration::from_nanos(u64::try_from(next_ns).unwrap_or(u64::MAX));
            self.host.sleep(next_at.saturating_sub(elapsed)).await;
        }
    }

    /// Says how late it is: of so many records that are due, what one poll does not make waits for the next.
    fn tell_late(&self, due: u128, rate: u64) {
        let late = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.config.batch_records_max as u64);
        let age_ms = late.saturating_mul(1000).checked_div(rate).and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
        let since_ms = (late > 0).then(|| self.host.unix_ms().saturating_sub(age_ms));
        self.backlog.set(Waiting { records: Some(late), bytes: None, since_ms });
    }

    /// Adds up to `records_max` records whose values share one block.
    fn add_block(&mut self, records_max: usize, batch: &mut RecordBatch) -> Result<()> {
        let size = self.config.record_bytes;
        let fitting = FILE_BLOCK_BYTES.checked_div(size).unwrap_or(1).max(1).min(records_max);
        let left = self.config.records_end.saturating_sub(self.next).div_ceil(self.config.stripe_step);
        let count = fitting.min(usize::try_from(left).unwrap_or(usize::MAX));
        let time = self.time();
        let mut block = BytesMut::with_capacity(size.saturating_mul(count));
        let first = self.next;
        for index in 0..count as u64 {
            let end = block.len().saturating_add(size);
            let number = first.saturating_add(index.saturating_mul(self.config.stripe_step));
            self.letters.write(self.config.record_content, number, end, &mut block);
        }
        let mut block = block.freeze();
        while !block.is_empty() && !batch.is_full() {
            let value = self.config.record_content.value(block.split_to(size.min(block.len())))?;
            let timestamp_ms = Some(time.of(self.made));
            let number = self.next;
            self.next = number.saturating_add(self.config.stripe_step);
            self.made = self.made.saturating_add(1);
            let offset = RecordOffset::Counter { field: OFFSET_FIELD, value: self.next };
            let record = ConnectRecord {
                topic: None,
                key: self.key(number),
                key_schema: None,
                value,
                schema: self.schema.clone(),
                extensions: Extensions::Empty,
                timestamp_ms,
                position: Some(Position { partition: self.partition.clone(), offset }),
            };
            batch.push(record, size);
        }
        Ok(())
    }

    /// The times of the records that are made now.
    fn time(&self) -> Time {
        let now_ms = self.host.unix_ms();
        let rate = self.config.records_per_second.zip(self.started);
        let schedule = rate.map(|(rate, started)| (rate, self.host.monotonic().saturating_sub(started)));
        Time { now_ms, schedule }
    }

    fn key(&self, number: u64) -> Value {
        let index = number.checked_rem(self.keys.len() as u64).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.keys.get(index)).map_or(Value::Null, |key| Value::String(key.clone()))
    }
}

impl SourceTask for GeneratorSource {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        if self.next >= self.config.records_end {
            // All are made; there is nothing to wait for but the stop.
            return std::future::pending().await;
        }
        let due = self.due().await;
        let records_max = batch.len().saturating_add(self.config.batch_records_max.min(due));
        while !batch.is_full() && batch.len() < records_max && self.next < self.config.records_end {
            self.add_block(records_max.saturating_sub(batch.len()), batch)?;
            self.host.yield_if_needed().await;
        }
        Ok(())
    }
}

fn bad_position(found: &impl std::fmt::Display) -> ConnectError {
    let what = format!("the committed position has {OFFSET_FIELD}={found}, expected a record's number");
    ConnectError::fatal(Stage::Lifecycle, what)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rmqc_core::clock::Clock;
    use rmqc_core::position::StoredPosition;

    use super::*;
    use crate::generator::config::task_configs;
    use crate::testing::{TestHost, context, poll_for, properties};

    fn source(host: &Rc<TestHost>, config: &[(&str, &str)], stored: Vec<StoredPosition>) -> GeneratorSource {
        let context = context(host, config, stored);
        GeneratorSource::new(GeneratorConfig::parse(&context.config).unwrap(), &context).unwrap()
    }

    fn value(record: &ConnectRecord) -> Vec<u8> {
        match &record.value {
            Value::String(text) => text.as_bytes().to_vec(),
            other => panic!("{}", other.kind()),
        }
    }

    fn all(source: &mut GeneratorSource) -> Vec<ConnectRecord> {
        let mut all = Vec::new();
        let mut batch = RecordBatch::new(1000, usize::MAX);
        while poll_for(10, source.poll(&mut batch)).is_some() {
            all.extend(batch.drain());
        }
        all
    }

    #[test]
    fn stripes_make_each_record_once_whatever_their_number() {
        let host = TestHost::new();
        let config = properties(&[("records", "10007"), ("record.bytes", "50"), ("key.count", "3")]);
        let made = |tasks: usize| {
            let configs = task_configs(&config, tasks).unwrap();
            let records = configs.iter().flat_map(|config| {
                let pairs: Vec<_> = config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                all(&mut source(&host, &pairs, vec![]))
            });
            records.map(|record| value(&record)).collect::<Vec<_>>()
        };
        let one = made(1);
        assert_eq!(one.len(), 10_007);
        assert!(
            one.iter().enumerate().all(|(n, value)| value.len() == 50
                && String::from_utf8_lossy(value).split(' ').next() == Some(&n.to_string()))
        );
        let many = made(7);
        assert_eq!(many.len(), one.len());
        assert_eq!(many.into_iter().collect::<BTreeSet<_>>(), one.into_iter().collect::<BTreeSet<_>>());
    }

    #[test]
    fn every_position_resumes_with_the_next_record() {
        let host = TestHost::new();
        let config = [("records", "20"), ("stripe", "1/3"), ("key.count", "2")];
        let expected = all(&mut source(&host, &config, vec![]));
        assert_eq!(expected.len(), 7);
        assert_eq!(expected[1].key, Value::String(Text::from("key-0")));
        for (index, record) in expected.iter().enumerate() {
            let position = record.position.as_ref().unwrap();
            let stored =
                StoredPosition { partition: position.partition.as_ref().clone(), offset: position.offset.to_map() };
            assert_eq!(all(&mut source(&host, &config, vec![stored])), expected[index + 1..]);
        }
    }

    #[test]
    fn the_rate_is_kept_and_caught_up_with() {
        let host = TestHost::new();
        let mut source = source(&host, &[("records.per.second", "100")], vec![]);
        let made = |source: &mut GeneratorSource, ms| {
            host.advance(Duration::from_millis(ms));
            all(source).len()
        };
        assert_eq!([made(&mut source, 0), made(&mut source, 9), made(&mut source, 1)], [1, 0, 1]);
        assert_eq!([made(&mut source, 1000), made(&mut source, 5), made(&mut source, 5)], [100, 0, 1]);
    }

    #[test]
    fn with_a_rate_a_record_has_the_time_at_which_it_was_due() {
        let host = TestHost::new();
        let mut late = source(&host, &[("records.per.second", "100")], vec![]);
        let first_ms = all(&mut late)[0].timestamp_ms.unwrap();
        host.advance(Duration::from_millis(1_005));
        let times = all(&mut late).iter().map(|record| record.timestamp_ms.unwrap() - first_ms).collect::<Vec<_>>();
        assert_eq!(times, (1..=100).map(|record| record * 10).collect::<Vec<_>>());
        let now_ms = host.unix_ms();
        let unlimited = all(&mut source(&host, &[("records", "3")], vec![]));
        assert!(unlimited.iter().all(|record| record.timestamp_ms == Some(now_ms)));
    }

    #[test]
    fn without_catching_up_a_task_that_was_held_up_keeps_its_rate() {
        let host = TestHost::new();
        let mut source = source(&host, &[("records.per.second", "100"), ("catch.up", "false")], vec![]);
        let made = |source: &mut GeneratorSource, ms| {
            host.advance(Duration::from_millis(ms));
            all(source).len()
        };
        assert_eq!([made(&mut source, 0), made(&mut source, 50), made(&mut source, 10_000)], [1, 5, 10]);
        assert_eq!([made(&mut source, 10), made(&mut source, 100)], [1, 10]);
    }

    #[test]
    fn a_task_that_is_late_says_by_how_much() {
        let host = TestHost::new();
        let config = [("records.per.second", "100"), ("batch.size", "10")];
        let context = context(&host, &config, vec![]);
        let mut source = GeneratorSource::new(GeneratorConfig::parse(&context.config).unwrap(), &context).unwrap();
        let mut poll = |ms| {
            host.advance(Duration::from_millis(ms));
            let mut batch = RecordBatch::new(1000, usize::MAX);
            poll_for(10, source.poll(&mut batch));
            let waiting = context.backlog.get();
            (batch.len(), waiting.records, waiting.age_ms(host.unix_ms()))
        };
        assert_eq!(poll(0), (1, Some(0), Some(0)));
        assert_eq!(poll(500), (10, Some(40), Some(400)));
        assert_eq!(poll(0), (10, Some(30), Some(300)));
        for _ in 0..3 {
            poll(0);
        }
        assert_eq!(poll(0), (0, Some(0), Some(0)));
    }

    #[test]
    fn json_has_the_number_and_no_schema() {
        let host = TestHost::new();
        let config = [("records", "7"), ("record.bytes", "200"), ("record.content", "json"), ("stripe", "1/3")];
        let records = all(&mut source(&host, &config, vec![]));
        let ids = records.iter().map(|record| match &record.value {
            Value::Json(json) => {
                (json.text().len(), String::from_utf8_lossy(json.raw_member("id").unwrap()).into_owned())
            }
            other => panic!("{}", other.kind()),
        });
        assert!(ids.eq([1, 4].map(|number| (200, number.to_string()))));
        assert!(records.iter().all(|record| record.schema.is_none()));
    }

    #[test]
    fn another_seed_makes_other_letters_and_large_values_are_whole() {
        let host = TestHost::new();
        let make =
            |seed| all(&mut source(&host, &[("records", "2"), ("record.bytes", "300000"), ("seed", seed)], vec![]));
        let (a, b) = (make("1"), make("2"));
        assert!(a.iter().zip(&b).all(|(a, b)| value(a).len() == 300_000 && value(a) != value(b)));
        assert_eq!(a, make("1"));
    }
}
