//! What is asked of a sink.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use rmqc_core::connector::DynSinkTask;
use rmqc_core::context::TaskContext;
use rmqc_core::error::{Result as TaskResult, Retry};
use rmqc_core::record::ConnectRecord;

use crate::definition::require;
use crate::drive::{context, run};
use crate::exam::{Exam, Verdict};
use crate::testing::{Call, TestHost, poll_for};

type Build = fn(TaskContext) -> TaskResult<Box<dyn DynSinkTask>>;
type Rule = (&'static str, fn(&Exam<'_>, Build) -> Verdict);

/// Calls of a host that may fail below a sink.
const FALLIBLE: [Call; 7] =
    [Call::OpenAppend, Call::OpenRead, Call::Status, Call::Read, Call::Append, Call::SetLen, Call::Sync];
/// Most tries of a batch that comes again.
const TRIES_MAX: usize = 10;

pub(crate) fn rules() -> &'static [Rule] {
    &[
        ("a sink takes records and flushes them", takes_records),
        ("start and stop leave nothing open", leaves_nothing),
        ("a batch that failed is taken when it comes again", survives_faults),
        ("a put that is dropped loses nothing", may_be_dropped),
    ]
}

/// A started sink, and the host it runs on.
struct Running<'e, 'r> {
    exam: &'e Exam<'r>,
    host: Rc<TestHost>,
    task: Box<dyn DynSinkTask>,
}

impl<'e, 'r> Running<'e, 'r> {
    fn start(exam: &'e Exam<'r>, build: Build) -> Result<Self, String> {
        let host = TestHost::new();
        let task = build(context(&host, &exam.config, vec![])).map_err(|error| format!("it is not built: {error}"))?;
        let mut running = Self { exam, host, task };
        let started = run(exam, &running.host, "start", running.task.start())?;
        started.map_err(|error| format!("it does not start: {error}"))?;
        Ok(running)
    }

    /// Puts the batch and flushes.
    fn deliver(&mut self, batch: &[ConnectRecord]) -> Result<TaskResult<()>, String> {
        self.go_on(batch, &mut false)
    }

    /// Puts the batch unless it was `taken`, which is set then, and flushes: as the worker does, which asks again only
    /// for what failed.
    fn go_on(&mut self, batch: &[ConnectRecord], taken: &mut bool) -> Result<TaskResult<()>, String> {
        if !*taken {
            let put = run(self.exam, &self.host, "put", self.task.put(batch))?;
            if put.is_err() {
                return Ok(put);
            }
            *taken = true;
        }
        run(self.exam, &self.host, "flush", self.task.flush())
    }

    fn stop(&mut self) -> Verdict {
        run(self.exam, &self.host, "stop", self.task.stop())
    }
}

/// Numbers that no other rule of this process uses, so that what is in the target tells who wrote it.
fn numbers(count: u64) -> std::ops::Range<u64> {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    let first = NEXT.get();
    NEXT.set(first + count);
    first..first + count
}

fn batch(exam: &Exam<'_>, numbers: &std::ops::Range<u64>) -> Vec<ConnectRecord> {
    numbers.clone().map(|number| (exam.record)(number)).collect()
}

/// Whether every record of the numbers is in the target in its order, and only once if `once`.
fn is_written(exam: &Exam<'_>, numbers: &std::ops::Range<u64>, once: bool, when: &str) -> Verdict {
    let Some(written) = &exam.written else { return Ok(()) };
    let all: Vec<u64> = written().into_iter().filter(|number| numbers.contains(number)).collect();
    let missing = numbers.clone().find(|number| !all.contains(number));
    require(missing.is_none(), || format!("{when}: record {missing:?} of {numbers:?} is not in the target"))?;
    if once {
        require(all.len() as u64 == numbers.end - numbers.start, || {
            format!("{when}: {} records in the target where {numbers:?} were expected once", all.len())
        })?;
        require(all.is_sorted(), || format!("{when}: the order in the target is another: {all:?}"))?;
    }
    Ok(())
}

fn takes_records(exam: &Exam<'_>, build: Build) -> Verdict {
    let mut running = Running::start(exam, build)?;
    for count in [1, 2, 1500] {
        let numbers = numbers(count);
        let delivered = running.deliver(&batch(exam, &numbers))?;
        delivered.map_err(|error| format!("a batch of {count} is refused: {error}"))?;
        is_written(exam, &numbers, true, &format!("a batch of {count}, flushed"))?;
    }
    let again = run(exam, &running.host, "flush", running.task.flush())?;
    again.map_err(|error| format!("a flush with nothing to do fails: {error}"))?;
    running.stop()
}

fn leaves_nothing(exam: &Exam<'_>, build: Build) -> Verdict {
    for records in [0, 3] {
        let mut running = Running::start(exam, build)?;
        if records > 0 {
            let delivered = running.deliver(&batch(exam, &numbers(records)))?;
            delivered.map_err(|error| format!("a batch is refused: {error}"))?;
        }
        running.stop()?;
        let Running { host, task, .. } = running;
        drop(task);
        require(host.held() == 0, || format!("{} files or watches stay open after stop", host.held()))?;
    }
    Ok(())
}

fn survives_faults(exam: &Exam<'_>, build: Build) -> Verdict {
    // A batch larger than one gathered write, so that a failing append may come in its middle.
    for (call, count, room) in FALLIBLE.map(|call| (call, 20, None)).into_iter().chain([(Call::Append, 700, Some(100))])
    {
        let when = format!("with a {call:?} that failed once");
        let numbers = numbers(count);
        let records = batch(exam, &numbers);
        let mut running = Running::start(exam, build)?;
        match room {
            Some(bytes) => running.host.leave_room(Some(bytes)),
            None => running.host.fail(call, io::ErrorKind::Other),
        }
        let (mut tries, mut once, mut taken) = (0, true, false);
        while let Err(error) = running.go_on(&records, &mut taken)? {
            tries += 1;
            require(tries < TRIES_MAX, || format!("{when}: refused {tries} times: {error}"))?;
            running.host.leave_room(None);
            match error.retry() {
                Retry::Later => {}
                Retry::BadRecord => return Err(format!("{when}: the records are called bad: {error}")),
                // What the worker does: another task, which gets the uncommitted records again.
                Retry::Fatal => {
                    (once, taken) = (false, false);
                    running.stop()?;
                    running = Running::start(exam, build)?;
                }
            }
        }
        running.stop()?;
        is_written(exam, &numbers, once, &when)?;
    }
    Ok(())
}

fn may_be_dropped(exam: &Exam<'_>, build: Build) -> Verdict {
    for looks in 1..=6 {
        let numbers = numbers(30);
        let records = batch(exam, &numbers);
        let mut running = Running::start(exam, build)?;
        running.host.hesitate(true);
        let dropped = poll_for(looks, running.task.put(&records)).is_none();
        running.stop()?;
        drop(running);
        if dropped {
            let mut running = Running::start(exam, build)?;
            let delivered = running.deliver(&records)?;
            delivered.map_err(|error| format!("refused after a put that was dropped after {looks} looks: {error}"))?;
            running.stop()?;
            is_written(exam, &numbers, false, &format!("put dropped after {looks} looks"))?;
        }
    }
    Ok(())
}
