//! What looks wrong in a connector's configuration though it is accepted. The Java worker accepts any key, and so do we;
//! but one that is misspelt must not stay unnoticed.

use rmqc_core::chain;
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{KEY_CONVERTER, SINK_KEYS, SOURCE_KEYS, VALUE_CONVERTER};
use rmqc_core::config::kafka::{self, CONNECTOR_FOREIGN_KEYS};
use rmqc_core::config::key::{ConfigKey, Part, misspelt};
use rmqc_core::converter;

use super::secrets::Meaning;
use super::validate::ConfigWarning;

/// All that should be looked at. `resolved` says which class, transforms and so on there are.
pub(super) fn warnings(properties: &Properties, resolved: &Properties, meaning: &Meaning<'_>) -> Vec<ConfigWarning> {
    let mut parts = chain::parts(resolved);
    parts.extend([KEY_CONVERTER, VALUE_CONVERTER].iter().filter_map(|key| converter::part(key, resolved)));
    let mut warnings: Vec<_> = properties
        .keys()
        .filter(|name| meaning.definition(name).is_none())
        .filter_map(|name| unknown(name, &parts, meaning))
        .collect();
    for list in ["transforms", "predicates"] {
        warnings.extend(named_twice(list, resolved));
    }
    warnings
}

/// What to say about a key that nobody defined, if anything.
fn unknown(name: &str, parts: &[Part], meaning: &Meaning<'_>) -> Option<ConfigWarning> {
    let warning = |message: String, likely: Option<String>| {
        let hint = likely.as_ref().map(|likely| format!("; did you mean {likely}?")).unwrap_or_default();
        Some(ConfigWarning { key: name.to_owned(), message: format!("key {name} {message}{hint}"), likely })
    };
    if let Some(foreign) = kafka::find(name, CONNECTOR_FOREIGN_KEYS) {
        return warning(format!("has no effect: {}", foreign.why), foreign.instead.map(str::to_owned));
    }
    let own = |part: &Part| name.strip_prefix(part.prefix.as_str()).and_then(|rest| rest.strip_prefix('.'));
    // Of two parts whose names begin alike, the longer name has the key.
    let of_part = parts.iter().filter(|part| own(part).is_some()).max_by_key(|part| part.prefix.len());
    if let Some(part) = of_part {
        let short = own(part).unwrap_or_default();
        let known = part.keys.iter().flat_map(spellings);
        if known.clone().any(|known| known == short) || short == "isKey" {
            return None;
        }
        let likely = misspelt(short, known).map(|near| format!("{}.{near}", part.prefix));
        return warning("is not known and has no effect".to_owned(), likely);
    }
    for list in ["transforms", "predicates"] {
        if name.strip_prefix(list).is_some_and(|rest| rest.starts_with('.')) {
            return warning(format!("has no effect: the list {list} does not name it"), None);
        }
    }
    let known = meaning.plain_keys().flat_map(spellings);
    if let Some(likely) = misspelt(name, known) {
        return warning("is not known".to_owned(), Some(likely.to_owned()));
    }
    let of = |keys: &[ConfigKey]| keys.iter().flat_map(spellings).any(|known| known == name);
    match (of(SOURCE_KEYS), of(SINK_KEYS)) {
        (true, _) => warning("has no effect: it is a key of sources".to_owned(), None),
        (_, true) => warning("has no effect: it is a key of sinks".to_owned(), None),
        _ => None,
    }
}

fn spellings(key: &ConfigKey) -> impl Iterator<Item = &'static str> + Clone + use<> {
    std::iter::once(key.name).chain(key.aliases.iter().copied())
}

/// A list that names something twice: it is taken once.
fn named_twice(list: &str, properties: &Properties) -> Option<ConfigWarning> {
    let mut names: Vec<&str> =
        properties.get(list)?.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })?;
    let message = format!("key {list} names {twice} twice; it is taken once");
    Some(ConfigWarning { key: list.to_owned(), message, likely: None })
}
