//! The keys of the worker's conf file, one definition each.

use crate::config::key::{ConfigKey, KeyKind};

pub(super) const WORKER_ID: ConfigKey = ConfigKey {
    name: "workerId",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("DefaultWorker"),
    unit: "",
    doc: "Name of this worker in statuses. Must be unique among the workers of one cluster.",
};
pub(super) const NAME_SERVERS: ConfigKey = ConfigKey {
    name: "namesrvAddr",
    aliases: &[],
    kind: KeyKind::List,
    default: Some("embedded"),
    unit: "",
    doc: "Name servers, `host:port`, several separated by `;`. `embedded` starts a broker inside the worker: \
          for trying and testing, never for production. The environment variable `NAMESRV_ADDR` is used when \
          this key is missing or `embedded`.",
};
pub(super) const ACL_ENABLE: ConfigKey = ConfigKey {
    name: "aclEnable",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Sign requests to name servers and brokers.",
};
pub(super) const ACCESS_KEY: ConfigKey = ConfigKey {
    name: "accessKey",
    aliases: &[],
    kind: KeyKind::Secret,
    default: Some(""),
    unit: "",
    doc: "Access key, with `aclEnable=true`.",
};
pub(super) const SECRET_KEY: ConfigKey = ConfigKey {
    name: "secretKey",
    aliases: &[],
    kind: KeyKind::Secret,
    default: Some(""),
    unit: "",
    doc: "Secret key, with `aclEnable=true`.",
};
pub(super) const AUTO_CREATE_TOPIC: ConfigKey = ConfigKey {
    name: "autoCreateTopicEnable",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("true"),
    unit: "",
    doc: "Source tasks create a missing target topic.",
};
pub(super) const PRODUCER_GROUP: ConfigKey = ConfigKey {
    name: "rmqProducerGroup",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("connector-producer-group"),
    unit: "",
    doc: "Producer group of source tasks.",
};
pub(super) const OPERATION_TIMEOUT: ConfigKey = ConfigKey {
    name: "operationTimeout",
    aliases: &[],
    kind: KeyKind::Integer { min: 100, max: 3_600_000 },
    default: Some("3000"),
    unit: "ms",
    doc: "Deadline of one request to a broker.",
};
pub(super) const HTTP_PORT: ConfigKey = ConfigKey {
    name: "httpPort",
    aliases: &["rest.port"],
    kind: KeyKind::Integer { min: 0, max: 65_535 },
    default: Some("8082"),
    unit: "",
    doc: "Port of the REST API; 0: any free one.",
};
pub(super) const HTTP_HOST: ConfigKey = ConfigKey {
    name: "httpHost",
    aliases: &["rest.host.name"],
    kind: KeyKind::Text,
    default: Some("127.0.0.1"),
    unit: "",
    doc: "Address that the REST API listens on. `0.0.0.0` opens it to the network: whoever reaches it can make \
          the worker read and write files.",
};
pub(super) const HTTP_ALLOWED_ORIGINS: ConfigKey = ConfigKey {
    name: "httpAllowedOrigins",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Origins (`https://console.example:8443`) of web pages that may ask for changes beside the worker's own page; \
          needed when a proxy gives the worker another `Host` than the browser sees. Requests of other sites' pages \
          that would change something get HTTP 403.",
};
pub(super) const REST_STATUS_CODES: ConfigKey = ConfigKey {
    name: "restStatusCodes",
    aliases: &[],
    kind: KeyKind::Choice(&["java", "real"]),
    default: Some("java"),
    unit: "",
    doc: "`java`: handled errors answer HTTP 200 with an `errorCode`, as the Java worker does. `real`: they \
          get the matching HTTP status.",
};
pub(super) const MASK_SECRETS: ConfigKey = ConfigKey {
    name: "maskSecrets",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("true"),
    unit: "",
    doc: "REST answers show `******` instead of the values of secret keys. Sent back unchanged, `******` keeps \
          the stored value.",
};
pub(super) const PROVIDER_ROOTS: ConfigKey = ConfigKey {
    name: "configProviderRoots",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Directories, separated by commas, below which references of the kinds `${file:PATH:KEY}` and \
          `${dir:PATH:NAME}` may read files. Empty: the directory of the conf file, and `/run/secrets`.",
};
pub(super) const PROVIDER_ENV: ConfigKey = ConfigKey {
    name: "configProviderEnv",
    aliases: &[],
    kind: KeyKind::List,
    default: Some("*"),
    unit: "",
    doc: "Environment variables, separated by commas, that references of the kind `${env:NAME}` may read: names, or \
          beginnings of names followed by `*`. Empty: none.",
};
pub(super) const CONNECT_HOME: ConfigKey = ConfigKey {
    name: "connectHome",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Directory of the installation. The environment variable `CONNECT_HOME` is used when this key is \
          missing. Kept for the Java worker's scripts; this worker needs no file from there.",
};
pub(super) const STORE_DIR: ConfigKey = ConfigKey {
    name: "storePathRootDir",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Directory of connectors, positions and states; the files are in `config/` below it. Empty: \
          `connectorStore` in the home directory.",
};
pub(super) const LOG_DIR: ConfigKey = ConfigKey {
    name: "logDir",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Directory of the log files. Empty: `logs/rocketmqconnect` in the home directory.",
};
pub(super) const KEY_CONVERTER: ConfigKey = ConfigKey {
    name: "keyConverter",
    aliases: &["key.converter"],
    kind: KeyKind::Text,
    default: Some("org.apache.rocketmq.connect.runtime.converter.record.StringConverter"),
    unit: "",
    doc: "Default of the connectors' `key.converter`.",
};
pub(super) const VALUE_CONVERTER: ConfigKey = ConfigKey {
    name: "valueConverter",
    aliases: &["value.converter"],
    kind: KeyKind::Text,
    default: Some("org.apache.rocketmq.connect.runtime.converter.record.StringConverter"),
    unit: "",
    doc: "Default of the connectors' `value.converter`.",
};
pub(super) const IO_DRIVER: ConfigKey = ConfigKey {
    name: "ioDriver",
    aliases: &[],
    kind: KeyKind::Choice(&["auto", "uring", "epoll"]),
    default: Some("auto"),
    unit: "",
    doc: "I/O driver under the shards. `auto`: io_uring where the kernel lets it work, else epoll. The \
          environment variable `RMQC_IO` and the flag `--io` go before it.",
};
pub(super) const CORES: ConfigKey = ConfigKey {
    name: "cores",
    aliases: &[],
    kind: KeyKind::CountOrAuto { max: 1024 },
    default: Some("auto"),
    unit: "shards",
    doc: "Number of shards, one thread each.",
};
pub(super) const PIN: ConfigKey = ConfigKey {
    name: "pin",
    aliases: &[],
    kind: KeyKind::Choice(&["auto", "on", "off"]),
    default: Some("auto"),
    unit: "",
    doc: "Pin each shard to a CPU of its own.",
};
pub(super) const SHARD_MEMORY: ConfigKey = ConfigKey {
    name: "shardMemoryBytes",
    aliases: &[],
    kind: KeyKind::Integer { min: 1_048_576, max: i64::MAX },
    default: Some("67108864"),
    unit: "bytes",
    doc: "Most payload bytes that the tasks of one shard hold together, over their own `uncommitted.bytes`; a full \
          shard makes its sources and pulls wait.",
};
pub(super) const STALL_TIMEOUT: ConfigKey = ConfigKey {
    name: "shardStallTimeoutMs",
    aliases: &[],
    kind: KeyKind::Integer { min: 1_000, max: 3_600_000 },
    default: Some("30000"),
    unit: "ms",
    doc: "A shard that makes no progress for so long, though it was kicked, is abandoned and replaced; its \
          tasks start again from their committed positions.",
};
pub(super) const START_TIMEOUT: ConfigKey = ConfigKey {
    name: "maxStartTimeoutMills",
    aliases: &[],
    kind: KeyKind::Integer { min: 100, max: 86_400_000 },
    default: Some("180000"),
    unit: "ms",
    doc: "A task that has not started after so long fails.",
};
pub(super) const STOP_TIMEOUT: ConfigKey = ConfigKey {
    name: "maxStopTimeoutMills",
    aliases: &["task.shutdown.graceful.timeout.ms"],
    kind: KeyKind::Integer { min: 100, max: 86_400_000 },
    default: Some("60000"),
    unit: "ms",
    doc: "A task that has not stopped after so long is reported as failed; it is not started again before it \
          ended. Also bounds the drain at the worker's stop.",
};
pub(super) const STATE_INTERVAL: ConfigKey = ConfigKey {
    name: "statePersistInterval",
    aliases: &[],
    kind: KeyKind::Integer { min: 100, max: 86_400_000 },
    default: Some("20000"),
    unit: "ms",
    doc: "Pause between two writes of changed states to the state files.",
};
pub(super) const RESTART_MAX: ConfigKey = ConfigKey {
    name: "task.restart.max",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: 1_000_000 },
    default: Some("10"),
    unit: "restarts",
    doc: "A failed task is started again at most so often within the window; then it stays FAILED until \
          someone resumes or changes its connector.",
};
pub(super) const RESTART_WINDOW: ConfigKey = ConfigKey {
    name: "task.restart.window.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 1_000, max: 86_400_000 },
    default: Some("600000"),
    unit: "ms",
    doc: "Window of `task.restart.max`.",
};
pub(super) const RESTART_BACKOFF: ConfigKey = ConfigKey {
    name: "task.restart.backoff.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 3_600_000 },
    default: Some("1000"),
    unit: "ms",
    doc: "Pause before a failed task's first restart, doubled with each further one, up to a third more or \
          less by chance.",
};
pub(super) const RESTART_BACKOFF_MAX: ConfigKey = ConfigKey {
    name: "task.restart.backoff.max.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 3_600_000 },
    default: Some("60000"),
    unit: "ms",
    doc: "Longest such pause.",
};

