//! Hops between the control plane and a shard: `cargo bench --bench mailbox`. Commands go there in batches and each is
//! answered by an event; the rate that is printed counts pairs of both. It is wall time, since two threads take part.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measuring tool")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rmqc_core::command::{ShardCommand, ShardEvent, ShardPort};
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_io::driver::Driver;
use rmqc_io::settings::{ClusterSettings, CoresWanted, DataPlaneSettings, DriverWanted, PinWanted};
use rmqc_io::shard::executor::{Seat, ShardMain, start_shards};

/// Commands that are sent before the answers are taken.
const BATCHES: [u64; 2] = [1, 128];

/// A shard that answers and does nothing else.
struct Answering;

impl ShardMain for Answering {
    async fn run<D: Driver>(&self, mut seat: Seat<D>) {
        while let Some(command) = seat.commands.recv().await {
            match command {
                ShardCommand::ResumeTask(task, generation) => {
                    seat.events.send(ShardEvent::TaskRunning(task, generation)).await;
                }
                ShardCommand::Shutdown => return,
                _ => {}
            }
        }
    }
}

fn start(driver: DriverWanted) -> Arc<dyn ShardPort> {
    let settings = DataPlaneSettings {
        cores: CoresWanted::Exactly(1),
        pin: PinWanted::Off,
        driver,
        stall_timeout: Duration::from_secs(30),
        memory_bytes_max: 64 << 20,
        trace_share: 0.0,
        cluster: ClusterSettings {
            name_servers: Vec::new(),
            credentials: None,
            producer_group: "bench".to_owned(),
            auto_create_topic: false,
            operation_timeout: Duration::from_secs(3),
        },
    };
    start_shards(&settings, Answering).expect("a shard")
}

async fn hop(port: &dyn ShardPort, task: &TaskId, batch: u64) {
    for number in 0..batch {
        let command = ShardCommand::ResumeTask(task.clone(), Generation(number));
        port.send(ShardId(0), command).await.expect("the shard lives");
    }
    for number in 0..batch {
        match port.next_event().await {
            Some(ShardEvent::TaskRunning(_, Generation(answered))) => assert_eq!(answered, number),
            _ => panic!("the shard does not answer"),
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let task = TaskId::new("bench", 0);
    let mut group = criterion.benchmark_group("mailbox");
    for (name, driver) in [("epoll", DriverWanted::Epoll), ("best_driver", DriverWanted::Auto)] {
        let port = start(driver);
        for batch in BATCHES {
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new(name, batch), |bencher| {
                bencher.iter(|| runtime.block_on(hop(&*port, &task, batch)));
            });
        }
        runtime.block_on(async {
            port.send(ShardId(0), ShardCommand::Shutdown).await.expect("the shard lives");
            while port.next_event().await.is_some() {}
        });
    }
    group.finish();
    criterion.final_summary();
}
