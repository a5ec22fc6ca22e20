//! Writes the reference page of all configuration keys from their definitions.

use std::fmt::Write as _;

use super::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS};
use super::key::{ConfigKey, KeyKind};
use super::worker::{DEAD_KEYS, WORKER_KEYS};
use crate::registry::{ConnectorFactory, ConnectorKind, ConverterFactory};

/// The whole page, in Markdown, for the given connectors and converters.
#[must_use]
pub fn reference_page(connectors: &[&ConnectorFactory], converters: &[&ConverterFactory]) -> String {
    let mut page = String::from(
        "# Configuration reference\n\nWritten by the program from its own definitions; change those, then run \
         `UPDATE_REFERENCE=1 cargo test --test reference`.\n",
    );
    section(
        &mut page,
        2,
        "Worker",
        "Keys of the conf file (`rmqc-fast -c FILE`), a Java `.properties` file.",
        WORKER_KEYS,
    );
    dead_keys(&mut page);
    let _ = writeln!(page, "\n## Connectors");
    section(&mut page, 3, "Every connector", "Keys of the JSON object that creates a connector.", COMMON_KEYS);
    section(&mut page, 3, "Every source", "", SOURCE_KEYS);
    section(&mut page, 3, "Every sink", "", SINK_KEYS);
    for factory in connectors {
        let way = match factory.build.kind() {
            ConnectorKind::Source => "Source",
            ConnectorKind::Sink => "Sink",
        };
        let intro = format!("{way}. Java class `{}`.", factory.java_class);
        section(&mut page, 3, &format!("`{}`", factory.name), &intro, factory.keys);
    }
    let _ = writeln!(
        page,
        "\n## Converters\n\nNamed by `key.converter` and `value.converter`; their own keys are written \
         `key.converter.KEY` and `value.converter.KEY`. A key that a converter does not have is refused."
    );
    for factory in converters {
        let intro = format!("{} Java class `{}`.", factory.doc, factory.java_class);
        section(&mut page, 3, &format!("`{}`", factory.name), &intro, factory.keys);
    }
    page
}

fn section(page: &mut String, level: usize, title: &str, intro: &str, keys: &[ConfigKey]) {
    let _ = writeln!(page, "\n{} {title}", "#".repeat(level));
    if !intro.is_empty() {
        let _ = writeln!(page, "\n{intro}");
    }
    if keys.is_empty() {
        return;
    }
    let _ = writeln!(page, "\n| Key | Value | Default | Meaning |\n|---|---|---|---|");
    for key in keys {
        let mut meaning = key.doc.replace('|', "\\|");
        if !key.aliases.is_empty() {
            let _ = write!(
                meaning,
                " Also spelled {}.",
                key.aliases.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            );
        }
        let _ = writeln!(page, "| `{}` | {} | {} | {meaning} |", key.name, value(key), default(key));
    }
}

fn value(key: &ConfigKey) -> String {
    let unit = if key.unit.is_empty() { String::new() } else { format!(" {}", key.unit) };
    match key.kind {
        KeyKind::Text => "text".to_owned(),
        KeyKind::Boolean => "`true` or `false`".to_owned(),
        KeyKind::Integer { min, max: i64::MAX } => format!("from {min}{unit}"),
        KeyKind::Integer { min, max } => format!("{min} to {max}{unit}"),
        KeyKind::CountOrAuto { max } => format!("`auto`, or 1 to {max}{unit}"),
        KeyKind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        KeyKind::List => "list".to_owned(),
        KeyKind::Secret => "text, never shown".to_owned(),
    }
}

fn default(key: &ConfigKey) -> String {
    match key.default {
        None => "required".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

fn dead_keys(page: &mut String) {
    let _ = writeln!(
        page,
        "\n### Keys without effect\n\nAccepted, so that a conf file of the Java worker can be used as it is, and named at the start."
    );
    let _ = writeln!(page, "\n| Key | Why |\n|---|---|");
    for key in DEAD_KEYS {
        let _ = writeln!(page, "| `{}` | {} |", key.name, key.why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_on_the_page() {
        let page = reference_page(&[], &[]);
        for key in WORKER_KEYS.iter().chain(COMMON_KEYS).chain(SOURCE_KEYS).chain(SINK_KEYS) {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
        let converters = crate::registry::converters();
        let page = reference_page(&[], &converters);
        for key in converters.iter().flat_map(|factory| factory.keys) {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
        for key in DEAD_KEYS {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
}
