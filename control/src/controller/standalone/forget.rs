//! Positions and consumer groups: changing them, and forgetting them with a connector.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use rmqc_core::clock::MonotonicTime;
use rmqc_core::config::connector::{DIRECT_ENABLE, TASK_GROUP_ID};
use rmqc_core::registry::ConnectorKind;
use rmqc_core::state::TargetState;

use super::{Connector, Standalone};
use crate::controller::{ControlError, Forget, PositionEdits, Reply};

/// Connectors whose tasks still drain before something is forgotten, and those of which something is being forgotten.
/// Further ones are refused.
const FORGETTING_MAX: usize = 64;

/// What is to be forgotten once the tasks have left.
struct Waiting {
    positions: bool,
    group: Option<String>,
    /// Until when the tasks may take.
    due: MonotonicTime,
    reply: Reply<Result<(), ControlError>>,
}

impl Waiting {
    /// What is to be forgotten, in words.
    fn what(&self) -> String {
        let positions = self.positions.then(|| "its positions".to_owned());
        let group = self.group.as_ref().map(|group| format!("its consumer group {group}"));
        positions.into_iter().chain(group).collect::<Vec<_>>().join(" and ")
    }
}

/// Deleted connectors of which something is still to be forgotten.
#[derive(Default)]
pub(super) struct Forgetting {
    waiting: BTreeMap<String, Waiting>,
    /// Names of those that are at it.
    under_way: Arc<Mutex<BTreeSet<String>>>,
}

impl Forgetting {
    /// Refuses a new connector of that name while something of the old one is still to be forgotten: its first positions
    /// would be forgotten too.
    ///
    /// # Errors
    /// [`ControlError::Conflict`].
    pub fn refuse(&self, name: &str) -> Result<(), ControlError> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).contains(name);
        if under_way || self.waiting.contains_key(name) {
            return Err(ControlError::Conflict(format!(
                "Connector [{name}] is being deleted and what it leaves behind is being forgotten; try again when that \
                 is done"
            )));
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Takes a name off the list when whoever forgets is done, however that went.
struct UnderWay {
    name: String,
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl UnderWay {
    fn new(name: String, names: Arc<Mutex<BTreeSet<String>>>) -> Self {
        names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Self { name, names }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Standalone {
    /// Changes the positions of a stopped source.
    pub(super) async fn alter_positions(&mut self, name: &str, edits: PositionEdits) -> Result<(), ControlError> {
        let connector = self.connectors.get(name).ok_or_else(|| ControlError::NotFound(name.to_owned()))?;
        let conflict = |what: &str| Err(ControlError::Conflict(format!("Connector [{name}] {what}")));
        if is_plain_sink(connector) {
            return conflict("is a sink and has no positions; its consumer group's offsets say where it stands");
        }
        if connector.stored.target != TargetState::Stopped {
            return conflict("is not stopped; stop it before its positions are changed, and resume it after that");
        }
        if self.table.is_active(name) {
            return conflict("is stopped, but its tasks still drain; try again when they have left");
        }
        self.positions.alter(name, edits).await.map_err(ControlError::Store)
    }

    /// Deletes a connector; answers when what shall be forgotten is forgotten.
    pub(super) async fn remove_and_forget(
        &mut self,
        name: String,
        forget: Forget,
        reply: Reply<Result<(), ControlError>>,
    ) {
        match self.begin_to_forget(&name, forget).await {
            Ok(None) => {
                let _ = reply.send(Ok(()));
            }
            Ok(Some(group)) => {
                let due = self.now().monotonic.saturating_add(self.settings.patience.stop);
                let waiting = Waiting { positions: forget.positions, group, due, reply };
                self.forgetting.waiting.insert(name, waiting);
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Deletes a connector; gives the group to be forgotten, or nothing at all if nothing is to be forgotten. An unknown
    /// one that has left positions behind may have these forgotten.
    async fn begin_to_forget(&mut self, name: &str, forget: Forget) -> Result<Option<Option<String>>, ControlError> {
        self.forgetting.refuse(name)?;
        if (forget.positions || forget.group) && self.forgetting.len() >= FORGETTING_MAX {
            return Err(ControlError::Conflict(format!(
                "what {FORGETTING_MAX} deleted connectors leave behind is still being forgotten; try again later"
            )));
        }
        let Some(connector) = self.connectors.get(name) else {
            if forget.positions && !self.positions.of(name).await.is_empty() {
                return Ok(Some(None));
            }
            return Err(ControlError::NotFound(name.to_owned()));
        };
        let named = TASK_GROUP_ID.text(&connector.properties).is_some_and(|group| !group.is_empty());
        let group = (forget.group && is_plain_sink(connector) && !named).then(|| format!("connect-{name}"));
        self.remove(vec![name.to_owned()]).await?;
        Ok((forget.positions || group.is_some()).then_some(group))
    }

    /// When the next connector's tasks have taken too long to leave.
    pub(super) fn forget_due(&self) -> Option<MonotonicTime> {
        self.forgetting.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Forgets what belongs to connectors whose tasks have left; gives those up whose tasks take too long.
    pub(super) fn forget_on(&mut self, now: MonotonicTime) {
        let waiting = self.forgetting.waiting.iter();
        let ready = waiting.filter(|(name, waiting)| !self.table.is_active(name) || waiting.due <= now);
        let names: Vec<String> = ready.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(waiting) = self.forgetting.waiting.remove(&name) else { continue };
            if self.table.is_active(&name) {
                let error = ControlError::Conflict(format!(
                    "Connector [{name}] is deleted, but its tasks did not drain within {} ms; not forgotten: {}",
                    self.settings.patience.stop.as_millis(),
                    waiting.what()
                ));
                let _ = waiting.reply.send(Err(error));
            } else {
                self.forget(name, waiting);
            }
        }
    }

    /// Forgets, off the controller's loop: the cluster may take long to answer.
    fn forget(&self, name: String, waiting: Waiting) {
        let under_way = UnderWay::new(name.clone(), Arc::clone(&self.forgetting.under_way));
        let (positions, cluster) = (self.positions.clone(), Arc::clone(&self.cluster));
        tokio::spawn(async move {
            let Waiting { positions: with_positions, group, reply, .. } = waiting;
            let kept = if with_positions { positions.forget(&name).await.err() } else { None };
            let kept = kept.map(|error| {
                ControlError::Store(format!(
                    "Connector [{name}] is deleted, but its positions are not forgotten: {error}"
                ))
            });
            let with_group = match group {
                None => None,
                Some(group) => cluster.delete_group(&group).await.err().map(|error| {
                    ControlError::Cluster(format!(
                        "Connector [{name}] is deleted, but its consumer group {group} is not: {error}; delete it with \
                         the cluster's own tools"
                    ))
                }),
            };
            drop(under_way);
            let _ = reply.send(kept.or(with_group).map_or(Ok(()), Err));
        });
    }
}

/// Whether a connector reads from the cluster, and so has a group and no positions.
fn is_plain_sink(connector: &Connector) -> bool {
    let sink = connector.factory.is_some_and(|factory| factory.build.kind() == ConnectorKind::Sink);
    sink && !DIRECT_ENABLE.boolean(&connector.properties)
}
