//! The method, in code: every side is measured once a round, in turn and in alternating order, so that a machine that
//! warms up or slows down meets all alike; the first side twice, and the difference of these two is the noise.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::machine;
use super::options::Options;
use super::stats::{median, quantile, rounded, spread_of};

/// The second measurement of the first side.
const AGAIN: &str = " again";

/// One way of doing the work, to be measured as often as asked.
pub struct Side<'a> {
    /// What it is called in the results.
    pub name: String,
    /// Does the work once and gives numbers by name.
    pub run: Box<dyn FnMut() -> Value + 'a>,
}

impl<'a> Side<'a> {
    /// A side.
    pub fn new(name: impl Into<String>, run: impl FnMut() -> Value + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// How long is warmed up before anything is measured.
const WARM_TIME: Duration = Duration::from_secs(60);
/// Runs of fewer records measure nothing that is worth the time: one side of them is warmed up, once.
const WARM_RECORDS: u64 = 20_000;

/// Has all sides do their work in turn, unmeasured, for so long: what serves them compiles itself and takes its memory for the
/// way in which it is used, and each side has its own.
pub fn warm_up(sides: &mut [Side<'_>], records: u64) {
    let began = Instant::now();
    while began.elapsed() < WARM_TIME {
        for side in &mut *sides {
            let _ = (side.run)();
            if records < WARM_RECORDS {
                return;
            }
        }
    }
}

/// What is measured.
pub struct Case<'a> {
    /// The scenario that it belongs to.
    pub scenario: &'a str,
    /// Its name there.
    pub name: String,
    /// The number by which sides are compared and the noise is judged.
    pub primary: &'a str,
}

/// Measures all sides, prints a line for each measurement and one summary, and gives the summary.
///
/// The first side is measured twice a round. Its spread is the larger of two: how far the medians of its two rows lie
/// apart, and the range of the middle half of both together, each as a share of the median.
pub fn compare(options: &Options, case: &Case<'_>, sides: Vec<Side<'_>>) -> Value {
    compare_with(options, case, &json!({}), sides)
}

/// The same with further facts, which are told by every line beside those of the machine.
pub fn compare_with(options: &Options, case: &Case<'_>, more: &Value, mut sides: Vec<Side<'_>>) -> Value {
    let mut facts = machine::facts();
    merge(&mut facts, more);
    let load_before = machine::load_average();
    let mut rows: Vec<(String, Vec<Value>)> = Vec::new();
    for round in 1..=options.rounds {
        let mut order: Vec<(usize, &str)> = (0..sides.len()).map(|index| (index, "")).collect();
        order.insert(1.min(order.len()), (0, AGAIN));
        if round % 2 == 0 {
            order.reverse();
        }
        for (index, suffix) in order {
            let side = &mut sides[index];
            let name = format!("{}{suffix}", side.name);
            let before = machine::load_average();
            let mut measured = (side.run)();
            measured["load_before"] = json!(before);
            measured["load_after"] = json!(machine::load_average());
            print(case, &name, round, &measured, &facts);
            match rows.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(measured),
                None => rows.push((name, vec![measured])),
            }
        }
    }
    let summary = summary(options, case, &sides[0].name, &rows, load_before, &facts);
    println!("{summary}");
    summary
}

fn print(case: &Case<'_>, side: &str, round: u32, measured: &Value, facts: &Value) {
    let mut line = json!({ "scenario": case.scenario, "case": case.name, "side": side, "round": round });
    merge(&mut line, measured);
    merge(&mut line, facts);
    println!("{line}");
}

/// Adds the members of one object to another.
pub fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

fn summary(
    options: &Options,
    case: &Case<'_>,
    first: &str,
    rows: &[(String, Vec<Value>)],
    load_before: f64,
    facts: &Value,
) -> Value {
    let row = |name: &str| rows.iter().find(|(known, _)| known == name).map_or(&[][..], |(_, values)| values);
    let (once, again) = (numbers(row(first), case.primary), numbers(row(&format!("{first}{AGAIN}")), case.primary));
    let noise = spread(&once, &again);
    let mut told = Map::new();
    for (name, values) in rows.iter().filter(|(name, _)| !name.ends_with(AGAIN)) {
        told.insert(name.clone(), spreads(values));
    }
    let base = median(&once);
    let mut of_first = Map::new();
    let ratios: Map<String, Value> = rows
        .iter()
        .filter(|(name, _)| name != first && !name.ends_with(AGAIN))
        .filter_map(|(name, values)| {
            let other = median(&numbers(values, case.primary));
            (other > 0.0).then(|| (name.clone(), json!(rounded(base / other, 3))))
        })
        .collect();
    for (name, values) in rows.iter().filter(|(name, _)| name != first && !name.ends_with(AGAIN)) {
        let ratios = round_ratios(&numbers(values, case.primary), &once, &again);
        of_first.insert(name.clone(), spread_of(&ratios));
    }
    // One round has no spread: there is nothing to trust it by.
    let quiet = options.rounds > 1 && noise * 100.0 <= options.noise_percent;
    let mut line = json!({
        "summary": true, "scenario": case.scenario, "case": case.name, "first": first, "primary": case.primary,
        "rounds": options.rounds, "sides": told, "first_to_others": ratios, "others_to_first": of_first,
        "spread_percent": rounded(noise * 100.0, 1), "spread_percent_max": options.noise_percent,
        "verdict": if quiet { "quiet" } else { "noisy" },
        "load_before": load_before, "load_after": machine::load_average(),
    });
    merge(&mut line, facts);
    line
}

/// A side's numbers as multiples of the first side's, round by round: what slows the machine down in one round slows
/// both. The first side's number is the mean of its two.
fn round_ratios(side: &[f64], once: &[f64], again: &[f64]) -> Vec<f64> {
    let base = once.iter().zip(again).map(|(once, again)| f64::midpoint(*once, *again));
    side.iter().zip(base).filter(|(_, base)| *base > 0.0).map(|(number, base)| number / base).collect()
}

fn numbers(rows: &[Value], name: &str) -> Vec<f64> {
    rows.iter().filter_map(|row| row[name].as_f64()).collect()
}

/// Median, least and greatest of each number, leaving out what is no measurement.
fn spreads(rows: &[Value]) -> Value {
    let names = rows.first().and_then(Value::as_object).into_iter().flatten();
    let told = names.filter(|(name, value)| value.is_number() && !name.starts_with("load_"));
    told.map(|(name, _)| (name.clone(), spread_of(&numbers(rows, name)))).collect::<Map<_, _>>().into()
}

/// The noise of two rows of one thing, as a share of their median.
pub fn spread(once: &[f64], again: &[f64]) -> f64 {
    let both = [once, again].concat();
    let middle = median(&both);
    if middle <= 0.0 {
        return f64::INFINITY;
    }
    let apart = (median(once) - median(again)).abs();
    let half = quantile(&both, 0.75) - quantile(&both, 0.25);
    apart.max(half) / middle
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn options(rounds: u32) -> Options {
        Options { words: Vec::new(), rounds, against: None, noise_percent: 10.0, peers: true }
    }

    const CASE: fn() -> Case<'static> = || Case { scenario: "test", name: "case".to_owned(), primary: "cost" };

    #[test]
    fn sides_are_measured_in_turn_and_the_first_twice() {
        let order = RefCell::new(String::new());
        let side = |name: &'static str| {
            let order = &order;
            Side::new(name, move || {
                order.borrow_mut().push_str(name);
                json!({ "cost": 1.0 })
            })
        };
        let more = json!({ "broker_settings": { "a": "1" } });
        let summary = compare_with(&options(2), &CASE(), &more, vec![side("a"), side("b"), side("c")]);
        assert_eq!(summary["broker_settings"], json!({ "a": "1" }));
        assert_eq!(*order.borrow(), "aabccbaa", "every second round the other way round");
    }

