//! What is wrong with one part of a value, and where that part is.

use crate::error::{ConnectError, Stage};

/// Longest part of a name that an error shows, in characters.
const NAME_SHOWN_MAX: usize = 100;

/// A part of a value that can't be converted. Its path grows from the inside out, only when something is wrong.
#[derive(Debug)]
pub(super) struct Fault {
    /// Steps from the root, e.g. `.items[3].price`.
    path: String,
    what: String,
    /// Byte in the body, when there is one.
    position: Option<usize>,
}

impl Fault {
    /// Says what is wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into(), position: None }
    }

    /// Says what is wrong, and at which byte of the body.
    pub fn at(position: usize, what: impl Into<String>) -> Self {
        Self { position: Some(position), ..Self::new(what) }
    }

    /// The same without a position, for text that is not the body's.
    pub fn without_position(self) -> Self {
        Self { position: None, ..self }
    }

    /// The same, found in a part of the body that begins at `start`.
    pub fn behind(self, start: usize) -> Self {
        Self { position: self.position.map(|position| position.saturating_add(start)), ..self }
    }

    /// The same at this byte of the body, if no closer one is known.
    pub fn near(self, position: usize) -> Self {
        Self { position: self.position.or(Some(position)), ..self }
    }

    /// The same, seen from the struct or map around it.
    pub fn in_member(self, name: &str) -> Self {
        let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
        Self { path: format!(".{shown}{}", self.path), ..self }
    }

    /// The same, seen from the list around it.
    pub fn in_item(self, index: usize) -> Self {
        Self { path: format!("[{index}]{}", self.path), ..self }
    }

    /// The error of a record whose `root` (`schema` or `payload`) has this fault.
    pub fn into_error(self, topic: &str, root: &str) -> ConnectError {
        let Self { path, what, position } = self;
        let place = position.map(|position| format!(", at byte {position} of the body")).unwrap_or_default();
        ConnectError::bad_record(Stage::Convert, format!("topic {topic}: {root}{path}: {what}{place}"))
            .in_class(super::CLASS)
    }
}
