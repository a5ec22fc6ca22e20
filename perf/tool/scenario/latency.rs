//! Lines appended to a source's file at a fixed rate, whatever comes out, until they can be read in a sink's file: file,
//! source, topic, sink, file. First the capacity of this way, then shares of it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::per_record;
use crate::support::broker::RAISED_PULL_CAPS;
use crate::support::worker::{Worker, file_sink, file_source, wait_bytes};
use crate::support::{TempDir, unique};
use crate::tool::bare::{Producer, follow};
use crate::tool::floor::{Properties, put_item};
use crate::tool::lines;
use crate::tool::machine::{monotonic_us, process_cpu, thread_cpu};
use crate::tool::options::{Options, list, setting};
use crate::tool::real_broker::{Cpus, Placed};
use crate::tool::rounds::{Case, Side, compare_with};
use crate::tool::stalls::Stalls;
use crate::tool::stamped::{number, since, write_line};
use crate::tool::stats::{quantiles, rounded};
use crate::tool::workers::{Build, PATIENCE, throughput};

const QUEUES: u32 = 4;
const LINE_BYTES: usize = 100;
/// Lines by which the capacity is measured.
const RECORDS: u64 = 1_000_000;
const SECONDS: u64 = 20;
/// Left out at the beginning of each measurement: everything of it has just started.
const WARM_SECONDS: u64 = 10;
/// Before anything is measured: for so long a broker that has just started compiles itself, on the same cores.
const BROKER_WARM_SECONDS: u64 = 90;
/// Lines a second meanwhile.
const BROKER_WARM_RATE: u64 = 100_000;
/// Shares of the capacity, in percent.
const SHARES: &[u64] = &[25, 50, 75, 90];
/// Between two looks at a file, and two writes: the finest step that does not take a core from those who are measured.
const PAUSE: Duration = Duration::from_micros(200);
const BLOCK_BYTES: usize = 256 << 10;

/// Requests that the client with nothing around it may have under way.
const WINDOW: usize = 64;

/// A broker: a real one, or the worker's own (`RMQC_VIA=embedded`), which needs no Java.
enum Via {
    Real(Box<Placed>),
    Embedded,
}

impl Via {
    fn chosen() -> Self {
        match std::env::var("RMQC_VIA").as_deref() {
            Ok("embedded") => Self::Embedded,
            Err(_) | Ok("broker") => Self::Real(Box::new(Placed::start(Cpus::Apart, RAISED_PULL_CAPS))),
            Ok(other) => panic!("RMQC_VIA={other}: broker and embedded are possible"),
        }
    }

    fn name(&self) -> &'static str {
        if matches!(self, Self::Real(_)) { "broker" } else { "embedded broker" }
    }

    /// What every result tells of it.
    fn facts(&self) -> Value {
        match self {
            Self::Real(broker) => broker.facts().clone(),
            Self::Embedded => json!({}),
        }
    }

    fn namesrv(&self) -> &str {
        match self {
            Self::Real(broker) => broker.namesrv(),
            Self::Embedded => "embedded",
        }
    }
}

/// Capacity, then its shares; or the rates that `RMQC_RATES` lists.
pub fn run(options: &Options) {
    let via = &Via::chosen();
    let builds = Build::chosen(options);
    if matches!(via, Via::Real(_)) {
        warm_up(&builds[0], via);
    }
    let case = |name: String, primary| Case { scenario: "latency", name, primary };
    let absolute = list("RMQC_RATES", &[]);
    let rates: Vec<(String, u64)> = if absolute.is_empty() {
        let sides = builds.iter().map(|build| Side::new(&build.name, || capacity(build, via)));
        let case = case(format!("capacity, {}", via.name()), "records_per_second");
        let summary = compare_with(options, &case, &via.facts(), sides.collect());
        let most = summary["sides"][&builds[0].name]["records_per_second"]["median"].as_f64().unwrap();
        let share = |share: u64| (format!("{share} % of capacity"), (most * share as f64 / 100.0) as u64);
        list("RMQC_SHARES", SHARES).into_iter().map(share).collect()
    } else {
        absolute.iter().map(|rate| (format!("{rate} lines a second"), *rate)).collect()
    };
    for (name, rate) in rates {
        let rate = rate.max(1);
        let mut sides: Vec<Side> =
            builds.iter().map(|build| Side::new(&build.name, move || open_loop(build, via, rate))).collect();
        if let Via::Real(broker) = via {
            sides.push(Side::new("bare client", move || bare(broker, rate)));
        }
        let case = case(format!("{name}, {}", via.name()), "p99_ms");
        compare_with(options, &case, &via.facts(), sides);
    }
}

