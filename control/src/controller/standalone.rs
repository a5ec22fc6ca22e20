//! The controller of a worker that runs alone.

mod changes;
mod forget;
mod leave;
mod rollback;
mod sampler;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rmqc_core::clock::MonotonicTime;
use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::command::{FailureKind, ShardCommand, ShardEvent, ShardPort, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{CONNECTOR_CLASS, is_direct_task};
use rmqc_core::config::provider::{Providers, any_refers};
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, find_connector};
use rmqc_core::state::TargetState;
use rmqc_core::tap::{TapRecord, TapSpec};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use forget::Forgetting;
use rollback::Rollback;
use sampler::Sampler;
pub use view::connector_state;

use super::couriers::Couriers;
use super::define::{Runnable, task_to_run};
use super::positions::Positions;
use super::reports::Collector;
use super::secrets::scrubbed;
use super::taps::Taps;
use super::{
    ControlError, Controller, ConverterDefaults, DefineSettings, Definition, INTENTS_MAX, Intent, LastChange, Reply,
    aside, define, masked,
};
use crate::known_secrets::KnownSecrets;
use crate::store::{ConfigStore, StateStore, StoredConnector, StoredStatus, Stores};
use crate::trace::Traces;
use crate::worker::{Heard, Now, Order, Outgoing, Patience, TaskTable};

/// States are first written so long after the start.
const FIRST_STATES: Duration = Duration::from_secs(1);

/// What the controller needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this worker in stored states.
    pub worker_id: String,
    /// Converters of connectors that name none.
    pub converters: ConverterDefaults,
    /// Who knows what references in configurations stand for.
    pub providers: Arc<Providers>,
    /// What must not be seen in texts.
    pub secrets: Arc<KnownSecrets>,
    /// Deadlines and the restart budget.
    pub patience: Patience,
    /// Pause between two writes of states.
    pub state_interval: Duration,
    /// Gets the spans that come with the shards' reports.
    pub traces: Arc<Traces>,
}

/// A connector as it is wanted.
struct Connector {
    stored: StoredConnector,
    properties: Arc<Properties>,
    factory: Option<&'static ConnectorFactory>,
    failure: Option<String>,
    /// The last configuration that ran, until this one has: what to go back to.
    fallback: Option<Fallback>,
    last_change: Option<LastChange>,
}

/// A configuration that ran.
#[derive(Clone)]
struct Fallback {
    properties: Properties,
    tasks: Vec<Properties>,
}

impl Connector {
    fn new(stored: StoredConnector) -> Self {
        let class = stored.properties.get(CONNECTOR_CLASS.name).map(String::as_str).unwrap_or_default();
        Self {
            properties: Arc::new(stored.properties.clone()),
            factory: find_connector(class.trim()),
            failure: None,
            fallback: None,
            last_change: None,
            stored,
        }
    }
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
    define: DefineSettings,
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
    /// What the store has, or gets by the write under way.
    states_written: Arc<Mutex<Vec<StoredStatus>>>,
    leaving: Option<Leaving>,
    /// Connectors whose tasks ask for a pause.
    pauses_wanted: BTreeSet<String>,
    rollbacks: BTreeMap<String, Rollback>,
    forgetting: Forgetting,
    sampler: Sampler,
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
    let define = DefineSettings {
        converters: settings.converters.clone(),
        shards: couriers.len(),
        providers: Arc::clone(&settings.providers),
    };
    let controller = Standalone {
        define: define.clone(),
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
        states_written: Arc::default(),
        leaving: None,
        pauses_wanted: BTreeSet::new(),
        rollbacks: BTreeMap::new(),
        forgetting: Forgetting::default(),
        sampler: Sampler::default(),
    };
    (Controller::new(sender, define), tokio::spawn(controller.run(receiver)))
}

impl Standalone {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: self.origin.elapsed(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
    }

