//! A task that blocks its thread: the shard is named, given up and replaced, and the others never notice.

use std::time::{Duration, Instant};

use rmqc_core::command::{ShardCommand, ShardEvent};
use rmqc_core::id::{Generation, ShardId, TaskId};

use crate::support::{self, BOTH, round_trip, settings, shut_down, start_with, within};

#[test]
fn a_blocked_thread_is_named_and_replaced() {
    for driver in BOTH {
        let mut settings = settings(driver, 2);
        settings.stall_timeout = Duration::from_millis(1500);
        let port = start_with(&settings);
        within(async {
            let shard = ShardId(0);
            port.send(shard, support::start_task("blocks", 3)).await.unwrap();
            assert!(matches!(port.next_event().await, Some(ShardEvent::TaskRunning(..))));
            port.send(shard, ShardCommand::Report(support::STALL)).await.unwrap();
            let asked = Instant::now();
            round_trip(port.as_ref(), ShardId(1), 7).await;
            match port.next_event().await {
                Some(ShardEvent::ShardReplaced { shard: which, cause, tasks }) => {
                    assert_eq!(which, shard);
                    assert!(cause.contains("no progress"), "{cause}");
                    assert_eq!(tasks, vec![(TaskId::new("blocks", 0), Generation(3))]);
                }
                _ => panic!("the stall was not told"),
            }
            assert!(asked.elapsed() >= settings.stall_timeout - Duration::from_millis(600), "{:?}", asked.elapsed());
            assert!(port.health()[0].replaced == 1 && port.health()[1].replaced == 0);
            // The old thread is still blocked; the new executor works, and nothing of the old one comes through.
            round_trip(port.as_ref(), shard, 8).await;
            let events = shut_down(port.as_ref()).await;
            assert!(events.iter().all(|event| matches!(event, ShardEvent::ShardDown(_))));
        });
    }
}

#[test]
fn a_shard_that_stalls_while_it_shuts_down_still_ends() {
    for driver in BOTH {
        let mut settings = settings(driver, 1);
        settings.stall_timeout = Duration::from_millis(400);
        let port = start_with(&settings);
        within(async {
            port.send(ShardId(0), ShardCommand::Report(support::STALL)).await.unwrap();
            let events = shut_down(port.as_ref()).await;
            assert!(matches!(events.as_slice(), [ShardEvent::ShardReplaced { .. }, ShardEvent::ShardDown(_)]));
        });
    }
}
