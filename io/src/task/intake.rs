//! What a sink's task does with an answer before its sink is asked, on its own: for whoever measures it.

use std::sync::Arc;

use bytes::Bytes;
use rmqc_core::config::Properties;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::position::RecordPartition;
use rmqc_core::record::ConnectRecord;
use rmqc_core::transform::Outcome;

use super::messages::{Source, Stages};
use super::rows::Rows;
use crate::remoting::pulled::PulledMessages;

/// Messages that an answer has at most, as a rule.
const EXPECTED: usize = 1024;

/// From the body of a pull answer to records, as a sink task's converters and transforms make them, without the task:
/// nobody pulls, puts or commits, and an error ends it.
pub struct Intake {
    stages: Stages,
    topic: Arc<str>,
    partition: Arc<RecordPartition>,
    records: Rows,
}

impl Intake {
    /// The intake of one queue of a sink with this configuration.
    ///
    /// # Errors
    /// Fatal when a converter or transform that it names can't be built.
    pub fn new(config: &Properties, topic: &str, queue_id: i32) -> Result<Self> {
        let partition = Arc::new(RecordPartition::single("queueId", queue_id.to_string()));
        Ok(Self { stages: Stages::build(config)?, topic: Arc::from(topic), partition, records: Rows::default() })
    }

    /// The records of an answer's body. Those of the answer before are dropped first.
    ///
    /// # Errors
    /// What is wrong with the answer, or with a message.
    pub fn take(&mut self, answer: Bytes) -> Result<&[ConnectRecord]> {
        self.records.clear();
        let malformed = |error| ConnectError::new(Stage::Consume, Retry::Fatal, "malformed answer").caused_by(error);
        let answer = PulledMessages::read(answer, EXPECTED, |_, _| true).map_err(malformed)?;
        self.records.reserve(answer.spans().len());
        let (topic, partition) = (&self.topic, &self.partition);
        let from = Source { topic, partition, answer: answer.body(), with_extensions: true };
        for span in answer.spans() {
            match self.stages.make(from, span, self.records.next(), None) {
                Ok(Outcome::Keep) => {}
                Ok(Outcome::Drop) => self.records.drop_last(),
                Err(error) => {
                    self.records.drop_last();
                    return Err(error);
                }
            }
        }
        Ok(&self.records)
    }
}
