//! The controller of a worker that runs alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rmqc_core::clock::MonotonicTime;
use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::command::{ShardCommand, ShardEvent, ShardPort, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::config::connector::is_direct_task;
use rmqc_core::config::connector::{KEY_CONVERTER, VALUE_CONVERTER};
use rmqc_core::config::key::{MASK, is_secret, nearest};
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, find_connector};
use rmqc_core::state::TargetState;
use rmqc_core::tap::{TapRecord, TapSpec};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::couriers::Couriers;
use super::positions::Positions;
use super::reports::Collector;
use super::taps::Taps;
use super::{
    ConnectorView, ControlError, Controller, ConverterDefaults, INTENTS_MAX, Intent, Reply, Snapshot, define,
    known_keys, masked,
};
use crate::store::{ConfigStore, StateStore, StoreError, StoredConnector, StoredStatus, StoredTaskStatus, Stores};
use crate::worker::{Heard, Now, Order, Outgoing, Patience, TaskTable};

/// After the tasks' deadline has passed, the shards have so long to end.
const SHARDS_END_PATIENCE: Duration = Duration::from_secs(5);
/// States are first written so long after the start.
const FIRST_STATES: Duration = Duration::from_secs(1);

/// What the controller needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this worker in stored states.
    pub worker_id: String,
    /// Converters of connectors that name none.
    pub converters: ConverterDefaults,
    /// Deadlines and the restart budget.
    pub patience: Patience,
    /// Pause between two writes of states.
    pub state_interval: Duration,
}

/// A connector as it is wanted.
struct Connector {
    stored: StoredConnector,
    properties: Arc<Properties>,
    factory: Option<&'static ConnectorFactory>,
    failure: Option<String>,
}

/// The way out.
struct Leaving {
    reply: Reply<Vec<String>>,
    due: MonotonicTime,
    left: Vec<String>,
    /// What is stored at the end.
    states: Vec<StoredStatus>,
    shards_told: bool,
    shards_up: BTreeSet<ShardId>,
}

struct Standalone {
    settings: Settings,
    port: Arc<dyn ShardPort>,
    cluster: Arc<dyn ClusterPort>,
    couriers: Couriers,
    positions: Positions,
    configs: Arc<Mutex<Box<dyn ConfigStore>>>,
    states: Arc<Mutex<Box<dyn StateStore>>>,
    connectors: BTreeMap<String, Connector>,
    table: TaskTable,
    reports: Collector,
    taps: Taps,
    origin: Instant,
    states_due: MonotonicTime,
    states_written: Vec<StoredStatus>,
    leaving: Option<Leaving>,
    /// Connectors whose tasks ask for a pause.
    pauses_wanted: BTreeSet<String>,
}

/// Sets the controller going on the present tokio runtime, with the stored connectors. The handle ends after a
/// shutdown, or when all shards have ended.
#[must_use]
pub fn start(
    settings: Settings,
    port: Arc<dyn ShardPort>,
    cluster: Arc<dyn ClusterPort>,
    stores: Stores,
) -> (Controller, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(INTENTS_MAX);
    let couriers = Couriers::start(&port);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let controller = Standalone {
        table: TaskTable::new(couriers.len(), settings.patience, seed),
        positions: Positions::start(stores.position, couriers.clone()),
        settings,
        port,
        cluster,
        couriers,
        configs: Arc::new(Mutex::new(stores.config)),
        states: Arc::new(Mutex::new(stores.state)),
        connectors: BTreeMap::new(),
        reports: Collector::default(),
        taps: Taps::default(),
        origin: Instant::now(),
        states_due: FIRST_STATES,
        states_written: Vec::new(),
        leaving: None,
        pauses_wanted: BTreeSet::new(),
    };
    (Controller::new(sender), tokio::spawn(controller.run(receiver)))
}

impl Standalone {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: self.origin.elapsed(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
    }

