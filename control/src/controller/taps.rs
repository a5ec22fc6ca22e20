//! Who looks at live records: a tap goes to all running tasks of its connector, and what they show goes to whoever asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::command::ShardCommand;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::tap::{TapRecord, TapSpec};
use tokio::sync::mpsc;

use super::ControlError;
use super::couriers::Couriers;

/// Taps at the same time.
const TAPS_MAX: usize = 16;
/// After the time that it was to last, a tap's tasks have so long to say that it is over.
const GRACE: Duration = Duration::from_secs(2);
/// Longest life of a tap.
const DURATION_MAX: Duration = Duration::from_secs(3600);

/// One tap.
struct Tap {
    /// Tasks that have not said that it is over.
    tasks: BTreeSet<TaskId>,
    records: mpsc::Sender<Vec<TapRecord>>,
    due: MonotonicTime,
}

/// All taps, by their numbers.
#[derive(Default)]
pub(super) struct Taps {
    last: u64,
    taps: BTreeMap<u64, Tap>,
}

impl Taps {
    /// Puts a tap on these tasks. What a later tap of the same tasks takes the place of ends then.
    ///
    /// # Errors
    /// When no task runs, or there are too many taps.
    pub fn open(
        &mut self,
        mut spec: TapSpec,
        tasks: &[(TaskId, Generation, ShardId)],
        records: mpsc::Sender<Vec<TapRecord>>,
        couriers: &Couriers,
        now: MonotonicTime,
    ) -> Result<(), ControlError> {
        self.tick(now);
        if tasks.is_empty() {
            let what = "no task of the connector runs, so there is nothing to look at: resume or restart it first";
            return Err(ControlError::Conflict(what.to_owned()));
        }
        if self.taps.len() >= TAPS_MAX {
            let what = format!("{TAPS_MAX} taps are open, the most at the same time: try again when one has ended");
            return Err(ControlError::Conflict(what));
        }
        self.last = self.last.wrapping_add(1);
        spec.number = self.last;
        let lasts = Duration::from_millis(spec.duration_ms).min(DURATION_MAX);
        let mut asked = BTreeSet::new();
        for (task, generation, shard) in tasks {
            let command = ShardCommand::TapTask(task.clone(), *generation, spec.clone());
            if couriers.offer(*shard, command) {
                asked.insert(task.clone());
            }
        }
        if asked.is_empty() {
            let what = "the shards are behind with their commands: try again".to_owned();
            return Err(ControlError::Conflict(what));
        }
        let due = now.saturating_add(lasts).saturating_add(GRACE);
        self.taps.insert(self.last, Tap { tasks: asked, records, due });
        Ok(())
    }

    /// Hands records on. Whoever is behind with reading does not see them; whoever has gone ends the tap here, while its
    /// tasks go on to its end by themselves.
    pub fn hear(&mut self, task: &TaskId, number: u64, records: Vec<TapRecord>, over: bool) {
        let Some(tap) = self.taps.get_mut(&number) else { return };
        if !records.is_empty() {
            let _ = tap.records.try_send(records);
        }
        if over {
            tap.tasks.remove(task);
        }
        if tap.tasks.is_empty() || tap.records.is_closed() {
            self.taps.remove(&number);
        }
    }

    /// When the next tap ends though its tasks have not all said so.
    pub fn due(&self) -> Option<MonotonicTime> {
        self.taps.values().map(|tap| tap.due).min()
    }