pub(super) const PLUGIN_PATHS: ConfigKey = ConfigKey {
    name: "pluginPaths",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Directories, files and patterns (`/opt/plugins/*.jar`), separated by commas, that are looked through at the start \
          and by `/plugin/reload`. Nothing there is loaded, since connectors are built in; `/v1/plugins/paths` and the log \
          say which connectors of each jar this binary has itself and which it lacks.",
};

pub(super) const LOG_METRICS: ConfigKey = ConfigKey {
    name: "openLogMetricReporter",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Log the metrics of all tasks every 10 s, by the names that the Java worker gives them, to the logger \
          `RocketmqConnectStats`.",
};
pub(super) const METRICS_CONFIG: ConfigKey = ConfigKey {
    name: "metricsConfigPath",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "A `.properties` file with `metrics.reporter`, the class of a reporter, and its keys. There is \
          `org.apache.rocketmq.connect.metrics.reporter.RocketMQScheduledReporter`, which sends every metric every 10 s as a \
          message to `metrics.topic` of the cluster at `name.srv.addr` (required both); `group.id`, `acl.enable`, \
          `access.key` and `secret.key` are how it does so.",
};

pub(super) const OTLP_ENDPOINT: ConfigKey = ConfigKey {
    name: "otlpEndpoint",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://localhost:4318`: all metrics of `/metrics` are \
          sent to `/v1/metrics` below it. Empty: nothing is sent. The certificate of an `https` address has to be of an authority \
          that the machine trusts, or of one in the file that the environment's `SSL_CERT_FILE` names.",
};
pub(super) const OTLP_INTERVAL: ConfigKey = ConfigKey {
    name: "otlpInterval",
    aliases: &[],
    kind: KeyKind::Integer { min: 1000, max: 3_600_000 },
    default: Some("10000"),
    unit: "ms",
    doc: "Pause between two of them.",
};
pub(super) const OTLP_TRACE_SAMPLE: ConfigKey = ConfigKey {
    name: "otlpTraceSample",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("0"),
    unit: "",
    doc: "Share of the REST requests and of the tasks' batches, from 0 to 1, of which spans are sent to `/v1/traces` below \
          `otlpEndpoint`. Of batches each shard traces at most 20 that begin within a second; what is beyond is counted in \
          `rmqc_shard_spans_dropped_total`. A request with a `traceparent` header follows what that says, unless this is 0.",
};
pub(super) const OTLP_HEADERS: ConfigKey = ConfigKey {
    name: "otlpHeaders",
    aliases: &[],
    kind: KeyKind::Secret,
    default: Some(""),
    unit: "",
    doc: "Headers of these requests, `name=value`, separated by commas.",
};

