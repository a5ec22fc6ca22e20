//! One frame: the worker, its shards, the throughput, and below them the table, a connector or the keys. Colours only
//! repeat what words and shapes say already.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Sparkline, Table, TableState, Wrap};
use rmqc_control::rest::flow::{ConnectorFlowV1, FlowV1, ShardFlowV1};
use rmqc_control::words::{bytes, count, duration, percent, rate};

use super::detail;
use super::model::{Model, Page};
use crate::command::output::line;

#[cfg(test)]
mod tests;

/// Lines for shards; what does not fit is counted.
const SHARD_LINES_MAX: usize = 4;
/// Columns of one shard.
const SHARD_COLUMNS: usize = 40;
/// Cells of a shard's bar.
const SHARD_BAR: usize = 10;
/// Without a document for so long it is said how old the last one is.
const SILENT_SECONDS: u64 = 3;
/// A screen so wide has room for the whole sentence in the table.
const WIDE: u16 = 150;

const KEYS: &[(&str, &str)] = &[
    ("up, down, j, k", "choose a connector, or move the page"),
    ("Enter, right", "show the chosen connector: steps, queues, failed records"),
    ("Esc, left", "go back to the table"),
    ("s", "sort by name, records/s, lag, health in turn"),
    ("p", "pause the chosen connector, or let it go on"),
    ("r", "restart the chosen connector and its tasks, after a question"),
    ("?", "these keys"),
    ("q, Ctrl-C", "end"),
];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let none = FlowV1::default();
    let flow = model.flow.as_ref().unwrap_or(&none);
    let shards = shard_lines(&flow.shards, usize::from(frame.area().width));
    let parts = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(u16::try_from(shards.len()).unwrap_or(1)),
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [header, bars, pace, middle, footer] = parts.areas(frame.area());
    frame.render_widget(Paragraph::new(header_lines(model)), header);
    frame.render_widget(Paragraph::new(shards), bars);
    throughput(frame, model, pace);
    match model.page {
        Page::Help => frame.render_widget(Paragraph::new(key_lines()), middle),
        Page::Detail(from) => {
            let lines = model.chosen().map_or_else(Vec::new, |(_, one)| detail::lines(one, model.colours));
            frame.render_widget(Paragraph::new(lines).scroll((from, 0)), middle);
        }
        Page::Table => table(frame, model, middle),
    }
    frame.render_widget(Paragraph::new(footer_line(model)), footer);
}

/// A style that is only used where colours may be.
pub(super) fn coloured(colours: bool, colour: Color) -> Style {
    if colours { Style::new().fg(colour) } else { Style::new() }
}

fn header_lines(model: &Model) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let Some(flow) = &model.flow else {
        let text = model.trouble.as_deref().map_or_else(|| "asking the worker …".to_owned(), line);
        return vec![Line::styled("rmqc-fast top", bold), Line::raw(text)];
    };
    let worker = &flow.worker;
    let dash = || "-".to_owned();
    let first = format!(
        " {} · {} · up {} · RSS {} · CPU {}",
        line(&worker.version),
        line(&worker.driver),
        duration(whole(worker.uptime_ms) / 1000.0),
        worker.rss_bytes.map_or_else(dash, bytes),
        worker.cpu_share.map_or_else(dash, |share| format!("{:.0} %", share * 100.0)),
    );
    let second = match &model.trouble {
        Some(trouble) => Line::styled(line(trouble), coloured(model.colours, Color::Red)),
        None if model.silent_seconds >= SILENT_SECONDS => {
            let text = format!("no answer for {} s; what is shown is that old", model.silent_seconds);
            Line::styled(text, coloured(model.colours, Color::Red))
        }
        None => Line::raw(format!("cluster {}", line(&worker.cluster))),
    };
    vec![Line::from(vec![Span::styled(line(&worker.id), bold), Span::raw(first)]), second]
}

/// Bars of the shards, as many in a line as fit.
fn shard_lines(shards: &[ShardFlowV1], width: usize) -> Vec<Line<'static>> {
    let in_line = (width / SHARD_COLUMNS).max(1);
    let shown = shards.len().min(in_line * SHARD_LINES_MAX);
    let mut lines: Vec<Line<'static>> = shards
        .chunks(in_line)
        .take(SHARD_LINES_MAX)
        .map(|some| Line::raw(some.iter().map(shard_text).collect::<String>().trim_end().to_owned()))
        .collect();
    if let Some(last) = lines.last_mut().filter(|_| shown < shards.len()) {
        *last = Line::raw(format!("… and {} shards more", shards.len() - shown + in_line));
    }
    if lines.is_empty() { vec![Line::raw("")] } else { lines }
}

fn shard_text(shard: &ShardFlowV1) -> String {
    let busy = shard.busy.map_or_else(|| "   -".to_owned(), |busy| format!("{:>4}", percent(busy).replace(' ', "")));
    let filled = cells(shard.busy.unwrap_or(0.0), SHARD_BAR);
    let tasks = shard.tasks.map_or_else(|| "silent".to_owned(), |tasks| format!("{tasks} tasks"));
    let text = format!(
        "shard {:<3}[{}{}]{busy} {tasks}",
        shard.shard,
        "|".repeat(filled),
        " ".repeat(SHARD_BAR.saturating_sub(filled)),
    );
    format!("{text:<SHARD_COLUMNS$}")
}

