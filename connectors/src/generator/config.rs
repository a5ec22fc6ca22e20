//! Keys of the generator.

use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind, check_all};
use rmqc_core::limits::BATCH_RECORDS_MAX;

use super::content::Content;

const RECORDS: ConfigKey = ConfigKey {
    name: "records",
    aliases: &["count"],
    kind: KeyKind::Integer { min: 0, max: i64::MAX },
    default: Some("0"),
    unit: "records",
    doc: "How many records all tasks make together; 0: without end.",
};
const RECORD_BYTES: ConfigKey = ConfigKey {
    name: "record.bytes",
    aliases: &[],
    kind: KeyKind::Integer { min: 21, max: 4 * 1024 * 1024 },
    default: Some("100"),
    unit: "bytes",
    doc: "Size of each value.",
};
const RECORD_CONTENT: ConfigKey = ConfigKey {
    name: "record.content",
    aliases: &[],
    kind: KeyKind::Choice(&["text", "json"]),
    default: Some("text"),
    unit: "",
    doc: "`text`: the record's number and letters. `json`: objects without a schema, as a log collector makes them, with the number as \
          `id`, of 129 bytes at least; into a topic they belong with the JSON converter and `value.converter.schemas.enable=false`.",
};
const RECORDS_PER_SECOND: ConfigKey = ConfigKey {
    name: "records.per.second",
    aliases: &["rate"],
    kind: KeyKind::Integer { min: 0, max: 1_000_000_000 },
    default: Some("0"),
    unit: "records per second",
    doc: "How fast each task makes records; 0: as fast as they are taken. With a rate, a record's time is when it was due: latencies \
          that are measured from it count a hold-up too.",
};
const CATCH_UP: ConfigKey = ConfigKey {
    name: "catch.up",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("true"),
    unit: "",
    doc: "Whether a task that was held up makes what is overdue at once, as the outside world would. `false`: it goes on \
          at its rate, after at most a tenth of a second's records.",
};
const KEY_COUNT: ConfigKey = ConfigKey {
    name: "key.count",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: 65_536 },
    default: Some("0"),
    unit: "keys",
    doc: "Number of different keys, given out in turn as `key-0`, `key-1`, and so on; 0: no keys.",
};
const SEED: ConfigKey = ConfigKey {
    name: "seed",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: i64::MAX },
    default: Some("0"),
    unit: "",
    doc: "Chooses the letters.",
};
const BATCH_SIZE: ConfigKey = ConfigKey {
    name: "batch.size",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: BATCH_RECORDS_MAX as i64 },
    default: Some("4096"),
    unit: "records",
    doc: "Most records that one poll hands over.",
};
const STRIPE: ConfigKey = ConfigKey {
    name: "stripe",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("0/1"),
    unit: "",
    doc: "Set by the connector for each task: `<i>/<k>`, every k-th record from record i on.",
};

/// Keys of `generator-source`.
pub(super) const KEYS: &[ConfigKey] =
    &[RECORDS, RECORD_BYTES, RECORD_CONTENT, RECORDS_PER_SECOND, CATCH_UP, KEY_COUNT, SEED, BATCH_SIZE, STRIPE];

/// Configuration of `generator-source`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// Number of the first record that is not made.
    pub records_end: u64,
    /// Size of each value in bytes.
    pub record_bytes: usize,
    /// Form of each value.
    pub record_content: Content,
    /// Records a second, if limited.
    pub records_per_second: Option<u64>,
    /// Whether what is overdue is made at once.
    pub catch_up: bool,
    /// Number of different keys; 0 for none.
    pub key_count: usize,
    /// Chooses the letters.
    pub seed: u64,
    /// Most records of one poll.
    pub batch_records_max: usize,
    /// Number of this task's first record.
    pub stripe_first: u64,
    /// Distance between this task's records, at least 1.
    pub stripe_step: u64,
}

impl GeneratorConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every key at fault.
    pub fn parse(properties: &Properties) -> Result<Self, ConfigErrors> {
        check_all(KEYS, properties)?;
        let number = |key: &ConfigKey| u64::try_from(key.integer(properties)).unwrap_or_default();
        let size = |key: &ConfigKey| usize::try_from(key.integer(properties)).unwrap_or_default();
        let json = RECORD_CONTENT.text(properties).is_some_and(|text| text.trim().eq_ignore_ascii_case("json"));
        let record_content = if json { Content::Json } else { Content::Text };
        let record_bytes = size(&RECORD_BYTES);
        if record_bytes < record_content.bytes_min() {
            let least = record_content.bytes_min();
            let message = format!("Config record.bytes is {record_bytes}, a JSON object needs {least} bytes at least");
            return Err(ConfigError::new(RECORD_BYTES.name, message).into());
        }
        let (stripe_first, stripe_step) = stripe(properties)?;
        Ok(Self {
            records_end: Some(number(&RECORDS)).filter(|records| *records > 0).unwrap_or(u64::MAX),
            record_bytes,
            record_content,
            records_per_second: Some(number(&RECORDS_PER_SECOND)).filter(|rate| *rate > 0),
            catch_up: CATCH_UP.boolean(properties),
            key_count: size(&KEY_COUNT),
            seed: number(&SEED),
            batch_records_max: size(&BATCH_SIZE),
            stripe_first,
            stripe_step,
        })
    }
}

fn stripe(properties: &Properties) -> Result<(u64, u64), ConfigErrors> {
    let text = STRIPE.text(properties).unwrap_or_default();
    let numbers = text.split_once('/').and_then(|(first, step)| Some((first.parse().ok()?, step.parse().ok()?)));
    match numbers {
        Some((first, step)) if first < step => Ok((first, step)),
        _ => {
            let message = format!("Config stripe is \"{text}\", expected <i>/<k> with i smaller than k");
            Err(ConfigError::new(STRIPE.name, message).into())
        }
    }
}

/// One stripe a task.
pub(super) fn task_configs(properties: &Properties, max_tasks: usize) -> Result<Vec<Properties>, ConfigErrors> {
    GeneratorConfig::parse(properties)?;
    let tasks = max_tasks.max(1);
    let striped = |task: usize| {
        let mut config = properties.clone();
        config.insert(STRIPE.name.to_owned(), format!("{task}/{tasks}"));
        config
    };
    Ok((0..tasks).map(striped).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::properties;

    #[test]
    fn json_needs_room_for_its_members() {
        assert!(RECORD_CONTENT.doc.contains(&format!("of {} bytes at least", Content::Json.bytes_min())));
        for (bytes, content, fits) in
            [("21", "text", true), ("128", "json", false), ("129", "json", true), ("129", "JSON", true)]
        {
            let config = properties(&[("record.bytes", bytes), ("record.content", content)]);
            match GeneratorConfig::parse(&config) {
                Ok(_) => assert!(fits, "{bytes} {content}"),
                Err(error) => {
                    assert!(!fits && error.to_string().contains("record.bytes"), "{bytes} {content}: {error}")
                }
            }
        }
    }
}
