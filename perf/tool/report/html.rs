//! One page with nothing outside it: no script, no font, no picture from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

use super::svg::{Curve, bars, curves, escaped};
use super::{Results, Spread, Summary, shown};

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --line: #d0d7de; --ground: #ffffff;
  --c0: #0b62c4; --c1: #b35900; --c2: #1a7f37; --c3: #8250df; --c4: #cf222e; --c5: #57606a; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #9da7b3; --line: #3d444d; --ground: #0d1117;
  --c0: #58a6ff; --c1: #f0883e; --c2: #56d364; --c3: #bc8cff; --c4: #ff7b72; --c5: #9da7b3; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.soft { color: var(--soft); }
svg { width: 100%; height: auto; margin: .5rem 0 1rem; }
svg text { font: 13px system-ui, sans-serif; fill: var(--text); }
.whisker { stroke: var(--text); stroke-width: 1.5; }
.grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 5 4; }
.s0, .s6 { fill: var(--c0); } .s1, .s7 { fill: var(--c1); } .s2, .s8 { fill: var(--c2); } .s3, .s9 { fill: var(--c3); } .s4 { fill: var(--c4); } .s5 { fill: var(--c5); }
.l0 { stroke: var(--c0); } .l1 { stroke: var(--c1); } .l2 { stroke: var(--c2); } .l3 { stroke: var(--c3); } .l4 { stroke: var(--c4); } .l5 { stroke: var(--c5); }
svg .t0 { fill: var(--c0); } svg .t1 { fill: var(--c1); } svg .t2 { fill: var(--c2); } svg .t3 { fill: var(--c3); } svg .t4 { fill: var(--c4); } svg .t5 { fill: var(--c5); }
";

/// Numbers that a table shows where a side has them: name, heading.
const SHOWN: [(&str, &str); 15] = [
    ("cpu_us_per_record", "CPU a record, µs"),
    ("records_per_second", "records a second"),
    ("broker_cpu_us_per_record", "broker's CPU a record, µs"),
    ("null_broker_cpu_us_per_record", "null broker's CPU a record, µs"),
    ("cpu_share", "CPU, cores"),
    ("null_broker_cpu_share", "null broker's CPU, cores"),
    ("beside_cpu_share", "CPU beside it, cores"),
    ("rss_peak_kib", "peak memory, KiB"),
    ("p50_ms", "p50, ms"),
    ("p99_ms", "p99, ms"),
    ("max_ms", "longest, ms"),
    ("start_ms", "start, ms"),
    ("stop_ms", "stop, ms"),
    ("idle_rss_kib", "idle memory, KiB"),
    ("idle_cpu_ms_per_second", "idle CPU, ms a second"),
];
/// Marks of the latency plots.
const QUANTILES: [(&str, &str); 6] =
    [("p50", "50 %"), ("p90", "90 %"), ("p99", "99 %"), ("p999", "99.9 %"), ("p9999", "99.99 %"), ("max", "longest")];
/// Colours of curves; beyond them they begin again.
const COLOURS: usize = 6;

pub fn page(results: &Results) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>rmqc-fast: measurements</title><style>{STYLE}</style></head><body><h1>Measurements</h1>\n\
         <p class=\"soft\">{} cases from {} measurements. Bars and first numbers are medians, lines and brackets go from the least \
         to the greatest round. A case whose spread is above its bound is noisy and shows no numbers. perf/README.md has the \
         method.</p>\n",
        results.summaries.len(),
        results.rounds
    );
    let mut machine = String::new();
    let mut scenarios: Vec<&str> = Vec::new();
    for summary in &results.summaries {
        if !scenarios.contains(&summary.text("scenario")) {
            scenarios.push(summary.text("scenario"));
        }
    }
    for scenario in scenarios {
        writeln!(out, "<h2>{}</h2>", escaped(scenario)).unwrap();
        let of_it: Vec<&Summary> =
            results.summaries.iter().filter(|summary| summary.text("scenario") == scenario).collect();
        out.push_str(&latencies(&of_it));
        for summary in of_it {
            let here = about(summary);
            if here != machine {
                writeln!(out, "<p class=\"soft\">{}</p>", escaped(&here)).unwrap();
                machine = here;
            }
            out.push_str(&case(summary));
        }
    }
    out.push_str(&others(&results.others));
    out.push_str("</body></html>\n");
    out
}

/// The machine and the commit.
fn about(summary: &Summary) -> String {
    let number = |name: &str| summary.0[name].as_u64().unwrap_or(0);
    format!(
        "{} cores, {}, {} MiB, kernel {}, commit {}, tool {}, driver {} {}",
        number("cores"),
        summary.text("cpu"),
        number("memory_mib"),
        summary.text("kernel"),
        summary.text("commit"),
        summary.text("tool"),
        summary.text("driver"),
        summary.text("worker_settings")
    )
}

