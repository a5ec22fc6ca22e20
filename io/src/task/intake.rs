//! What a sink's task does with an answer before its sink is asked, on its own: for whoever measures it.

use std::sync::Arc;

use bytes::Bytes;
use rmqc_core::config::Properties;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::position::RecordPartition;
use rmqc_core::record::ConnectRecord;

use super::messages::Stages;
use crate::remoting::message::messages;

/// From the body of a pull answer to records, as a sink task's converters and transforms make them, without the task:
/// nobody pulls, puts or commits, and an error ends it.
pub struct Intake {
    stages: Stages,
    topic: Arc<str>,
    partition: Arc<RecordPartition>,
    records: Vec<ConnectRecord>,
}

impl Intake {
    /// The intake of one queue of a sink with this configuration.
    ///
    /// # Errors
    /// Fatal when a converter or transform that it names can't be built.
    pub fn new(config: &Properties, topic: &str, queue_id: i32) -> Result<Self> {
        let partition = Arc::new(RecordPartition::single("queueId", queue_id.to_string()));
        Ok(Self { stages: Stages::build(config)?, topic: Arc::from(topic), partition, records: Vec::new() })
    }

    /// The records of an answer's body. Those of the answer before are dropped first.
    ///
    /// # Errors
    /// What is wrong with the answer, or with a message.
    pub fn take(&mut self, answer: Bytes) -> Result<&[ConnectRecord]> {
        self.records.clear();
        let malformed = |error| ConnectError::new(Stage::Consume, Retry::Fatal, "malformed answer").caused_by(error);
        let mut pulled = Vec::with_capacity(1024);
        for message in messages(answer) {
            pulled.push(message.map_err(malformed)?);
        }
        let takes_all = self.stages.takes_all();
        self.records.reserve(pulled.len());
        for message in pulled {
            if takes_all && message.is_plain() {
                self.records.push(self.stages.take(&self.topic, &self.partition, message)?);
            } else if let Some(record) = self.stages.record(&self.topic, &self.partition, &message, None)? {
                self.records.push(record);
            }
        }
        Ok(&self.records)
    }
}
