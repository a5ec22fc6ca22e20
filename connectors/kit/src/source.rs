//! What is asked of a source.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use rmqc_core::connector::DynSourceTask;
use rmqc_core::context::TaskContext;
use rmqc_core::error::{Result as TaskResult, Retry};
use rmqc_core::position::StoredPosition;
use rmqc_core::record::{ConnectRecord, RecordBatch};

use crate::definition::require;
use crate::drive::{LOOKS_WHEN_DRY, context, look, run};
use crate::exam::{Exam, Verdict};
use crate::testing::{Call, TestHost, poll_for};

type Build = fn(TaskContext) -> TaskResult<Box<dyn DynSourceTask>>;
type Rule = (&'static str, fn(&Exam<'_>, Build) -> Verdict);

/// Records that are looked at.
const RECORDS_MAX: usize = 300;
/// Positions from which the source is started again.
const RESUMES_MAX: usize = 25;
/// Bytes of a batch that only the number of records bounds.
const UNBOUNDED: usize = usize::MAX;

pub(crate) fn rules() -> &'static [Rule] {
    &[
        ("a source gives records with positions", gives_records),
        ("start and stop leave nothing open", leaves_nothing),
        ("a batch is not filled beyond its bound", keeps_the_bound),
        ("every position resumes with the next record", resumes),
        ("poll may be dropped at every await", may_be_dropped),
        ("a failing host loses and repeats nothing", survives_faults),
    ]
}

/// A started source, and the host it runs on.
struct Running<'e, 'r> {
    exam: &'e Exam<'r>,
    host: Rc<TestHost>,
    task: Box<dyn DynSourceTask>,
}

impl<'e, 'r> Running<'e, 'r> {
    fn start(exam: &'e Exam<'r>, build: Build, positions: Vec<StoredPosition>) -> Result<Self, String> {
        let host = TestHost::new();
        let task =
            build(context(&host, &exam.config, positions)).map_err(|error| format!("it is not built: {error}"))?;
        let mut running = Self { exam, host, task };
        let started = run(exam, &running.host, "start", running.task.start())?;
        started.map_err(|error| format!("it does not start: {error}"))?;
        Ok(running)
    }

    /// One poll to its end; nothing when there is nothing more.
    fn poll(&mut self, batch: &mut RecordBatch) -> Option<TaskResult<()>> {
        look(self.exam, &self.host, LOOKS_WHEN_DRY, self.task.poll(batch))
    }

    /// Polls in batches of that size until so many records are there, or no more come.
    fn collect(&mut self, batch_records: usize, wanted: usize) -> Result<Vec<ConnectRecord>, String> {
        let mut all = Vec::new();
        let mut batch = RecordBatch::new(batch_records, UNBOUNDED);
        while all.len() < wanted {
            let Some(polled) = self.poll(&mut batch) else { break };
            polled.map_err(|error| format!("poll fails after {} records: {error}", all.len()))?;
            require(!batch.is_empty(), || "poll completes without a record; it has to wait for one".to_owned())?;
            all.extend(batch.drain());
        }
        all.truncate(wanted);
        Ok(all)
    }

    fn stop(&mut self) -> Verdict {
        run(self.exam, &self.host, "stop", self.task.stop())
    }
}

/// What the source gives from its beginning.
fn reference(exam: &Exam<'_>, build: Build) -> Result<Vec<ConnectRecord>, String> {
    let mut running = Running::start(exam, build, vec![])?;
    let all = running.collect(7, RECORDS_MAX)?;
    running.stop()?;
    require(all.len() > 1, || format!("{} records with {:?}; the exam needs two", all.len(), exam.config))?;
    Ok(all)
}

/// The committed positions after the first `count` records.
fn positions_after(records: &[ConnectRecord], count: usize) -> Vec<StoredPosition> {
    let mut last: Vec<StoredPosition> = Vec::new();
    for position in records.iter().take(count).filter_map(|record| record.position.as_ref()) {
        last.retain(|stored| stored.partition != *position.partition);
        let (partition, offset) = (position.partition.as_ref().clone(), position.offset.to_map());
        last.push(StoredPosition { partition, offset });
    }
    last
}

/// A record less its time, sorted by partition: the order of records of different partitions is nobody's promise.
fn by_partition(records: &[ConnectRecord]) -> BTreeMap<String, Vec<String>> {
    let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        let partition = record.position.as_ref().map(|position| format!("{:?}", position.partition));
        let text = format!("{:?} {:?} {:?} {:?}", record.topic, record.key, record.value, record.position);
        sorted.entry(partition.unwrap_or_default()).or_default().push(text);
    }
    sorted
}

/// Whether `found` is what `expected` begins with, partition by partition.
fn same(found: &[ConnectRecord], expected: &[ConnectRecord], when: &str) -> Verdict {
    require(found.len() == expected.len(), || {
        format!("{when}: {} records where {} were expected", found.len(), expected.len())
    })?;
    let (found, expected) = (by_partition(found), by_partition(expected));
    for (partition, records) in &expected {
        let got = found.get(partition).map(Vec::as_slice).unwrap_or_default();
        let pair = records.iter().zip(got).find(|(wanted, got)| wanted != got);
        if let Some((wanted, got)) = pair {
            return Err(format!("{when}: expected {wanted}, got {got}"));
        }
        require(got.len() == records.len(), || {
            format!("{when}: {} records of {partition} where {} were expected", got.len(), records.len())
        })?;
    }
    Ok(())
}

