//! One error for everything that can go wrong with a record or a task: who, where, and whether to try again.

use std::error::Error as StdError;
use std::fmt;

/// The step of a record's way in which an error arose. The text forms are those of the Java runtime's logs and DLQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A source's `poll`.
    Poll,
    /// A converter, either way.
    Convert,
    /// A transform or predicate.
    Transform,
    /// Sending to RocketMQ.
    Send,
    /// Pulling from RocketMQ.
    Consume,
    /// A sink's `put` or `flush`.
    Put,
    /// Storing positions or queue offsets.
    Commit,
    /// Building, starting or stopping a task.
    Lifecycle,
}

impl Stage {
    /// The name used in logs and in `__connect.errors.stage`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "TASK_POLL",
            Self::Convert => "CONVERTER",
            Self::Transform => "TRANSFORMATION",
            Self::Send => "ROCKETMQ_PRODUCE",
            Self::Consume => "CONSUME",
            Self::Put => "TASK_PUT",
            Self::Commit => "COMMIT",
            Self::Lifecycle => "LIFECYCLE",
        }
    }
}

/// What may be done about an error. It is part of the error; nobody guesses it from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same call may succeed later; nothing of it took effect, or repeating it is harmless.
    Later,
    /// Repeating the same call gives the same error: the record is bad.
    BadRecord,
    /// The task can't go on: its configuration or its surroundings must change first.
    Fatal,
}

/// An error on a record's way or in a task's life.
///
/// Displayed as `<what>: <cause>: <cause>`; the owner (task, connector) is added by whoever reports it.
#[derive(Debug)]
pub struct ConnectError {
    stage: Stage,
    retry: Retry,
    what: String,
    /// The class that was at work, in the Java runtime's words.
    class: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Shorthand for results of this crate's traits.
pub type Result<T, E = ConnectError> = std::result::Result<T, E>;

impl ConnectError {
    /// An error that names what failed, where, and what to do next.
    pub fn new(stage: Stage, retry: Retry, what: impl Into<String>) -> Self {
        Self { stage, retry, what: what.into(), class: None, source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with the Java class of the converter, transform or task that was at work; the first one named stays.
    #[must_use]
    pub fn in_class(mut self, class: &'static str) -> Self {
        self.class.get_or_insert(class);
        self
    }

    /// The same, with the place of the record in front of what failed.
    #[must_use]
    pub fn at_place(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// A record that is bad: the same call gives the same error.
    pub fn bad_record(stage: Stage, what: impl Into<String>) -> Self {
        Self::new(stage, Retry::BadRecord, what)
    }

    /// A fatal error of a task's life: bad configuration, missing permission.
    pub fn fatal(stage: Stage, what: impl Into<String>) -> Self {
        Self::new(stage, Retry::Fatal, what)
    }

    /// An error that goes away by itself when the other side is back.
    pub fn later(stage: Stage, what: impl Into<String>) -> Self {
        Self::new(stage, Retry::Later, what)
    }

    /// Where it happened.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The Java class that was at work, if one was named.
    #[must_use]
    pub fn class(&self) -> Option<&'static str> {
        self.class
    }

    /// Whether to try again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The whole chain of causes as one text.
    #[must_use]
    pub fn chain_text(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = self.source.as_deref().map(|cause| cause as &dyn StdError);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain_text())
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_whole_chain() {
        let error =
            ConnectError::later(Stage::Put, "cannot append to out.txt").caused_by(std::io::Error::other("disk full"));
        assert_eq!(error.to_string(), "cannot append to out.txt: disk full");
        assert_eq!((error.stage().name(), error.retry()), ("TASK_PUT", Retry::Later));
    }
}
