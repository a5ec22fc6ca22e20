//! `PatternRename`: gives fields other names by a regular expression.
//!
//! As in Java: a name in which the pattern is found anywhere has every match replaced; only top-level fields are
//! renamed; in a map the last of two fields that end with one name stays. Not as in Java: a map keeps its schema, and a
//! STRUCT's schema keeps its version and whether it is optional; two fields of a STRUCT with one name are refused.

use super::common::{pattern, raw_text, wrong_key};
use super::java_regex::{Flags, JavaRegex, Replacement};
use super::renaming::{NameChange, Renaming};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;

const CLASS: &str = "org.apache.rocketmq.connect.transforms.PatternRename";

const PATTERN: ConfigKey = ConfigKey {
    name: "field.pattern",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Java regular expression that is looked for in the fields' names.",
};
const FLAGS: ConfigKey = ConfigKey {
    name: "field.pattern.flags",
    kind: KeyKind::List,
    default: Some(""),
    doc: "Flags of the expression, by the names of Java's `Pattern`: `CASE_INSENSITIVE`, `UNICODE_CASE`, `MULTILINE`, \
          `DOTALL`, `COMMENTS`, `LITERAL`, `UNIX_LINES`, `UNICODE_CHARACTER_CLASS`.",
    ..PATTERN
};
const REPLACEMENT: ConfigKey = ConfigKey {
    name: "field.replacement",
    doc: "What stands in the place of each match; `$1` and `${name}` are what the groups hold.",
    ..PATTERN
};

struct PatternRename {
    pattern: JavaRegex,
    replacement: Replacement,
}

impl NameChange for PatternRename {
    fn new_name(&self, name: &str) -> Result<Option<String>> {
        Ok(self.pattern.replace_all(name, &self.replacement)?.filter(|new| new != name))
    }
}

impl Transform for Renaming<PatternRename> {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        Renaming::apply(self, record)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let list = raw_text(&FLAGS, &config.properties);
    let flags = Flags::parse(&list).map_err(|reason| wrong_key(&FLAGS, &list, &reason))?;
    let pattern = pattern(&PATTERN, &config.properties, flags, JavaRegex::search)?;
    let text = raw_text(&REPLACEMENT, &config.properties);
    let replacement = pattern.replacement(&text).map_err(|reason| wrong_key(&REPLACEMENT, &text, &reason))?;
    let change = PatternRename { pattern, replacement };
    Ok(Box::new(Renaming::new(CLASS, config.target.unwrap_or(Target::Value), change)))
}

inventory::submit! {
    TransformFactory {
        name: "pattern-rename",
        java_class: CLASS,
        aliases: &[],
        targets: true,
        doc: "Gives top-level fields other names by a regular expression.",
        keys: &[PATTERN, FLAGS, REPLACEMENT],
        build,
    }
}