/// A worker with a source and a sink of one topic, and their files.
struct Way {
    worker: Worker,
    source: PathBuf,
    sink: PathBuf,
    /// When the source was asked for, and what the worker had cost until then.
    began: (Instant, Duration),
    _home: TempDir,
}

impl Way {
    fn open(build: &Build, via: &Via, fill: impl FnOnce(&Path)) -> Self {
        let home = TempDir::new("latency");
        let topic = unique("latency");
        if let Via::Real(broker) = via {
            broker.make_only_topic(&topic, QUEUES);
        }
        let (source, sink) = (home.file("in.txt"), home.file("out.txt"));
        fill(&source);
        std::fs::write(&sink, "").unwrap();
        let worker = build.start(home.path(), via.namesrv(), &[]);
        let began = (Instant::now(), process_cpu(worker.pid()));
        // The embedded broker makes the topic at the first send; the sink waits for it.
        worker.create("source", &file_source(&source, &topic));
        worker.wait_state("source", "RUNNING");
        worker.create("sink", &file_sink(&sink, &topic));
        worker.wait_state("sink", "RUNNING");
        Self { worker, source, sink, began, _home: home }
    }
}

/// Lines into and out of a broker that was just started, measured by nobody. Those that are not through when the time is
/// over stay where they are: no other topic's.
fn warm_up(build: &Build, via: &Via) {
    let total = BROKER_WARM_RATE * setting("RMQC_WARM_SECONDS", BROKER_WARM_SECONDS);
    if total == 0 {
        return;
    }
    let mut way = Way::open(build, via, |source| std::fs::write(source, "").unwrap());
    write_on_time(&way.source, BROKER_WARM_RATE, total);
    // It is no warm-up unless something goes both ways.
    wait_bytes(&way.sink, LINE_BYTES as u64, PATIENCE);
    way.worker.stop();
}

/// As many lines as go through, when all are there from the start.
fn capacity(build: &Build, via: &Via) -> Value {
    let records = setting("RMQC_RECORDS", RECORDS);
    let mut way = Way::open(build, via, |source| lines::write(source, records, LINE_BYTES).unwrap());
    wait_bytes(&way.sink, records * LINE_BYTES as u64, PATIENCE);
    let (seconds, cpu) = (way.began.0.elapsed().as_secs_f64(), process_cpu(way.worker.pid()) - way.began.1);
    way.worker.stop();
    super::broker::check_and_remove(&way.sink, records);
    throughput(records, LINE_BYTES, seconds, cpu)
}

/// How many lines one measurement at this rate leaves out at its beginning, and how many it writes.
fn sizes(rate: u64) -> (u64, u64) {
    let (warm, seconds) = (setting("RMQC_WARM_SECONDS", WARM_SECONDS), setting("RMQC_SECONDS", SECONDS));
    (rate * warm, rate * (warm + seconds))
}

/// So many lines a second, each written when it is due, whatever comes out.
fn open_loop(build: &Build, via: &Via, rate: u64) -> Value {
    let (skipped, total) = sizes(rate);
    let mut way = Way::open(build, via, |source| std::fs::write(source, "").unwrap());
    let (cpu, stalls) = (process_cpu(way.worker.pid()), Stalls::watch());
    let source = way.source.clone();
    let writer = std::thread::spawn(move || write_on_time(&source, rate, total));
    let arrived = read_arrivals(&way.sink, total, skipped);
    writer.join().unwrap();
    let (cpu, stalls) = (process_cpu(way.worker.pid()) - cpu, stalls.end());
    way.worker.stop();
    arrived.told(rate, cpu, stalls)
}

