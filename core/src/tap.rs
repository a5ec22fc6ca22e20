//! A look at live records: a sample of what passes a stage of a task, for as long as someone looks.

pub mod show;

use std::sync::Arc;

use crate::id::TaskId;

/// Where on its way a record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TapStage {
    /// Source: as polled. Direct: the same.
    Poll,
    /// Sink: the message as pulled, before any converter.
    Pull,
    /// Sink: as converted. (A source converts last: see [`TapStage::Send`].)
    Convert,
    /// After the whole chain of transforms; what is filtered does not come here.
    Transform,
    /// Source: the message as it is sent.
    Send,
    /// Sink and direct: as handed to the sink.
    Put,
}

impl TapStage {
    /// All stages, in a record's order.
    pub const ALL: [Self; 6] = [Self::Poll, Self::Pull, Self::Convert, Self::Transform, Self::Send, Self::Put];

    /// The name used in REST and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Pull => "pull",
            Self::Convert => "convert",
            Self::Transform => "transform",
            Self::Send => "send",
            Self::Put => "put",
        }
    }

    /// The stages that a source's task has.
    pub const OF_SOURCE: &'static [Self] = &[Self::Poll, Self::Transform, Self::Send];
    /// The stages that a sink's task has.
    pub const OF_SINK: &'static [Self] = &[Self::Pull, Self::Convert, Self::Transform, Self::Put];
    /// The stages that a direct task has.
    pub const OF_DIRECT: &'static [Self] = &[Self::Poll, Self::Transform, Self::Put];

    /// Reads a name, in any case; nothing for an unknown one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name().eq_ignore_ascii_case(name))
    }
}

/// What to look at, and for how long. A tap ends by itself, so that nobody has to remember to end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapSpec {
    /// Number of this tap; events carry it.
    pub number: u64,
    /// Only this stage; none: all.
    pub stage: Option<TapStage>,
    /// Every so many-th record of a stage, from 1.
    pub every: u32,
    /// Most records of one task and stage.
    pub records_max: u32,
    /// Most bytes of a key, a value or a property that are shown.
    pub shown_bytes_max: usize,
    /// It ends after so many milliseconds, whatever was seen.
    pub duration_ms: u64,
}

/// A record as it was seen. Texts are cut; bytes that are no UTF-8 are shown as base64 with `base64:` in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapRecord {
    /// Whose task.
    pub task: TaskId,
    /// At which stage.
    pub stage: TapStage,
    /// Topic, where one is known.
    pub topic: Option<Arc<str>>,
    /// Queue and offset: of a pulled record.
    pub place: Option<(u32, i64)>,
    /// The source's position: of a polled record.
    pub position: Option<String>,
    /// The record's own time, in ms since 1970.
    pub timestamp_ms: Option<i64>,
    /// Key, as text.
    pub key: Option<String>,
    /// Value, as text: JSON for what has fields.
    pub value: Option<String>,
    /// Name of the schema's type, e.g. `STRUCT`; empty without a schema.
    pub schema: String,
    /// Extensions, or properties.
    pub properties: Vec<(String, String)>,
    /// Whether something was cut.
    pub cut: bool,
}

impl TapRecord {
    /// Bytes of its texts: what it costs to keep.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [&self.position, &self.key, &self.value].into_iter().flatten().map(String::len);
        let properties = self.properties.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        texts.chain(properties).fold(self.schema.len(), usize::saturating_add)
    }
}
