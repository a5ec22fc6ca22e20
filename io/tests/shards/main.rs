//! Shards on both drivers: starting, talking, stopping, and what happens when one misbehaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::print_stdout,
    reason = "a test may fail loudly, and the measured figures are for the reader of its output"
)]

#[path = "../../../tests/support/seccomp.rs"]
mod forbid;
mod hops;
mod idle;
mod seccomp;
mod stall;
mod support;

use rmqc_core::command::{ShardCommand, ShardEvent, ShardGone};
use rmqc_core::id::{Generation, ShardId, TaskId};

use support::{BOTH, round_trip, shut_down, start, within};

#[test]
fn commands_are_answered_and_a_shutdown_ends_everything() {
    for driver in BOTH {
        let port = start(driver, 2);
        assert_eq!(port.info().shards, 2);
        assert_eq!(port.info().driver.name(), support::name(driver));
        within(async {
            for number in 0..100 {
                round_trip(port.as_ref(), ShardId((number % 2) as u16), number).await;
            }
            let events = shut_down(port.as_ref()).await;
            let down = events.iter().filter(|event| matches!(event, ShardEvent::ShardDown(_))).count();
            assert_eq!((down, events.len()), (2, 2));
            assert_eq!(port.send(ShardId(1), ShardCommand::Report(1)).await, Err(ShardGone(ShardId(1))));
            assert!(port.next_event().await.is_none(), "the end stays the end");
        });
    }
}

#[test]
fn a_shard_that_does_not_exist_is_gone() {
    for driver in BOTH {
        let port = start(driver, 1);
        within(async {
            assert_eq!(port.send(ShardId(7), ShardCommand::Shutdown).await, Err(ShardGone(ShardId(7))));
            shut_down(port.as_ref()).await;
        });
    }
}

#[test]
fn a_panic_ends_the_executor_and_a_new_one_takes_over() {
    for driver in BOTH {
        for (misdeed, says) in [(support::PANIC, "asked to panic"), (support::PANIC_IN_CONTROL, "asked to panic there")]
        {
            let port = start(driver, 2);
            within(async {
                let shard = ShardId(1);
                for (name, generation) in [("gone", 1), ("stays", 5)] {
                    port.send(shard, support::start_task(name, generation)).await.unwrap();
                    assert!(matches!(port.next_event().await, Some(ShardEvent::TaskRunning(..))));
                }
                port.send(shard, ShardCommand::StopTask(TaskId::new("gone", 0), Generation(1))).await.unwrap();
                assert!(matches!(port.next_event().await, Some(ShardEvent::TaskStopped(..))));
                port.send(shard, ShardCommand::Report(misdeed)).await.unwrap();
                match port.next_event().await {
                    Some(ShardEvent::ShardReplaced { shard: which, cause, tasks }) => {
                        assert_eq!(which, shard);
                        assert!(cause.contains(says), "{cause}");
                        assert_eq!(tasks, vec![(TaskId::new("stays", 0), Generation(5))]);
                    }
                    _ => panic!("the panic was not told"),
                }
                round_trip(port.as_ref(), shard, 1).await;
                round_trip(port.as_ref(), ShardId(0), 2).await;
                assert_eq!(port.health()[1].replaced, 1);
                shut_down(port.as_ref()).await;
            });
        }
    }
}
