//! Keys of the file connectors, parsed into typed configurations.

use std::sync::Arc;
use std::time::Duration;

use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind, check_all};
use rmqc_core::limits::{BATCH_RECORDS_MAX, MESSAGE_BODY_BYTES_MAX};

/// Room that a broker's limit on a whole message leaves for topic and properties.
const MESSAGE_OVERHEAD_BYTES: usize = 64 * 1024;
const _: () = assert!(MESSAGE_BODY_BYTES_MAX - MESSAGE_OVERHEAD_BYTES == 4_128_768, "the default of line.bytes.max");

const SOURCE_FILENAME: ConfigKey = ConfigKey {
    name: "filename",
    aliases: &[],
    kind: KeyKind::List,
    default: None,
    unit: "",
    doc: "File to follow, or several separated by commas; a comma that belongs to a name is written `\\,`. \
          A file need not exist yet.",
};
const TOPIC: ConfigKey = ConfigKey {
    name: "topic",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Topic to send to, carried as an extension by every record; goes before `connect.topicname`.",
};
const BATCH_SIZE: ConfigKey = ConfigKey {
    name: "batch.size",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: BATCH_RECORDS_MAX as i64 },
    default: Some("8192"),
    unit: "records",
    doc: "Most lines that one poll hands over.",
};
const START_AT: ConfigKey = ConfigKey {
    name: "start.at",
    aliases: &[],
    kind: KeyKind::Choice(&["beginning", "end"]),
    default: Some("beginning"),
    unit: "",
    doc: "Where to start in a file that is there when the task starts and has no committed position: at its \
          beginning, or with what is appended from then on. A file that appears later is read from its beginning.",
};
const UNTERMINATED_LINE: ConfigKey = ConfigKey {
    name: "unterminated.line",
    aliases: &[],
    kind: KeyKind::Choice(&["hold", "deliver"]),
    default: Some("hold"),
    unit: "",
    doc: "What to do with a last line that has no line end: hold it until it has one (or the file is replaced), or \
          deliver it after `unterminated.line.timeout.ms`. What is appended to a delivered line becomes a line of \
          its own.",
};
const UNTERMINATED_LINE_TIMEOUT_MS: ConfigKey = ConfigKey {
    name: "unterminated.line.timeout.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 86_400_000 },
    default: Some("1000"),
    unit: "ms",
    doc: "With `unterminated.line=deliver`: how long the last line must not have grown.",
};
const LINE_BYTES_MAX: ConfigKey = ConfigKey {
    name: "line.bytes.max",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 64 * 1024 * 1024 },
    default: Some("4128768"),
    unit: "bytes",
    doc: "Longest line. A longer one stops the task with an error that names the file and the byte where it begins.",
};

/// Keys of `file-source`.
pub(super) const SOURCE_KEYS: &[ConfigKey] =
    &[SOURCE_FILENAME, TOPIC, BATCH_SIZE, START_AT, UNTERMINATED_LINE, UNTERMINATED_LINE_TIMEOUT_MS, LINE_BYTES_MAX];

const SINK_FILENAME: ConfigKey = ConfigKey {
    name: "filename",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "File to append to. It is created when missing; its directory is not.",
};
const FSYNC: ConfigKey = ConfigKey {
    name: "fsync",
    aliases: &[],
    kind: KeyKind::Choice(&["never", "commit", "batch"]),
    default: Some("commit"),
    unit: "",
    doc: "When lines are put on stable storage: before each commit, after each batch, or never (then a crash of the \
          machine may lose committed lines; a crash of the worker does not).",
};
const NULL_VALUE: ConfigKey = ConfigKey {
    name: "null.value",
    aliases: &[],
    kind: KeyKind::Choice(&["text", "skip", "fail"]),
    default: Some("text"),
    unit: "",
    doc: "What to do with a record that has no value: write the line `null` as the Java connector does, skip it, or \
          stop with an error.",
};

const VALUE_FORMAT: ConfigKey = ConfigKey {
    name: "value.format",
    aliases: &[],
    kind: KeyKind::Choice(&["text", "json"]),
    default: Some("text"),
    unit: "",
    doc: "How a value that is neither text nor bytes becomes a line: as the Java runtime's text (`{a=1}`), or as JSON.",
};

