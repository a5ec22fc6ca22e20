//! `my-thing-source`: gives numbered records. Replace what it gives by what your system has.
//!
//! Partition `{"my-thing": "all"}`, offset `{"next": "<number of the next record>"}`.

use std::rc::Rc;
use std::sync::Arc;

use rmqc_fast::prelude::*;

use super::config::SourceConfig;

/// Name of the offset's member.
const NEXT: &str = "next";

/// A task of `my-thing-source`.
pub struct MyThingSource {
    host: Rc<dyn Host>,
    config: SourceConfig,
    partition: Arc<RecordPartition>,
    /// Number of the next record.
    next: u64,
}

impl MyThingSource {
    /// A task that goes on from the committed position. It does no I/O yet: that is for `start`.
    ///
    /// # Errors
    /// A committed position that is no number.
    pub(super) fn new(config: SourceConfig, context: &TaskContext) -> Result<Self> {
        let partition = RecordPartition::single("my-thing", "all");
        let stored = context.stored_offset(&partition).and_then(|stored| stored.offset.get(NEXT));
        let next = match stored {
            None => 0,
            Some(Scalar::Text(text)) => text.parse().map_err(|error| {
                let what = format!("the committed position has {NEXT}={text}, expected a number");
                ConnectError::fatal(Stage::Lifecycle, what).caused_by(error)
            })?,
            Some(other) => {
                let what = format!("the committed position has {NEXT}={other:?}, expected text");
                return Err(ConnectError::fatal(Stage::Lifecycle, what));
            }
        };
        Ok(Self { host: context.host.clone(), config, partition: Arc::new(partition), next })
    }
}

impl SourceTask for MyThingSource {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        while self.next < self.config.records && !batch.is_full() {
            if !self.config.interval.is_zero() {
                if !batch.is_empty() {
                    // What is there must not wait for what is not.
                    return Ok(());
                }
                self.host.sleep(self.config.interval).await;
            }
            let value = format!("my-thing {}", self.next);
            // From here to the push there is no await: a poll that is dropped leaves nothing half done.
            self.next += 1;
            let bytes = value.len();
            let offset = RecordOffset::Counter { field: NEXT, value: self.next };
            let position = Some(Position { partition: self.partition.clone(), offset });
            batch.push(ConnectRecord { value: Value::text(value), position, ..ConnectRecord::default() }, bytes);
            self.host.yield_if_needed().await;
        }
        if batch.is_empty() {
            // Nothing more will come; the task waits to be stopped.
            return std::future::pending().await;
        }
        Ok(())
    }
}
