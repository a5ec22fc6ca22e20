//! Random events against a shard that keeps its own books: never two incarnations of one task, and once all goes well,
//! everything is as it is wanted.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// So many tasks with this configuration.
    Want(usize, u8),
    Pause(bool),
    Restart(Option<u32>, bool),
    RollBack(usize, u8),
    /// A task says something, if it can.
    Say(u32, Word),
    Replace,
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Word {
    State,
    Stopped,
    Failed(FailureKind),
}

/// A task on the shard.
struct Alive {
    generation: u64,
    paused: bool,
    stopping: bool,
    mark: String,
}

/// The table and the shard.
struct Play {
    world: World,
    alive: BTreeMap<u32, Alive>,
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![Just(FailureKind::Final), Just(FailureKind::Fault), Just(FailureKind::Away)];
    let word = prop_oneof![3 => Just(Word::State), 3 => Just(Word::Stopped), 2 => kind.prop_map(Word::Failed)];
    prop_oneof![
        2 => (0usize..4, 0u8..3).prop_map(|(count, mark)| Event::Want(count, mark)),
        1 => any::<bool>().prop_map(Event::Pause),
        2 => (proptest::option::of(0u32..4), any::<bool>()).prop_map(|(index, failed)| Event::Restart(index, failed)),
        1 => (1usize..4, 0u8..3).prop_map(|(count, mark)| Event::RollBack(count, mark)),
        8 => (0u32..4, word).prop_map(|(index, word)| Event::Say(index, word)),
        1 => Just(Event::Replace),
        3 => (1u64..30).prop_map(Event::Pass),
    ]
}

impl Play {
    fn new() -> Self {
        Self { world: World::new(1), alive: BTreeMap::new() }
    }

    fn want(&mut self, count: usize, mark: u8) {
        let mark = mark.to_string();
        self.world.want("c", &vec![mark.as_str(); count], false);
    }

    fn take(&mut self, event: &Event) {
        let now = self.world.now;
        match event {
            Event::Want(count, mark) => self.want(*count, *mark),
            Event::Pause(paused) => self.world.table.pause("c", *paused, now),
            Event::Restart(index, failed) => drop(self.world.table.restart("c", *index, *failed, now)),
            Event::RollBack(count, mark) => {
                if !self.world.table.take_failed_starts().is_empty() {
                    self.world.table.mark_rolled_back("c");
                    self.want(*count, *mark);
                }
            }
            Event::Say(index, word) => self.say(*index, *word),
            Event::Replace => {
                self.alive.clear();
                self.world.table.shard_replaced(ShardId(0), "boom", now);
            }
            Event::Pass(seconds) => {
                // A stop that nobody answers for long is given up: this shard always answers.
                let stopping: Vec<u32> =
                    self.alive.iter().filter(|(_, one)| one.stopping).map(|(index, _)| *index).collect();
                stopping.into_iter().for_each(|index| self.say(index, Word::Stopped));
                self.world.pass(*seconds);
            }
        }
        self.step();
    }

    fn say(&mut self, index: u32, word: Word) {
        let Some(one) = self.alive.get(&index) else { return };
        let (generation, paused) = (one.generation, one.paused);
        let task = format!("c-{index}");
        match word {
            Word::State if one.stopping => {}
            Word::State => self.world.hear(&task, generation, if paused { Heard::Paused } else { Heard::Running }),
            Word::Stopped if !one.stopping => {}
            Word::Stopped => {
                self.alive.remove(&index);
                self.world.hear(&task, generation, Heard::Stopped);
            }
            Word::Failed(kind) => {
                self.alive.remove(&index);
                self.world.fail(&task, generation, kind);
            }
        }
    }

    /// The shard takes its orders; none of them may be wrong.
    fn step(&mut self) {
        for out in self.world.table.step(self.world.now) {
            let (index, generation) = (out.task.index, out.generation.0);
            if let Order::Start(desired) = out.order {
                let mark = desired.config["mark"].clone();
                let alive = Alive { generation, paused: desired.paused, stopping: false, mark };
                assert!(self.alive.insert(index, alive).is_none(), "a second incarnation of task {index}");
                continue;
            }
            let one = self.alive.get_mut(&index).expect("an order for a task that is not there");
            assert_eq!(one.generation, generation, "an order for another incarnation");
            match out.order {
                Order::Pause => one.paused = true,
                Order::Resume => one.paused = false,
                _ => one.stopping = true,
            }
        }
        let views = self.world.table.view();
        assert!(views.iter().all(|view| view.restarts <= 2), "more restarts than the budget has");
        assert!(views.iter().all(|view| view.history.len() <= FAILURES_MAX));
    }

    /// From now on all goes well.
    fn heal(&mut self) {
        for _ in 0..8 {
            for index in 0..4 {
                self.say(index, Word::State);
                self.say(index, Word::Stopped);
            }
            self.step();
            self.world.pass(90);
            self.step();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_task_runs_twice_and_in_the_end_all_is_as_wanted(
        events in proptest::collection::vec(event(), 0..80),
        count in 0usize..4,
        paused: bool,
    ) {
        let mut play = Play::new();
        for event in &events {
            play.take(event);
        }
        play.want(count, 7);
        play.world.table.pause("c", paused, play.world.now);
        play.heal();
        let states: Vec<_> = play.world.table.view().into_iter().map(|view| view.state).collect();
        let state = if paused { TaskState::Paused } else { TaskState::Running };
        prop_assert_eq!(states, vec![state; count]);
        prop_assert!(play.alive.values().all(|one| one.mark == "7" && one.paused == paused));
        prop_assert_eq!(play.alive.len(), count);
        prop_assert_eq!(play.world.table.has_run("c"), count > 0);
        play.world.table.halt();
        play.heal();
        prop_assert!(play.world.table.is_idle() && play.alive.is_empty());
    }
}