fn gives_records(exam: &Exam<'_>, build: Build) -> Verdict {
    let mut running = Running::start(exam, build, vec![])?;
    let mut batch = RecordBatch::new(7, UNBOUNDED);
    let Some(polled) = running.poll(&mut batch) else {
        return Err(format!("no record comes with {:?}; name something that has some", exam.config));
    };
    polled.map_err(|error| format!("poll fails: {error}"))?;
    let bytes = batch.bytes();
    let records: Vec<_> = batch.drain().collect();
    let without = records.iter().find(|record| record.position.is_none());
    require(without.is_none(), || format!("a record without a position: {without:?}"))?;
    let heavy = records.iter().any(|record| !record.value.is_null());
    require(bytes > 0 || !heavy, || "push is told 0 bytes for records with a value".to_owned())?;
    let positions: Vec<_> = records.iter().filter_map(|record| record.position.clone()).collect();
    let told = run(exam, &running.host, "committed", running.task.committed(&positions))?;
    told.map_err(|error| format!("committed fails: {error}"))?;
    running.stop()
}

fn leaves_nothing(exam: &Exam<'_>, build: Build) -> Verdict {
    for records in [0, 1] {
        let mut running = Running::start(exam, build, vec![])?;
        running.collect(1, records)?;
        running.stop()?;
        let Running { host, task, .. } = running;
        drop(task);
        require(host.held() == 0, || format!("{} files or watches stay open after stop", host.held()))?;
    }
    Ok(())
}

fn keeps_the_bound(exam: &Exam<'_>, build: Build) -> Verdict {
    for (records_max, bytes_max) in [(1, UNBOUNDED), (2, UNBOUNDED), (13, UNBOUNDED), (RECORDS_MAX, 1)] {
        let mut running = Running::start(exam, build, vec![])?;
        let mut batch = RecordBatch::new(records_max, bytes_max);
        if let Some(Err(error)) = running.poll(&mut batch) {
            return Err(format!("poll fails: {error}"));
        }
        let bound = if bytes_max == 1 { 1 } else { records_max };
        require(batch.len() <= bound, || {
            format!("{} records in a batch that is full with {bound}; ask is_full before each push", batch.len())
        })?;
        running.stop()?;
    }
    Ok(())
}

fn resumes(exam: &Exam<'_>, build: Build) -> Verdict {
    let all = reference(exam, build)?;
    let step = all.len().div_ceil(RESUMES_MAX).max(1);
    for count in (1..all.len()).step_by(step).chain([all.len() - 1]) {
        let mut running = Running::start(exam, build, positions_after(&all, count))?;
        let rest = running.collect(5, all.len() - count)?;
        running.stop()?;
        same(&rest, &all[count..], &format!("started again after {count} records"))?;
    }
    Ok(())
}

fn may_be_dropped(exam: &Exam<'_>, build: Build) -> Verdict {
    let all = reference(exam, build)?;
    for looks in 1..=12 {
        let mut running = Running::start(exam, build, vec![])?;
        running.host.hesitate(true);
        let mut found: Vec<ConnectRecord> = Vec::new();
        let mut batch = RecordBatch::new(3, UNBOUNDED);
        while found.len() < all.len() {
            if let Some(Err(error)) = poll_for(looks, running.task.poll(&mut batch)) {
                return Err(format!("poll fails after one that was dropped: {error}"));
            }
            if batch.is_empty() {
                // Dropped before a record came; to its end now, so that there is progress whatever `looks` is.
                match running.poll(&mut batch) {
                    None => break,
                    Some(polled) => {
                        polled.map_err(|error| format!("poll fails after one that was dropped: {error}"))?
                    }
                }
            }
            found.extend(batch.drain());
        }
        found.truncate(all.len());
        running.stop()?;
        same(&found, &all, &format!("poll dropped after {looks} looks"))?;
    }
    Ok(())
}

fn survives_faults(exam: &Exam<'_>, build: Build) -> Verdict {
    let all = reference(exam, build)?;
    for call in [Call::OpenRead, Call::Status, Call::Read, Call::Watch] {
        let mut running = Running::start(exam, build, vec![])?;
        let mut found: Vec<ConnectRecord> = Vec::new();
        let mut batch = RecordBatch::new(5, UNBOUNDED);
        running.host.fail(call, io::ErrorKind::Other);
        while found.len() < all.len() {
            let polled = running.poll(&mut batch);
            found.extend(batch.drain());
            match polled {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) if error.retry() == Retry::Later => {}
                // What the worker does: another task, from the last committed positions.
                Some(Err(_)) => {
                    running.stop()?;
                    running = Running::start(exam, build, positions_after(&found, found.len()))?;
                }
            }
        }
        found.truncate(all.len());
        running.stop()?;
        same(&found, &all, &format!("with a {call:?} that failed once"))?;
    }
    Ok(())
}
