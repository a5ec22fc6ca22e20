//! Which shard a task goes to. Pure.

use rmqc_core::id::ShardId;
use rmqc_core::limits::SHARD_TASKS_MAX;

/// What a shard has to do already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Tasks on it.
    pub tasks: usize,
    /// Those among them that belong to the connector of the task to be placed.
    pub siblings: usize,
}

/// The shard for one more task: `home` when its siblings must stay together (ordered connectors: then each queue has
/// one owner), else the one with the fewest siblings, so that a connector's tasks spread over the cores, of these the one
/// with the fewest tasks, the first of several. `loads` holds what each shard has.
///
/// `None` when there is no room.
#[must_use]
pub fn place(loads: &[Load], home: Option<ShardId>) -> Option<ShardId> {
    let has_room = |load: &Load| load.tasks < SHARD_TASKS_MAX;
    let chosen = match home {
        Some(home) => loads.get(home.index()).filter(|load| has_room(load)).map(|_| home.index()),
        None => {
            let with_room = loads.iter().enumerate().filter(|(_, load)| has_room(load));
            with_room.min_by_key(|(_, load)| (load.siblings, load.tasks)).map(|(index, _)| index)
        }
    };
    chosen.and_then(|index| u16::try_from(index).ok()).map(ShardId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads<const N: usize>(tasks_and_siblings: [(usize, usize); N]) -> [Load; N] {
        tasks_and_siblings.map(|(tasks, siblings)| Load { tasks, siblings })
    }

    #[test]
    fn the_least_loaded_shard_takes_the_task() {
        assert_eq!(place(&loads([(2, 0), (1, 0), (1, 0)]), None), Some(ShardId(1)));
        assert_eq!(place(&loads([(0, 0)]), None), Some(ShardId(0)));
        assert_eq!(place(&[], None), None);
    }

    #[test]
    fn a_connectors_tasks_spread_even_onto_a_busy_shard() {
        assert_eq!(place(&loads([(1, 1), (9, 0)]), None), Some(ShardId(1)));
        assert_eq!(place(&loads([(1, 1), (9, 1)]), None), Some(ShardId(0)));
    }

    #[test]
    fn siblings_stay_together_even_on_a_busy_shard() {
        assert_eq!(place(&loads([(9, 1), (0, 0)]), Some(ShardId(0))), Some(ShardId(0)));
    }

    #[test]
    fn a_full_shard_takes_nothing() {
        assert_eq!(place(&loads([(SHARD_TASKS_MAX, 0)]), None), None);
        assert_eq!(place(&loads([(SHARD_TASKS_MAX, 0), (0, 0)]), Some(ShardId(0))), None);
        assert_eq!(place(&loads([(SHARD_TASKS_MAX, 0), (5, 2)]), None), Some(ShardId(1)));
    }
}
