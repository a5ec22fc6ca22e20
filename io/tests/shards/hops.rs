//! Many hops between the control plane and the shards: none may get lost, whatever else wants the CPU.

use std::time::{Duration, Instant};

use rmqc_core::command::{ShardCommand, ShardEvent, ShardPort};
use rmqc_core::id::ShardId;
use rmqc_core::limits::{SHARD_COMMANDS_MAX, SHARD_EVENTS_MAX};
use rmqc_io::settings::DriverWanted;

use crate::support::{self, BOTH, Hogs, name, percentile, round_trip, shut_down, start, stress_seconds, within};

const SHARDS: usize = 2;

/// Sends reports to all shards as fast as the mailboxes take them.
async fn flood(port: &dyn ShardPort, until: Instant) -> u64 {
    let mut number = 0;
    while Instant::now() < until {
        for shard in 0..SHARDS {
            port.send(ShardId(shard as u16), ShardCommand::Report(number)).await.unwrap();
        }
        number += 1;
    }
    number * SHARDS as u64
}

/// Takes answers, in bursts: between two it waits until the events are full, so that the shards must wait too.
async fn take_in_bursts(port: &dyn ShardPort, taken: &mut [u64]) {
    loop {
        let mut stalled = 0;
        // The shards fill their event mailboxes, then their commands; nobody is told when that is, so look.
        while stalled < 3 && taken.iter().sum::<u64>() % 50_000 < 1_000 {
            let full = port.health().iter().all(|shard| shard.commands_waiting == SHARD_COMMANDS_MAX);
            stalled = if full { 3 } else { stalled + 1 };
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..2 * SHARD_EVENTS_MAX {
            match port.next_event().await {
                Some(ShardEvent::Report(shard, number, _)) => {
                    assert_eq!(number, taken[shard.index()], "{shard} answers in order, each once");
                    taken[shard.index()] += 1;
                }
                Some(ShardEvent::ShardDown(_)) => {}
                Some(_) => panic!("an event that nobody asked for"),
                None => return,
            }
        }
    }
}

fn stress(driver: DriverWanted, hogs: usize) {
    let port = start(driver, SHARDS);
    let hogs = Hogs::start(hogs);
    let seconds = Duration::from_secs(stress_seconds());
    let start = Instant::now();
    let sender = {
        let port = std::sync::Arc::clone(&port);
        std::thread::spawn(move || {
            within(async {
                let sent = flood(port.as_ref(), Instant::now() + seconds).await;
                for shard in 0..SHARDS {
                    port.send(ShardId(shard as u16), ShardCommand::Shutdown).await.unwrap();
                }
                sent
            })
        })
    };
    let mut taken = vec![0; SHARDS];
    within(take_in_bursts(port.as_ref(), &mut taken));
    let sent = sender.join().unwrap();
    drop(hogs);
    assert_eq!(taken.iter().sum::<u64>(), sent, "each command has its answer");
    let kicks: u64 = port.health().iter().map(|shard| shard.kicks).sum();
    let rate = sent as f64 / start.elapsed().as_secs_f64();
    println!("{}: {sent} hops there and back under load, {rate:.0}/s, {kicks} rescued by kicks", name(driver));
}

#[test]
fn full_mailboxes_both_ways_never_stand_still_under_load() {
    for driver in BOTH {
        stress(driver, 6);
    }
}

fn ping_pong(driver: DriverWanted, hogs: usize) {
    let port = start(driver, SHARDS);
    let hogs = Hogs::start(hogs);
    let until = Instant::now() + Duration::from_secs(stress_seconds());
    let mut hops = Vec::new();
    within(async {
        let mut number = 0;
        while Instant::now() < until {
            hops.push(round_trip(port.as_ref(), ShardId((number % SHARDS as u64) as u16), number).await);
            number += 1;
        }
        drop(hogs);
        shut_down(port.as_ref()).await;
    });
    hops.sort_unstable();
    let kicks: u64 = port.health().iter().map(|shard| shard.kicks).sum();
    let (p50, p99) = (percentile(&hops, 50), percentile(&hops, 99));
    println!("{}: {} single round trips, p50 {p50:?}, p99 {p99:?}, {kicks} rescued by kicks", name(driver), hops.len());
    assert!(hops.len() > 100, "round trips hardly move: {}", hops.len());
}

#[test]
fn single_round_trips_are_quick() {
    BOTH.into_iter().for_each(|driver| ping_pong(driver, 0));
}

#[test]
fn single_round_trips_survive_cpu_hogs() {
    BOTH.into_iter().for_each(|driver| ping_pong(driver, 6));
}

#[test]
fn commands_get_their_turn_while_data_runs_at_full_rate() {
    for (driver, busy) in [(BOTH[0], 1), (BOTH[1], 1), (BOTH[0], 8), (BOTH[1], 8)] {
        let port = start(driver, 1);
        let mut hops = Vec::new();
        within(async {
            for _ in 0..busy {
                port.send(ShardId(0), ShardCommand::Report(support::BUSY)).await.unwrap();
            }
            for number in 0..300 {
                // Not in step with the shard's slices, and not so fast that the control class never pauses.
                tokio::time::sleep(Duration::from_micros(300 + 137 * (number % 11))).await;
                hops.push(round_trip(port.as_ref(), ShardId(0), number).await);
            }
            shut_down(port.as_ref()).await;
        });
        hops.sort_unstable();
        let (p50, p99) = (percentile(&hops, 50), percentile(&hops, 99));
        println!("{}: command to event with {busy} busy data futures: p50 {p50:?}, p99 {p99:?}", name(driver));
        // Two or three turns of all busy futures; the far end is the machine's own, when others use its CPUs.
        assert!(p50 < Duration::from_millis(10 + 4 * busy), "{}: p50 {p50:?}", name(driver));
        assert!(p99 < Duration::from_millis(250), "{}: p99 {p99:?}", name(driver));
    }
}
