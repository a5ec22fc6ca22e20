//! References to values that are kept elsewhere: `${PROVIDER:PATH:KEY}` and `${PROVIDER:KEY}`, in the place of a value or
//! anywhere inside one. What a configuration stores and shows is the reference; what it stands for is fetched when the
//! configuration is checked and when a task starts, and is never shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::Properties;
use super::key::{ConfigError, nearest};

/// Most bytes that one reference may stand for.
pub const PROVIDED_BYTES_MAX: usize = 1024 * 1024;

/// Why a provider has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What is wrong, without any value.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl ProviderError {
    /// What is wrong and what to do about it.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

/// Knows values that configurations refer to. May block for a short time: it is never called on a shard, nor on the
/// thread of the controller.
pub trait ConfigProvider: Send + Sync {
    /// The value of `key` at `path`; `path` is empty in references without one.
    ///
    /// # Errors
    /// No such value, or one that may not be read.
    fn value(&self, path: &str, key: &str) -> Result<String, ProviderError>;
}

/// What the worker allows its providers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Directories below which files may be read (`configProviderRoots`).
    pub roots: Vec<PathBuf>,
    /// Environment variables that may be read: names, or beginnings of names followed by `*` (`configProviderEnv`).
    pub env: Vec<String>,
}

/// One provider that a reference can name. A crate adds one with `inventory::submit!`.
pub struct ProviderFactory {
    /// The name in references: letters, digits, `_`, `-` and `.`, a letter first.
    pub name: &'static str,
    /// One or two sentences for the user: what path and key mean.
    pub doc: &'static str,
    /// Builds it.
    pub build: fn(&ProviderSettings) -> Box<dyn ConfigProvider>,
}

inventory::collect!(ProviderFactory);

/// All providers of this binary, sorted by name.
#[must_use]
pub fn provider_factories() -> Vec<&'static ProviderFactory> {
    let mut all: Vec<_> = inventory::iter::<ProviderFactory>.into_iter().collect();
    all.sort_by_key(|factory| factory.name);
    all
}

/// A reference as it stands in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'t> {
    /// The whole of it, from `${` to `}`.
    pub text: &'t str,
    /// Who knows the value.
    pub provider: &'t str,
    /// Where it is; may be empty.
    pub path: &'t str,
    /// Its name there.
    pub key: &'t str,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text that stands for itself.
    Text(&'t str),
    /// A value from elsewhere.
    Reference(Reference<'t>),
    /// A reference that does not end, with the name of its provider.
    Unclosed(&'t str),
}

/// Takes a value apart. `$${` before what would be a reference stands for `${`. A `${` that no `NAME:` follows is text, as
/// the `${topic}` of a router is.
#[must_use]
pub fn pieces(value: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut text_from = 0;
    let mut at = 0;
    while let Some(found) = value.get(at..).and_then(|rest| rest.find("${")) {
        let start = at + found;
        let open = value.get(start..).unwrap_or_default();
        let Some(piece) = reference(open) else {
            at = start + 2;
            continue;
        };
        let before = value.get(text_from..start).unwrap_or_default();
        if let Some(kept) = before.strip_suffix('$') {
            // Escaped: the second `$` and all that follows it stand for themselves.
            push_text(&mut pieces, kept);
            text_from = start;
            at = start + 2;
            continue;
        }
        push_text(&mut pieces, before);
        at = match &piece {
            Piece::Reference(reference) => start + reference.text.len(),
            Piece::Text(_) | Piece::Unclosed(_) => value.len(),
        };
        text_from = at;
        pieces.push(piece);
    }
    push_text(&mut pieces, value.get(text_from..).unwrap_or_default());
    pieces
}

fn push_text<'t>(pieces: &mut Vec<Piece<'t>>, text: &'t str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// The reference at the start of a text that begins with `${`.
fn reference(open: &str) -> Option<Piece<'_>> {
    let inner = open.strip_prefix("${")?;
    let (provider, rest) = inner.split_once(':')?;
    let is_name = provider.starts_with(|c: char| c.is_ascii_alphabetic())
        && provider.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if !is_name {
        return None;
    }
    let Some(end) = rest.find('}') else { return Some(Piece::Unclosed(provider)) };
    let inside = rest.get(..end)?;
    let (path, key) = inside.split_once(':').unwrap_or(("", inside));
    let text = open.get(..2 + provider.len() + 1 + end + 1)?;
    Some(Piece::Reference(Reference { text, provider, path, key }))
}

/// Whether a value holds anything that [`Providers::resolve`] would change or refuse.
#[must_use]
pub fn refers(value: &str) -> bool {
    value.contains("${") && pieces(value) != [Piece::Text(value)]
}

/// Whether any value of a configuration does.
#[must_use]
pub fn any_refers(properties: &Properties) -> bool {
    properties.values().any(|value| refers(value))
}

/// Whether a value is one reference and nothing else, so that it can be shown whatever it stands for.
#[must_use]
pub fn is_sole_reference(value: &str) -> bool {
    matches!(pieces(value.trim()).as_slice(), [Piece::Reference(_)])
}

/// What one reference stood for. Cannot be printed by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provided {
    /// The reference.
    pub reference: String,
    /// Its value: a secret.
    pub value: String,
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

/// A configuration with its references replaced.
pub struct Resolved {
    /// The configuration; keys at fault have their text as it was.
    pub properties: Properties,
    /// What was put in, each reference once.
    pub provided: Vec<Provided>,
    /// A fault for each reference that stands for nothing.
    pub errors: Vec<ConfigError>,
}

impl Resolved {
    /// Keys whose value is not known.
    #[must_use]
    pub fn failed(&self) -> BTreeSet<&str> {
        self.errors.iter().map(|error| error.key.as_str()).collect()
    }
}

/// The providers of a worker, by name.
#[derive(Default)]
pub struct Providers {
    by_name: BTreeMap<&'static str, Box<dyn ConfigProvider>>,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_name.keys()).finish()
    }
}