/// Keys of `file-sink`.
pub(super) const SINK_KEYS: &[ConfigKey] = &[SINK_FILENAME, FSYNC, NULL_VALUE, VALUE_FORMAT];

/// Where to start in a file without a committed position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first byte.
    Beginning,
    /// Behind the last byte that is there when the task starts.
    End,
}

/// What becomes of a last line that has no line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unterminated {
    /// It waits for its line end.
    Hold,
    /// It is delivered once it has not grown for so long.
    DeliverAfter(Duration),
}

/// Configuration of `file-source`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSourceConfig {
    /// Files to follow, as configured; not empty, none twice.
    pub filenames: Vec<String>,
    /// Topic that each record carries.
    pub topic: Option<Arc<str>>,
    /// Most records of one poll.
    pub batch_records_max: usize,
    /// Where to start in files without a position.
    pub start_at: StartAt,
    /// What becomes of unterminated last lines.
    pub unterminated: Unterminated,
    /// Longest line in bytes.
    pub line_bytes_max: usize,
}

impl FileSourceConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every key at fault.
    pub fn parse(properties: &Properties) -> Result<Self, ConfigErrors> {
        check_all(SOURCE_KEYS, properties)?;
        let timeout_ms = number(&UNTERMINATED_LINE_TIMEOUT_MS, properties);
        Ok(Self {
            filenames: filenames(properties)?,
            topic: TOPIC.text(properties).filter(|topic| !topic.is_empty()).map(Arc::from),
            batch_records_max: number(&BATCH_SIZE, properties),
            start_at: if is(&START_AT, properties, "end") { StartAt::End } else { StartAt::Beginning },
            unterminated: if is(&UNTERMINATED_LINE, properties, "deliver") {
                Unterminated::DeliverAfter(Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(u64::MAX)))
            } else {
                Unterminated::Hold
            },
            line_bytes_max: number(&LINE_BYTES_MAX, properties),
        })
    }
}

/// When lines are put on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Left to the operating system.
    Never,
    /// Before each commit.
    Commit,
    /// After each batch.
    Batch,
}

/// What becomes of a record without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullValue {
    /// The line `null`.
    Text,
    /// No line.
    Skip,
    /// An error.
    Fail,
}

/// Configuration of `file-sink`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSinkConfig {
    /// File to append to.
    pub filename: String,
    /// When lines are put on stable storage.
    pub fsync: Fsync,
    /// What becomes of records without a value.
    pub null_value: NullValue,
    /// Whether values that are neither text nor bytes are written as JSON.
    pub json: bool,
}

impl FileSinkConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every key at fault.
    pub fn parse(properties: &Properties) -> Result<Self, ConfigErrors> {
        check_all(SINK_KEYS, properties)?;
        let filename = SINK_FILENAME.text(properties).unwrap_or_default();
        if filename.is_empty() {
            return Err(empty_filename());
        }
        let fsync = match () {
            () if is(&FSYNC, properties, "never") => Fsync::Never,
            () if is(&FSYNC, properties, "batch") => Fsync::Batch,
            () => Fsync::Commit,
        };
        let null_value = match () {
            () if is(&NULL_VALUE, properties, "skip") => NullValue::Skip,
            () if is(&NULL_VALUE, properties, "fail") => NullValue::Fail,
            () => NullValue::Text,
        };
        let json = is(&VALUE_FORMAT, properties, "json");
        Ok(Self { filename: filename.to_owned(), fsync, null_value, json })
    }
}

/// Shares the files out in turn: task `i` gets files `i`, `i + tasks`, and so on.
pub(super) fn source_task_configs(properties: &Properties, max_tasks: usize) -> Result<Vec<Properties>, ConfigErrors> {
    let filenames = FileSourceConfig::parse(properties)?.filenames;
    let tasks = max_tasks.clamp(1, filenames.len());
    let share = |task: usize| {
        let mine: Vec<_> = filenames.iter().skip(task).step_by(tasks).map(|name| name.replace(',', "\\,")).collect();
        let mut config = properties.clone();
        config.insert(SOURCE_FILENAME.name.to_owned(), mine.join(","));
        config
    };
    Ok((0..tasks).map(share).collect())
}

