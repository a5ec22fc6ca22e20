//! The exam that the built-in connectors sit: see `rmqc_fast::conformance`.

// Named once, so that the linker keeps what the library registers.
use my_thing as _;
// [source]

#[test]
fn the_source_passes_the_exam() {
    rmqc_fast::conformance::check("my-thing-source", &[("records", "100")]);
    rmqc_fast::conformance::check("my-thing-source", &[("records", "20"), ("interval.ms", "50")]);
}
// [/source]
// [sink]

#[test]
fn the_sink_passes_the_exam() {
    use rmqc_fast::conformance::{Exam, testing::TempDir};

    let dir = TempDir::new();
    let path = dir.path("out.txt");
    // What is in the target now, so that the exam sees loss and repeats.
    let written = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("record ")?.parse().ok()).collect()
    };
    let config = [("path", path.to_str().unwrap())];
    Exam::of("my-thing-sink", &config).with_written(written).pass();
}
// [/sink]