/// All keys that have an effect, in the order of the reference page.
pub const WORKER_KEYS: &[ConfigKey] = &[
    WORKER_ID,
    NAME_SERVERS,
    ACL_ENABLE,
    ACCESS_KEY,
    SECRET_KEY,
    AUTO_CREATE_TOPIC,
    PRODUCER_GROUP,
    OPERATION_TIMEOUT,
    HTTP_PORT,
    HTTP_HOST,
    HTTP_ALLOWED_ORIGINS,
    REST_STATUS_CODES,
    MASK_SECRETS,
    PROVIDER_ROOTS,
    PROVIDER_ENV,
    CONNECT_HOME,
    STORE_DIR,
    LOG_DIR,
    KEY_CONVERTER,
    VALUE_CONVERTER,
    PLUGIN_PATHS,
    LOG_METRICS,
    METRICS_CONFIG,
    OTLP_ENDPOINT,
    OTLP_INTERVAL,
    OTLP_HEADERS,
    OTLP_TRACE_SAMPLE,
    IO_DRIVER,
    CORES,
    PIN,
    SHARD_MEMORY,
    STALL_TIMEOUT,
    START_TIMEOUT,
    STOP_TIMEOUT,
    STATE_INTERVAL,
    RESTART_MAX,
    RESTART_WINDOW,
    RESTART_BACKOFF,
    RESTART_BACKOFF_MAX,
];

