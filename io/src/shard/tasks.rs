//! One core's state and loop: takes commands one by one, keeps the tasks, answers reports.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::rc::Rc;

use rmqc_core::command::{FailureKind, ShardCommand, ShardEvent, TaskSpec};
use rmqc_core::id::{Generation, TaskId};
use rmqc_core::limits::SHARD_TASKS_MAX;
use rmqc_core::metrics::ShardReport;
use rmqc_core::tap::TapSpec;

use super::context::{ShardContext, TaskControl, Wanted};
use super::executor::{Seat, ShardMain};
use super::memory::Memory;
use super::stalls::{Stalls, thread_cpu_us};
use super::tracer::Tracer;
use crate::driver::Driver;
use crate::local::Event;
use crate::remoting::connection::Traffic;
use crate::settings::ClusterSettings;
use crate::task::run_task;
use crate::task::tap::{Tap, carry};

/// The data plane's shard: runs tasks against one cluster.
pub struct DataShard {
    /// The cluster that the tasks talk to.
    pub cluster: ClusterSettings,
    /// Most payload bytes that the tasks of one shard hold together.
    pub memory_bytes_max: u64,
    /// Share of the tasks' batches that are traced, from 0 to 1.
    pub trace_share: f64,
}

/// Tasks that run now, by id.
#[derive(Default)]
struct Tasks {
    running: RefCell<BTreeMap<TaskId, Rc<TaskControl>>>,
    /// Happens when one ended.
    ended: Event,
}

impl ShardMain for DataShard {
    async fn run<D: Driver>(&self, seat: Seat<D>) {
        let abandoned = seat.abandonment();
        let Seat { shard, incarnation, mut commands, events, host, .. } = seat;
        let context = Rc::new(ShardContext {
            shard,
            incarnation,
            events,
            host,
            cluster: self.cluster.clone(),
            memory: Memory::new(self.memory_bytes_max),
            step_times: Rc::default(),
            tracer: Tracer::new(self.trace_share),
            stalls: Stalls::watch(),
            left_failures: RefCell::default(),
            traffic: Rc::new(Traffic::default()),
            abandoned,
            turns: RefCell::default(),
            clients: Cell::new(0),
            nonce: RandomState::new().build_hasher().finish(),
        });
        let tasks = Rc::new(Tasks::default());
        while let Some(command) = commands.recv().await {
            match command {
                ShardCommand::StartTask(spec) => start::<D>(&context, &tasks, *spec).await,
                ShardCommand::PauseTask(task, generation) => tasks.want(&task, generation, Wanted::Pause),
                ShardCommand::ResumeTask(task, generation) => tasks.want(&task, generation, Wanted::Run),
                ShardCommand::StopTask(task, generation) => tasks.want(&task, generation, Wanted::Stop),
                ShardCommand::PositionsStored(task, generation) => tasks.answer(&task, generation, Ok(())),
                ShardCommand::PositionsRefused(task, generation, reason) => {
                    tasks.answer(&task, generation, Err(reason));
                }
                ShardCommand::TapTask(task, generation, spec) => tap::<D>(&context, &tasks, task, generation, spec),
                ShardCommand::Report(number) => {
                    let report = Box::new(tasks.report(&context));
                    context.tell(ShardEvent::Report(context.shard, number, report)).await;
                }
                ShardCommand::Shutdown => break,
            }
        }
        // The store may still have to answer while the tasks drain, so commands go on being taken until all have ended.
        tasks.stop_all();
        while !tasks.running.borrow().is_empty() {
            let seen = tasks.ended.seen();
            if tasks.running.borrow().is_empty() {
                break;
            }
            match crate::local::first(commands.recv(), tasks.ended.since(seen)).await {
                crate::local::First::A(Some(ShardCommand::PositionsStored(task, generation))) => {
                    tasks.answer(&task, generation, Ok(()));
                }
                crate::local::First::A(Some(ShardCommand::PositionsRefused(task, generation, reason))) => {
                    tasks.answer(&task, generation, Err(reason));
                }
                crate::local::First::A(Some(_)) | crate::local::First::B(()) => {}
                crate::local::First::A(None) => break,
            }
        }
    }
}

async fn start<D: Driver>(context: &Rc<ShardContext>, tasks: &Rc<Tasks>, spec: TaskSpec) {
    let (task, generation) = (spec.task.clone(), spec.generation);
    let refusal = {
        let running = tasks.running.borrow();
        if running.len() >= SHARD_TASKS_MAX {
            Some(format!("{} has {SHARD_TASKS_MAX} tasks already; use more shards or workers", context.shard))
        } else {
            running.get(&task).map(|old| format!("generation {} of this task has not ended yet", old.generation.0))
        }
    };
    if let Some(cause) = refusal {
        context.tell(ShardEvent::TaskFailed { task, generation, cause, kind: FailureKind::Fault }).await;
        return;
    }
    let control = Rc::new(TaskControl::new(&spec, context));
    context.hand_failures_on(&control);
    tasks.running.borrow_mut().insert(task.clone(), control.clone());
    let (context, tasks, stalls) = (context.clone(), tasks.clone(), context.stalls.clone());
    D::spawn(stalls.of_task(task.clone(), async move {
        let shard = context.clone();
        run_task::<D>(context, control, spec, || {
            if let Some(control) = tasks.running.borrow_mut().remove(&task) {
                control.set_tap(None);
                shard.keep_failures(&control);
            }
            tasks.ended.notify();
        })
        .await;
    }));
}

/// Puts a tap on a task. Of a task that is not there it says at once that it is over.
fn tap<D: Driver>(context: &Rc<ShardContext>, tasks: &Rc<Tasks>, task: TaskId, generation: Generation, spec: TapSpec) {
    let Some(control) = tasks.find(&task, generation) else {
        // Lost when the mailbox is full: the tap then lasts as long as it was to last.
        let _ = context.events.try_send(ShardEvent::Tapped(task, spec.number, Vec::new(), true));
        return;
    };
    let tap = Rc::new(Tap::new(task, spec, control.tap_stages));
    control.set_tap(Some(tap.clone()));
    D::spawn(carry::<D>(tap, control, context.events.clone()));
}

impl Tasks {
    /// The task, if it is there in this generation.
    fn find(&self, task: &TaskId, generation: Generation) -> Option<Rc<TaskControl>> {
        self.running.borrow().get(task).filter(|control| control.generation == generation).cloned()
    }

    fn want(&self, task: &TaskId, generation: Generation, wanted: Wanted) {
        if let Some(control) = self.find(task, generation)
            && control.wanted.get() != Wanted::Stop
        {
            control.want(wanted);
        }
    }

    fn answer(&self, task: &TaskId, generation: Generation, answer: Result<(), String>) {
        if let Some(control) = self.find(task, generation) {
            control.answer(answer);
        }
    }

    fn stop_all(&self) {
        for control in self.running.borrow().values() {
            control.want(Wanted::Stop);
        }
    }

    fn report(&self, context: &ShardContext) -> ShardReport {
        let (stalls, stalled_us, last_stall) = context.stalls.report();
        let (spans, spans_dropped) = context.tracer.take();
        ShardReport {
            steps: context.step_times.report(),
            cpu_us: thread_cpu_us(),
            stalls,
            stalled_us,
            last_stall,
            spans,
            spans_dropped,
            tasks: self.running.borrow().values().map(|control| control.report()).collect(),
            connections: context.traffic.connections.get(),
            bytes_received: context.traffic.received.get(),
            bytes_sent: context.traffic.sent.get(),
            bytes_moved: context.traffic.moved.get(),
        }
    }
}
