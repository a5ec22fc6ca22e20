//! The client's calls that no task needs: what the control plane asks of the cluster, and looks into queues.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_core::id::MessageQueue;
use serde::Deserialize;

use super::client::Client;
use super::code::{request, response};
use super::connection::{CallError, Request, Response};
use super::pull::Pull;
use crate::driver::Driver;

/// Group under which queues are looked into: every broker has it from the start, so that no trace of a look is left.
const LOOKING_GROUP: &str = "TOOLS_CONSUMER";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicList {
    #[serde(default)]
    topic_list: Vec<String>,
}

impl<D: Driver> Client<D> {
    /// Names of all topics that the name servers know, sorted; those of the brokers' own use are among them.
    ///
    /// # Errors
    /// When no name server gives a usable answer.
    pub async fn topic_names(&self) -> Result<Vec<String>, CallError> {
        let code = request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        let answer = self.call_name_server(&Request::new(code)).await?;
        let list: TopicList = serde_json::from_slice(&answer.body).map_err(|error| CallError::Malformed {
            address: "name server".to_owned(),
            request: code,
            reason: error.to_string(),
        })?;
        let mut names = list.topic_list;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Removes a group and its offsets from one broker; one that it does not have is no error.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn delete_group_at(&self, address: &str, group: &str) -> Result<(), CallError> {
        let request =
            Request::new(request::DELETE_SUBSCRIPTIONGROUP).with("groupName", group).with("cleanOffset", "true");
        self.call(address, &request, self.settings().operation_timeout).await.map(drop)
    }

    /// A broker's settings.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn broker_config(&self, address: &str) -> Result<BTreeMap<String, String>, CallError> {
        let request = Request::new(request::GET_BROKER_CONFIG);
        let answer = self.call(address, &request, self.settings().operation_timeout).await?;
        Ok(settings_of(&String::from_utf8_lossy(&answer.body)))
    }

    /// The group's committed offset in a queue, and nothing where it has committed nothing: without this wish brokers
    /// answer 0 for a queue that still has its first message.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn committed_or_none(
        &self,
        address: &str,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, CallError> {
        let request = Request::new(request::QUERY_CONSUMER_OFFSET)
            .with("consumerGroup", group)
            .with("setZeroIfNotFound", "false");
        match self.queue_number(address, request, queue, "offset").await {
            Ok(offset) => Ok(Some(offset).filter(|offset| *offset >= 0)),
            Err(error) if error.refusal() == Some(response::QUERY_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pulls from a queue without a group of one's own, without a commit and without a wait. The response code tells
    /// what was found.
    ///
    /// # Errors
    /// When the broker can't be reached.
    pub async fn look(
        &self,
        address: &str,
        queue: &MessageQueue,
        offset: i64,
        messages_max: i64,
    ) -> Result<Response, CallError> {
        let pull = Pull {
            group: LOOKING_GROUP,
            topic: &queue.topic,
            queue_id: queue.queue_id,
            offset,
            messages_max,
            expression: "*",
            may_wait: false,
            suspend: Duration::ZERO,
        };
        let connection = self.connection(address).await?;
        connection.call(&pull.request(), self.settings().operation_timeout).await
    }
}

/// Reads the text of a properties file as brokers write it: a setting a line, without escapes.
fn settings_of(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_a_line_at_a_time() {
        let settings = settings_of("# made by hand\nbrokerName=broker-a\r\n a = b=c \nempty=\nno setting\n");
        let shown: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(shown, [("a", "b=c"), ("brokerName", "broker-a"), ("empty", "")]);
    }
}
