//! `file-source`: one task follows one or more files.
//!
//! Partition `{"filename": "<as configured>"}`, offset `{"nextPosition": "<bytes, decimal>"}`: the byte behind the
//! terminator of the record's line. A position of the Java runtime is read as bytes too, as that runtime itself does
//! when it resumes. A position right between `\r` and `\n` passes over the `\n`.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use rmqc_core::connector::SourceTask;
use rmqc_core::context::{Backlog, TaskContext, Waiting};
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::host::{Host, LocalFuture};
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use rmqc_core::record::RecordBatch;

use super::config::FileSourceConfig;
use super::follower::{Follower, OFFSET_FIELD, PARTITION_FIELD, Pass};

/// How often a file is looked at whose changes the system does not tell.
const UNWATCHED_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A task of `file-source`.
pub struct FileSource {
    host: Rc<dyn Host>,
    batch_records_max: usize,
    followers: Vec<Follower>,
    /// The file that is asked first, so that a busy one does not starve the others.
    next: usize,
    /// Told after each poll how much of the files is not read yet.
    backlog: Rc<Backlog>,
    /// Lines handed out so far, and their bytes.
    lines: u64,
    line_bytes: u64,
}

impl FileSource {
    /// A task that goes on from the context's committed positions. Does no I/O.
    ///
    /// # Errors
    /// When a committed position is not one of a file.
    pub fn new(config: FileSourceConfig, context: &TaskContext) -> Result<Self> {
        let follower = |name: &String| {
            let partition = RecordPartition::single(PARTITION_FIELD, name.as_str());
            let stored = context.stored_offset(&partition).map(|stored| stored_bytes(name, stored)).transpose()?;
            Ok(Follower::new(name, &config, stored.flatten()))
        };
        let followers = config.filenames.iter().map(follower).collect::<Result<_>>()?;
        Ok(Self {
            host: context.host.clone(),
            batch_records_max: config.batch_records_max,
            followers,
            next: 0,
            backlog: context.backlog.clone(),
            lines: 0,
            line_bytes: 0,
        })
    }

    /// Says how much of the files was not read by the last look at them. Lines that wait are guessed from those before.
    fn tell_backlog(&self) {
        let (mut bytes, mut since_ms) = (0u64, None::<i64>);
        for (waiting, changed_ms) in self.followers.iter().map(Follower::waiting).filter(|(waiting, _)| *waiting > 0) {
            bytes = bytes.saturating_add(waiting);
            since_ms = [since_ms, changed_ms].into_iter().flatten().min();
        }
        // A line's end counts as one byte.
        let records = match u128::from(self.line_bytes).saturating_add(u128::from(self.lines)) {
            _ if bytes == 0 => Some(0),
            0 => None,
            all => u64::try_from(u128::from(bytes).saturating_mul(u128::from(self.lines)).div_ceil(all)).ok(),
        };
        self.backlog.set(Waiting { records, bytes: Some(bytes), since_ms });
    }

    fn count(&mut self, lines: usize, bytes: usize) {
        self.lines = self.lines.saturating_add(lines as u64);
        self.line_bytes = self.line_bytes.saturating_add(bytes as u64);
    }

    /// Asks each file that may have something, in turn, until the batch is full.
    async fn pass(&mut self, pass: &mut Pass<'_>) -> Result<()> {
        let before = pass.batch.len();
        let mut first_error = None;
        for _ in 0..self.followers.len() {
            let Some(follower) = self.followers.get_mut(self.next) else { break };
            if follower.look
                && let Err(error) = follower.fill(pass).await
            {
                // Trouble with one file must not hold the others up.
                if first_error.is_some() || pass.batch.len() > before {
                    follower.report(&error);
                }
                first_error = first_error.or(Some(error));
            }
            self.next = self.next.saturating_add(1).checked_rem(self.followers.len()).unwrap_or(0);
            if pass.is_full() {
                break;
            }
        }
        match first_error {
            Some(error) if pass.batch.len() == before => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until one of the files may have something. Safe to drop.
    async fn wait(&mut self) {
        let now = self.host.monotonic();
        let unwatched = self.followers.iter().any(|follower| follower.watch.is_none());
        let deadline = self.followers.iter().filter_map(Follower::deadline).min();
        let due = deadline.map(|deadline| deadline.saturating_sub(now));
        let due = due.into_iter().chain(unwatched.then_some(UNWATCHED_LOOK_INTERVAL)).min();
        let mut timer = due.map(|due| self.host.sleep(due));
        let mut changes: Vec<(&mut bool, LocalFuture<'_, ()>)> = self
            .followers
            .iter_mut()
            .filter_map(|follower| Some((&mut follower.look, follower.watch.as_mut()?.changed())))
            .collect();
        let timer_fired = poll_fn(|context| {
            let mut woken = false;
            // All are asked: one that tells of a change and is then dropped would not tell it again.
            for (look, change) in &mut changes {
                if change.as_mut().poll(context).is_ready() {
                    **look = true;
                    woken = true;
                }
            }
            let fired = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
            if woken || fired { Poll::Ready(fired) } else { Poll::Pending }
        })
        .await;
        drop(changes);
        if timer_fired {
            for follower in &mut self.followers {
                follower.look = true;
            }
        }
    }
}

impl SourceTask for FileSource {
    async fn start(&mut self) -> Result<()> {
        for follower in &mut self.followers {
            follower.start(self.host.as_ref()).await?;
        }
        Ok(())
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        let (before, bytes_before) = (batch.len(), batch.bytes());
        let records_max = before.saturating_add(self.batch_records_max);
        let host = self.host.clone();
        loop {
            // One reading of the clock a pass: the lines were there by now.
            let timestamp_ms = host.unix_ms();
            let mut pass = Pass { host: host.as_ref(), batch, records_max, timestamp_ms };
            if pass.is_full() {
                return Ok(());
            }
            let passed = self.pass(&mut pass).await;
            self.count(batch.len().saturating_sub(before), batch.bytes().saturating_sub(bytes_before));
            self.tell_backlog();
            passed?;
            if batch.len() > before {
                return Ok(());
            }
            self.wait().await;
        }
    }

    async fn stop(&mut self) {
        self.followers.clear();
    }
}

/// The byte position of a stored offset; none when it says that nothing was read.
fn stored_bytes(name: &str, stored: &StoredPosition) -> Result<Option<u64>> {
    let position = match stored.offset.get(OFFSET_FIELD) {
        None | Some(Scalar::Null) => return Ok(None),
        Some(Scalar::Integer(number)) => u64::try_from(*number).ok(),
        Some(Scalar::Text(text)) => text.trim().parse().ok(),
        Some(Scalar::Boolean(_) | Scalar::Float(_)) => None,
    };
    match position {
        Some(position) => Ok(Some(position)),
        None => {
            let found = stored.offset.get(OFFSET_FIELD);
            let what =
                format!("the committed position of {name} has {OFFSET_FIELD}={found:?}, expected a number of bytes");
            Err(ConnectError::fatal(Stage::Lifecycle, what))
        }
    }
}
