//! `blackhole-sink`: counts and drops.

use std::rc::Rc;
use std::time::Duration;

use rmqc_core::connector::SinkTask;
use rmqc_core::context::TaskContext;
use rmqc_core::error::Result;
use rmqc_core::host::Host;
use rmqc_core::id::TaskId;
use rmqc_core::record::ConnectRecord;
use rmqc_core::value::Value;

use super::config::BlackholeConfig;

/// A task of `blackhole-sink`.
pub struct BlackholeSink {
    task: TaskId,
    host: Rc<dyn Host>,
    put_delay: Duration,
    records: u64,
    bytes: u64,
}

impl BlackholeSink {
    /// A task that has taken nothing yet.
    #[must_use]
    pub fn new(config: &BlackholeConfig, context: &TaskContext) -> Self {
        let (task, host) = (context.task.clone(), context.host.clone());
        Self { task, host, put_delay: config.put_delay, records: 0, bytes: 0 }
    }

    /// Records taken so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of text and byte values taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl SinkTask for BlackholeSink {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn put(&mut self, records: &[ConnectRecord]) -> Result<()> {
        if !self.put_delay.is_zero() {
            self.host.sleep(self.put_delay).await;
        }
        let bytes = |record: &ConnectRecord| match &record.value {
            Value::String(text) => text.as_bytes().len() as u64,
            Value::Bytes(bytes) => bytes.len() as u64,
            _ => 0,
        };
        self.records = self.records.saturating_add(records.len() as u64);
        self.bytes = self.bytes.saturating_add(records.iter().map(bytes).sum());
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn stop(&mut self) {
        tracing::info!(task = %self.task, records = self.records, bytes = self.bytes, "dropped");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::testing::{TestHost, context, poll_for, run};

    #[test]
    fn it_counts_after_its_delay() {
        let host = TestHost::new();
        let context = context(&host, &[("put.delay.ms", "10")], vec![]);
        let mut sink = BlackholeSink::new(&BlackholeConfig::parse(&context.config).unwrap(), &context);
        let batch = [Value::Bytes(Bytes::from_static(b"abc")), Value::Null, Value::Int64(7)]
            .map(|value| ConnectRecord { value, ..ConnectRecord::default() });
        assert!(poll_for(100, sink.put(&batch)).is_none(), "it takes its time");
        assert_eq!((sink.records(), sink.bytes()), (0, 0));
        let mut put = Box::pin(sink.put(&batch));
        assert!(poll_for(1, put.as_mut()).is_none());
        host.advance(Duration::from_millis(10));
        run(put).unwrap();
        assert_eq!((sink.records(), sink.bytes()), (3, 3));
    }
}
