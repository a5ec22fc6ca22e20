//! The budget of instructions: what each case may cost, what it costs, and what is to be said about the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::case::Case;

/// How far a count may be above its budget, in percent.
pub const TOLERANCE_PERCENT: f64 = 5.0;
/// The command that takes the counts of now as the budget.
pub const UPDATE_COMMAND: &str = "cargo bench -p rmqc-bench-kit -- --update";

/// What counts depend on besides the code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// Architecture of the machine; between two of them nothing can be compared.
    pub arch: String,
    /// Version of the C library, whose `memcpy` and allocator are counted too.
    pub libc: String,
    /// The compiler's version.
    pub rustc: String,
    /// Version of valgrind.
    pub valgrind: String,
}

/// Instructions of each case, and how they were counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// How they were counted.
    pub tools: Tools,
    /// Instructions a record, message, frame or call, to a tenth, by the case's id.
    pub instructions: BTreeMap<String, f64>,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What breaks the budget.
    pub failures: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

impl Counts {
    /// Reads a budget file.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it anew.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("no budget: {error}; {UPDATE_COMMAND} writes it anew"))
    }

    /// The text of a budget file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap();
        text.push('\n');
        text
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.instructions.keys().map(String::len).max().unwrap_or(0);
        let mut text = String::new();
        for (id, count) in &self.instructions {
            let _ = writeln!(text, "{id:width$} {count:>12.1}");
        }
        text
    }
}

/// Instructions of one unit of a case, to a tenth.
#[must_use]
pub fn per_unit(case: &Case, instructions: u64) -> f64 {
    (instructions as f64 / case.units as f64 * 10.0).round() / 10.0
}

/// The instructions of one of callgrind's parts; nothing when it is no such file.
#[must_use]
pub fn total(part: &str) -> Option<u64> {
    part.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// Holds counts against the budget.
#[must_use]
pub fn judge(measured: &Counts, budget: &Counts) -> Judgement {
    let mut judgement = Judgement::default();
    let (now, then) = (&measured.tools, &budget.tools);
    if now.arch != then.arch {
        let note = format!("the budget is for {}, this is {}: nothing to compare", then.arch, now.arch);
        return Judgement { notes: vec![note], ..judgement };
    }
    for (what, now, then) in [
        ("the compiler", &now.rustc, &then.rustc),
        ("the C library", &now.libc, &then.libc),
        ("valgrind", &now.valgrind, &then.valgrind),
    ] {
        if now != then {
            judgement
                .notes
                .push(format!("{what} is {now}, the budget was made with {then}: that alone may change counts"));
        }
    }
    for (id, count) in &measured.instructions {
        match budget.instructions.get(id) {
            Some(budget) => compare(&mut judgement, id, *count, *budget),
            None => judgement
                .failures
                .push(format!("{id}: costs {count:.1} and has no budget; {UPDATE_COMMAND} gives it one")),
        }
    }
    for id in budget.instructions.keys().filter(|id| !measured.instructions.contains_key(*id)) {
        judgement.failures.push(format!("{id}: has a budget and no case; {UPDATE_COMMAND} takes it out"));
    }
    judgement
}

fn compare(judgement: &mut Judgement, id: &str, count: f64, budget: f64) {
    let percent = (count - budget) * 100.0 / budget;
    let said = format!("{id}: {count:.1} instructions, {percent:+.1} % against the budget of {budget:.1}");
    // What is no number, since the budget is 0, is too much as well.
    if percent.is_nan() || percent > TOLERANCE_PERCENT {
        judgement.failures.push(format!("{said}; if that is the price of something better, {UPDATE_COMMAND}"));
    } else if percent < -TOLERANCE_PERCENT {
        judgement.notes.push(format!("{said}: well done; {UPDATE_COMMAND} keeps it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cases: &[(&str, f64)]) -> Counts {
        let tools = Tools { arch: "a".into(), libc: "l".into(), rustc: "r".into(), valgrind: "v".into() };
        Counts { tools, instructions: cases.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect() }
    }

    /// Failures and notes, each by its beginning.
    fn check(measured: &[(&str, f64)], budget: &[(&str, f64)], failures: &[&str], notes: &[&str]) {
        let judgement = judge(&counts(measured), &counts(budget));
        let begin = |found: &[String], wanted: &[&str]| {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| found.starts_with(wanted))
        };
        assert!(begin(&judgement.failures, failures), "{measured:?} {judgement:?}");
        assert!(begin(&judgement.notes, notes), "{measured:?} {judgement:?}");
    }

    #[test]
    fn what_costs_more_than_its_budget_fails_with_its_name() {
        for (count, failures, notes) in [
            (1000.0, &[][..], &[][..]),
            (1050.0, &[], &[]),
            (1051.0, &["frame/decode: 1051.0 instructions, +5.1 %"], &[]),
            (1000.0 / 0.94, &["frame/decode: 1063.8"], &[]),
            (950.0, &[], &[]),
            (940.0, &[], &["frame/decode: 940.0 instructions, -6.0 %"]),
        ] {
            check(&[("frame/decode", count)], &[("frame/decode", 1000.0)], failures, notes);
        }
        check(&[("a", 1.0)], &[("a", 0.0)], &["a: 1.0"], &[]);
        check(&[("a", 0.0)], &[("a", 0.0)], &["a: 0.0"], &[]);
    }

    #[test]
    fn cases_and_budgets_must_be_the_same() {
        check(&[("a", 1.0), ("b", 1.0)], &[("a", 1.0)], &["b: costs 1.0 and has no budget"], &[]);
        check(&[("a", 1.0)], &[("a", 1.0), ("c", 1.0)], &["c: has a budget and no case"], &[]);
    }

    #[test]
    fn another_compiler_is_told_of_and_another_architecture_is_not_compared() {
        let budget = counts(&[("a", 1.0)]);
        let mut measured = counts(&[("a", 2.0)]);
        measured.tools.rustc = "newer".into();
        let judgement = judge(&measured, &budget);
        assert!(
            judgement.failures.len() == 1 && judgement.notes[0].starts_with("the compiler is newer"),
            "{judgement:?}"
        );
        measured.tools.arch = "other".into();
        let judgement = judge(&measured, &budget);
        assert!(judgement.failures.is_empty() && judgement.notes[0].contains("nothing to compare"), "{judgement:?}");
    }

    #[test]
    fn a_budget_file_is_read_as_it_was_written() {
        let counts = counts(&[("a", 1.5), ("b", 2.0)]);
        assert_eq!(Counts::parse(&counts.render()), Ok(counts));
        assert!(Counts::parse("{").is_err_and(|error| error.contains(UPDATE_COMMAND)));
    }

    #[test]
    fn a_part_tells_its_total() {
        assert_eq!(total("version: 1\nevents: Ir\nfn=(1)\n1 2\ntotals: 4711\n"), Some(4711));
        assert_eq!(total("version: 1\n"), None);
    }
}
