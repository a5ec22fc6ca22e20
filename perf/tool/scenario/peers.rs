//! The worker with Apache RocketMQ beside Kafka Connect with Apache Kafka: the same files in, the same files out.

use super::broker::{Stage, check_and_remove, records};
use crate::support::TempDir;
use crate::support::broker::RAISED_PULL_CAPS;
use crate::tool::options::{Options, list};
use crate::tool::peer::kafka::Kafka;
use crate::tool::real_broker::Cpus;
use crate::tool::rounds::{Case, Side, compare_with, warm_up};
use crate::tool::workers::Build;

/// Bytes of all records together, by default.
const TOTAL_BYTES: u64 = 100_000_000;

/// All sizes, both ways.
pub fn run(options: &Options) {
    let builds = Build::chosen(options);
    let kafka = Kafka::start();
    let folder = TempDir::new("peers");
    for bytes in list("RMQC_RECORD_BYTES", &[100, 1_024]) {
        let (records, size) = (records(bytes, TOTAL_BYTES), usize::try_from(bytes).unwrap());
        let stage = Stage::set(records, size, Cpus::Shared, RAISED_PULL_CAPS);
        let case = |name: String| Case { scenario: "peers", name, primary: "cpu_us_per_record" };
        let mut made = 0;
        let mut topic = String::new();
        let mut sides: Vec<Side> = builds.iter().map(|build| Side::new(&build.name, || stage.send(build))).collect();
        sides.push(Side::new("kafka connect", || {
            made += 1;
            topic = format!("load-{bytes}-{made}");
            kafka.create_topic(&topic);
            kafka.file_to_topic(stage.file(), &topic, records, size)
        }));
        warm_up(&mut sides, records);
        compare_with(options, &case(format!("file to topic, {bytes} B")), stage.facts(), sides);

        let filled = stage.filled_topic();
        let mut sides: Vec<Side> =
            builds.iter().map(|build| Side::new(&build.name, || stage.take(build, &filled))).collect();
        sides.push(Side::new("kafka connect", || {
            let file = folder.file("out.txt");
            let told = kafka.topic_to_file(&topic, &file, records, size);
            check_and_remove(&file, records);
            told
        }));
        warm_up(&mut sides, records);
        compare_with(options, &case(format!("topic to file, {bytes} B")), stage.facts(), sides);
    }
}
