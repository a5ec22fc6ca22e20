//! `ChangeCase`: writes field names in another case, e.g. `user_name` as `userName`.
//!
//! As in Java (Guava's `CaseFormat`): a name that is not in the case `from` gives an odd name, not an error; only ASCII
//! letters change; only top-level fields are renamed. Not as in Java: maps work too, and a STRUCT's schema keeps its
//! version, documentation, parameters, default and whether it is optional.

use super::renaming::{NameChange, Renaming};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;

const CLASS: &str = "org.apache.rocketmq.connect.transforms.ChangeCase";

const CASES: &[&str] = &["LOWER_HYPHEN", "LOWER_UNDERSCORE", "LOWER_CAMEL", "UPPER_CAMEL", "UPPER_UNDERSCORE"];

const FROM: ConfigKey = ConfigKey {
    name: "from",
    aliases: &[],
    kind: KeyKind::Choice(CASES),
    default: None,
    unit: "",
    doc: "The case in which the fields' names are written.",
};
const TO: ConfigKey = ConfigKey { name: "to", doc: "The case in which they are to be written.", ..FROM };

/// A way to write a name of several words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    LowerHyphen,
    LowerUnderscore,
    LowerCamel,
    UpperCamel,
    UpperUnderscore,
}

impl Case {
    /// A name that was checked to be one of [`CASES`].
    fn parse(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "LOWER_HYPHEN" => Self::LowerHyphen,
            "LOWER_UNDERSCORE" => Self::LowerUnderscore,
            "LOWER_CAMEL" => Self::LowerCamel,
            "UPPER_CAMEL" => Self::UpperCamel,
            _ => Self::UpperUnderscore,
        }
    }

    fn separator(self) -> &'static str {
        match self {
            Self::LowerHyphen => "-",
            Self::LowerUnderscore | Self::UpperUnderscore => "_",
            Self::LowerCamel | Self::UpperCamel => "",
        }
    }

    /// Whether a word ends before this character: at the separator, or where a capital begins the next word.
    fn bounds(self, character: char) -> bool {
        match self {
            Self::LowerHyphen => character == '-',
            Self::LowerUnderscore | Self::UpperUnderscore => character == '_',
            Self::LowerCamel | Self::UpperCamel => character.is_ascii_uppercase(),
        }
    }

    fn write_word(self, out: &mut String, word: &str, first: bool) {
        let capital = match self {
            Self::LowerHyphen | Self::LowerUnderscore => false,
            Self::LowerCamel => !first,
            Self::UpperCamel => true,
            Self::UpperUnderscore => return out.push_str(&word.to_ascii_uppercase()),
        };
        let mut letters = word.chars();
        if capital {
            out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        }
        out.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    }
}

struct ChangeCase {
    from: Case,
    to: Case,
}

impl ChangeCase {
    fn changed(&self, name: &str) -> String {
        match (self.from, self.to) {
            (from, to) if from == to => return name.to_owned(),
            // Guava has short ways between cases with separators, and they leave letters alone that the long way would
            // change; users see the difference in names that are not in the case `from`.
            (Case::LowerHyphen, Case::LowerUnderscore) => return name.replace('-', "_"),
            (Case::LowerHyphen, Case::UpperUnderscore) => return name.replace('-', "_").to_ascii_uppercase(),
            (Case::LowerUnderscore, Case::LowerHyphen) => return name.replace('_', "-"),
            (Case::LowerUnderscore, Case::UpperUnderscore) => return name.to_ascii_uppercase(),
            (Case::UpperUnderscore, Case::LowerHyphen) => return name.replace('_', "-").to_ascii_lowercase(),
            (Case::UpperUnderscore, Case::LowerUnderscore) => return name.to_ascii_lowercase(),
            _ => {}
        }
        let mut out = String::with_capacity(name.len().saturating_add(4));
        let mut first = true;
        let mut word_start = 0;
        for (at, _) in name.char_indices().filter(|(_, character)| self.from.bounds(*character)) {
            let separator = self.from.separator().len();
            // A capital at the very start begins the first word and ends none.
            if at == 0 && separator == 0 {
                continue;
            }
            self.to.write_word(&mut out, name.get(word_start..at).unwrap_or_default(), first);
            out.push_str(self.to.separator());
            first = false;
            word_start = at.saturating_add(separator);
        }
        self.to.write_word(&mut out, name.get(word_start..).unwrap_or_default(), first);
        out
    }
}

impl NameChange for ChangeCase {
    fn new_name(&self, name: &str) -> Result<Option<String>> {
        Ok(Some(self.changed(name)).filter(|new| new != name))
    }
}

impl Transform for Renaming<ChangeCase> {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        Renaming::apply(self, record)
    }
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let case = |key: &ConfigKey| Case::parse(key.text(&config.properties).unwrap_or_default());
    let change = ChangeCase { from: case(&FROM), to: case(&TO) };
    Ok(Box::new(Renaming::new(CLASS, config.target.unwrap_or(Target::Value), change)))
}

inventory::submit! {
    TransformFactory {
        name: "change-case",
        java_class: CLASS,
        aliases: &[],
        targets: true,
        doc: "Writes the names of top-level fields in another case, e.g. `user_name` as `userName`.",
        keys: &[FROM, TO],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Guava 32 makes of names: from, to, then name and new name in turn.
    const GOLDEN: &str = include_str!("change_case.tsv");

    #[test]
    fn names_change_as_in_java() {
        for line in GOLDEN.lines() {
            let columns: Vec<_> = line.split('\t').collect();
            let change = ChangeCase { from: Case::parse(columns[0]), to: Case::parse(columns[1]) };
            for pair in columns[2..].chunks(2) {
                assert_eq!(change.changed(pair[0]), pair[1], "{} to {}: {}", columns[0], columns[1], pair[0]);
            }
        }
    }
}
