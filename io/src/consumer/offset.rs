//! Where a queue is read from, and how far it is committed.

use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::id::MessageQueue;

use crate::driver::Driver;
use crate::remoting::client::Client;
use crate::remoting::code::response;
use crate::remoting::connection::CallError;
use crate::remoting::route::QueueAddress;

/// Where to start in a queue in which the group has committed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the first message.
    First,
    /// After the last message.
    Last,
    /// At the first message stored at or after this time, in ms since 1970.
    Time(i64),
}

impl StartFrom {
    /// The name under which brokers know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "CONSUME_FROM_FIRST_OFFSET",
            Self::Last => "CONSUME_FROM_LAST_OFFSET",
            Self::Time(_) => "CONSUME_FROM_TIMESTAMP",
        }
    }
}

fn failed(queue: &MessageQueue, error: CallError) -> ConnectError {
    ConnectError::later(Stage::Consume, format!("cannot learn where to start in {queue}")).caused_by(error)
}

/// The offset of the next message to read: the group's committed one, else as `from` says.
///
/// # Errors
/// `Retry::Later` when the broker can't tell.
pub async fn start_offset<D: Driver>(
    client: &Client<D>,
    group: &str,
    target: &QueueAddress,
    from: StartFrom,
) -> Result<i64> {
    let (queue, address) = (&target.queue, &*target.address);
    let committed = client.committed_offset(address, group, queue).await.map_err(|error| failed(queue, error))?;
    if let Some(offset) = committed {
        return Ok(offset);
    }
    match from {
        StartFrom::First => client.min_offset(address, queue).await,
        StartFrom::Last => client.max_offset(address, queue).await,
        StartFrom::Time(time_ms) => client.offset_at(address, queue, time_ms).await,
    }
    .map_err(|error| failed(queue, error))
}

/// Commits an offset; a group that the broker does not know yet is made first.
///
/// # Errors
/// `Retry::Later` when the broker can't be reached; then nothing is known about the offset.
pub async fn commit<D: Driver>(client: &Client<D>, group: &str, target: &QueueAddress, offset: i64) -> Result<()> {
    let (queue, address) = (&target.queue, &*target.address);
    let failed = |error: CallError| {
        ConnectError::later(Stage::Commit, format!("cannot commit offset {offset} of {queue} for group {group}"))
            .caused_by(error)
    };
    match client.commit_offset(address, group, queue, offset).await {
        Err(error) if error.refusal() == Some(response::SUBSCRIPTION_GROUP_NOT_EXIST) => {
            client.create_group(group).await.map_err(failed)?;
            client.commit_offset(address, group, queue, offset).await.map_err(failed)
        }
        outcome => outcome.map_err(failed),
    }
}
