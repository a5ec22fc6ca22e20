//! The states of connectors and tasks, and the moves between them that are legal.

use std::fmt;

/// What the user wants of a connector. The text forms are those of the Java store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetState {
    /// Move records.
    Started,
    /// Stand still, keep the place.
    Paused,
    /// Have no tasks at all, keep the place. The Java worker knows no such state; to it the connector is paused.
    Stopped,
}

impl TargetState {
    /// The stored and displayed name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    /// The name that the Java REST API and stores know: `STARTED PAUSED`.
    #[must_use]
    pub fn java_name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused | Self::Stopped => "PAUSED",
        }
    }

    /// Reads a stored name; nothing for an unknown one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Started, Self::Paused, Self::Stopped].into_iter().find(|state| state.name() == name)
    }
}

/// Where a task stands, as its status shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Known, not (yet or any more) on a shard.
    Unassigned,
    /// Sent to a shard, its `start` has not returned.
    Starting,
    /// Moves records.
    Running,
    /// Stands still, keeps its place.
    Paused,
    /// Draining and closing.
    Stopping,
    /// Failed; starts again after its back-off.
    Restarting,
    /// Failed for good, until someone acts.
    Failed,
}

/// A move that the state machine does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task can't go from {from} to {to}")]
pub struct IllegalMove {
    /// State before.
    pub from: TaskState,
    /// State asked for.
    pub to: TaskState,
}

impl TaskState {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Unassigned, Self::Starting, Self::Running, Self::Paused, Self::Stopping, Self::Restarting, Self::Failed];

    /// The name that the Java REST API and status store know: `UNASSIGNED RUNNING PAUSED FAILED`.
    #[must_use]
    pub fn java_name(self) -> &'static str {
        match self {
            Self::Unassigned | Self::Starting | Self::Stopping => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Restarting | Self::Failed => "FAILED",
        }
    }

    /// Goes to another state.
    ///
    /// # Errors
    /// When the move is not legal; both states are named.
    pub fn go(self, to: Self) -> Result<Self, IllegalMove> {
        use TaskState::{Failed, Paused, Restarting, Running, Starting, Stopping, Unassigned};
        let legal = matches!(
            (self, to),
            (Unassigned | Restarting | Failed, Starting)
                | (Starting, Running | Paused | Stopping)
                | (Running, Paused | Stopping)
                | (Paused, Running | Stopping)
                | (Starting | Running | Paused | Stopping, Restarting | Failed)
                | (Stopping | Restarting | Failed, Unassigned)
                | (Restarting, Failed)
        );
        if legal { Ok(to) } else { Err(IllegalMove { from: self, to }) }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopping => "STOPPING",
            Self::Restarting => "RESTARTING",
            Self::Failed => "FAILED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_leads_back_to_starting() {
        for from in TaskState::ALL {
            let mut reached = vec![from];
            let mut next = 0;
            while let Some(state) = reached.get(next).copied() {
                for to in TaskState::ALL {
                    if state.go(to).is_ok() && !reached.contains(&to) {
                        reached.push(to);
                    }
                }
                next += 1;
            }
            assert!(reached.contains(&TaskState::Starting), "{from} is a dead end");
        }
    }

    #[test]
    fn illegal_moves_name_both_states() {
        let error = TaskState::Failed.go(TaskState::Running).unwrap_err();
        assert_eq!(error.to_string(), "a task can't go from FAILED to RUNNING");
    }
}
