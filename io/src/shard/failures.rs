//! The last records of a task that failed, for people to look at.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

use rmqc_core::error::ConnectError;
use rmqc_core::metrics::{FAILED_RECORDS_MAX, FailedRecord};
use rmqc_core::value::Value;

use super::trace::TaskTraces;

/// Most characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 512;
/// Most characters of a position that are kept.
const POSITION_CHARS_MAX: usize = 256;
/// Most characters of a value that are kept.
const VALUE_CHARS_MAX: usize = 256;

/// What became of a record that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the dead letter topic.
    DeadLetter,
    /// It was dropped.
    Skipped,
    /// It stops the task.
    Stopped,
}

impl Fate {
    /// Of a record that is given up: with a dead letter or without.
    #[must_use]
    pub fn given_up(has_letters: bool) -> Self {
        if has_letters { Self::DeadLetter } else { Self::Skipped }
    }

    fn name(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead letter",
            Self::Skipped => "skipped",
            Self::Stopped => "stopped",
        }
    }
}

/// The last [`FAILED_RECORDS_MAX`] of them, oldest first.
#[derive(Default)]
pub struct Failures {
    last: RefCell<VecDeque<FailedRecord>>,
    /// Told of each, if there is one.
    traces: Option<Rc<TaskTraces>>,
}

impl Failures {
    /// None yet; each is told to the batch that is traced.
    #[must_use]
    pub fn traced(traces: Rc<TaskTraces>) -> Self {
        Self { last: RefCell::default(), traces: Some(traces) }
    }

    /// Goes on from what an earlier incarnation of the task has left.
    pub fn go_on_from(&self, earlier: Vec<FailedRecord>) {
        *self.last.borrow_mut() = earlier.into();
    }

    /// Adds a record; the oldest one makes room.
    pub fn add(&self, fate: Fate, error: &ConnectError, position: impl std::fmt::Display, value: String) {
        if let Some(traces) = &self.traces {
            traces.record_failed(error, fate == Fate::Stopped);
        }
        let failed = FailedRecord {
            at_ms: crate::host::unix_ms(),
            stage: error.stage().name(),
            error: bounded(&error.to_string(), ERROR_CHARS_MAX),
            position: bounded(&position.to_string(), POSITION_CHARS_MAX),
            value,
            outcome: fate.name(),
        };
        let mut last = self.last.borrow_mut();
        while last.len() >= FAILED_RECORDS_MAX {
            last.pop_front();
        }
        last.push_back(failed);
    }

    /// What to report.
    #[must_use]
    pub fn report(&self) -> Vec<FailedRecord> {
        self.last.borrow().iter().cloned().collect()
    }
}

/// The beginning of a text; what is left out is told by an ellipsis.
pub(super) fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['\u{2026}']).collect(),
    }
}

/// The beginning of a value as text.
#[must_use]
pub fn preview(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => preview_bytes(text.as_bytes()),
        Value::Bytes(bytes) => preview_bytes(bytes),
        Value::Json(json) => preview_bytes(json.text()),
        other => preview_bytes(rmqc_core::java_text::value(other).as_bytes()),
    }
}

/// The beginning of a value's bytes as text; what is no text is shown as hexadecimal.
#[must_use]
pub fn preview_bytes(bytes: &[u8]) -> String {
    // No character has more than four bytes, so this is enough for the bound and for knowing that there is more.
    let head = bytes.get(..VALUE_CHARS_MAX.saturating_add(1).saturating_mul(4)).unwrap_or(bytes);
    let text = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        // The cut went through a character.
        Err(error) if head.len() < bytes.len() && error.error_len().is_none() => {
            head.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok())
        }
        Err(_) => None,
    };
    if let Some(text) = text {
        return bounded(text, VALUE_CHARS_MAX);
    }
    let mut hex = String::from("0x");
    for byte in head.iter().take(VALUE_CHARS_MAX / 2) {
        // Writing to memory does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    bounded(&hex, VALUE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use rmqc_core::error::Stage;

    use super::*;

    #[test]
    fn only_the_last_ones_are_kept_and_all_of_them_is_bounded() {
        let failures = Failures::default();
        for n in 0..20 {
            let error = ConnectError::bad_record(Stage::Convert, format!("{n} {}", "e".repeat(2000)));
            failures.add(Fate::given_up(n % 2 == 0), &error, format_args!("{}", "p".repeat(2000)), n.to_string());
        }
        let last = failures.report();
        assert_eq!(last.len(), FAILED_RECORDS_MAX);
        assert_eq!(
            last.iter().map(|one| one.value.clone()).collect::<Vec<_>>(),
            ["12", "13", "14", "15", "16", "17", "18", "19"]
        );
        assert!(
            last.iter().all(|one| one.error.chars().count() == ERROR_CHARS_MAX
                && one.position.chars().count() <= POSITION_CHARS_MAX)
        );
        assert_eq!((last[0].outcome, last[1].outcome, last[0].stage), ("dead letter", "skipped", "CONVERTER"));
    }

    #[test]
    fn values_are_shown_as_text_or_as_hexadecimal() {
        let wide = "\u{1f600}".repeat(1000);
        for (bytes, shown) in [
            (&b"plain"[..], "plain".to_owned()),
            (b"", String::new()),
            (&[0xff, 0, 0x7f], "0xff007f".to_owned()),
            ("\u{fc}".as_bytes(), "\u{fc}".to_owned()),
            (&[0xc3], "0xc3".to_owned()),
        ] {
            assert_eq!(preview_bytes(bytes), shown);
        }
        for long in [wide.as_bytes(), &[b'x'; 5000], &[0xff; 5000]] {
            let shown = preview_bytes(long);
            assert!(shown.chars().count() == VALUE_CHARS_MAX && shown.ends_with('\u{2026}'), "{shown}");
        }
        assert_eq!(preview(&Value::Null), "");
        assert_eq!(preview(&Value::text("t")), "t");
    }
}
