//! Records that are given up: carries out what the policy decides, logs, counts, and writes dead letters.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmqc_core::config::Properties;
use rmqc_core::dlq::{Consumed, context, log_line};
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::id::TaskId;
use rmqc_core::position::{Position, RecordOffset, Scalar};
use rmqc_core::record::ConnectRecord;
use rmqc_core::tolerance::{Breaker, DeadLetterQueue, Decision, ErrorPolicy, Failure};

use super::records::{Encoded, letter};
use super::{unique_ids, wait_to_retry, wait_while, waits_in};
use crate::driver::Driver;
use crate::local::first;
use crate::producer::properties::PropertiesWriter;
use crate::producer::queue::QueueTurns;
use crate::producer::{Producer, ProducerSettings, TopicIndex};
use crate::remoting::client::Client;
use crate::remoting::message::Message;
use crate::remoting::properties::{KEYS, find};
use crate::shard::context::{TaskControl, Wanted};
use crate::shard::trouble::{Call, Trouble};

/// Longest wait for letters on their way before the caller looks at what else there is to do.
const LETTERS_WAIT: Duration = Duration::from_secs(1);

/// The error policy of one task at work.
pub(super) struct Errant {
    /// What may be given up.
    pub policy: ErrorPolicy,
    task: TaskId,
    breaker: Breaker,
}

impl Errant {
    pub fn new(task: &TaskId, config: &Properties) -> Self {
        let policy = ErrorPolicy::from_config(config);
        if policy.tolerant && policy.dead_letters.is_none() {
            tracing::warn!(%task, "bad records will be dropped: errors.tolerance=all without errors.deadletterqueue.topic.name");
        }
        Self { breaker: Breaker::new(&policy), policy, task: task.clone() }
    }

    /// Whether a record must be kept as it came until it is delivered, in case it has to be given up.
    pub fn keeps_origins(&self) -> bool {
        self.policy.tolerant
    }

    /// The dead letter queue, if records may be given up into one.
    pub fn letter_queue(&self) -> Option<&DeadLetterQueue> {
        self.policy.dead_letters.as_ref().filter(|_| self.policy.tolerant)
    }

    /// Logs a record that is given up, if that is wanted. `record` says which one it was.
    pub fn log(&self, error: &ConnectError, record: impl std::fmt::Display) {
        if self.policy.log {
            let record = self.policy.log_messages.then(|| record.to_string());
            tracing::error!("{} {error}", log_line(&self.task, error, record.as_deref()));
        }
    }

    /// Takes so many records in, of which so many were given up. Gives the reason to pause when they were too many.
    pub fn note(&mut self, records: u64, bad: u64) -> Option<String> {
        let found = self.breaker.note(records, bad)?;
        Some(format!(
            "paused: {found} of at most {} records were bad (errors.breaker.percent={}); resume the connector when the \
             cause is gone",
            self.policy.breaker_records, self.policy.breaker_percent
        ))
    }

    /// The properties that a letter gets on top of its record's own.
    pub fn context(&self, consumed: Option<&Consumed>, error: &ConnectError) -> Vec<(&'static str, String)> {
        match &self.policy.dead_letters {
            Some(queue) if queue.context => context(&self.task, consumed, error),
            _ => Vec::new(),
        }
    }
}

/// Whether a converter or transform that failed is to be tried again now; waits as long as the policy says. `tries` are
/// the number of tries so far and when the first began.
pub(super) async fn try_again<D: Driver>(
    errant: &Errant,
    control: &TaskControl,
    client: &Client<D>,
    error: &ConnectError,
    (attempt, started): (u32, Instant),
) -> bool {
    let failure = Failure {
        stage: error.stage(),
        retry: error.retry(),
        attempt,
        elapsed: started.elapsed(),
        random: client.random(),
    };
    match errant.policy.decide(failure) {
        Decision::RetryAfter(delay) => {
            control.count(|counters| counters.retries = counters.retries.saturating_add(1));
            control.troubles.failed(Call::Convert, error);
            let _waiting =
                waits_in(Call::Convert, error.stage()).map(|(step, manner)| control.steps.interrupt(step, manner));
            wait_while::<D>(control, Wanted::Run, delay).await
        }
        Decision::GiveUp | Decision::Stop => {
            control.troubles.over(Call::Convert);
            false
        }
    }
}

/// Finds the dead letter topic for a producer, creating it with the configured numbers of queues.
pub(super) async fn letter_topic<D: Driver>(producer: &mut Producer<D>, queue: &DeadLetterQueue) -> Result<TopicIndex> {
    producer.topic_with_queues(&queue.topic, Some((queue.read_queues, queue.write_queues))).await
}

/// Where a source's record stands, as people read it: `filename=/var/log/x nextPosition=17`.
pub(super) struct Place<'p>(pub &'p Position);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0.partition.0 {
            write!(f, "{name}={} ", Shown(value))?;
        }
        match &self.0.offset {
            RecordOffset::Counter { field, value } => write!(f, "{field}={value}"),
            RecordOffset::Map(members) => {
                members.iter().try_for_each(|(name, value)| write!(f, "{name}={} ", Shown(value)))
            }
        }
    }
}

struct Shown<'s>(&'s Scalar);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scalar::Null => f.write_str("null"),
            Scalar::Boolean(value) => value.fmt(f),
            Scalar::Integer(value) => value.fmt(f),
            Scalar::Float(value) => value.fmt(f),
            Scalar::Text(value) => value.fmt(f),
        }
    }
}