/// The same lines without files and worker: what has become due is a batch, and a line's wait ends when its message has
/// come. CPU is that of the two threads.
fn bare(broker: &Placed, rate: u64) -> Value {
    let (skipped, total) = sizes(rate);
    let topic = unique("latency");
    broker.make_only_topic(&topic, QUEUES);
    let stalls = Stalls::watch();
    let (arrived, cpu) = std::thread::scope(|threads| {
        let sender = threads.spawn(|| {
            let mut producer = Producer::connect(broker.address(), &topic, QUEUES as usize, WINDOW).unwrap();
            let (mut properties, mut batch) = (Properties::new(), Vec::new());
            on_time(rate, total, |lines| {
                batch.clear();
                let lines = lines.chunks_exact(LINE_BYTES);
                lines.for_each(|line| put_item(&mut batch, &line[..LINE_BYTES - 1], properties.next()));
                producer.send(&batch).unwrap();
            });
            producer.finish().unwrap();
            thread_cpu()
        });
        let cpu = thread_cpu();
        let mut arrived = Arrived::of(total, skipped);
        follow(broker.address(), &topic, QUEUES as usize, |line| {
            arrived.take(line);
            if arrived.is_complete() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        let cpu = thread_cpu() - cpu;
        (arrived, cpu + sender.join().unwrap())
    });
    arrived.told(rate, cpu, stalls.end())
}

fn write_on_time(path: &Path, rate: u64, total: u64) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    on_time(rate, total, |lines| file.write_all(lines).unwrap());
}

/// Hands on so many lines a second, each when it is due, together with those that became due meanwhile.
fn on_time(rate: u64, total: u64, mut hand_on: impl FnMut(&[u8])) {
    wakes_on_time();
    let origin = monotonic_us() + 100_000;
    let due = |number: u64| origin + number * 1_000_000 / rate;
    let (mut number, mut block) = (0, Vec::new());
    while number < total {
        let wait = Duration::from_micros(due(number).saturating_sub(monotonic_us()));
        std::thread::sleep(wait.max(PAUSE));
        block.clear();
        while number < total && due(number) <= monotonic_us() {
            write_line(&mut block, due(number), number, LINE_BYTES);
            number += 1;
        }
        if !block.is_empty() {
            hand_on(&block);
        }
    }
}

/// Lets the calling thread's sleeps end when they are over: the kernel may add 50 µs to each otherwise.
fn wakes_on_time() {
    // SAFETY: the call takes no pointers. Without it the thread only wakes a little later.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

struct Arrived {
    /// Since a line was due, and since it was written.
    waits: [Histogram<u64>; 2],
    seen: Vec<bool>,
    distinct: u64,
    repeated: u64,
    /// Lines before this one are not measured.
    skipped: u64,
    /// When the first that is measured came.
    first: Option<Instant>,
    /// When all were there.
    last: Option<Instant>,
}

impl Arrived {
    fn of(total: u64, skipped: u64) -> Self {
        let histogram = || Histogram::<u64>::new_with_bounds(1, 600_000_000, 3).unwrap();
        let seen = vec![false; usize::try_from(total).unwrap()];
        Self { waits: [histogram(), histogram()], seen, distinct: 0, repeated: 0, skipped, first: None, last: None }
    }

    /// A line has come now.
    fn take(&mut self, line: &[u8]) {
        let (Some(number), Some((due, written))) = (number(line), since(line)) else {
            panic!("a line that nobody wrote: {}", String::from_utf8_lossy(line));
        };
        let seen = &mut self.seen[usize::try_from(number).unwrap()];
        if std::mem::replace(seen, true) {
            self.repeated += 1;
            return;
        }
        self.distinct += 1;
        if number >= self.skipped {
            self.first.get_or_insert_with(Instant::now);
            self.waits[0].saturating_record(due.max(1));
            self.waits[1].saturating_record(written.max(1));
        }
        if self.is_complete() {
            self.last = Some(Instant::now());
        }
    }

    fn is_complete(&self) -> bool {
        self.distinct == self.seen.len() as u64
    }

    fn told(&self, rate: u64, cpu: Duration, stalls: Value) -> Value {
        let total = self.seen.len() as u64;
        let seconds = self.first.zip(self.last).map_or(1.0, |(first, last)| (last - first).as_secs_f64());
        let measured = (total - self.skipped) as f64 / seconds;
        let mut told = json!({ "rate": rate, "records": total, "cpu_us_per_record": per_record(cpu, total) });
        told["records_per_second"] = json!(rounded(measured, 1));
        told["repeated"] = json!(self.repeated);
        told["machine_stalls"] = stalls;
        for (histogram, prefix) in self.waits.iter().zip(["", "uncorrected_"]) {
            for (name, value) in quantiles(histogram).as_object().unwrap() {
                told[format!("{prefix}{name}")] = value.clone();
            }
        }
        told
    }
}

/// Reads the sink's file as it grows. A line's wait ends when its block has been read.
fn read_arrivals(sink: &Path, total: u64, skipped: u64) -> Arrived {
    wakes_on_time();
    let mut arrived = Arrived::of(total, skipped);
    let mut offset = 0;
    let file = File::open(sink).unwrap();
    let mut block = vec![0; BLOCK_BYTES];
    let mut moved = Instant::now();
    while !arrived.is_complete() {
        assert!(moved.elapsed() < PATIENCE, "stands still after {} of {total} lines", arrived.distinct);
        let read = file.read_at(&mut block, offset).unwrap();
        let whole = read / LINE_BYTES * LINE_BYTES;
        if whole == 0 {
            std::thread::sleep(PAUSE);
            continue;
        }
        block[..whole].chunks_exact(LINE_BYTES).for_each(|line| arrived.take(line));
        offset += whole as u64;
        moved = Instant::now();
    }
    arrived
}
