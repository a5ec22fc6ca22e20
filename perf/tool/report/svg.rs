//! Plots as inline SVG. Every one has a text beside it that says the same: colour and position carry nothing alone.

use std::fmt::Write as _;

use super::{Spread, shown};

const WIDTH: f64 = 760.0;
const LABEL: f64 = 190.0;
const ROW: f64 = 30.0;

/// Text that is safe between tags and in attributes.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Horizontal bars from zero: the median, with a line from the least to the greatest.
pub fn bars(title: &str, unit: &str, rows: &[(String, Spread)]) -> String {
    let most = rows.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let scale = (WIDTH - LABEL - 130.0) / most;
    let height = ROW * rows.len() as f64;
    let mut out = open(title, height);
    for (index, (label, spread)) in rows.iter().enumerate() {
        let (top, middle) = (ROW * index as f64 + 5.0, ROW * (index as f64 + 0.5));
        let x = |value: f64| LABEL + value * scale;
        write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><rect class="s{index}" x="{LABEL}" y="{top:.1}" width="{:.1}" height="{:.1}"/>"#,
            LABEL - 8.0,
            middle + 4.0,
            escaped(label),
            spread.median * scale,
            ROW - 10.0
        )
        .unwrap();
        write!(
            out,
            r#"<line class="whisker" x1="{:.1}" y1="{middle:.1}" x2="{:.1}" y2="{middle:.1}"/><text x="{:.1}" y="{:.1}">{} {}</text>"#,
            x(spread.min),
            x(spread.max),
            x(spread.max) + 8.0,
            middle + 4.0,
            shown(spread.median),
            escaped(unit)
        )
        .unwrap();
    }
    out.push_str("</svg>");
    out
}

/// A line of a plot.
pub struct Curve {
    /// Its name.
    pub label: String,
    /// Drawn with gaps: the uncorrected kind.
    pub dashed: bool,
    /// Which of the others it belongs to, by colour.
    pub colour: usize,
    /// Values at the marks of the horizontal axis.
    pub values: Vec<f64>,
}

/// Lines over named marks, the vertical axis by powers of ten.
pub fn curves(title: &str, unit: &str, marks: &[&str], curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.values).copied().filter(|value| *value > 0.0);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if most <= 0.0 || marks.len() < 2 {
        return String::new();
    }
    let (low, high) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    let (left, bottom, height, right) = (70.0, 270.0, 300.0, 190.0);
    let x = |index: usize| left + (WIDTH - left - right) * index as f64 / (marks.len() - 1) as f64;
    let y = |value: f64| bottom - (value.max(least).log10() - low) / (high - low) * (bottom - 15.0);
    let mut out = open(title, height);
    for power in low as i32..=high as i32 {
        let (value, at) = (10_f64.powi(power), y(10_f64.powi(power).max(least)));
        let at = if value < least { bottom } else { at };
        write!(
            out,
            r#"<line class="grid" x1="{left}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{} {}</text>"#,
            WIDTH - right,
            left - 8.0,
            at + 4.0,
            shown(value),
            escaped(unit)
        )
        .unwrap();
    }
    for (index, mark) in marks.iter().enumerate() {
        write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            x(index),
            bottom + 20.0,
            escaped(mark)
        )
        .unwrap();
    }
    let mut taken: Vec<f64> = Vec::new();
    for curve in curves {
        let points: Vec<String> =
            curve.values.iter().enumerate().map(|(index, value)| format!("{:.1},{:.1}", x(index), y(*value))).collect();
        let dashed = if curve.dashed { " dashed" } else { "" };
        write!(out, r#"<polyline class="l{}{dashed}" points="{}"/>"#, curve.colour, points.join(" ")).unwrap();
        // Beside its end, moved down while another name is there.
        let mut at = curve.values.last().map_or(bottom, |value| y(*value)) + 4.0;
        while taken.iter().any(|other| (other - at).abs() < 13.0) {
            at += 13.0;
        }
        taken.push(at);
        write!(
            out,
            r#"<text class="t{}" x="{:.1}" y="{at:.1}">{}</text>"#,
            curve.colour,
            WIDTH - right + 8.0,
            escaped(&curve.label)
        )
        .unwrap();
    }
    out.push_str("</svg>");
    out
}

fn open(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}"><title>{title}</title>"#
    )
}
