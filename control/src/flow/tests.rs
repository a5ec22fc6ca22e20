use super::*;

fn histogram(values: &[u64]) -> Histogram<u64> {
    let mut histogram = Histogram::new(2).unwrap();
    values.iter().for_each(|value| histogram.record(*value).unwrap());
    histogram
}

fn task(out: u64, put_us: u64, lag: Option<u64>) -> TaskReport {
    let counters = TaskCounters { records_in: out, records_out: out, bytes_out: out, ..TaskCounters::default() };
    let put = StepUse { runs: out, records: out, busy_us: put_us, ..StepUse::default() };
    TaskReport { counters, steps: vec![(Step::Put, put)], lag_records: lag, ..TaskReport::new(TaskId::new("c", 0)) }
}

fn look(ms: u64, task: Option<TaskReport>) -> Look {
    let report = ShardReport { tasks: task.into_iter().collect(), cpu_us: ms * 500, ..ShardReport::default() };
    let reports = Reports { shards: vec![(ShardId(0), Arc::new(report))], missing: Vec::new() };
    let process = Some(ProcessUse { cpu_us: ms * 700, rss_bytes: 9 });
    Look { at: Duration::from_millis(ms), at_ms: 1_000_000, reports, process }
}

fn own(flow: &Flow) -> &TaskFlow {
    &flow.tasks[&TaskId::new("c", 0)]
}

/// Before and after two seconds: records out, microseconds in put, lag; then what is told of them: records a second,
/// share of put, growth of the lag.
type Case = ((u64, u64, Option<u64>), (u64, u64, Option<u64>), u64, f64, Option<f64>);

#[test]
fn rates_are_never_negative_or_huge() {
    let cases: &[Case] = &[
        ((100, 0, Some(50)), (300, 1_000_000, Some(10)), 200, 0.5, Some(-20.0)),
        ((100, 0, Some(0)), (100, 0, Some(40)), 0, 0.0, Some(20.0)),
        ((100, 0, None), (100, 0, Some(40)), 0, 0.0, None),
        // More time than passed: several calls at once.
        ((100, 0, None), (101, 9_000_000, None), 1, 1.0, None),
        // It started again: all that it counts is of this window.
        ((1_000_000, 5_000_000, Some(50)), (30, 200_000, Some(90)), 30, 0.1, None),
        ((u64::MAX, u64::MAX, None), (0, 0, None), 0, 0.0, None),
        // It started again and has already sent more than before, but its steps show it.
        ((10, 5_000_000, None), (40, 200_000, None), 40, 0.1, None),
    ];
    for (before, after, passed, put, growth) in cases {
        let (earlier, later) =
            (look(1000, Some(task(before.0, before.1, before.2))), look(3000, Some(task(after.0, after.1, after.2))));
        let flow = Flow::between(Some(&earlier), &later);
        let lately = own(&flow).lately.as_ref().unwrap();
        assert_eq!((lately.counters.records_out, lately.lag_growth), (*passed, *growth), "{before:?} {after:?}");
        assert!((lately.steps[0].1.busy - put).abs() < 1e-9, "{before:?} {after:?}: {lately:?}");
    }
}

#[test]
fn the_worker_and_its_shards_have_shares() {
    let flow = Flow::between(Some(&look(1000, None)), &look(3000, None));
    assert_eq!((flow.window, flow.rss_bytes, flow.at_ms), (Duration::from_secs(2), Some(9), 1_000_000));
    assert!((flow.cpu_share.unwrap() - 0.7).abs() < 1e-9);
    assert!((flow.shards[&ShardId(0)].1.busy.unwrap() - 0.5).abs() < 1e-9);
    // A new executor counts from zero.
    let mut again = look(3000, None);
    again.reports.shards[0].1 = Arc::new(ShardReport { cpu_us: 4, ..ShardReport::default() });
    let flow = Flow::between(Some(&look(1000, None)), &again);
    assert!(flow.shards[&ShardId(0)].1.busy.unwrap() < 0.001);
}