/// Where a message stood.
pub(super) fn consumed(topic: &Arc<str>, message: &Message) -> Consumed {
    Consumed {
        topic: topic.to_string(),
        queue_id: message.queue_id,
        queue_offset: message.queue_offset,
        born_ms: message.born_ms,
        store_ms: message.store_ms,
    }
}

/// The letters of a sink task: a producer of their own, and how many of them are stored.
pub(super) struct Letters<D> {
    producer: Producer<D>,
    topic: TopicIndex,
    writer: PropertiesWriter,
    /// Letters handed to the producer.
    sent: u64,
    /// Letters that the broker has confirmed.
    stored: u64,
}

impl<D: Driver> Letters<D> {
    /// The letters of a task that may give records up into a queue: its topic is looked for until the cluster tells, or
    /// the task is to stop.
    ///
    /// # Errors
    /// When the topic can't be had.
    pub async fn open(
        client: &Client<D>,
        client_number: u32,
        errant: &Errant,
        control: &TaskControl,
    ) -> Result<Option<Self>> {
        let Some(queue) = errant.letter_queue() else { return Ok(None) };
        let mut attempt = 0u32;
        while control.wanted.get() != Wanted::Stop {
            let writer = PropertiesWriter::new(unique_ids(client_number));
            match Self::find(client, queue, writer, control.troubles.sending.clone()).await {
                Ok(letters) => {
                    control.troubles.over(Call::Topic);
                    return Ok(Some(letters));
                }
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(control, client, Call::Topic, error, attempt).await?;
                }
            }
        }
        Ok(None)
    }

    async fn find(
        client: &Client<D>,
        queue: &DeadLetterQueue,
        writer: PropertiesWriter,
        trouble: Rc<Trouble>,
    ) -> Result<Self> {
        let settings = ProducerSettings {
            batch_bytes_max: 256 * 1024,
            batch_messages_max: 1024,
            inflight_requests_max: 4,
            // A letter follows its key's queue, so that those of one key stay in order.
            ordered: true,
        };
        let mut producer = Producer::new(client.clone(), settings, QueueTurns::default(), trouble, None);
        let topic = letter_topic(&mut producer, queue).await?;
        Ok(Self { producer, topic, writer, sent: 0, stored: 0 })
    }

    /// Sends a consumed message on as a letter: its body unchanged, its own properties kept, the context added.
    ///
    /// # Errors
    /// A message that can't be a letter.
    pub fn send(&mut self, message: &Message, context: &[(&'static str, String)]) -> Result<()> {
        // Consumers see the body that they would have seen; what can't be expanded goes as it is stored.
        let body: Bytes = message.plain_body().unwrap_or_else(|_| message.body.clone());
        let properties = self.writer.write_letter(crate::host::unix_ms(), &message.properties, context)?;
        let key = find(&message.properties, KEYS).map(String::from_utf8_lossy);
        self.producer.append(self.topic, key.as_deref(), &body, properties, self.sent).map_err(unwritable)?;
        self.sent = self.sent.saturating_add(1);
        Ok(())
    }

    /// Sends a record that never was a message as a letter.
    ///
    /// # Errors
    /// A record that can't be a letter.
    pub fn send_record(&mut self, record: &ConnectRecord, context: &[(&'static str, String)]) -> Result<()> {
        let Encoded { key, body, properties } = letter(&mut self.writer, record, context, crate::host::unix_ms())?;
        let key = key.as_deref().map(String::from_utf8_lossy);
        self.producer.append(self.topic, key.as_deref(), &body, properties, self.sent).map_err(unwritable)?;
        self.sent = self.sent.saturating_add(1);
        Ok(())
    }

    /// Takes confirmations.
    ///
    /// # Errors
    /// The failure that keeps letters from being stored.
    pub fn settle(&mut self) -> Result<u64> {
        let confirmed = self.producer.take_confirmed()?;
        if let Some(refused) = confirmed.refused.into_iter().next() {
            return Err(unwritable(refused.error));
        }
        self.stored = self.stored.saturating_add(confirmed.records);
        self.producer.flush_if_idle();
        Ok(confirmed.records)
    }

    /// Payload bytes of letters on their way.
    pub fn unconfirmed_bytes(&self) -> u64 {
        self.producer.unconfirmed_bytes()
    }

    /// Waits until every letter is stored; gives how many were stored meanwhile.
    ///
    /// # Errors
    /// `Retry::Later` when it takes long; call again.
    pub async fn flush(&mut self) -> Result<u64> {
        let mut stored = 0u64;
        let mut deadline = std::pin::pin!(D::sleep(LETTERS_WAIT));
        loop {
            let changed = self.producer.changed();
            let seen = changed.seen();
            stored = stored.saturating_add(self.settle()?);
            self.producer.flush();
            if self.stored == self.sent {
                return Ok(stored);
            }
            if let crate::local::First::B(()) = first(changed.since(seen), deadline.as_mut()).await {
                let what = format!("{} dead letters are not stored yet", self.sent.saturating_sub(self.stored));
                return Err(ConnectError::later(Stage::Send, what));
            }
        }
    }
}

/// A letter that no message can hold: nothing is left but to stop.
pub(super) fn unwritable(error: ConnectError) -> ConnectError {
    match error.retry() {
        Retry::BadRecord => {
            ConnectError::fatal(Stage::Send, "the record can't be a dead letter either").caused_by(error)
        }
        _ => error,
    }
}
