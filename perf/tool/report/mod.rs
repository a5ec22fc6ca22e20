//! Results as a page and as a table: `perf/report FOLDER RESULTS.jsonl…`.
//!
//! Only summaries make plots and table rows: a single measurement is no result. A summary whose noise is above its own
//! bound is shown with its spread and without its numbers.

mod html;
mod markdown;
mod svg;

use std::path::Path;

use serde_json::Value;

/// A case's summary, as `rounds` printed it.
pub struct Summary(Value);

/// A number over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Middle.
    pub median: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl Spread {
    fn of(told: &Value) -> Option<Self> {
        let number = |what: &str| told[what].as_f64();
        Some(Self { median: number("median")?, min: number("min")?, max: number("max")? })
    }
}

impl Summary {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// Names of the sides: the first one, then the others by name.
    pub fn sides(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.0["sides"].as_object().into_iter().flatten().map(|(name, _)| &name[..]).collect();
        names.sort_by_key(|name| *name != self.text("first"));
        names
    }

    /// One number of one side.
    pub fn spread(&self, side: &str, name: &str) -> Option<Spread> {
        Spread::of(&self.0["sides"][side][name])
    }

    /// One side's primary number as a multiple of the first side's, over all rounds.
    pub fn ratio(&self, side: &str) -> Option<Spread> {
        Spread::of(&self.0["others_to_first"][side])
    }

    /// Whether its numbers may be cited.
    pub fn is_quiet(&self) -> bool {
        self.text("verdict") == "quiet"
    }

    fn noise_percent(&self) -> f64 {
        self.0["spread_percent"].as_f64().unwrap_or(f64::INFINITY)
    }
}

/// What result files hold.
#[derive(Default)]
pub struct Results {
    /// Summaries in their order.
    pub summaries: Vec<Summary>,
    /// Measurements that a summary speaks for.
    pub rounds: usize,
    /// Lines of another kind: results of benches, and those from before there were summaries.
    pub others: Vec<Value>,
}

/// Reads result files.
///
/// # Errors
/// Names the file and line that is no JSON, or the file that can't be read.
pub fn read(files: &[impl AsRef<Path>]) -> Result<Results, String> {
    let mut results = Results::default();
    for file in files {
        let path = file.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value: Value = serde_json::from_str(line)
                .map_err(|error| format!("{}, line {}: {error}", path.display(), index + 1))?;
            if value["summary"] == Value::Bool(true) {
                results.summaries.push(Summary(value));
            } else if value["side"].is_string() {
                results.rounds += 1;
            } else {
                results.others.push(value);
            }
        }
    }
    Ok(results)
}

/// The page.
pub fn page(results: &Results) -> String {
    html::page(results)
}

/// The table for the README.
pub fn table(results: &Results) -> String {
    markdown::table(results)
}

/// Reads results and writes `report.html` and `table.md` into a folder.
///
/// # Errors
/// Says what can't be read or written.
pub fn run(words: &[String]) -> Result<(), String> {
    let Some((folder, files)) = words.split_first().filter(|(_, files)| !files.is_empty()) else {
        return Err("report: name a folder for the page, then result files".to_owned());
    };
    let results = read(files)?;
    let folder = Path::new(folder);
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{}", path.display());
        Ok::<_, String>(())
    };
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    write("report.html", page(&results))?;
    write("table.md", table(&results))
}

