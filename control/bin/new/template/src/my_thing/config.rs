//! The connector's keys. One definition of each gives parsing, checks, and what the worker tells about it.

// [source]
use std::time::Duration;

// [/source]
use rmqc_fast::prelude::*;
// [source]

const RECORDS: ConfigKey = ConfigKey {
    name: "records",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 1_000_000_000 },
    default: None,
    unit: "records",
    doc: "How many records the source gives.",
};
const INTERVAL_MS: ConfigKey = ConfigKey {
    name: "interval.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: 3_600_000 },
    default: Some("0"),
    unit: "ms",
    doc: "Pause before each record.",
};

/// Keys of `my-thing-source`.
pub(super) const SOURCE_KEYS: &[ConfigKey] = &[RECORDS, INTERVAL_MS];

/// Configuration of `my-thing-source`, checked.
pub(super) struct SourceConfig {
    /// How many records there are.
    pub records: u64,
    /// Pause before each record.
    pub interval: Duration,
}

impl SourceConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every key at fault.
    pub fn parse(properties: &Properties) -> Result<Self, ConfigErrors> {
        check_all(SOURCE_KEYS, properties)?;
        let interval = Duration::from_millis(INTERVAL_MS.integer(properties).unsigned_abs());
        Ok(Self { records: RECORDS.integer(properties).unsigned_abs(), interval })
    }
}
// [/source]
// [sink]

const PATH: ConfigKey = ConfigKey {
    name: "path",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "File to which each record is appended as a line.",
};

/// Keys of `my-thing-sink`.
pub(super) const SINK_KEYS: &[ConfigKey] = &[PATH];

/// Configuration of `my-thing-sink`, checked.
pub(super) struct SinkConfig {
    /// File to append to.
    pub path: String,
}

impl SinkConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every key at fault.
    pub fn parse(properties: &Properties) -> Result<Self, ConfigErrors> {
        check_all(SINK_KEYS, properties)?;
        let path = PATH.text(properties).unwrap_or_default();
        if path.is_empty() {
            return Err(ConfigError::new(PATH.name, "Config path is empty, expected the path of a file").into());
        }
        Ok(Self { path: path.to_owned() })
    }
}
// [/sink]
