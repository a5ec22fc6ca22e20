//! A topic with bad records in it: exactly these come to the dead letter queue, whatever is killed meanwhile; without
//! tolerance the first of them stops the task; and a target that is away sends nothing there.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use super::support::broker::{RAISED_PULL_CAPS, RealBroker};
use super::support::seeded::{Random, full_size};
use super::support::worker::{Worker, file_sink, file_source};
use super::support::{TempDir, java, wait_until};

const LINES: u64 = 100_000;
const QUEUES: u32 = 4;
const TOPIC: &str = "poison";
const DEAD: &str = "poison-dead";

/// One of a hundred is cut short in the middle of its JSON.
fn line(number: u64, bad: bool) -> String {
    if bad { format!("{{\"number\":{number},") } else { format!("\"{number} äöü\"") }
}

/// Numbers of the bad lines: one in each hundred, somewhere.
fn bad_numbers(random: &mut Random) -> BTreeSet<u64> {
    (0..LINES / 100).map(|hundred| hundred * 100 + random.below(100)).collect()
}

fn write_lines(path: &Path, bad: &BTreeSet<u64>) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for number in 0..LINES {
        writeln!(file, "{}", line(number, bad.contains(&number))).unwrap();
    }
}

/// A sink that reads JSON, and may give up what is none.
fn sink(file: &Path, tolerance: &str) -> Value {
    let mut config = file_sink(file, TOPIC);
    for (key, value) in [
        ("value.converter", "org.apache.rocketmq.connect.runtime.converter.record.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("uncommitted.records", "8192"),
        ("errors.tolerance", tolerance),
        ("errors.deadletterqueue.topic.name", DEAD),
        ("errors.deadletterqueue.read.queue.nums", "2"),
        ("errors.deadletterqueue.write.queue.nums", "2"),
        ("errors.deadletterqueue.context.properties.enable", "true"),
    ] {
        config[key] = json!(value);
    }
    config
}

struct Run {
    home: TempDir,
    broker: RealBroker,
    worker: Worker,
    bad: BTreeSet<u64>,
}

impl Run {
    /// A broker with all lines in the topic, and a worker.
    fn new(name: &str, random: &mut Random) -> Self {
        let home = TempDir::new(name);
        let broker = RealBroker::start_with(RAISED_PULL_CAPS);
        broker.create_topic(TOPIC, QUEUES);
        let worker = Worker::start(home.path(), broker.namesrv());
        let bad = bad_numbers(random);
        let input = home.file("in.txt");
        write_lines(&input, &bad);
        worker.create("source", &file_source(&input, TOPIC));
        wait_until("everything is in the topic", PATIENCE, || broker.stored(TOPIC, QUEUES) == LINES as i64);
        Self { home, broker, worker, bad }
    }

    fn committed(&self) -> i64 {
        (0..QUEUES).map(|queue| self.broker.committed("connect-sink", TOPIC, queue).unwrap_or(0)).sum()
    }

    fn wait_all_committed(&self) {
        wait_until("everything is committed", PATIENCE, || self.committed() == LINES as i64);
    }

    fn letters(&self) -> i64 {
        self.broker.stored(DEAD, 2)
    }

    /// Numbers in the sink's file, each as often as it is there.
    fn delivered(&self, file: &Path) -> Vec<u64> {
        let content = std::fs::read_to_string(file).unwrap();
        let number = |line: &str| line.strip_suffix(" äöü").and_then(|number| number.parse().ok());
        content.lines().map(|line| number(line).unwrap_or_else(|| panic!("nobody wrote {line}"))).collect()
    }

    /// Everything good is in the file, everything bad in the queue with its properties; gives how often something is
    /// there a second time.
    fn check(&self, file: &Path) -> (usize, usize) {
        let delivered = self.delivered(file);
        let good: BTreeSet<u64> = (0..LINES).filter(|number| !self.bad.contains(number)).collect();
        assert_eq!(delivered.iter().copied().collect::<BTreeSet<_>>(), good, "lost, or delivered though it is bad");
        let count = usize::try_from(self.letters()).unwrap();
        let letters = java::consume(self.broker.namesrv(), DEAD, count, PATIENCE);
        let expected: BTreeSet<Vec<u8>> = self.bad.iter().map(|number| line(*number, true).into_bytes()).collect();
        assert_eq!(letters.iter().map(|letter| letter.body.clone()).collect::<BTreeSet<_>>(), expected);
        for letter in &letters {
            let property = |name: &str| letter.properties.get(&format!("__connect.errors.{name}")).cloned();
            assert_eq!(property("topic").as_deref(), Some(TOPIC));
            assert_eq!(property("connector.name").as_deref(), Some("sink"));
            assert_eq!(property("stage").as_deref(), Some("CONVERTER"));
            assert!(property("partition").is_some_and(|queue| queue.parse::<u32>().unwrap() < QUEUES));
            assert!(property("offset").is_some_and(|offset| offset.parse::<i64>().unwrap() < LINES as i64));
            assert!(property("class.name").is_some_and(|class| class.ends_with(".json.JsonConverter")));
            assert!(property("exception.message").is_some_and(|text| text.contains("byte")), "{letter:?}");
        }
        (delivered.len() - good.len(), letters.len() - expected.len())
    }
}

#[test]
fn poison_lies_in_the_dead_letter_queue_and_nowhere_else() {
    let mut run = Run::new("poison", &mut Random::seeded());
    let file = run.home.file("out.txt");
    run.worker.create("sink", &sink(&file, "ALL"));
    run.wait_all_committed();
    assert_eq!(run.check(&file), (0, 0), "repeated lines and letters");
    run.worker.stop();
    println!("{LINES} lines, {} of them bad: all in their place, once", run.bad.len());
}

#[test]
fn a_kill_among_poison_loses_nothing() {
    let mut random = Random::seeded();
    let mut run = Run::new("poison-kill", &mut random);
    let file = run.home.file("out.txt");
    run.worker.create("sink", &sink(&file, "ALL"));
    let moment = i64::try_from(random.below(LINES * 3 / 4)).unwrap();
    let end = Instant::now() + PATIENCE;
    while run.committed() < moment {
        assert!(Instant::now() < end, "{} of {moment} committed", run.committed());
    }
    run.worker.kill();
    let left = LINES as i64 - run.committed();
    run.worker.start_again();
    run.wait_all_committed();
    let (lines, letters) = run.check(&file);
    println!("killed with {left} lines to go: {lines} lines and {letters} letters repeated");
    assert!(lines + letters <= 8192, "more than the window was repeated");
    run.worker.stop();
}

#[test]
fn without_tolerance_the_first_poison_stops_the_task() {
    let mut run = Run::new("poison-none", &mut Random::seeded());
    let file = run.home.file("out.txt");
    run.worker.create("sink", &sink(&file, "none"));
    run.worker.wait_state("sink", "FAILED");
    let status = run.worker.request("GET", "/connectors/sink/status", "");
    let trace = status["body"]["tasks"][0]["trace"].as_str().unwrap().to_owned();
    let number = |name: &str| -> i64 {
        let at = trace.find(name).unwrap_or_else(|| panic!("{trace}")) + name.len();
        trace[at..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    let (queue, offset) = (number("queue "), number("offset "));
    let committed = run.broker.committed("connect-sink", TOPIC, u32::try_from(queue).unwrap());
    assert_eq!(committed, Some(offset), "{trace}");
    assert_eq!(run.letters(), 0);
    let delivered = run.delivered(&file);
    assert_eq!(delivered.len() as i64, run.committed(), "what is committed is delivered, once");
    println!("stopped at queue {queue}, offset {offset}, after {} lines", delivered.len());
    run.worker.stop();
}

#[test]
fn a_target_that_is_away_sends_nothing_to_the_dead_letter_queue() {
    let away = Duration::from_secs(if full_size() { 30 } else { 6 });
    let mut run = Run::new("poison-away", &mut Random::seeded());
    // The target's directory is a link; while that leads in a circle, nothing behind it can be reached.
    let (real, link) = (run.home.file("real"), run.home.file("link"));
    std::fs::create_dir(&real).unwrap();
    symlink(&link, &link).unwrap();
    let file = link.join("out.txt");
    run.worker.create("sink", &sink(&file, "ALL"));
    let until = Instant::now() + away;
    while Instant::now() < until {
        assert_eq!((run.committed(), run.letters()), (0, 0), "the target is away");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_file(&link).unwrap();
    symlink(&real, &link).unwrap();
    run.wait_all_committed();
    assert_eq!(run.check(&file), (0, 0), "repeated lines and letters");
    run.worker.stop();
    println!("the target was away for {away:?}: nothing lost, nothing given up but the bad lines");
}
