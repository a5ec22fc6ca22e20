//! The chain: transforms in order, between converter and task, each perhaps under a predicate. Compiled once, when a
//! task starts; whatever can't be built stops the connector with the reason.

use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind, check_own_keys, prefixed, unknown_own_keys};
use crate::error::Result;
use crate::predicate::Predicate;
use crate::record::ConnectRecord;
use crate::registry::{find_predicate, find_transform, predicates, transforms};
use crate::transform::{Outcome, Transform, TransformConfig};

/// `transforms`.
pub const TRANSFORMS: ConfigKey = ConfigKey {
    name: "transforms",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Names of transforms, separated by commas, applied in this order. Each is described by `transforms.NAME.class` \
          (or `.type`) and its own keys `transforms.NAME.KEY`; `transforms.NAME.predicate` names a predicate without \
          which it does not apply, `transforms.NAME.negate=true` turns that round.",
};
/// `predicates`.
pub const PREDICATES: ConfigKey = ConfigKey {
    name: "predicates",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Names of predicates, separated by commas. Each is described by `predicates.NAME.class` (or `.type`) and its \
          own keys `predicates.NAME.KEY`.",
};

/// When a step applies.
struct Condition {
    /// The Java class, for error messages and dead letters.
    class: &'static str,
    predicate: Box<dyn Predicate>,
    negate: bool,
}

struct Step {
    /// The Java class, for error messages and dead letters.
    class: &'static str,
    transform: Box<dyn Transform>,
    condition: Option<Condition>,
}

/// Transforms in their order. The empty chain hands every record on untouched and unseen.
#[derive(Default)]
pub struct Chain {
    steps: Vec<Step>,
}

impl Chain {
    /// Builds the chain that a connector's configuration describes.
    ///
    /// # Errors
    /// Everything that is wrong with it: unknown classes, missing, unknown and malformed keys.
    pub fn from_config(config: &Properties) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let known: Vec<String> = names(&PREDICATES, config);
        for name in &known {
            if let Err(wrong) = predicate(name, config) {
                errors.extend(wrong.0);
            }
        }
        let mut steps = Vec::new();
        for name in names(&TRANSFORMS, config) {
            match step(&name, &known, config) {
                Ok(step) => steps.push(step),
                Err(wrong) => errors.extend(wrong.0.into_iter().filter(|error| !error.key.starts_with("predicates."))),
            }
        }
        if errors.is_empty() { Ok(Self { steps }) } else { Err(ConfigErrors(errors)) }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Applies all steps. After an error the record may be changed in part.
    ///
    /// # Errors
    /// The first step's that fails, with its class.
    pub fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        for step in &self.steps {
            if let Some(condition) = &step.condition {
                let holds = condition.predicate.test(record).map_err(|error| error.in_class(condition.class))?;
                if holds == condition.negate {
                    continue;
                }
            }
            if step.transform.apply(record).map_err(|error| error.in_class(step.class))? == Outcome::Drop {
                return Ok(Outcome::Drop);
            }
        }
        Ok(Outcome::Keep)
    }
}

/// The names in a list, each once.
fn names(key: &ConfigKey, config: &Properties) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in key.text(config).unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Keys of a chain's steps that the chain itself reads.
const CLASS: [&str; 2] = ["class", "type"];
const PREDICATE: &str = "predicate";
const NEGATE: &str = "negate";

/// The keys `PREFIX.NAME.KEY`, as `KEY`. A longer name that begins alike keeps its keys to itself.
fn own_keys(prefix: &str, name: &str, config: &Properties) -> Properties {
    let start = format!("{prefix}.{name}.");
    config.iter().filter_map(|(key, text)| Some((key.strip_prefix(&start)?.to_owned(), text.clone()))).collect()
}