fn filenames(properties: &Properties) -> Result<Vec<String>, ConfigErrors> {
    let mut names: Vec<String> = Vec::new();
    for name in split_at_commas(SOURCE_FILENAME.text(properties).unwrap_or_default()) {
        if names.contains(&name) {
            let message = format!("Config filename names \"{name}\" twice");
            return Err(ConfigError::new(SOURCE_FILENAME.name, message).into());
        }
        names.push(name);
    }
    if names.is_empty() { Err(empty_filename()) } else { Ok(names) }
}

/// Splits at commas that no backslash stands before; blanks around names and empty names go.
fn split_at_commas(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    for part in list.split(',') {
        // Each part but the first follows a comma; an escaped one belongs to the name before it.
        match names.last_mut() {
            Some(name) if name.ends_with('\\') => {
                name.pop();
                name.push(',');
                name.push_str(part);
            }
            _ => names.push(part.to_owned()),
        }
    }
    names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn empty_filename() -> ConfigErrors {
    ConfigError::new("filename", "Config filename is empty, expected the path of a file").into()
}

fn is(key: &ConfigKey, properties: &Properties, word: &str) -> bool {
    key.text(properties).is_some_and(|text| text.eq_ignore_ascii_case(word))
}

fn number(key: &ConfigKey, properties: &Properties) -> usize {
    usize::try_from(key.integer(properties)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn defaults_are_those_of_the_key_table() {
        let config = FileSourceConfig::parse(&properties(&[("filename", " /a/b ")])).unwrap();
        let expected = FileSourceConfig {
            filenames: vec!["/a/b".to_owned()],
            topic: None,
            batch_records_max: 8192,
            start_at: StartAt::Beginning,
            unterminated: Unterminated::Hold,
            line_bytes_max: MESSAGE_BODY_BYTES_MAX - MESSAGE_OVERHEAD_BYTES,
        };
        assert_eq!(config, expected);
        let sink = FileSinkConfig::parse(&properties(&[("filename", "o, p")])).unwrap();
        assert_eq!(
            sink,
            FileSinkConfig {
                filename: "o, p".to_owned(),
                fsync: Fsync::Commit,
                null_value: NullValue::Text,
                json: false
            }
        );
    }

    #[test]
    fn files_are_shared_out_and_names_with_commas_survive() {
        let config = properties(&[("filename", "a, b\\,c ,d,,"), ("topic", "t")]);
        let shares = |tasks| -> Vec<Vec<String>> {
            let configs = source_task_configs(&config, tasks).unwrap();
            configs.iter().map(|config| FileSourceConfig::parse(config).unwrap().filenames).collect()
        };
        assert_eq!(shares(1), [["a", "b,c", "d"]]);
        assert_eq!(shares(2), [vec!["a", "d"], vec!["b,c"]]);
        assert_eq!(shares(9), [["a"], ["b,c"], ["d"]]);
    }

    #[test]
    fn every_bad_value_names_its_key() {
        for (key, value) in [
            ("filename", ""),
            ("filename", " , ,"),
            ("filename", "a,b,a"),
            ("batch.size", "0"),
            ("start.at", "middle"),
            ("unterminated.line", "x"),
            ("unterminated.line.timeout.ms", "-1"),
            ("line.bytes.max", "many"),
        ] {
            let mut config = properties(&[("filename", "f")]);
            config.insert(key.to_owned(), value.to_owned());
            let errors = FileSourceConfig::parse(&config).unwrap_err();
            assert_eq!(errors.0.first().unwrap().key, key, "{value}");
        }
        for (key, value) in [("filename", " "), ("fsync", "sometimes"), ("null.value", "x"), ("value.format", "xml")] {
            let mut config = properties(&[("filename", "f")]);
            config.insert(key.to_owned(), value.to_owned());
            assert_eq!(FileSinkConfig::parse(&config).unwrap_err().0.first().unwrap().key, key);
        }
    }
}