/// A key of the Java worker that is accepted and does nothing.
#[derive(Clone, Copy, Debug)]
pub struct DeadKey {
    /// The key.
    pub name: &'static str,
    /// Why it does nothing.
    pub why: &'static str,
}

/// All keys of the Java worker that have no effect here.
pub const DEAD_KEYS: &[DeadKey] = &[
    DeadKey { name: "connectClusterId", why: "this worker runs alone" },
    DeadKey {
        name: "autoCreateGroupEnable",
        why: "groups come into being with their first member, in the Java worker too",
    },
    DeadKey { name: "maxMessageSize", why: "the Java worker does not use it either; the limit is 4194304 bytes" },
    DeadKey { name: "clusterStoreTopic", why: "this worker runs alone" },
    DeadKey { name: "configStoreTopic", why: "this worker runs alone and keeps its connectors in files" },
    DeadKey { name: "positionStoreTopic", why: "this worker runs alone and keeps positions in a file" },
    DeadKey { name: "offsetStoreTopic", why: "the Java worker does not use it either" },
    DeadKey { name: "connectStatusTopic", why: "this worker runs alone and keeps states in files" },
    DeadKey { name: "configPersistInterval", why: "connectors are stored before the request is answered" },
    DeadKey {
        name: "positionPersistInterval",
        why: "positions are stored with each commit; see the connector key commit.interval.ms",
    },
    DeadKey { name: "offsetPersistInterval", why: "the Java worker does not use it either" },
    DeadKey { name: "allocTaskStrategy", why: "this worker runs alone" },
    DeadKey {
        name: "rmqConsumerGroup",
        why: "the Java worker does not use it either; see the connector key task.group.id",
    },
    DeadKey { name: "adminExtGroup", why: "there is no admin client that would need a group" },
    DeadKey { name: "rmqMaxRedeliveryTimes", why: "the Java worker does not use it either" },
    DeadKey { name: "rmqMessageConsumeTimeout", why: "the Java worker does not use it either" },
    DeadKey { name: "brokerSuspendMaxTimeMillis", why: "the Java worker does not use it either" },
    DeadKey { name: "rmqMaxConsumeThreadNums", why: "the Java worker does not use it either" },
    DeadKey { name: "rmqMinConsumeThreadNums", why: "the Java worker does not use it either" },
    DeadKey { name: "offsetCommitTimeoutMsConfig", why: "a commit is waited for, not given up" },
    DeadKey { name: "offsetCommitIntervalMsConfig", why: "see the connector key commit.interval.ms" },
    DeadKey { name: "clusterManagementService", why: "this worker runs alone" },
    DeadKey { name: "configManagementService", why: "this worker runs alone and keeps its connectors in files" },
    DeadKey { name: "positionManagementService", why: "this worker runs alone and keeps positions in a file" },
    DeadKey { name: "stateManagementService", why: "this worker runs alone and keeps states in files" },
    DeadKey { name: "bootstrap.servers", why: "it is Kafka's; name servers are named by namesrvAddr" },
    DeadKey { name: "group.id", why: "it is Kafka's; this worker runs alone" },
    DeadKey { name: "plugin.path", why: "it is Kafka's; connectors are built in, no jar is loaded" },
    DeadKey { name: "offset.flush.interval.ms", why: "it is Kafka's; see the connector key commit.interval.ms" },
    DeadKey { name: "offset.flush.timeout.ms", why: "it is Kafka's; a commit is waited for, not given up" },
    DeadKey { name: "offset.storage.file.filename", why: "it is Kafka's; positions are below storePathRootDir" },
    DeadKey { name: "offset.storage.topic", why: "it is Kafka's; positions are below storePathRootDir" },
    DeadKey { name: "config.storage.topic", why: "it is Kafka's; connectors are stored below storePathRootDir" },
    DeadKey { name: "status.storage.topic", why: "it is Kafka's; states are stored below storePathRootDir" },
    DeadKey { name: "listeners", why: "it is Kafka's; see httpHost and httpPort" },
    DeadKey { name: "clusterName", why: "the Java worker does not know it either" },
];
