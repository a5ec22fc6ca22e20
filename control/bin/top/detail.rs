//! One connector on a page.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use rmqc_control::rest::flow::{ConnectorFlowV1, QueueV1, StepSharesV1, TaskFlowV1};
use rmqc_control::words::{bytes, count, duration, percent, rate};

use super::view::{cells, coloured, whole};
use crate::command::output::line;

/// Cells of a step's bar.
const STEP_BAR: usize = 24;
/// Sentences are broken into lines so long.
const LINE_CHARS_MAX: usize = 78;
/// Where sentences begin, behind their labels.
const INDENT: usize = 8;
/// Queues that are shown; the others are counted.
const QUEUES_MAX: usize = 16;

/// Its lines.
pub(super) fn lines(one: &ConnectorFlowV1, colours: bool) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut all = vec![Line::styled(
        format!("{}  {}  {}  {}", line(&one.name), line(&one.kind), line(&one.state), line(&one.class)),
        bold,
    )];
    all.extend(sentence("health", &format!("{}: {}", one.health.state, one.health.cause)));
    all.extend(sentence("limit", &format!("{} (confidence {:.2})", one.limit.sentence, one.limit.confidence)));
    if !one.limit.advice.is_empty() {
        all.extend(sentence("advice", &one.limit.advice));
    }
    all.extend(sentence("flow", &numbers(one)));
    for span in one.latency_ms.iter().filter(|span| span.latency.count > 0) {
        let ms = &span.latency;
        let text = format!(
            "{} ms: p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1}",
            span.span, ms.p50, ms.p90, ms.p99, ms.p999, ms.max,
        );
        all.extend(sentence("latency", &text));
    }
    if !one.steps.is_empty() {
        all.push(Line::raw(""));
        all.push(Line::styled("steps     # busy   ! blocked   . starved", bold));
        all.extend(one.steps.iter().map(|step| bar(step, colours)));
    }
    one.tasks.iter().for_each(|task| all.extend(of_task(task, bold)));
    all
}

/// A text behind its label, in as many lines as it needs.
fn sentence(label: &str, text: &str) -> Vec<Line<'static>> {
    let mut lines = vec![format!("{label:<INDENT$}")];
    for word in line(text).split(' ').filter(|word| !word.is_empty()) {
        let used = lines.last().map_or(0, |last| last.chars().count());
        if used > INDENT && used + 1 + word.chars().count() > LINE_CHARS_MAX {
            lines.push(" ".repeat(INDENT));
        }
        if let Some(last) = lines.last_mut() {
            if last.chars().count() > INDENT {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.into_iter().map(Line::raw).collect()
}

fn numbers(one: &ConnectorFlowV1) -> String {
    let per_second = one.records_per_second.map_or_else(|| "-".to_owned(), rate);
    let size = one.bytes_per_second.map_or_else(|| "-".to_owned(), |value| bytes(rounded(value)));
    let mut text = format!("{per_second} records/s, {size}/s, {} records in all", count(one.records_total));
    if let Some(lag) = one.lag_records {
        text.push_str(&format!(", lag {}", count(lag)));
    }
    if let Some(seconds) = one.catch_up_seconds.filter(|seconds| *seconds > 0.0) {
        text.push_str(&format!(", done in {}", duration(seconds)));
    }
    let window = &one.window;
    if window.records_max > 0 {
        text.push_str(&format!(", window {} full", percent(whole(window.records) / whole(window.records_max))));
    }
    for (value, what) in [
        (one.retries, "retries"),
        (one.dead_letters, "dead letters"),
        (one.skipped, "skipped"),
        (u64::try_from(one.restarts).unwrap_or(u64::MAX), "restarts"),
    ] {
        if value > 0 {
            text.push_str(&format!(", {what} {}", count(value)));
        }
    }
    text
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown with a few digits")]
fn rounded(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

/// `put       [####################!!......  ] busy 70 %  blocked 5 %  starved 20 %`.
fn bar(step: &StepSharesV1, colours: bool) -> Line<'static> {
    let busy = cells(step.busy, STEP_BAR);
    let blocked = cells(step.blocked, STEP_BAR).min(STEP_BAR - busy);
    let starved = cells(step.starved, STEP_BAR).min(STEP_BAR - busy - blocked);
    let left = STEP_BAR - busy - blocked - starved;
    Line::from(vec![
        Span::raw(format!("{:<10}[", line(&step.step))),
        Span::styled("#".repeat(busy), coloured(colours, Color::Green)),
        Span::styled("!".repeat(blocked), coloured(colours, Color::Red)),
        Span::styled(".".repeat(starved), coloured(colours, Color::Blue)),
        Span::raw(format!(
            "{}] busy {:>5} blocked {:>5} starved {:>5}",
            " ".repeat(left),
            percent(step.busy),
            percent(step.blocked),
            percent(step.starved)
        )),
    ])
}

fn of_task(task: &TaskFlowV1, bold: Style) -> Vec<Line<'static>> {
    let shard = task.shard.map_or_else(|| "no shard".to_owned(), |shard| format!("shard {shard}"));
    let mut all = vec![
        Line::raw(""),
        Line::styled(format!("task {}  {}  {shard}  {}", task.task, line(&task.state), line(&task.health.cause)), bold),
    ];
    if let Some(holding) = &task.holding {
        let since = duration(whole(holding.since_ms) / 1000.0);
        let (stage, cause) = (line(&holding.stage), line(&holding.cause));
        all.push(Line::raw(format!("  {stage} fails for {since}, {} tries: {cause}", holding.tries)));
    }
    all.extend(task.queues.iter().take(QUEUES_MAX).map(queue));
    if task.queues.len() > QUEUES_MAX {
        all.push(Line::raw(format!("  … and {} queues more", task.queues.len() - QUEUES_MAX)));
    }
    for failed in task.failed.iter().rev() {
        let (stage, position) = (line(&failed.stage), line(&failed.position));
        all.push(Line::raw(format!(
            "  failed: {stage} at {position}: {} ({})",
            line(&failed.error),
            line(&failed.outcome)
        )));
        all.push(Line::raw(format!("    {}", line(&failed.value))));
    }
    all
}

fn queue(queue: &QueueV1) -> Line<'static> {
    let dash = || "-".to_owned();
    let end = queue.end.map_or_else(dash, |end| end.to_string());
    let lag = queue.lag_records.map_or_else(dash, count);
    let age = queue.lag_ms.map_or_else(dash, |ms| if ms == 0 { dash() } else { duration(whole(ms) / 1000.0) });
    let name = format!("{}@{}:{}", line(&queue.topic), line(&queue.broker), queue.queue_id);
    Line::raw(format!("  {name}  done {} of {end}  lag {lag}  age {age}", queue.done))
}
