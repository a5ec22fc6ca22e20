//! One thing to measure.

use std::hint::black_box;

/// Does the whole work of a case once.
pub type Work = Box<dyn FnMut()>;

/// Calls in one go of a case that measures single calls.
pub const CALLS: u64 = 256;

/// One function, or one step of a record's way, with its input.
pub struct Case {
    /// The module that is measured.
    pub group: &'static str,
    /// What of it, and on what.
    pub name: String,
    /// Records, messages, frames or calls in one go of the work.
    pub units: u64,
    prepare: Box<dyn Fn() -> Work>,
}

impl Case {
    /// A case whose work does `units` of something in one go.
    pub fn new<F: FnMut() + 'static>(
        group: &'static str,
        name: impl Into<String>,
        units: u64,
        prepare: impl Fn() -> F + 'static,
    ) -> Self {
        let prepare = Box::new(move || -> Work { Box::new(prepare()) });
        Self { group, name: name.into(), units, prepare }
    }

    /// A case of single calls, [`CALLS`] in one go.
    pub fn each<T, F: FnMut() -> T + 'static>(
        group: &'static str,
        name: impl Into<String>,
        prepare: impl Fn() -> F + 'static,
    ) -> Self {
        Self::new(group, name, CALLS, move || {
            let mut call = prepare();
            move || {
                for _ in 0..CALLS {
                    black_box(call());
                }
            }
        })
    }

    /// `group/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// Makes the input; the work can then be done again and again.
    #[must_use]
    pub fn prepare(&self) -> Work {
        (self.prepare)()
    }
}