impl Providers {
    /// All that are registered in this binary.
    #[must_use]
    pub fn registered(settings: &ProviderSettings) -> Self {
        let built = inventory::iter::<ProviderFactory>.into_iter();
        Self { by_name: built.map(|factory| (factory.name, (factory.build)(settings))).collect() }
    }

    /// Puts values in the place of all references.
    #[must_use]
    pub fn resolve(&self, properties: &Properties) -> Resolved {
        let mut resolved = Resolved { properties: properties.clone(), provided: Vec::new(), errors: Vec::new() };
        let mut known = BTreeMap::<String, Result<String, ProviderError>>::new();
        for (key, value) in &mut resolved.properties {
            if !value.contains("${") {
                continue;
            }
            let mut whole = String::new();
            let mut faults = Vec::new();
            for piece in pieces(value) {
                match piece {
                    Piece::Text(text) => whole.push_str(text),
                    Piece::Unclosed(provider) => faults.push(unclosed(key, provider)),
                    Piece::Reference(reference) => {
                        let found = known.entry(reference.text.to_owned()).or_insert_with(|| self.value(&reference));
                        match found {
                            Ok(text) => whole.push_str(text),
                            Err(error) => faults.push(fault(key, &reference, error)),
                        }
                    }
                }
            }
            if faults.is_empty() {
                *value = whole;
            } else {
                resolved.errors.extend(faults);
            }
        }
        let value_of = |(reference, found): (String, Result<String, ProviderError>)| {
            found.ok().map(|value| Provided { reference, value })
        };
        resolved.provided = known.into_iter().filter_map(value_of).collect();
        resolved
    }

    fn value(&self, reference: &Reference<'_>) -> Result<String, ProviderError> {
        let Some(provider) = self.by_name.get(reference.provider) else {
            let known: Vec<&str> = self.by_name.keys().copied().collect();
            let hint: Cow<'_, str> = match nearest(reference.provider, known.iter().copied()) {
                Some(near) => format!("did you mean {near}? ").into(),
                None => "".into(),
            };
            return Err(ProviderError::new(
                format!("there is no config provider called {}", reference.provider),
                format!("{hint}there are {}; write $${{ for a ${{ that is no reference", known.join(", ")),
            ));
        };
        if reference.key.is_empty() {
            return Err(ProviderError::new(
                "the reference names no key".to_owned(),
                format!("write ${{{}:PATH:KEY}} or ${{{}:KEY}}", reference.provider, reference.provider),
            ));
        }
        let value = provider.value(reference.path, reference.key)?;
        if value.len() > PROVIDED_BYTES_MAX {
            return Err(ProviderError::new(
                format!("the value is longer than {PROVIDED_BYTES_MAX} bytes"),
                "refer to a shorter one",
            ));
        }
        Ok(value)
    }
}