    async fn run(mut self, mut intents: mpsc::Receiver<Intent>) {
        self.restore();
        let mut asked = true;
        loop {
            self.carry_on().await;
            if self.over() {
                break;
            }
            let due = self.origin + self.next_due();
            tokio::select! {
                event = self.port.next_event() => match event {
                    Some(event) => self.hear(event),
                    None => break,
                },
                intent = intents.recv(), if asked => match intent {
                    Some(intent) => self.take(intent).await,
                    // Nobody is left who could ask; the tasks go on.
                    None => asked = false,
                },
                () = tokio::time::sleep_until(due) => {}
            }
        }
        if let Some(leaving) = self.leaving.take() {
            let _ = leaving.reply.send(leaving.left);
        }
    }

    /// Takes over the stored connectors. One that can't be built is kept, and says why.
    fn restore(&mut self) {
        let stored = self.configs.lock().unwrap_or_else(PoisonError::into_inner).all();
        let now = self.now();
        for stored in stored {
            let properties = Arc::new(stored.properties.clone());
            let class = properties.get("connector.class").map(String::as_str).unwrap_or_default();
            let mut connector = Connector {
                factory: find_connector(class.trim()),
                failure: None,
                properties: Arc::clone(&properties),
                stored,
            };
            let name = connector.stored.name.clone();
            match define(&properties, &self.settings.converters, self.couriers.len()) {
                Ok(definition) => {
                    let desired = definition.desired(connector.stored.target == TargetState::Paused);
                    self.table.want(&name, desired, now);
                }
                Err(error) => {
                    tracing::error!("connector {name} is stored but can't run: {error}");
                    connector.failure = Some(error.to_string());
                }
            }
            self.connectors.insert(name, connector);
        }
    }

    fn next_due(&self) -> MonotonicTime {
        let leaving = self.leaving.as_ref().map(|leaving| leaving.due);
        [self.table.next_due(), self.reports.due(), self.taps.due(), leaving]
            .into_iter()
            .flatten()
            .fold(self.states_due, MonotonicTime::min)
    }