    #[test]
    fn a_ratio_is_that_of_one_round() {
        // The second round is slow for all.
        let ratios = round_ratios(&[20.0, 10.0, 7.0], &[10.0, 5.0, 0.0], &[10.0, 5.0, 0.0]);
        assert_eq!(spread_of(&ratios), json!({ "median": 2.0, "min": 2.0, "max": 2.0 }));
        assert_eq!(round_ratios(&[15.0], &[8.0], &[12.0]), [1.5], "of the mean");
    }

    #[test]
    fn the_verdict_follows_the_noise_of_the_first_side() {
        for (costs, wanted, why) in [
            (vec![10.0, 10.1, 10.0, 10.1, 10.0, 10.1], "quiet", "hardly apart"),
            (vec![10.0, 14.0, 14.0, 10.0, 10.0, 14.0], "noisy", "the same thing differs by a third"),
            (vec![10.0, 10.0], "noisy", "one round has no spread"),
        ] {
            let rounds = u32::try_from(costs.len() / 2).unwrap();
            let mut next = costs.into_iter();
            let first = Side::new("a", || json!({ "cost": next.next().unwrap() }));
            let summary = compare(&options(rounds), &CASE(), vec![first, Side::new("b", || json!({ "cost": 5.0 }))]);
            assert_eq!(summary["verdict"], wanted, "{why}: {summary}");
            assert_eq!(summary["sides"]["b"]["cost"]["median"], json!(5.0));
            let ratio = summary["first_to_others"]["b"].as_f64().unwrap();
            assert!((2.0..=2.8).contains(&ratio), "{ratio}");
            assert!(summary["others_to_first"]["b"]["max"].as_f64().unwrap() <= 0.5, "{summary}");
        }
    }
}
