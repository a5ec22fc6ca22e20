//! The definition of one configuration key, and what can be wrong with a value.

use super::Properties;
pub use super::fault::{ConfigError, ConfigErrors};
pub use super::secret::{MASK, is_secret};

/// What a key's text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds, both included.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A whole number from 1, or the word `auto`.
    CountOrAuto {
        /// Largest number.
        max: i64,
    },
    /// One of a few words, compared without regard to case.
    Choice(&'static [&'static str]),
    /// A comma or semicolon list.
    List,
    /// Text that must never be shown.
    Secret,
}

/// One configuration key: the single source for parsing, validation, REST answers and the reference page.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The key, as written in the file.
    pub name: &'static str,
    /// Other spellings that are accepted.
    pub aliases: &'static [&'static str],
    /// Form of the value.
    pub kind: KeyKind,
    /// Value when the key is absent; `None`: the key is required.
    pub default: Option<&'static str>,
    /// Unit of a number (`ms`, `bytes`, `records`), or empty.
    pub unit: &'static str,
    /// One or two sentences for the user.
    pub doc: &'static str,
}

impl ConfigKey {
    /// The text that `properties` give this key, trimmed; `None` when they don't name it.
    #[must_use]
    pub fn given<'p>(&self, properties: &'p Properties) -> Option<&'p str> {
        let mut names = std::iter::once(&self.name).chain(self.aliases);
        names.find_map(|name| properties.get(*name)).map(|text| text.trim())
    }

    /// The text of this key in `properties`, trimmed: the value given, else the default, else `None`.
    #[must_use]
    pub fn text<'p>(&self, properties: &'p Properties) -> Option<&'p str>
    where
        'static: 'p,
    {
        self.given(properties).or(self.default)
    }

    /// The key's value as a number. Call after [`check_all`]; a bad text reads as the default, or 0.
    #[must_use]
    pub fn integer(&self, properties: &Properties) -> i64 {
        let parsed = self.text(properties).and_then(|text| text.parse().ok());
        parsed.or_else(|| self.default.and_then(|text| text.parse().ok())).unwrap_or(0)
    }

    /// The key's value as a truth value; only `true`, in any case, is true.
    #[must_use]
    pub fn boolean(&self, properties: &Properties) -> bool {
        self.text(properties).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// What the value must look like when `text` does not; nothing when it does.
    fn expected(&self, text: &str) -> Option<String> {
        match self.kind {
            KeyKind::Text | KeyKind::List | KeyKind::Secret => None,
            KeyKind::Boolean => {
                let known = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
                (!known).then(|| "true or false".to_owned())
            }
            KeyKind::Integer { min, max } => {
                let fits = text.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number));
                (!fits).then(|| format!("a whole number from {min} to {max}"))
            }
            KeyKind::CountOrAuto { max } => {
                let fits = text.eq_ignore_ascii_case("auto")
                    || text.parse::<i64>().is_ok_and(|number| (1..=max).contains(&number));
                (!fits).then(|| format!("auto or a whole number from 1 to {max}"))
            }
            KeyKind::Choice(words) => {
                let known = words.iter().any(|word| word.eq_ignore_ascii_case(text));
                (!known).then(|| format!("one of {}", words.join(", ")))
            }
        }
    }

    /// Checks the value in `properties`.
    ///
    /// # Errors
    /// Names the key, the value (unless secret), what is expected and what to do.
    pub fn check(&self, properties: &Properties) -> Result<(), ConfigError> {
        let Some(text) = self.text(properties) else {
            let error = ConfigError::new(self.name, format!("Request config key: {}", self.name));
            return Err(error.with_remedy(self.remedy(None)));
        };
        match self.expected(text) {
            Some(expected) => {
                let message = format!("Config {} is \"{text}\", expected {expected}", self.name);
                let error = ConfigError::new(self.name, message).with_value(text);
                Err(error.with_remedy(self.remedy(Some(text))))
            }
            None => Ok(()),
        }
    }

    /// Two spellings of this key with different values. Spellings that are keys of their own among `others` don't count.
    fn conflict(&self, properties: &Properties, others: &[ConfigKey]) -> Option<ConfigError> {
        let spellings = std::iter::once(&self.name)
            .chain(self.aliases.iter().filter(|alias| !others.iter().any(|other| other.name == **alias)));
        let mut given = spellings.filter_map(|name| Some((*name, properties.get(*name)?.trim())));
        let (first, first_text) = given.next()?;
        let (second, second_text) = given.find(|(_, text)| *text != first_text)?;
        let message = if self.kind == KeyKind::Secret {
            format!("Config {first} and {second} are two spellings of one key, and differ")
        } else {
            format!("Config {first} is \"{first_text}\", but {second}, another spelling of it, is \"{second_text}\"")
        };
        let error =
            ConfigError::new(self.name, message).with_remedy(format!("leave out {second}, or give both one value"));
        Some(if self.kind == KeyKind::Secret { error } else { error.with_value(first_text) })
    }

    /// What to do about a value that is missing or wrong.
    #[must_use]
    pub fn remedy(&self, text: Option<&str>) -> String {
        let meaning = self.doc.split_once(". ").map_or(self.doc, |(first, _)| first).trim_end_matches('.');
        let Some(text) = text else { return format!("set {}: {meaning}", self.name) };
        let or_default = match self.default {
            None => String::new(),
            Some("") => ", or leave the key out".to_owned(),
            // "1 records" is no English.
            Some(default) if self.unit.is_empty() || default == "1" => {
                format!(", or leave the key out, which means {default}")
            }
            Some(default) => format!(", or leave the key out, which means {default} {}", self.unit),
        };
        match self.kind {
            KeyKind::Boolean => format!("write true or false{or_default}"),
            KeyKind::Integer { min, max } => format!("{}{or_default}", number_remedy(text, min, max)),
            KeyKind::CountOrAuto { max } => format!("write auto, or {}{or_default}", number_remedy(text, 1, max)),
            KeyKind::Choice(words) => match likely_word(text, words) {
                Some(word) => format!("did you mean {word}? Write that{or_default}"),
                None => format!("write one of {}{or_default}", words.join(", ")),
            },
            KeyKind::Text | KeyKind::List | KeyKind::Secret => format!("give another value: {meaning}"),
        }
    }
}

