//! What a connector author writes: a source task or a sink task.
//!
//! A task lives on one shard, is never shared, and needs no locks. Its futures need not be `Send`.

use std::future::Future;

use crate::error::Result;
use crate::host::LocalFuture;
use crate::position::Position;
use crate::record::{ConnectRecord, RecordBatch};

/// Reads records from an outside system.
pub trait SourceTask: 'static {
    /// Opens what the task needs. Called once, before the first poll. An error stops the task with that cause.
    fn start(&mut self) -> impl Future<Output = Result<()>>;

    /// Waits until there is at least one record, then adds what is there, until the batch is full.
    ///
    /// Each record carries the position from which to go on after it. The runtime drops this future when the task is
    /// to pause or stop, so it must be safe to drop at every `.await`: push a record and move on in one go, without
    /// awaiting in between. What was pushed by then is delivered.
    ///
    /// # Errors
    /// `Retry::Later` is tried again with back-off; anything else ends the task.
    fn poll(&mut self, batch: &mut RecordBatch) -> impl Future<Output = Result<()>>;

    /// Told after positions became durable; an outside system that wants acknowledgements gets them here.
    ///
    /// # Errors
    /// An error ends the task; the positions stay committed.
    fn committed(&mut self, positions: &[Position]) -> impl Future<Output = Result<()>> {
        let _ = positions;
        async { Ok(()) }
    }

    /// Closes. Called once, also after a failed start.
    fn stop(&mut self) -> impl Future<Output = ()> {
        async {}
    }
}

/// Writes records to an outside system.
pub trait SinkTask: 'static {
    /// Opens what the task needs. Called once, before the first put. An error stops the task with that cause.
    fn start(&mut self) -> impl Future<Output = Result<()>>;

    /// Takes records, those of one queue in their order. `Ok` means that they are accepted; after the next [`SinkTask::flush`]
    /// they must survive a crash. Not called with an empty slice.
    ///
    /// # Errors
    /// After `Retry::Later` nothing of the batch may remain written, or writing it again must be harmless: the same
    /// records come again, after a back-off. Anything else ends the task.
    fn put(&mut self, records: &[ConnectRecord]) -> impl Future<Output = Result<()>>;

    /// Makes everything accepted so far durable. Queue offsets are committed only after it returned `Ok`.
    ///
    /// # Errors
    /// As for [`SinkTask::put`].
    fn flush(&mut self) -> impl Future<Output = Result<()>>;

    /// For sinks that can take records while they make earlier ones durable: begins with everything accepted so far, and
    /// gives what is to be awaited until that is durable. Records are put meanwhile; nothing else is asked of the task until
    /// it is over. `None` (as here) means that the sink can't: then it is flushed between two puts.
    ///
    /// # Errors
    /// Of this call and of what it gives: as for [`SinkTask::put`]. After `Retry::Later` it is flushed as a whole.
    fn flush_beside(&mut self) -> impl Future<Output = Result<Option<LocalFuture<'static, Result<()>>>>> {
        async { Ok(None) }
    }

    /// Whether the task ever looks at its records' extensions. One that does not may be given records without those of
    /// their messages, which saves a handle a record. Asked once, before [`SinkTask::start`].
    fn reads_extensions(&self) -> bool {
        true
    }

    /// The byte that the task writes behind each value, if it writes values as they are, one after the other. Those that
    /// come from RocketMQ as they were stored lie before such a byte then, and [`ValueBlocks`] gives both in one piece: half as
    /// many to write. Asked once, before [`SinkTask::start`].
    ///
    /// [`ValueBlocks`]: crate::context::ValueBlocks
    fn value_end(&self) -> Option<u8> {
        None
    }

    /// Closes. Called once, also after a failed start.
    fn stop(&mut self) -> impl Future<Output = ()> {
        async {}
    }
}

/// [`SourceTask`] behind a pointer: one box a call, that is one a batch.
pub trait DynSourceTask {
    /// See [`SourceTask::start`].
    fn start(&mut self) -> LocalFuture<'_, Result<()>>;
    /// See [`SourceTask::poll`].
    fn poll<'a>(&'a mut self, batch: &'a mut RecordBatch) -> LocalFuture<'a, Result<()>>;
    /// See [`SourceTask::committed`].
    fn committed<'a>(&'a mut self, positions: &'a [Position]) -> LocalFuture<'a, Result<()>>;
    /// See [`SourceTask::stop`].
    fn stop(&mut self) -> LocalFuture<'_, ()>;
}

impl<T: SourceTask> DynSourceTask for T {
    fn start(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(SourceTask::start(self))
    }
    fn poll<'a>(&'a mut self, batch: &'a mut RecordBatch) -> LocalFuture<'a, Result<()>> {
        Box::pin(SourceTask::poll(self, batch))
    }
    fn committed<'a>(&'a mut self, positions: &'a [Position]) -> LocalFuture<'a, Result<()>> {
        Box::pin(SourceTask::committed(self, positions))
    }
    fn stop(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(SourceTask::stop(self))
    }
}

/// [`SinkTask`] behind a pointer: one box a call, that is one a batch.
pub trait DynSinkTask {
    /// See [`SinkTask::start`].
    fn start(&mut self) -> LocalFuture<'_, Result<()>>;
    /// See [`SinkTask::put`].
    fn put<'a>(&'a mut self, records: &'a [ConnectRecord]) -> LocalFuture<'a, Result<()>>;
    /// See [`SinkTask::flush`].
    fn flush(&mut self) -> LocalFuture<'_, Result<()>>;
    /// See [`SinkTask::flush_beside`].
    fn flush_beside(&mut self) -> LocalFuture<'_, Result<Option<LocalFuture<'static, Result<()>>>>>;
    /// See [`SinkTask::reads_extensions`].
    fn reads_extensions(&self) -> bool;
    /// See [`SinkTask::value_end`].
    fn value_end(&self) -> Option<u8>;
    /// See [`SinkTask::stop`].
    fn stop(&mut self) -> LocalFuture<'_, ()>;
}

impl<T: SinkTask> DynSinkTask for T {
    fn start(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(SinkTask::start(self))
    }
    fn put<'a>(&'a mut self, records: &'a [ConnectRecord]) -> LocalFuture<'a, Result<()>> {
        Box::pin(SinkTask::put(self, records))
    }
    fn flush_beside(&mut self) -> LocalFuture<'_, Result<Option<LocalFuture<'static, Result<()>>>>> {
        Box::pin(SinkTask::flush_beside(self))
    }
    fn flush(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(SinkTask::flush(self))
    }
    fn reads_extensions(&self) -> bool {
        SinkTask::reads_extensions(self)
    }
    fn value_end(&self) -> Option<u8> {
        SinkTask::value_end(self)
    }
    fn stop(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(SinkTask::stop(self))
    }
}
