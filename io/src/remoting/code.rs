//! Request and response codes of the protocol, under the names that the Java side uses.

/// Codes of requests.
pub mod request {
    /// Send one message, long field names.
    pub const SEND_MESSAGE: i32 = 10;
    /// Pull messages of one queue.
    pub const PULL_MESSAGE: i32 = 11;
    /// Committed offset of a group in a queue.
    pub const QUERY_CONSUMER_OFFSET: i32 = 14;
    /// Commit an offset.
    pub const UPDATE_CONSUMER_OFFSET: i32 = 15;
    /// Create or change a topic on a broker.
    pub const UPDATE_AND_CREATE_TOPIC: i32 = 17;
    /// All topic configurations of a broker.
    pub const GET_ALL_TOPIC_CONFIG: i32 = 21;
    /// A broker's settings, as the text of a properties file.
    pub const GET_BROKER_CONFIG: i32 = 26;
    /// A broker's runtime figures.
    pub const GET_BROKER_RUNTIME_INFO: i32 = 28;
    /// First offset whose message was stored at or after a time.
    pub const SEARCH_OFFSET_BY_TIMESTAMP: i32 = 29;
    /// Offset after the last message of a queue.
    pub const GET_MAX_OFFSET: i32 = 30;
    /// Offset of the first message of a queue.
    pub const GET_MIN_OFFSET: i32 = 31;
    /// Store time of the first message of a queue.
    pub const GET_EARLIEST_MSG_STORETIME: i32 = 32;
    /// A client tells who it is and what it reads.
    pub const HEART_BEAT: i32 = 34;
    /// A client leaves.
    pub const UNREGISTER_CLIENT: i32 = 35;
    /// A consumer gives a message back for redelivery.
    pub const CONSUMER_SEND_MSG_BACK: i32 = 36;
    /// Ids of a group's members.
    pub const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
    /// Broker to client: membership of a group changed.
    pub const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
    /// Lock queues for one consumer.
    pub const LOCK_BATCH_MQ: i32 = 41;
    /// Unlock them.
    pub const UNLOCK_BATCH_MQ: i32 = 42;
    /// Offsets of all groups of a broker.
    pub const GET_ALL_CONSUMER_OFFSET: i32 = 43;
    /// Route of a topic, from the name server.
    pub const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
    /// Brokers and clusters, from the name server.
    pub const GET_BROKER_CLUSTER_INFO: i32 = 106;
    /// Create or change a subscription group.
    pub const UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: i32 = 200;
    /// Minimum and maximum offsets of a topic's queues.
    pub const GET_TOPIC_STATS_INFO: i32 = 202;
    /// All topics, from the name server.
    pub const GET_ALL_TOPIC_LIST_FROM_NAMESERVER: i32 = 206;
    /// Remove a subscription group from a broker, with its offsets if told so.
    pub const DELETE_SUBSCRIPTIONGROUP: i32 = 207;
    /// A group's committed offsets with the queues' maxima.
    pub const GET_CONSUME_STATS: i32 = 208;
    /// Remove a topic from a broker.
    pub const DELETE_TOPIC_IN_BROKER: i32 = 215;
    /// Remove a topic from the name server.
    pub const DELETE_TOPIC_IN_NAMESRV: i32 = 216;
    /// Ask a broker to reset a group's offsets.
    pub const INVOKE_BROKER_TO_RESET_OFFSET: i32 = 222;
    /// Send one message, short field names.
    pub const SEND_MESSAGE_V2: i32 = 310;
    /// Send a batch of messages to one queue.
    pub const SEND_BATCH_MESSAGE: i32 = 320;
    /// One topic's configuration.
    pub const GET_TOPIC_CONFIG: i32 = 351;
    /// Pull by a lite consumer; same fields as `PULL_MESSAGE`.
    pub const LITE_PULL_MESSAGE: i32 = 361;
}

/// Codes of responses.
pub mod response {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// The remark holds the cause.
    pub const SYSTEM_ERROR: i32 = 1;
    /// Flow control: surely not stored.
    pub const SYSTEM_BUSY: i32 = 2;
    /// The server does not know this request.
    pub const REQUEST_CODE_NOT_SUPPORTED: i32 = 3;
    /// Stored, but the disk flush did not end in time.
    pub const FLUSH_DISK_TIMEOUT: i32 = 10;
    /// Stored, but no replica was there.
    pub const SLAVE_NOT_AVAILABLE: i32 = 11;
    /// Stored, but the replica did not answer in time.
    pub const FLUSH_SLAVE_TIMEOUT: i32 = 12;
    /// The message itself is refused: size or properties.
    pub const MESSAGE_ILLEGAL: i32 = 13;
    /// Read-only, disk full or shutting down: surely not stored.
    pub const SERVICE_NOT_AVAILABLE: i32 = 14;
    /// Not allowed.
    pub const NO_PERMISSION: i32 = 16;
    /// No such topic, or no route to it.
    pub const TOPIC_NOT_EXIST: i32 = 17;
    /// Nothing new.
    pub const PULL_NOT_FOUND: i32 = 19;
    /// There were messages but none matched: go on at `nextBeginOffset`.
    pub const PULL_RETRY_IMMEDIATELY: i32 = 20;
    /// The offset is outside the queue, or a reset is pending: go on at `nextBeginOffset`.
    pub const PULL_OFFSET_MOVED: i32 = 21;
    /// Nothing committed yet.
    pub const QUERY_NOT_FOUND: i32 = 22;
    /// No subscription known: heartbeat first.
    pub const SUBSCRIPTION_NOT_EXIST: i32 = 24;
    /// The broker has an older subscription: heartbeat, then again.
    pub const SUBSCRIPTION_NOT_LATEST: i32 = 25;
    /// Commit by a group that the broker does not know yet.
    pub const SUBSCRIPTION_GROUP_NOT_EXIST: i32 = 26;
    /// A field is wrong.
    pub const INVALID_PARAMETER: i32 = 29;
    /// Flow control: surely not stored.
    pub const FLOW_CONTROL: i32 = 215;
}