/// A number for people: three digits that matter, thousands and millions as such.
pub fn shown(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 4) };
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::support::{TempDir, repository};

    fn spread(median: f64) -> Value {
        json!({ "median": median, "min": median * 0.9, "max": median * 1.1 })
    }

    fn summary(scenario: &str, case: &str, sides: &Value, verdict: &str) -> Value {
        json!({
            "summary": true, "scenario": scenario, "case": case, "first": "worker", "primary": "cpu_us_per_record",
            "rounds": 5, "sides": sides, "spread_percent": 3.5, "spread_percent_max": 10.0, "verdict": verdict,
            "load_before": 0.1, "load_after": 0.9, "cores": 2, "cpu": "a & b", "kernel": "6", "commit": "abc",
        })
    }

    fn results(lines: &[Value]) -> Results {
        let folder = TempDir::new("report");
        let file = folder.file("results.jsonl");
        std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        read(&[file]).unwrap()
    }

    #[test]
    fn a_case_has_its_numbers_and_a_noisy_one_has_none() {
        let side = |cpu: f64| json!({ "cpu_us_per_record": spread(cpu), "records_per_second": spread(3_456_789.0) });
        let sides = json!({ "worker": side(0.25), "floor": side(0.125) });
        let noisy = json!({ "worker": side(77.7), "java client": side(88.8) });
        let results = results(&[
            summary("alone", "file to <null>", &sides, "quiet"),
            summary("broker", "file to topic", &noisy, "noisy"),
            json!({ "scenario": "alone", "case": "file to <null>", "side": "worker", "round": 1 }),
        ]);
        assert_eq!((results.summaries.len(), results.rounds, results.others.len()), (2, 1, 0));
        let table = table(&results);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[2], "| file to <null> | 0.25 µs, 3.46 M/s | 0.125 µs, 3.46 M/s | – | – | – | – |");
        assert_eq!(rows[3], "| file to topic | noisy: ±3.5 % | – | – | – | noisy: ±3.5 % | – |");
        let page = page(&results);
        assert!(page.contains("<svg") && page.contains("file to &lt;null&gt;") && page.contains("a &amp; b"), "{page}");
        assert!(!page.contains("77.7") && !page.contains("88.8"), "numbers of a noisy case are shown");
        assert!(!page.contains("<null>") && !page.contains("http-equiv") && !page.contains("src="), "{page}");
    }

    #[test]
    fn what_a_second_shard_brings_is_told_with_its_spread() {
        let side = |rate: f64| json!({ "records_per_second": spread(rate), "beside_cpu_share": spread(0.004) });
        let case = |verdict| {
            let sides = json!({ "1 shards": side(1e6), "2 shards": side(1.9e6) });
            let mut summary = summary("scaling", "nothing beside", &sides, verdict);
            summary["first"] = json!("1 shards");
            summary["primary"] = json!("records_per_second");
            summary["others_to_first"] = json!({ "2 shards": { "median": 1.9, "min": 1.87, "max": 1.95 } });
            page(&results(&[summary]))
        };
        let page = case("quiet");
        let wanted = "records a second, as a multiple of that of 1 shards: 2 shards 1.9 times (1.87–1.95).";
        assert!(page.contains(wanted) && page.contains("CPU beside it, cores"), "{page}");
        assert!(!case("noisy").contains("1.87"), "a ratio of a noisy case is shown");
    }

    #[test]
    fn latencies_are_drawn_corrected_and_uncorrected() {
        let mut side = json!({});
        for (index, name) in ["p50", "p90", "p99", "p999", "p9999", "max"].iter().enumerate() {
            side[format!("{name}_ms")] = spread(0.5 * 4_f64.powi(index as i32));
            side[format!("uncorrected_{name}_ms")] = spread(0.25 * 2_f64.powi(index as i32));
        }
        let results = results(&[summary("latency", "50 % of capacity, broker", &json!({ "worker": side }), "quiet")]);
        let page = page(&results);
        assert_eq!(page.matches("<polyline").count(), 2);
        assert!(page.contains("50 % of capacity, uncorrected") && page.contains("99.99 %"), "{page}");
    }

    #[test]
    fn the_committed_results_make_a_page() {
        let folder = repository().join("perf/results");
        let files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let files: Vec<PathBuf> =
            files.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "jsonl")).collect();
        assert!(!files.is_empty(), "no results in {}", folder.display());
        let results = read(&files).unwrap();
        assert!(results.summaries.len() + results.others.len() > 0);
        let page = page(&results);
        for summary in &results.summaries {
            assert!(page.contains(&svg::escaped(summary.text("case"))), "{}", summary.text("case"));
        }
        assert!(page.matches("<tr>").count() >= results.others.len() && page.ends_with("</html>\n"));
        assert!(table(&results).lines().all(|line| line.matches('|').count() == 8));
    }

    #[test]
    fn numbers_are_short() {
        for (value, wanted) in [
            (0.2718, "0.272"),
            (0.00123, "0.0012"),
            (12.0, "12"),
            (9_876.5, "9876"),
            (45_678.0, "45.7 k"),
            (3_456_789.0, "3.46 M"),
            (0.0, "0"),
            (100.0, "100"),
        ] {
            assert_eq!(shown(value), wanted);
        }
    }
}