/// Of so many cells those that a share from 0 to 1 fills.
pub(super) fn cells(share: f64, all: usize) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to all")]
    let filled = (share.clamp(0.0, 1.0) * whole(u64::try_from(all).unwrap_or(0))).round() as usize;
    filled.min(all)
}

/// A count to calculate with.
#[allow(clippy::cast_precision_loss, reason = "shown with a few digits")]
pub(super) fn whole(count: u64) -> f64 {
    count as f64
}

fn throughput(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let now = model.history.back().copied().unwrap_or(0);
    let most = model.history.iter().copied().max().unwrap_or(0);
    let [label, line] = Layout::horizontal([Constraint::Length(28), Constraint::Min(10)]).areas(area);
    let text = vec![Line::raw(format!("{} records/s", count(now))), Line::raw(format!("at most {}", count(most)))];
    frame.render_widget(Paragraph::new(text), label);
    // The newest stands at the right, and the oldest that fit at the left.
    let room = usize::from(line.width);
    let skipped = model.history.len().saturating_sub(room);
    let data: Vec<u64> = model.history.iter().skip(skipped).copied().collect();
    let style = coloured(model.colours, Color::Cyan);
    frame.render_widget(Sparkline::default().data(data).max(most.max(1)).style(style), line);
}

fn table(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let connectors = model.connectors();
    if connectors.is_empty() {
        let text = if model.flow.is_some() { "No connectors." } else { "" };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let [rows_area, said] = Layout::vertical([Constraint::Min(2), Constraint::Length(3)]).areas(area);
    let wide = area.width >= WIDE;
    let widths = [
        Constraint::Min(12),
        Constraint::Length(7),
        Constraint::Length(11),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(7),
        Constraint::Length(10),
        if wide { Constraint::Percentage(55) } else { Constraint::Length(9) },
    ];
    let head = ["CONNECTOR", "STATE", "HEALTH", "RECORDS/S", "  MB/S", "    LAG", "P50/P99 MS", "LIMIT"];
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::UNDERLINED));
    let rows = connectors.iter().map(|one| row(one, wide, model.colours));
    let table = Table::new(rows, widths)
        .header(head)
        .column_spacing(1)
        .highlight_symbol(">")
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let chosen = model.chosen();
    let mut state = TableState::default().with_selected(chosen.map(|(at, _)| at));
    frame.render_stateful_widget(table, rows_area, &mut state);
    if let Some((_, one)) = chosen {
        let text = format!("{}: {} {}", line(&one.name), sentence(one), one.limit.advice);
        frame.render_widget(Paragraph::new(line(&text)).wrap(Wrap { trim: true }), said);
    }
}

/// The limit's sentence with a full stop.
fn sentence(one: &ConnectorFlowV1) -> String {
    if one.limit.sentence.is_empty() { String::new() } else { format!("{}.", one.limit.sentence) }
}

fn row(one: &ConnectorFlowV1, wide: bool, colours: bool) -> Row<'static> {
    let colour = match one.health.state.as_str() {
        "FAILED" | "STALLED" => Color::Red,
        "DEGRADED" | "CATCHING_UP" => Color::Yellow,
        _ => Color::Reset,
    };
    let limit = if wide { &one.limit.sentence } else { &one.limit.by };
    let ms = latency(one).map(|ms| format!("{:.1}/{:.1}", ms.latency.p50, ms.latency.p99));
    let dash = || "-".to_owned();
    let cells = [
        line(&one.name),
        line(&one.state),
        line(&one.health.state),
        format!("{:>9}", one.records_per_second.map_or_else(dash, rate)),
        format!("{:>6}", one.bytes_per_second.map_or_else(dash, |bytes| format!("{:.1}", bytes / 1e6))),
        format!("{:>7}", one.lag_records.map_or_else(dash, count)),
        format!("{:>10}", ms.unwrap_or_else(dash)),
        line(limit),
    ];
    Row::new(cells).style(coloured(colours, colour))
}

/// The first latency that has a record in it.
pub(super) fn latency(one: &ConnectorFlowV1) -> Option<&rmqc_control::rest::flow::SpanLatencyV1> {
    one.latency_ms.iter().find(|latency| latency.latency.count > 0)
}

fn key_lines() -> Vec<Line<'static>> {
    KEYS.iter().map(|(keys, what)| Line::raw(format!("{keys:<16}{what}"))).collect()
}

fn footer_line(model: &Model) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if let Some(name) = &model.question {
        return Line::styled(format!("Restart {} and its tasks? y/n", line(name)), bold);
    }
    if !model.message.is_empty() {
        return Line::styled(line(&model.message), bold);
    }
    Line::raw(format!("q end  ? keys  Enter show  s sort: {}  p pause/resume  r restart", model.sort.name()))
}