/// The word that a text is a misspelling or the beginning of.
fn likely_word(text: &str, words: &[&'static str]) -> Option<&'static str> {
    let start = text.to_ascii_lowercase();
    let begun = || words.iter().copied().find(|word| word.to_ascii_lowercase().starts_with(&start));
    misspelt(text, words.iter().copied()).or_else(|| begun().filter(|_| start.len() >= 2))
}

/// How to mend a text that should be a number within bounds.
fn number_remedy(text: &str, min: i64, max: i64) -> String {
    match text.parse::<i128>() {
        Ok(number) if number < i128::from(min) => format!("write {min} or more"),
        Ok(number) if number > i128::from(max) => format!("write {max} or less"),
        _ => "write a whole number in digits, without unit, blanks or separators".to_owned(),
    }
}

/// The known name that `asked` is a misspelling of: but for letters' case and for dots, dashes and underlines it is the
/// same, or very few letters differ.
#[must_use]
pub fn misspelt<'k>(asked: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '.' | '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
    };
    let asked = plain(asked);
    let most = match asked.chars().count() {
        0..=3 => 0,
        4..=5 => 1,
        6..=14 => 2,
        _ => 3,
    };
    let ranked = known.into_iter().map(|name| (edit_distance(&asked, &plain(name)), name));
    ranked.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// The known name that `asked` most likely means: at most a third of its letters differ. Case is not looked at.
#[must_use]
pub fn nearest<'k>(asked: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let asked = asked.to_ascii_lowercase();
    let ranked = known.into_iter().map(|name| (edit_distance(&asked, &name.to_ascii_lowercase()), name));
    let (distance, name) = ranked.min()?;
    (distance <= asked.chars().count().div_ceil(3)).then_some(name)
}

/// Number of letters to insert, delete or replace to turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, from) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            let replaced = diagonal + usize::from(from != *to);
            left = replaced.min(above + 1).min(left + 1);
            *cell = left;
            diagonal = above;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Checks all keys and reports every fault at once.