    async fn run(mut self, mut intents: mpsc::Receiver<Intent>) {
        self.restore().await;
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
    async fn restore(&mut self) {
        let stored = self.configs.lock().unwrap_or_else(PoisonError::into_inner).all();
        for stored in stored {
            let name = stored.name.clone();
            self.connectors.insert(name.clone(), Connector::new(stored));
            // Why it can't run has been told, and is kept to be asked for.
            let _ = self.aim(&name).await;
        }
    }

    /// Checks a configuration, aside if it holds references.
    async fn defined(&self, properties: &Properties) -> Result<Definition, ControlError> {
        let (owned, settings) = (properties.clone(), self.define.clone());
        aside(properties, move || define(&owned, &settings)).await?
    }

    /// The configuration with which a task starts: references are replaced now, and only for its shard.
    async fn to_run(&self, task: &TaskId, shown: Arc<Properties>) -> Result<Arc<Properties>, ControlError> {
        let connector = self.connectors.get(&*task.connector).filter(|_| any_refers(&shown));
        let Some(connector) = connector else { return Ok(shown) };
        let (owned, settings) = (Arc::clone(&connector.properties), self.define.clone());
        let index = usize::try_from(task.index).unwrap_or(usize::MAX);
        let Runnable { config, secrets } =
            aside(&connector.properties, move || task_to_run(&owned, &settings, index)).await??;
        self.settings.secrets.learn(&task.connector, &secrets);
        Ok(Arc::new(config))
    }

    fn next_due(&self) -> MonotonicTime {
        let leaving = self.leaving.as_ref().map(|leaving| leaving.due);
        [
            self.table.next_due(),
            self.reports.due(),
            leaving,
            self.rollback_due(),
            self.forget_due(),
            self.sample_due(),
            self.taps.due(),
        ]
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
        self.roll_back_as_needed().await;
        let now = self.now();
        for outgoing in self.table.step(now) {
            self.send(outgoing).await;
        }
        self.sample(now.monotonic);
        self.taps.tick(now.monotonic);
        if self.states_due <= now.monotonic {
            self.states_due = now.monotonic.saturating_add(self.settings.state_interval);
            let states = self.statuses();
            let changed = states != *self.states_written.lock().unwrap_or_else(PoisonError::into_inner);
            if self.leaving.is_none() && changed {
                drop(self.write_states(states));
            }
        }
        self.forget_on(now.monotonic);
        self.leave(now).await;
    }

    /// Pauses the connectors whose tasks ask for it. A pause that can't be stored is tried again at the next turn: the
    /// task stands still meanwhile.
    async fn pause_as_wanted(&mut self) {
        for name in std::mem::take(&mut self.pauses_wanted) {
            let started = |one: &Connector| one.stored.target == TargetState::Started;
            if self.leaving.is_some() || !self.connectors.get(&name).is_some_and(started) {
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
                let config = match self.to_run(&task, Arc::clone(&desired.config)).await {
                    Ok(config) => config,
                    Err(error) => {
                        tracing::error!("{task} can't start: {error}");
                        let heard = Heard::Failed { cause: error.to_string(), kind: FailureKind::Fault };
                        self.table.hear(&task, generation, heard, self.now());
                        return;
                    }
                };
                let reads_outside =
                    desired.factory.build.kind() == ConnectorKind::Source || is_direct_task(&desired.config);
                let positions = if reads_outside { self.positions.of(&task.connector).await } else { Vec::new() };
                ShardCommand::StartTask(Box::new(TaskSpec {
                    task,
                    generation,
                    factory: desired.factory,
                    config,
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
        match scrubbed(event, &self.settings.secrets) {
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
            ShardEvent::TaskFailed { task, generation, cause, kind } => {
                if self.table.is_current(&task, generation) {
                    tracing::error!("{task} Task threw an uncaught and unrecoverable exception. {cause}");
                }
                self.table.hear(&task, generation, Heard::Failed { cause, kind }, now);
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
            ShardEvent::Report(shard, number, mut report) => {
                self.settings.traces.add_batches(std::mem::take(&mut report.spans));
                if let Some(reports) = self.reports.hear(shard, number, *report) {
                    self.sampled(&reports, now);
                }
            }
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
                let result = self.set_target_all(target).await;
                let _ = reply.send(result);
            }
            Intent::Change(change, reply) => {
                let result = self.change(change).await;
                let _ = reply.send(result);
            }
            Intent::RemoveAndForget(name, forget, reply) => self.remove_and_forget(name, forget, reply).await,
            Intent::Restart(name, which, reply) => {
                let _ = reply.send(self.restart(&name, which).await);
            }
            Intent::Positions(name, reply) => {
                let _ = reply.send(Ok(self.positions.of(&name).await));
            }
            Intent::AlterPositions(name, edits, reply) => {
                let result = self.alter_positions(&name, edits).await;
                let _ = reply.send(result);
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
            Intent::Health(reply) => self.ask_for_health(reply),
            Intent::Flow(watch, reply) => self.ask_for_flow(watch, reply),
            Intent::Shutdown(patience, reply) => self.begin_to_leave(patience, reply),
        }
    }

    /// While leaving, one may look but not touch.
    fn refuse(&mut self, intent: Intent) {
        match intent {
            Intent::Remove(_, reply)
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
            Intent::Report(_) | Intent::Health(_) | Intent::Flow(..) | Intent::Shutdown(..) => {}
        }
    }

    fn tap(&mut self, name: &str, spec: TapSpec, records: mpsc::Sender<Vec<TapRecord>>) -> Result<(), ControlError> {
        if !self.connectors.contains_key(name) {
            return Err(ControlError::NotFound(name.to_owned()));
        }
        let tasks = self.table.moving(name);
        let now = self.now().monotonic;
        self.taps.open(spec, &tasks, records, &self.couriers, now)
    }

    fn log_stop(&self, task: &TaskId) {
        if let Some(running) = self.table.running(task) {
            log_task("stop", running.factory, &running.config);
        }
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
