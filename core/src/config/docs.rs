//! Writes the reference page of all configuration keys from their definitions.

use std::fmt::Write as _;

use super::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS};
use super::kafka::CONNECTOR_FOREIGN_KEYS;
use super::key::{ConfigKey, KeyKind};
use super::provider::provider_factories;
use super::worker::{DEAD_KEYS, WORKER_KEYS};
use crate::chain::{PREDICATES, TRANSFORMS};
use crate::registry::{ConnectorFactory, ConnectorKind, ConverterFactory, PredicateFactory, TransformFactory};

/// The whole page, in Markdown, for the given connectors, converters, transforms and predicates.
#[must_use]
pub fn reference_page(
    connectors: &[&ConnectorFactory],
    converters: &[&ConverterFactory],
    transforms: &[&TransformFactory],
    predicates: &[&PredicateFactory],
) -> String {
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
    transform_sections(&mut page, transforms);
    predicate_sections(&mut page, predicates);
    reference_section(&mut page);
    foreign_keys(&mut page);
    page
}

fn reference_section(page: &mut String) {
    let _ = writeln!(
        page,
        "\n## References\n\nA value of a connector, or of the conf file, may refer to a value that is kept elsewhere: \
         `${{PROVIDER:PATH:KEY}}` or `${{PROVIDER:KEY}}`, once or several times, alone or inside a longer text. The reference \
         is what is stored, shown and logged; what it stands for is looked up when a configuration is checked and whenever \
         a task starts, and is never shown. `$${{` stands for a `${{` that begins no reference.\n"
    );
    for factory in provider_factories() {
        let _ = writeln!(page, "- `{}`: {}", factory.name, factory.doc);
    }
}

fn foreign_keys(page: &mut String) {
    let _ = writeln!(
        page,
        "\n## Keys of Kafka Connect\n\nNames that Kafka Connect gives to keys above are known as other spellings. These have \
         no effect, and are warned of:\n\n| Key | Why | Instead |\n|---|---|---|"
    );
    for key in CONNECTOR_FOREIGN_KEYS {
        let more = if key.name.ends_with('.') { "*" } else { "" };
        let instead = key.instead.map(|name| format!("`{name}`")).unwrap_or_default();
        let _ = writeln!(page, "| `{}{more}` | {} | {instead} |", key.name, key.why);
    }
}

fn transform_sections(page: &mut String, transforms: &[&TransformFactory]) {
    let intro = "Keys of a connector. A class is named in full, by its last part, or by its name here; the keys of a \
                 transform called NAME stand below `transforms.NAME.`.";
    section(page, 2, "Transforms", intro, &[TRANSFORMS, PREDICATES]);
    for factory in transforms {
        let mut intro = format!("{} Java class `{}", factory.doc, factory.java_class);
        intro.push_str(if factory.targets { "$Key` or `$Value`." } else { "`." });
        if !factory.aliases.is_empty() {
            let aliases: Vec<_> = factory.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let _ = write!(intro, " Also called {}.", aliases.join(", "));
        }
        section(page, 3, &format!("`{}`", factory.name), &intro, factory.keys);
    }
}

fn predicate_sections(page: &mut String, predicates: &[&PredicateFactory]) {
    let intro = "Whether a transform applies. The keys of a predicate called NAME stand below `predicates.NAME.`.";
    section(page, 2, "Predicates", intro, &[]);
    for factory in predicates {
        let intro = format!("{} Java class `{}`.", factory.doc, factory.java_class);
        section(page, 3, &format!("`{}`", factory.name), &intro, factory.keys);
    }
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
        let (transforms, predicates) = (crate::registry::transforms(), crate::registry::predicates());
        let page = reference_page(&[], &[], &transforms, &predicates);
        let own = transforms.iter().flat_map(|one| one.keys).chain(predicates.iter().flat_map(|one| one.keys));
        for key in own {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
        for key in WORKER_KEYS.iter().chain(COMMON_KEYS).chain(SOURCE_KEYS).chain(SINK_KEYS) {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
        let converters = crate::registry::converters();
        let page = reference_page(&[], &converters, &[], &[]);
        for key in converters.iter().flat_map(|factory| factory.keys) {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
        for key in DEAD_KEYS {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
}