#[test]
fn what_cannot_be_compared_has_no_rate() {
    let now = look(3000, Some(task(5, 5, Some(5))));
    let alone = Flow::between(None, &now);
    assert!(own(&alone).lately.is_none() && alone.window.is_zero() && alone.cpu_share.is_none());
    assert_eq!(own(&alone).report.lag_records, Some(5), "what needs no comparison is told");
    // A window without a length.
    let same = Flow::between(Some(&now), &now);
    assert!(own(&same).lately.is_none() && same.shards[&ShardId(0)].1.busy.is_none());
    // A shard that did not answer the first time: its tasks may be old.
    let mut missing = look(1000, None);
    missing.reports = Reports { shards: Vec::new(), missing: vec![ShardId(0)] };
    let flow = Flow::between(Some(&missing), &now);
    assert!(own(&flow).lately.is_none() && flow.shards[&ShardId(0)].1.busy.is_none());
    // One that did not answer the second time.
    let mut gone = look(3000, None);
    gone.reports = Reports { shards: Vec::new(), missing: vec![ShardId(0)] };
    assert!(Flow::between(Some(&now), &gone).tasks.is_empty());
    // A task that was not there when all shards answered is new.
    let flow = Flow::between(Some(&look(1000, None)), &now);
    assert_eq!(own(&flow).lately.as_ref().unwrap().counters.records_out, 5);
}

#[test]
fn latencies_are_those_of_the_window() {
    let with = |values: &[u64]| {
        let latencies = vec![Latency { span: Span::RecordToPut, micros: histogram(values) }];
        TaskReport { latencies, ..task(1, 1, None) }
    };
    let told = |before: &[u64], after: &[u64]| {
        let flow = Flow::between(Some(&look(0, Some(with(before)))), &look(2000, Some(with(after))));
        let micros = &own(&flow).report.latencies[0].micros;
        (micros.len(), micros.max())
    };
    assert_eq!(told(&[9000, 9000], &[9000, 9000, 10]), (1, 10));
    // It counts from zero: what there is, is all new.
    assert_eq!(told(&[9000, 9000], &[10]), (1, 10));
    assert_eq!(told(&[], &[10, 20]).0, 2);
}

#[test]
fn looks_are_kept_apart_and_forgotten() {
    let mut looks = Looks::default();
    assert!(looks.window().is_none());
    let window = |looks: &Looks| {
        let (earlier, later) = looks.window().unwrap();
        (earlier.map(|one| one.at.as_millis()), later.at.as_millis())
    };
    for (ms, expected) in [
        (0, (None, 0)),
        (100, (None, 100)),
        // The newest is always there, and replaces one that was too near.
        (300, (Some(0), 300)),
        (1000, (Some(0), 1000)),
        (2000, (Some(0), 2000)),
        (3000, (Some(0), 3000)),
        (4000, (Some(0), 4000)),
        (5000, (Some(0), 5000)),
        (6000, (Some(1000), 6000)),
        (6100, (Some(1000), 6100)),
        (7000, (Some(2000), 7000)),
        // Nobody watched for a while: a long window before a short one.
        (37_000, (Some(7000), 37_000)),
        (37_500, (Some(7000), 37_500)),
        (38_000, (Some(37_000), 38_000)),
    ] {
        looks.push(look(ms, None));
        assert_eq!(window(&looks), expected, "at {ms}");
        assert!(looks.0.len() <= LOOKS_MAX);
    }
    // With many tasks only what is needed.
    let mut looks = Looks::default();
    for second in 0..10 {
        let mut look = look(second * 1000, None);
        let tasks = (0..2000).map(|index| TaskReport::new(TaskId::new("c", index))).collect();
        look.reports.shards[0].1 = Arc::new(ShardReport { tasks, ..ShardReport::default() });
        looks.push(look);
    }
    assert_eq!((looks.0.len(), window(&looks)), (2, (Some(8000), 9000)));
}

#[test]
fn what_waits_is_done_in_a_while_only_if_it_gets_less() {
    for (lag, growth, expected) in [
        (None, Some(-1.0), None),
        (Some(0), None, Some(0.0)),
        (Some(100), Some(-10.0), Some(10.0)),
        (Some(100), Some(0.0), None),
        (Some(100), Some(-0.05), None),
        (Some(100), Some(10.0), None),
        (Some(100), None, None),
    ] {
        assert_eq!(connector::catch_up_seconds(lag, growth), expected, "{lag:?} {growth:?}");
    }
}
