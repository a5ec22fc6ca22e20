//! What went wrong with a task lately, for people.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Failures of one task that are remembered; the oldest makes room.
pub const FAILURES_MAX: usize = 8;
/// Bytes of a failure's cause that are remembered.
pub const CAUSE_BYTES_MAX: usize = 2048;

/// One failure of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The cause, cut to [`CAUSE_BYTES_MAX`].
    pub cause: Arc<str>,
    /// What was done about it.
    pub then: Then,
}

/// What was done about a failure. Displayed in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It starts again after so many milliseconds.
    RestartsIn(u64),
    /// It stays failed until somebody acts.
    StaysFailed,
    /// The connector went back to its previous configuration.
    RolledBack,
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartsIn(ms) => write!(f, "restart in {ms} ms"),
            Self::StaysFailed => f.write_str("stays failed"),
            Self::RolledBack => f.write_str("rolled back"),
        }
    }
}

/// The last failures of one task, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<TaskFailure>);

impl History {
    pub fn push(&mut self, at_ms: i64, cause: &str, then: Then) {
        while self.0.len() >= FAILURES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(TaskFailure { at_ms, cause: Arc::from(cut(cause)), then });
    }

    /// What was done about the last failure turned out to be something else.
    pub fn amend(&mut self, then: Then) {
        if let Some(last) = self.0.back_mut() {
            last.then = then;
        }
    }

    pub fn to_vec(&self) -> Vec<TaskFailure> {
        self.0.iter().cloned().collect()
    }
}

/// The text up to [`CAUSE_BYTES_MAX`], at the end of a character.
pub(crate) fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(CAUSE_BYTES_MAX);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_failure_makes_room_and_long_causes_are_cut() {
        let mut history = History::default();
        for at_ms in 0..20 {
            history.push(at_ms, &"ä".repeat(5000), Then::RestartsIn(7));
        }
        history.amend(Then::RolledBack);
        let kept = history.to_vec();
        assert_eq!((kept.len(), kept[0].at_ms, kept[7].at_ms), (FAILURES_MAX, 12, 19));
        assert_eq!(kept[0].cause.len(), CAUSE_BYTES_MAX);
        assert_eq!((kept[6].then, kept[7].then), (Then::RestartsIn(7), Then::RolledBack));
        assert_eq!(Then::RestartsIn(7).to_string(), "restart in 7 ms");
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut(&format!("a{}", "ä".repeat(CAUSE_BYTES_MAX))).len(), CAUSE_BYTES_MAX - 1);
    }
}