    /// Whether the way out is at its end.
    fn over(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.shards_told && leaving.shards_up.is_empty())
    }

    /// Does everything that is due.
    async fn carry_on(&mut self) {
        self.pause_as_wanted().await;
        let now = self.now();
        for outgoing in self.table.step(now) {
            self.send(outgoing).await;
        }
        self.reports.tick(now.monotonic);
        self.taps.tick(now.monotonic);
        if self.states_due <= now.monotonic {
            self.states_due = now.monotonic.saturating_add(self.settings.state_interval);
            let states = self.statuses();
            if self.leaving.is_none() && states != self.states_written {
                drop(self.write_states(states));
            }
        }
        self.leave(now).await;
    }

    /// Pauses the connectors whose tasks ask for it. A pause that can't be stored is tried again at the next turn: the
    /// task stands still meanwhile.
    async fn pause_as_wanted(&mut self) {
        for name in std::mem::take(&mut self.pauses_wanted) {
            if self.leaving.is_some() || !self.connectors.contains_key(&name) {
                continue;
            }
            if let Err(error) = self.set_target(vec![name.clone()], TargetState::Paused).await {
                tracing::error!("connector {name} can't be paused, though its tasks ask for it: {error}");
                self.pauses_wanted.insert(name);
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) {
        let Outgoing { shard, task, generation, order } = outgoing;
        let command = match order {
            Order::Start(desired) => {
                log_task("start", desired.factory, &desired.config);
                let reads_outside =
                    desired.factory.build.kind() == ConnectorKind::Source || is_direct_task(&desired.config);
                let positions = if reads_outside { self.positions.of(&task.connector).await } else { Vec::new() };
                ShardCommand::StartTask(Box::new(TaskSpec {
                    task,
                    generation,
                    factory: desired.factory,
                    config: desired.config,
                    positions: Arc::new(positions),
                    paused: desired.paused,
                }))
            }
            Order::Pause => ShardCommand::PauseTask(task, generation),
            Order::Resume => ShardCommand::ResumeTask(task, generation),
            Order::Stop => {
                tracing::info!("Task stopping, connector name {}, task {task}", task.connector);
                ShardCommand::StopTask(task, generation)
            }
        };
        self.couriers.send(shard, command);
    }

    fn hear(&mut self, event: ShardEvent) {
        let now = self.now();
        match event {
            ShardEvent::TaskRunning(task, generation) => {
                let factory = self.table.running(&task).map(|running| running.factory);
                tracing::info!("{task} {} task finished initialization and start", factory.map_or("Unknown", way));
                self.table.hear(&task, generation, Heard::Running, now);
            }
            ShardEvent::TaskPaused(task, generation) => self.table.hear(&task, generation, Heard::Paused, now),
            ShardEvent::TaskStopped(task, generation) => {
                self.log_stop(&task);
                self.table.hear(&task, generation, Heard::Stopped, now);
            }
            ShardEvent::TaskFailed { task, generation, cause, restart } => {
                if self.table.is_current(&task, generation) {
                    tracing::error!("{task} Task threw an uncaught and unrecoverable exception. {cause}");
                }
                self.table.hear(&task, generation, Heard::Failed { cause, restart }, now);
            }
            ShardEvent::Positions(task, generation, positions) => self.commit(task, generation, positions),
            ShardEvent::PauseWanted(task, generation, cause) => {
                tracing::error!("{task} {cause}");
                if self.table.hold(&task, generation, cause) {
                    self.pauses_wanted.insert(task.connector.to_string());
                }
            }
            ShardEvent::Tapped(task, number, records, over) => self.taps.hear(&task, number, records, over),
            ShardEvent::TaskWarning(task, _, text) => tracing::warn!("{task} {text}"),
            ShardEvent::Report(shard, number, report) => self.reports.hear(shard, number, *report),
            ShardEvent::ShardReplaced { shard, cause, tasks } => {
                tracing::error!("{shard} was replaced, its {} tasks start again: {cause}", tasks.len());
                self.table.shard_replaced(shard, &cause, now);
            }
            ShardEvent::ShardDown(shard) => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.shards_up.remove(&shard);
                } else {
                    tracing::error!("{shard} has ended though nobody asked for it");
                }
            }
        }
    }

    fn commit(&mut self, task: TaskId, generation: Generation, positions: Vec<rmqc_core::position::StoredPosition>) {
        let Some(shard) = self.table.shard_of(&task) else { return };
        if self.table.is_current(&task, generation) {
            self.positions.commit(task, generation, shard, positions);
        } else {
            let cause = "a later incarnation of this task runs".to_owned();
            self.couriers.send(shard, ShardCommand::PositionsRefused(task, generation, cause));
        }
    }

    async fn take(&mut self, intent: Intent) {
        if self.leaving.is_some() {
            return self.refuse(intent);
        }
        match intent {
            Intent::Create(name, properties, reply) => {
                let result = self.create(&name, properties).await;
                let _ = reply.send(result);
            }
            Intent::Remove(name, reply) => {
                let result = self.remove(vec![name]).await;
                let _ = reply.send(result);
            }
            Intent::RemoveAll(reply) => {
                let names: Vec<String> = self.connectors.keys().cloned().collect();
                let result = self.remove(names.clone()).await.map(|()| names);
                let _ = reply.send(result);
            }
            Intent::Target(name, target, reply) => {
                let result = self.set_target(vec![name], target).await.map(drop);
                let _ = reply.send(result);
            }
            Intent::TargetAll(target, reply) => {
                let names = self.connectors.keys().cloned().collect();
                let result = self.set_target(names, target).await;
                let _ = reply.send(result);
            }
            Intent::Change(_, reply) => {
                let _ = reply.send(Err(ControlError::Conflict("not there yet".to_owned())));
            }
            Intent::RemoveAndForget(_, _, reply)
            | Intent::Restart(_, _, reply)
            | Intent::AlterPositions(_, _, reply) => {
                let _ = reply.send(Err(ControlError::Conflict("not there yet".to_owned())));
            }
            Intent::Positions(_, reply) => {
                let _ = reply.send(Err(ControlError::Conflict("not there yet".to_owned())));
            }
            Intent::Tap(name, spec, records, reply) => {
                let result = self.tap(&name, spec, records);
                let _ = reply.send(result);
            }
            Intent::Look(reply) => {
                let _ = reply.send(self.look());
            }
            Intent::Report(reply) => {
                let now = self.now();
                self.reports.ask(reply, &self.couriers, now.monotonic);
            }
            Intent::Shutdown(patience, reply) => self.begin_to_leave(patience, reply),
        }
    }

    /// While leaving, one may look but not touch.
    fn refuse(&mut self, intent: Intent) {
        match intent {
            Intent::Create(_, _, reply)
            | Intent::Remove(_, reply)
            | Intent::Target(_, _, reply)
            | Intent::RemoveAndForget(_, _, reply)
            | Intent::Restart(_, _, reply)
            | Intent::AlterPositions(_, _, reply)
            | Intent::Tap(_, _, _, reply) => {
                let _ = reply.send(Err(ControlError::Stopping));
            }
            Intent::RemoveAll(reply) => {
                let _ = reply.send(Err(ControlError::Stopping));
            }
            Intent::Change(_, reply) => {
                let _ = reply.send(Err(ControlError::Stopping));
            }
            Intent::Positions(_, reply) => {
                let _ = reply.send(Err(ControlError::Stopping));
            }
            Intent::TargetAll(_, reply) => {
                let _ = reply.send(Err(ControlError::Stopping));
            }
            Intent::Look(reply) => {
                let _ = reply.send(self.look());
            }
            // The dropped reply says it.
            Intent::Report(_) | Intent::Shutdown(..) => {}
        }
    }

    async fn create(&mut self, name: &str, mut properties: Properties) -> Result<(), ControlError> {
        let old = self.connectors.get(name);
        if let Some(old) = old {
            unmask(&mut properties, old);
            // The class comes first in the Java worker's checks, but an equal configuration has the same class.
            if *old.properties == properties {
                return Err(ControlError::SameConfig);
            }
        }
        let definition = define(&properties, &self.settings.converters, self.couriers.len())?;
        let now = self.now();
        let (target, last_epoch) = old.map_or((TargetState::Started, 0), |old| (old.stored.target, old.stored.epoch));
        let stored = StoredConnector {
            name: name.to_owned(),
            properties: properties.clone(),
            target,
            epoch: now.unix_ms.max(last_epoch.saturating_add(1)),
            tasks: definition.tasks.iter().map(|task| task.as_ref().clone()).collect(),
        };
        self.store(vec![stored.clone()]).await?;
        warn_of_keys(name, &properties, definition.factory);
        tracing::info!("Connector {name} start");
        tracing::info!("Start connector {name} and set target state {} successed!!", target.name());
        let paused = target == TargetState::Paused;
        self.table.want(name, definition.desired(paused), self.now());
        let factory = Some(definition.factory);
        let connector = Connector { stored, properties: Arc::new(properties), factory, failure: None };
        self.connectors.insert(name.to_owned(), connector);
        Ok(())
    }

    async fn remove(&mut self, names: Vec<String>) -> Result<(), ControlError> {
        let known: Vec<String> = names.into_iter().filter(|name| self.connectors.contains_key(name)).collect();
        if known.is_empty() {
            return Ok(());
        }
        let configs = Arc::clone(&self.configs);
        let list = known.clone();
        blocking(move || configs.lock().unwrap_or_else(PoisonError::into_inner).remove(&list)).await?;
        for name in known {
            tracing::info!("Stopping connector {name}");
            self.connectors.remove(&name);
            self.table.want(&name, Vec::new(), self.now());
        }
        Ok(())
    }

    async fn set_target(&mut self, names: Vec<String>, target: TargetState) -> Result<usize, ControlError> {
        let now = self.now();
        let mut changed = Vec::new();
        for name in &names {
            let connector = self.connectors.get(name).ok_or_else(|| ControlError::NotFound(name.clone()))?;
            let mut stored = connector.stored.clone();
            if stored.target != target {
                stored.target = target;
                stored.epoch = now.unix_ms.max(stored.epoch.saturating_add(1));
                changed.push(stored);
            }
        }
        if !changed.is_empty() {
            self.store(changed.clone()).await?;
        }
        for stored in changed {
            if let Some(connector) = self.connectors.get_mut(&stored.name) {
                connector.stored = stored;
            }
        }
        for name in &names {
            self.table.pause(name, target == TargetState::Paused, self.now());
        }
        Ok(names.len())
    }

    fn tap(&mut self, name: &str, spec: TapSpec, records: mpsc::Sender<Vec<TapRecord>>) -> Result<(), ControlError> {
        if !self.connectors.contains_key(name) {
            return Err(ControlError::NotFound(name.to_owned()));
        }
        let tasks = self.table.moving(name);
        let now = self.now().monotonic;
        self.taps.open(spec, &tasks, records, &self.couriers, now)
    }

    async fn store(&self, connectors: Vec<StoredConnector>) -> Result<(), ControlError> {
        let configs = Arc::clone(&self.configs);
        blocking(move || configs.lock().unwrap_or_else(PoisonError::into_inner).put(&connectors)).await
    }

    fn look(&self) -> Snapshot {
        let mut tasks = BTreeMap::<Arc<str>, Vec<_>>::new();
        let mut leaving = Vec::new();
        for view in self.table.view() {
            if view.leaving {
                leaving.push(view);
            } else {
                tasks.entry(Arc::clone(&view.task.connector)).or_default().push(view);
            }
        }
        let view = |(name, connector): (&String, &Connector)| ConnectorView {
            name: name.clone(),
            properties: Arc::clone(&connector.properties),
            target: connector.stored.target,
            factory: connector.factory,
            failure: connector.failure.clone(),
            tasks: tasks.remove(name.as_str()).unwrap_or_default(),
        };
        let connectors = self.connectors.iter().map(view).collect();
        Snapshot { connectors, leaving, stopping: self.leaving.is_some() }
    }

    /// Writes the states; the handle ends when they are written.
    fn write_states(&mut self, statuses: Vec<StoredStatus>) -> JoinHandle<()> {
        self.states_written.clone_from(&statuses);
        let states = Arc::clone(&self.states);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = states.lock().unwrap_or_else(PoisonError::into_inner).replace(&statuses) {
                tracing::warn!("states are not stored, nothing depends on them: {error}");
            }
        })
    }

    fn statuses(&self) -> Vec<StoredStatus> {
        let snapshot = self.look();
        let status = |connector: ConnectorView| {
            let generation = self.connectors.get(&connector.name).map_or(0, |known| known.stored.epoch);
            StoredStatus {
                state: connector_state(&connector).to_owned(),
                trace: connector.failure.clone(),
                worker_id: self.settings.worker_id.clone(),
                generation: connector.tasks.iter().map(|task| task.changed_ms).fold(generation, i64::max),
                tasks: connector
                    .tasks
                    .iter()
                    .map(|task| StoredTaskStatus {
                        index: task.task.index,
                        state: task.state.java_name().to_owned(),
                        trace: task.cause.clone(),
                        generation: task.changed_ms,
                    })
                    .collect(),
                connector: connector.name,
            }
        };
        snapshot.connectors.into_iter().map(status).collect()
    }

    fn log_stop(&self, task: &TaskId) {
        if let Some(running) = self.table.running(task) {
            log_task("stop", running.factory, &running.config);
        }
    }

    fn begin_to_leave(&mut self, patience: Duration, reply: Reply<Vec<String>>) {
        let mut states = self.statuses();
        for task in states.iter_mut().flat_map(|status| &mut status.tasks).filter(|task| task.state != "FAILED") {
            "UNASSIGNED".clone_into(&mut task.state);
        }
        self.table.halt();
        let due = self.now().monotonic.saturating_add(patience);
        let shards_up = self.couriers.shards().collect();
        self.leaving = Some(Leaving { reply, due, left: Vec::new(), states, shards_told: false, shards_up });
    }

    /// Goes on with the way out: first the tasks, then the shards.
    async fn leave(&mut self, now: Now) {
        let Some(leaving) = &mut self.leaving else { return };
        let late = leaving.due <= now.monotonic;
        if !leaving.shards_told {
            if !self.table.is_idle() && !late {
                return;
            }
            leaving.left.extend(self.table.active().into_iter().map(|task| format!("{task} did not drain in time")));
            leaving.shards_told = true;
            leaving.due = now.monotonic.saturating_add(SHARDS_END_PATIENCE);
            for shard in self.couriers.shards() {
                self.couriers.send(shard, ShardCommand::Shutdown);
            }
            let states = std::mem::take(&mut leaving.states);
            // A failed write has been told; nothing depends on it.
            let _ = self.write_states(states).await;
        } else if late {
            let left = std::mem::take(&mut leaving.shards_up);
            leaving.left.extend(left.into_iter().map(|shard| format!("{shard} did not end in time")));
        }
    }
}