fn case(summary: &Summary) -> String {
    let mut out = format!("<h3>{}</h3>\n", escaped(summary.text("case")));
    let told = format!(
        "{} rounds, spread {} % of at most {} %, load average {} before and {} after",
        summary.0["rounds"],
        shown(summary.noise_percent()),
        summary.0["spread_percent_max"],
        summary.0["load_before"],
        summary.0["load_after"]
    );
    if !summary.is_quiet() {
        writeln!(out, "<p>Noisy, no numbers to cite: {}.</p>", escaped(&told)).unwrap();
        return out;
    }
    writeln!(out, "<p class=\"soft\">{}.</p>", escaped(&told)).unwrap();
    let primary = summary.text("primary");
    let heading = SHOWN.iter().find(|(name, _)| *name == primary).map_or(primary, |(_, heading)| heading);
    let rows: Vec<_> =
        summary.sides().iter().filter_map(|side| Some(((*side).to_owned(), summary.spread(side, primary)?))).collect();
    out.push_str(&bars(&format!("{}: {heading}", summary.text("case")), "", &rows));
    out.push_str(&ratios(summary, heading));
    let columns: Vec<_> = SHOWN
        .iter()
        .filter(|(name, _)| summary.sides().iter().any(|side| summary.spread(side, name).is_some()))
        .collect();
    out.push_str("<table><tr><th scope=\"col\">side</th>");
    columns.iter().for_each(|(_, heading)| write!(out, "<th scope=\"col\">{}</th>", escaped(heading)).unwrap());
    out.push_str("</tr>\n");
    for side in summary.sides() {
        write!(out, "<tr><th scope=\"row\">{}</th>", escaped(side)).unwrap();
        for (name, _) in &columns {
            match summary.spread(side, name) {
                Some(spread) => {
                    let (median, min, max) = (shown(spread.median), shown(spread.min), shown(spread.max));
                    write!(out, "<td>{median} <span class=\"soft\">({min}–{max})</span></td>").unwrap();
                }
                None => out.push_str("<td>–</td>"),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    out
}

/// What the other sides are to the first one, round by round.
fn ratios(summary: &Summary, heading: &str) -> String {
    let told = summary.sides().into_iter().filter_map(|side| {
        let Spread { median, min, max } = summary.ratio(side)?;
        Some(format!("{side} {} times ({}–{})", shown(median), shown(min), shown(max)))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return String::new();
    }
    let told = format!("{heading}, as a multiple of that of {}: {}.", summary.text("first"), told.join(", "));
    format!("<p>{}</p>\n", escaped(&told))
}

/// The quiet latencies of a scenario's cases in one plot: solid from due time, with gaps from the time of writing.
fn latencies(summaries: &[&Summary]) -> String {
    let mut all = Vec::new();
    let with_waits = summaries.iter().filter(|summary| summary.is_quiet());
    let with_waits = with_waits.filter(|summary| summary.spread(summary.text("first"), "p50_ms").is_some());
    for (index, summary) in with_waits.enumerate() {
        for (prefix, dashed) in [("", false), ("uncorrected_", true)] {
            let value = |quantile: &str| {
                let name = format!("{prefix}{quantile}_ms");
                summary.spread(summary.text("first"), &name).map_or(0.0, |spread| spread.median)
            };
            let name = summary.text("case").split(',').next().unwrap_or_default();
            all.push(Curve {
                label: if dashed { format!("{name}, uncorrected") } else { name.to_owned() },
                dashed,
                colour: index % COLOURS,
                values: QUANTILES.iter().map(|(quantile, _)| value(quantile)).collect(),
            });
        }
    }
    let marks: Vec<&str> = QUANTILES.iter().map(|(_, mark)| *mark).collect();
    curves("Latency by share of the records, medians of the rounds", "ms", &marks, &all)
}

/// Results without rounds, as they are.
fn others(lines: &[Value]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h2>Single results</h2>\n<p class=\"soft\">Of benches, and from before there were rounds.</p>\n<table>\n",
    );
    for line in lines {
        let name = line["scenario"].as_str().or(line["name"].as_str()).unwrap_or("?");
        let numbers = line.as_object().into_iter().flatten().filter(|(_, value)| value.is_number());
        let numbers: Vec<String> =
            numbers.map(|(name, value)| format!("{name} {}", shown(value.as_f64().unwrap_or(0.0)))).collect();
        writeln!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(&numbers.join(", ")))
            .unwrap();
    }
    out.push_str("</table>\n");
    out
}
