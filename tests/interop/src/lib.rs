//! rocketmq-client-rust, made easy to use as an oracle: it shares no code with the worker, nor with the Java client.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rocketmq_client_rust::{ClientRuntime, ClientRuntimeConfig, DefaultLitePullConsumer, DefaultMQProducer};
use rocketmq_model::common::consumer::consume_from_where::ConsumeFromWhere;
use rocketmq_model::common::message::message_single::Message;
use rocketmq_observability::TelemetryRuntimeGuard;
use rocketmq_runtime::RuntimeOwner;

/// What the client's calls may end with.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// A message that the client sent or read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Body.
    pub body: Vec<u8>,
    /// `KEYS`, or empty.
    pub keys: String,
    /// `TAGS`, or empty.
    pub tags: String,
    /// `UNIQ_KEY`, or empty.
    pub unique_key: String,
}

/// Runs one piece of work with a client runtime of its own, and closes that afterwards.
pub fn with_client<T, F>(work: impl FnOnce(Arc<ClientRuntime>) -> F) -> Outcome<T>
where
    F: Future<Output = Outcome<T>>,
{
    let owner = RuntimeOwner::new()?;
    let telemetry = TelemetryRuntimeGuard::noop();
    let runtime = ClientRuntime::try_new(
        owner.root_context().component("interop"),
        ClientRuntimeConfig::default(),
        telemetry.handle(),
    )?;
    let result = owner.block_on(async {
        let result = work(runtime.clone()).await;
        runtime.shutdown().await;
        result
    });
    owner.shutdown_runtime_blocking()?;
    result
}

/// Sends messages one by one.
pub fn produce(namesrv: &str, topic: &str, messages: &[Seen]) -> Outcome<()> {
    with_client(|runtime| async move {
        let mut producer =
            DefaultMQProducer::builder(runtime).producer_group("interop_producer").name_server_addr(namesrv).build();
        producer.start().await?;
        for message in messages {
            let mut builder = Message::builder().topic(topic).body(message.body.clone());
            if !message.keys.is_empty() {
                builder = builder.key(message.keys.clone());
            }
            if !message.tags.is_empty() {
                builder = builder.tags(message.tags.clone());
            }
            producer.send_with_timeout(builder.build()?, 10_000).await?.ok_or("no result of a send")?;
        }
        producer.shutdown().await;
        Ok(())
    })
}

/// Reads so many messages of a topic from the first on; an error if there are fewer within the deadline.
pub fn consume(namesrv: &str, topic: &str, count: usize, deadline: Duration) -> Outcome<Vec<Seen>> {
    with_client(|runtime| async move {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        // A new group, which begins with the first message: a seek would race with the pulls that the assignment begins.
        // A short long poll: the consumer's shutdown waits for the pending one.
        let consumer = DefaultLitePullConsumer::builder(runtime)
            .consumer_group(format!("interop_consumer_{now}"))
            .name_server_addr(namesrv)
            .consume_from_where(ConsumeFromWhere::ConsumeFromFirstOffset)
            .auto_commit(false)
            .broker_suspend_max_time_millis(1_000)
            .build()?;
        consumer.start().await?;
        consumer.assign(consumer.fetch_message_queues(topic).await?).await?;
        let (mut seen, end) = (Vec::new(), Instant::now() + deadline);
        while seen.len() < count && Instant::now() < end {
            for message in consumer.poll_with_timeout(500).await {
                let property = |name: &str| {
                    message
                        .properties()
                        .iter()
                        .find(|(key, _)| key.as_str() == name)
                        .map(|(_, value)| value.to_string())
                };
                seen.push(Seen {
                    body: message.body().unwrap_or_default().to_vec(),
                    keys: property("KEYS").unwrap_or_default(),
                    tags: property("TAGS").unwrap_or_default(),
                    unique_key: property("UNIQ_KEY").unwrap_or_default(),
                });
            }
        }
        consumer.shutdown().await;
        if seen.len() < count {
            return Err(format!("only {} of {count} messages", seen.len()).into());
        }
        Ok(seen)
    })
}
