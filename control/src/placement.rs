//! Which shard a task goes to. Pure.

use rmqc_core::id::ShardId;
use rmqc_core::limits::SHARD_TASKS_MAX;

/// The shard for one more task: `home` when its siblings must stay together (ordered connectors: then each queue has
/// one owner), else the one with the fewest tasks, the first of several. `loads` holds the tasks of each shard.
///
/// `None` when there is no room.
#[must_use]
pub fn place(loads: &[usize], home: Option<ShardId>) -> Option<ShardId> {
    let chosen = match home {
        Some(home) => home.index(),
        None => loads.iter().enumerate().min_by_key(|(_, load)| **load).map(|(index, _)| index)?,
    };
    let load = *loads.get(chosen)?;
    (load < SHARD_TASKS_MAX).then(|| u16::try_from(chosen).ok().map(ShardId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_shard_takes_the_task() {
        assert_eq!(place(&[2, 1, 1], None), Some(ShardId(1)));
        assert_eq!(place(&[0], None), Some(ShardId(0)));
        assert_eq!(place(&[], None), None);
    }

    #[test]
    fn siblings_stay_together_even_on_a_busy_shard() {
        assert_eq!(place(&[9, 0], Some(ShardId(0))), Some(ShardId(0)));
    }

    #[test]
    fn a_full_shard_takes_nothing() {
        assert_eq!(place(&[SHARD_TASKS_MAX], None), None);
        assert_eq!(place(&[SHARD_TASKS_MAX, 0], Some(ShardId(0))), None);
    }
}