fn step(name: &str, predicate_names: &[String], config: &Properties) -> Result<Step, ConfigErrors> {
    let prefix = format!("transforms.{name}");
    let mut own = own_keys("transforms", name, config);
    let class = take_class(&prefix, &mut own)?;
    let condition = condition(&prefix, &mut own, predicate_names, config)?;
    let Some((factory, target)) = find_transform(&class) else {
        let known: Vec<_> = transforms().iter().map(|factory| factory.java_class).collect();
        let message = format!(
            "Failed to find any class that implements Transform and which name matches {class}, available transforms are: {}",
            known.join(", ")
        );
        return Err(ConfigError::new(format!("{prefix}.class"), message).into());
    };
    if factory.targets && target.is_none() {
        let message = format!("Config {prefix}.class is \"{class}\", expected {class}$Key or {class}$Value");
        return Err(ConfigError::new(format!("{prefix}.class"), message).into());
    }
    check_own_keys(&prefix, factory.keys, &own)?;
    let transform = (factory.build)(&TransformConfig { properties: own, target });
    let transform = transform.map_err(|errors| prefixed(&prefix, errors))?;
    Ok(Step { class: factory.java_class, transform, condition })
}

/// The predicate of this name, with its Java class.
fn predicate(name: &str, config: &Properties) -> Result<(&'static str, Box<dyn Predicate>), ConfigErrors> {
    let prefix = format!("predicates.{name}");
    let mut own = own_keys("predicates", name, config);
    let class = take_class(&prefix, &mut own)?;
    let Some(factory) = find_predicate(&class) else {
        let known: Vec<_> = predicates().iter().map(|factory| factory.java_class).collect();
        let message = format!("there is no predicate called {class}; there are {}", known.join(", "));
        return Err(ConfigError::new(format!("{prefix}.class"), message).into());
    };
    check_own_keys(&prefix, factory.keys, &own)?;
    let predicate = (factory.build)(&own).map_err(|errors| prefixed(&prefix, errors))?;
    Ok((factory.java_class, predicate))
}

/// What to say about keys that the transforms and predicates of a configuration do not know. Call for one that can be
/// built.
#[must_use]
pub fn unknown_keys(config: &Properties) -> Vec<String> {
    let mut told = Vec::new();
    for name in names(&TRANSFORMS, config) {
        let (prefix, mut own) = (format!("transforms.{name}"), own_keys("transforms", &name, config));
        let class = take_class(&prefix, &mut own).unwrap_or_default();
        own.retain(|key, _| key != PREDICATE && key != NEGATE);
        if let Some((factory, _)) = find_transform(&class) {
            told.extend(unknown_own_keys(&prefix, factory.keys, &own));
        }
    }
    for name in names(&PREDICATES, config) {
        let (prefix, mut own) = (format!("predicates.{name}"), own_keys("predicates", &name, config));
        let class = take_class(&prefix, &mut own).unwrap_or_default();
        if let Some(factory) = find_predicate(&class) {
            told.extend(unknown_own_keys(&prefix, factory.keys, &own));
        }
    }
    told
}

fn condition(
    prefix: &str,
    own: &mut Properties,
    predicate_names: &[String],
    config: &Properties,
) -> Result<Option<Condition>, ConfigErrors> {
    let negate = own.remove(NEGATE).map(|text| text.trim().to_ascii_lowercase());
    let negate = match negate.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(text) => {
            let message = format!("Config {prefix}.{NEGATE} is \"{text}\", expected true or false");
            return Err(ConfigError::new(format!("{prefix}.{NEGATE}"), message).into());
        }
    };
    let key = format!("{prefix}.{PREDICATE}");
    let Some(name) = own.remove(PREDICATE).map(|name| name.trim().to_owned()) else {
        if negate {
            let message = format!("Config {prefix}.{NEGATE} is \"true\", but {key} names no predicate");
            return Err(ConfigError::new(key, message).into());
        }
        return Ok(None);
    };
    if !predicate_names.contains(&name) {
        let message = format!("Config {key} is \"{name}\", expected one of those in `predicates`");
        return Err(ConfigError::new(key, message).into());
    }
    let (class, predicate) = predicate(&name, config)?;
    Ok(Some(Condition { class, predicate, negate }))
}

/// The class that a step names; its keys stay without it.
fn take_class(prefix: &str, own: &mut Properties) -> Result<String, ConfigErrors> {
    let named: Vec<String> = CLASS.iter().filter_map(|key| own.remove(*key)).collect();
    match named.first().map(|class| class.trim()) {
        Some(class) if !class.is_empty() => Ok(class.to_owned()),
        _ => {
            let key = format!("{prefix}.class");
            let message = format!("Request config key: {key}");
            Err(ConfigError::new(key, message).into())
        }
    }
}

#[cfg(test)]
mod tests;