    /// Ends the taps whose time is up, and those that nobody looks at any more.
    pub fn tick(&mut self, now: MonotonicTime) {
        self.taps.retain(|_, tap| tap.due > now && !tap.records.is_closed());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rmqc_core::command::{DataPlaneInfo, DriverKind, SendFuture, ShardEvent, ShardGone, ShardHealth, ShardPort};
    use rmqc_core::tap::TapStage;

    use super::*;

    struct Port {
        info: DataPlaneInfo,
        commands: mpsc::UnboundedSender<(ShardId, ShardCommand)>,
    }

    impl ShardPort for Port {
        fn info(&self) -> &DataPlaneInfo {
            &self.info
        }

        fn health(&self) -> Vec<ShardHealth> {
            Vec::new()
        }

        fn send(&self, shard: ShardId, command: ShardCommand) -> SendFuture<'_, Result<(), ShardGone>> {
            self.commands.send((shard, command)).unwrap();
            Box::pin(async { Ok(()) })
        }

        fn next_event(&self) -> SendFuture<'_, Option<ShardEvent>> {
            Box::pin(std::future::pending())
        }
    }

    fn couriers() -> (Couriers, mpsc::UnboundedReceiver<(ShardId, ShardCommand)>) {
        let (sender, commands) = mpsc::unbounded_channel();
        let info = DataPlaneInfo {
            driver: DriverKind::Epoll,
            driver_reason: String::new(),
            shards: 2,
            pinned: false,
            pin_reason: String::new(),
            cpus: Vec::new(),
        };
        let port: Arc<dyn ShardPort> = Arc::new(Port { info, commands: sender });
        (Couriers::start(&port), commands)
    }

    fn spec() -> TapSpec {
        TapSpec { number: 0, stage: None, every: 1, records_max: 9, shown_bytes_max: 9, duration_ms: 5_000 }
    }

    fn record(task: &TaskId) -> TapRecord {
        TapRecord {
            task: task.clone(),
            stage: TapStage::Poll,
            topic: None,
            place: None,
            position: None,
            timestamp_ms: None,
            key: None,
            value: None,
            schema: String::new(),
            properties: Vec::new(),
            cut: false,
        }
    }

    #[tokio::test]
    async fn a_tap_goes_to_all_tasks_and_ends_with_the_last() {
        let (couriers, mut commands) = couriers();
        let mut taps = Taps::default();
        let tasks: Vec<_> = (0..2u16).map(|at| (TaskId::new("c", u32::from(at)), Generation(7), ShardId(at))).collect();
        let (sender, mut receiver) = mpsc::channel(1);
        taps.open(spec(), &tasks, sender, &couriers, Duration::ZERO).unwrap();
        for _ in 0..2 {
            let Some((shard, ShardCommand::TapTask(task, Generation(7), spec))) = commands.recv().await else {
                panic!("no tap")
            };
            assert_eq!((u32::from(shard.0), spec.number), (task.index, 1));
        }
        let (first, second) = (&tasks[0].0, &tasks[1].0);
        taps.hear(first, 1, vec![record(first)], true);
        // Nobody has read the first batch yet, so there is no room for another.
        taps.hear(second, 1, vec![record(second)], false);
        taps.hear(second, 9, vec![record(second)], true);
        assert_eq!(receiver.recv().await.unwrap()[0].task, *first);
        taps.hear(second, 1, vec![record(second), record(second)], true);
        assert_eq!(receiver.recv().await.unwrap().len(), 2);
        assert!(receiver.recv().await.is_none(), "the tap is over");
        assert_eq!(taps.due(), None);
    }

    #[tokio::test]
    async fn taps_are_bounded_and_forgotten_in_time_or_with_their_reader() {
        let (couriers, _commands) = couriers();
        let mut taps = Taps::default();
        let tasks = [(TaskId::new("c", 0), Generation(1), ShardId(0))];
        let open = |taps: &mut Taps, tasks: &[(TaskId, Generation, ShardId)], now| {
            let (sender, receiver) = mpsc::channel(1);
            taps.open(spec(), tasks, sender, &couriers, now).map(|()| receiver)
        };
        let refused = open(&mut taps, &[], Duration::ZERO).unwrap_err();
        assert!(refused.to_string().contains("no task of the connector runs"), "{refused}");
        let mut readers: Vec<_> = (0..TAPS_MAX).map(|_| open(&mut taps, &tasks, Duration::ZERO).unwrap()).collect();
        let refused = open(&mut taps, &tasks, Duration::ZERO).unwrap_err();
        assert!(matches!(&refused, ControlError::Conflict(what) if what.contains("16 taps")), "{refused}");
        readers.pop();
        readers.push(open(&mut taps, &tasks, Duration::from_secs(1)).unwrap());
        // All but the last one, which began later, should have ended.
        assert_eq!(taps.due(), Some(Duration::from_secs(7)));
        taps.tick(Duration::from_secs(7));
        assert!(readers.pop().unwrap().try_recv() == Err(mpsc::error::TryRecvError::Empty));
        assert!(readers.pop().unwrap().try_recv() == Err(mpsc::error::TryRecvError::Disconnected));
    }
}