///
/// # Errors
/// Every key whose value is missing or malformed.
pub fn check_all(keys: &[ConfigKey], properties: &Properties) -> Result<(), ConfigErrors> {
    let check = |key: &ConfigKey| key.check(properties).err().or_else(|| key.conflict(properties, keys));
    let errors: Vec<_> = keys.iter().filter_map(check).collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

/// A part that a configuration names and that has keys of its own: a transform, a predicate, a converter.
#[derive(Clone, Debug)]
pub struct Part {
    /// What stands before its keys, without the last dot: `transforms.x`.
    pub prefix: String,
    /// Its keys, with short names.
    pub keys: Vec<ConfigKey>,
    /// What the configuration gives it, with short names.
    pub own: Properties,
}

impl Part {
    /// For people: `Transforms: x`.
    #[must_use]
    pub fn title(&self) -> String {
        let (kind, name) = self.prefix.split_once('.').unwrap_or((&self.prefix, ""));
        let mut letters = kind.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        format!("{}{}: {name}", first.map(String::from).unwrap_or_default(), letters.as_str())
    }
}

/// Checks the own keys of a part that a configuration names, such as a transform: `own` without `PREFIX.`.
///
/// # Errors
/// Everything wrong, under full names.
pub fn check_own_keys(prefix: &str, keys: &[ConfigKey], own: &Properties) -> Result<(), ConfigErrors> {
    check_all(keys, own).map_err(|errors| prefixed(prefix, errors))
}

/// Errors of a part's own keys under their full names.
#[must_use]
pub fn prefixed(prefix: &str, errors: ConfigErrors) -> ConfigErrors {
    let full = |error: ConfigError| {
        let key = format!("{prefix}.{}", error.key);
        let message = error.message.replacen(&error.key, &key, 1);
        let short = format!("set {}:", error.key);
        let remedy = error.remedy.map(|remedy| remedy.replacen(&short, &format!("set {key}:"), 1));
        ConfigError { key, message, remedy, value: error.value }
    };
    ConfigErrors(errors.0.into_iter().map(full).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ConfigKey = ConfigKey {
        name: "size",
        aliases: &["length"],
        kind: KeyKind::Integer { min: 1, max: 9 },
        default: Some("5"),
        unit: "records",
        doc: "",
    };

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn values_are_trimmed_and_aliases_known() {
        assert_eq!(SIZE.integer(&properties(&[("length", " 7 ")])), 7);
        assert_eq!(SIZE.integer(&properties(&[])), 5);
    }

    #[test]
    fn the_nearest_name_is_found_but_not_a_strange_one() {
        let known = ["httpPort", "httpHost", "workerId"];
        assert_eq!(nearest("htpPort", known), Some("httpPort"));
        assert_eq!(nearest("workerid", known), Some("workerId"));
        assert_eq!(nearest("pluginPaths", known), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn a_misspelling_is_told_from_another_name() {
        let known = ["connector.class", "max.tasks", "topic", "errors.deadletterqueue.topic.name"];
        for (asked, expected) in [
            ("connector-class", Some("connector.class")),
            ("maxTasks", Some("max.tasks")),
            ("max.task", Some("max.tasks")),
            ("topci", None),
            ("topics", Some("topic")),
            ("errors.deadleterqueue.topic.name", Some("errors.deadletterqueue.topic.name")),
            ("errors.queue.name", None),
            ("max.rows", None),
            ("name", None),
        ] {
            assert_eq!(misspelt(asked, known), expected, "{asked}");
        }
    }

    #[test]
    fn faults_come_with_value_and_remedy() {
        let choice = ConfigKey {
            name: "where",
            kind: KeyKind::Choice(&["earliest", "latest"]),
            default: Some("latest"),
            unit: "",
            ..SIZE
        };
        let flag = ConfigKey { name: "flag", kind: KeyKind::Boolean, default: None, ..SIZE };
        for (key, text, remedy) in [
            (
                SIZE,
                "x",
                "write a whole number in digits, without unit, blanks or separators, or leave the key out, which means 5 records",
            ),
            (SIZE, "99", "write 9 or less, or leave the key out, which means 5 records"),
            (SIZE, "0", "write 1 or more, or leave the key out, which means 5 records"),
            (choice, "erliest", "did you mean earliest? Write that, or leave the key out, which means latest"),
            (choice, "x", "write one of earliest, latest, or leave the key out, which means latest"),
            (flag, "yes", "write true or false"),
        ] {
            let error = key.check(&properties(&[(key.name, text)])).unwrap_err();
            assert_eq!((error.value.as_deref(), error.remedy.as_deref()), (Some(text), Some(remedy)));
        }
        let needed = ConfigKey { name: "file", default: None, kind: KeyKind::Text, doc: "A path. Of a file.", ..SIZE };
        assert_eq!(needed.check(&Properties::new()).unwrap_err().remedy.unwrap(), "set file: A path");
        let errors = check_own_keys("transforms.x", &[needed], &Properties::new()).unwrap_err();
        assert_eq!(errors.0[0].remedy.as_deref(), Some("set transforms.x.file: A path"));
    }

    #[test]
    fn two_spellings_must_agree() {
        let both = |size: &str, length: &str| check_all(&[SIZE], &properties(&[("size", size), ("length", length)]));
        assert_eq!(both("3", " 3 "), Ok(()));
        let error = both("3", "4").unwrap_err().0.remove(0);
        assert_eq!(error.message, "Config size is \"3\", but length, another spelling of it, is \"4\"");
        let secret = ConfigKey { kind: KeyKind::Secret, ..SIZE };
        let error = check_all(&[secret], &properties(&[("size", "hid"), ("length", "den")])).unwrap_err().0.remove(0);
        assert!(!format!("{error:?}").contains("hid") && !format!("{error:?}").contains("den"), "{error:?}");
        // A key of its own is no other spelling.
        let own = ConfigKey { name: "length", aliases: &[], ..SIZE };
        assert_eq!(check_all(&[SIZE, own], &properties(&[("size", "3"), ("length", "4")])), Ok(()));
    }

    #[test]
    fn a_count_is_a_number_or_auto() {
        let cores = ConfigKey { name: "cores", aliases: &[], kind: KeyKind::CountOrAuto { max: 8 }, ..SIZE };
        for (text, good) in [("auto", true), ("AUTO", true), ("8", true), ("0", false), ("9", false), ("x", false)] {
            assert_eq!(cores.check(&properties(&[("cores", text)])).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let needed = ConfigKey { name: "needed", default: None, kind: KeyKind::Text, ..SIZE };
        let errors = check_all(&[SIZE, needed], &properties(&[("size", "x")])).unwrap_err();
        let keys: Vec<_> = errors.0.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["size", "needed"]);
        assert!(errors.to_string().contains("a whole number from 1 to 9"));
        assert!(errors.to_string().contains("Request config key: needed"));
    }
}
