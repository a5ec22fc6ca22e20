//! The definition of one configuration key, and what can be wrong with a value.

use std::fmt;

use super::Properties;

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

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key at fault.
    pub key: String,
    /// What is wrong and what is expected. Never holds a secret's value.
    pub message: String,
    /// The value at fault; none where there is none, or where it must not be shown.
    pub value: Option<String>,
    /// What to do about it, where the message does not say it.
    pub remedy: Option<String>,
}

impl ConfigError {
    /// Names the key and what is wrong.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), value: None, remedy: None }
    }

    /// The same with the value at fault, which must be no secret.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Everything wrong with a configuration, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

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

    /// Checks the value in `properties`.
    ///
    /// # Errors
    /// Names the key, the value (unless secret) and what is expected.
    pub fn check(&self, properties: &Properties) -> Result<(), ConfigError> {
        let Some(text) = self.text(properties) else {
            return Err(ConfigError::new(self.name, format!("Request config key: {}", self.name)));
        };
        let expected = match self.kind {
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
        };
        match expected {
            Some(expected) => {
                Err(ConfigError::new(self.name, format!("Config {} is \"{text}\", expected {expected}", self.name)))
            }
            None => Ok(()),
        }
    }
}

/// What stands in place of a secret's value wherever it could be seen.
pub const MASK: &str = "******";

/// Words in the name of a key that make its value a secret even when no definition says so.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "secret", "credential", "token", "private.key", "access.key", "accesskey"];

/// Whether the value of a key must never be shown: its definition says so, or, for keys that nobody defined, its name
/// looks like it.
#[must_use]
pub fn is_secret(name: &str, definitions: &[ConfigKey]) -> bool {
    let defined = definitions.iter().find(|key| key.name == name || key.aliases.contains(&name));
    match defined {
        Some(key) => key.kind == KeyKind::Secret,
        None => {
            let name = name.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        }
    }
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
    let errors: Vec<_> = keys.iter().filter_map(|key| key.check(properties).err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

/// Checks the own keys of a part that a configuration names, such as a transform: `own` without `PREFIX.`.
///
/// # Errors
/// Everything wrong, under full names.
pub fn check_own_keys(prefix: &str, keys: &[ConfigKey], own: &Properties) -> Result<(), ConfigErrors> {
    check_all(keys, own).map_err(|errors| prefixed(prefix, errors))
}

/// What to say about own keys that a part does not know. They are accepted, as the Java runtime accepts them, but one
/// that is misspelt must not stay unnoticed.
#[must_use]
pub fn unknown_own_keys(prefix: &str, keys: &[ConfigKey], own: &Properties) -> Vec<String> {
    let known = || keys.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    let message = |name: &String| {
        let hint = nearest(name, known()).map(|near| format!("; did you mean {prefix}.{near}?")).unwrap_or_default();
        format!("key {prefix}.{name} is not known and has no effect{hint}")
    };
    own.keys().filter(|name| !known().any(|known| known == name.as_str())).map(message).collect()
}

/// Errors of a part's own keys under their full names.
#[must_use]
pub fn prefixed(prefix: &str, errors: ConfigErrors) -> ConfigErrors {
    let full = |error: ConfigError| {
        let key = format!("{prefix}.{}", error.key);
        let message = error.message.replacen(&error.key, &key, 1);
        ConfigError { key, message, ..error }
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
    fn secrets_are_known_by_definition_or_by_name() {
        let key = ConfigKey { name: "pass", kind: KeyKind::Secret, ..SIZE };
        let open = ConfigKey { name: "token.count", ..SIZE };
        assert!(is_secret("pass", &[key, open]));
        assert!(!is_secret("token.count", &[key, open]));
        assert!(is_secret("jdbc.Password", &[]));
        assert!(!is_secret("filename", &[]));
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