/// The state of a connector itself, apart from its tasks.
#[must_use]
pub fn connector_state(connector: &ConnectorView) -> &'static str {
    match (&connector.failure, connector.target) {
        (Some(_), _) => "FAILED",
        (None, TargetState::Paused | TargetState::Stopped) => "PAUSED",
        (None, TargetState::Started) => "RUNNING",
    }
}

/// Runs a store's call where it may block.
async fn blocking(call: impl FnOnce() -> Result<(), StoreError> + Send + 'static) -> Result<(), ControlError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(|error| ControlError::Store(error.to_string())),
        Err(error) => Err(ControlError::Store(format!("the store failed: {error}"))),
    }
}

/// A secret that comes back as its mask keeps the stored value.
fn unmask(properties: &mut Properties, old: &Connector) {
    let keys = known_keys(properties, old.factory);
    for (name, value) in properties.iter_mut().filter(|(name, value)| *value == MASK && is_secret(name, &keys)) {
        if let Some(stored) = old.properties.get(name) {
            value.clone_from(stored);
        }
    }
}

/// Tells of keys that look like misspelt ones. Any key is accepted, as the Java worker does.
fn warn_of_keys(connector: &str, properties: &Properties, factory: &'static ConnectorFactory) {
    let keys = known_keys(properties, Some(factory));
    let known: Vec<&str> =
        keys.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied())).collect();
    let parts = ["transforms.", "predicates.", "key.converter.", "value.converter."];
    let own = |name: &&String| !known.contains(&name.as_str()) && !parts.iter().any(|part| name.starts_with(part));
    for name in properties.keys().filter(own) {
        if let Some(likely) = nearest(name, known.iter().copied()) {
            tracing::warn!("connector {connector}: key {name} is not known; did you mean {likely}?");
        }
    }
    let converters = [KEY_CONVERTER, VALUE_CONVERTER];
    let of_converters = converters.iter().flat_map(|key| rmqc_core::converter::unknown_keys(key, properties));
    for told in of_converters.chain(rmqc_core::chain::unknown_keys(properties)) {
        tracing::warn!("connector {connector}: {told}");
    }
}

/// The Java worker's word for which way a connector moves records.
fn way(factory: &'static ConnectorFactory) -> &'static str {
    match factory.build.kind() {
        ConnectorKind::Source => "Source",
        ConnectorKind::Sink => "Sink",
    }
}

fn log_task(what: &str, factory: &'static ConnectorFactory, config: &Properties) {
    let config = serde_json::to_string(&masked(config, Some(factory))).unwrap_or_default();
    tracing::info!("{} task {what}, config:{config}", way(factory));
}