fn fault(key: &str, reference: &Reference<'_>, error: &ProviderError) -> ConfigError {
    ConfigError::new(key, format!("Config {key} refers to {}: {}", reference.text, error.message))
        .with_value(reference.text)
        .with_remedy(error.remedy.clone())
}

/// The value is not shown: where the reference should have ended is not known.
fn unclosed(key: &str, provider: &str) -> ConfigError {
    ConfigError::new(key, format!("Config {key} holds a reference ${{{provider}:… without its closing brace"))
        .with_value(format!("${{{provider}:…"))
        .with_remedy("close it with }, or write $${ for a ${ that is no reference")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl ConfigProvider for Fixed {
        fn value(&self, path: &str, key: &str) -> Result<String, ProviderError> {
            match (path, key) {
                (_, "missing") => Err(ProviderError::new("there is no missing", "add it")),
                ("", key) => Ok(format!("<{key}>")),
                (path, key) => Ok(format!("<{path}|{key}>")),
            }
        }
    }

    fn providers() -> Providers {
        Providers { by_name: BTreeMap::from([("fix", Box::new(Fixed) as Box<dyn ConfigProvider>)]) }
    }

    fn resolve(value: &str) -> Result<String, String> {
        let resolved = providers().resolve(&Properties::from([("k".to_owned(), value.to_owned())]));
        match resolved.errors.first() {
            None => Ok(resolved.properties["k"].clone()),
            Some(error) => Err(format!("{} / {}", error.message, error.remedy.clone().unwrap_or_default())),
        }
    }

    #[test]
    fn references_are_replaced_wherever_they_stand() {
        for (value, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("${fix:a}", "<a>"),
            ("${fix::a}", "<a>"),
            ("${fix:p:a}", "<p|a>"),
            ("${fix:/p/q:a:b}", "</p/q|a:b>"),
            ("x${fix:a}y${fix:b}z", "x<a>y<b>z"),
            ("${fix:a}${fix:a}", "<a><a>"),
            // Not references at all.
            ("${topic}-${timestamp}", "${topic}-${timestamp}"),
            ("$1 ${ fix:a}", "$1 ${ fix:a}"),
            ("$${topic}", "$${topic}"),
            ("a$", "a$"),
            ("${", "${"),
            // Escapes.
            ("$${fix:a}", "${fix:a}"),
            ("x$${fix:a}y${fix:b}", "x${fix:a}y<b>"),
            ("ä${fix:a}ö", "ä<a>ö"),
        ] {
            assert_eq!(resolve(value).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_named() {
        for (value, message, remedy) in [
            ("${fox:a}", "Config k refers to ${fox:a}: there is no config provider called fox", "did you mean fix?"),
            ("${fix:missing}", "Config k refers to ${fix:missing}: there is no missing", "add it"),
            ("${fix:p:}", "Config k refers to ${fix:p:}: the reference names no key", "write ${fix:PATH:KEY}"),
            ("a${fix:b", "Config k holds a reference ${fix:… without its closing brace", "close it"),
        ] {
            let error = resolve(value).unwrap_err();
            assert!(error.starts_with(message) && error.contains(remedy), "{value}: {error}");
        }
    }

    #[test]
    fn all_faults_come_at_once_and_the_value_stays_hidden() {
        let properties = Properties::from([
            ("a".to_owned(), "${fix:missing}${fox:x}".to_owned()),
            ("b".to_owned(), "${fix:secret}".to_owned()),
            ("c".to_owned(), "${fix:secret}!".to_owned()),
        ]);
        let resolved = providers().resolve(&properties);
        assert_eq!(resolved.errors.len(), 2);
        assert_eq!(resolved.failed(), BTreeSet::from(["a"]));
        assert_eq!(resolved.properties["a"], properties["a"]);
        assert_eq!(resolved.provided.len(), 1);
        assert_eq!(format!("{:?}", resolved.provided), "[${fix:secret}]");
    }

    #[test]
    fn a_reference_is_known_before_it_is_resolved() {
        assert!(refers("a${fix:b}") && refers("$${fix:b}") && refers("${fix:b"));
        assert!(!refers("${topic}") && !refers("x"));
        assert!(is_sole_reference(" ${fix:b} ") && !is_sole_reference("${fix:b}x"));
    }
}
