//! What is logged may be changed while the worker runs: the seam for whoever writes the log.

use std::collections::BTreeMap;
use std::fmt;

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Someone must act.
    Error,
    /// Odd, nothing lost.
    Warn,
    /// What happens.
    Info,
    /// In detail.
    Debug,
    /// In every detail.
    Trace,
}

impl LogLevel {
    /// All levels.
    pub const ALL: [Self; 6] = [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The name used in REST.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// Reads a name, in any case; nothing for an unknown one. Log4j's `FATAL` is an error, its `ALL` every detail.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "FATAL" => Some(Self::Error),
            "ALL" => Some(Self::Trace),
            other => Self::ALL.into_iter().find(|level| level.name() == other),
        }
    }
}

/// The level of one logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggerLevel {
    /// Level.
    pub level: LogLevel,
    /// When it was last changed by hand, in ms since 1970.
    pub changed_ms: Option<i64>,
}

/// Name of the logger that stands for all that have no level of their own.
pub const ROOT: &str = "root";

/// Knows and changes what is logged. A logger is a part of the program by its module path, e.g. `rmqc_io::consumer`.
pub trait LogLevels: fmt::Debug + Send + Sync {
    /// All loggers that have a level, [`ROOT`] among them.
    fn levels(&self) -> BTreeMap<String, LoggerLevel>;
    /// Gives a logger, and all within it, a level. Gives the names of all loggers that have changed.
    ///
    /// # Errors
    /// Why this name or level can't be had, for the user.
    fn set(&self, logger: &str, level: LogLevel) -> Result<Vec<String>, String>;
}

/// For programs that keep no log: nothing has a level, and none can be set.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl LogLevels for NoLog {
    fn levels(&self) -> BTreeMap<String, LoggerLevel> {
        BTreeMap::new()
    }

    fn set(&self, _: &str, _: LogLevel) -> Result<Vec<String>, String> {
        Err("this program keeps no log".to_owned())
    }
}
