//! The chain: transforms in order, between converter and task, each perhaps under a predicate. Compiled once, when a
//! task starts; whatever can't be built stops the connector with the reason.

use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind, Part, check_own_keys, nearest, prefixed};
use crate::error::Result;
use crate::predicate::Predicate;
use crate::record::ConnectRecord;
use crate::registry::{find_predicate, find_transform, predicate_remedy, predicates, transform_remedy, transforms};
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
    let class = take_class(&prefix, &mut own);
    // Looked at before the class is given up, so that all faults are told.
    let condition = condition(&prefix, &mut own, predicate_names, config);
    let transform = class.and_then(|class| transform(&prefix, &class, own));
    match (transform, condition) {
        (Ok((class, transform)), Ok(condition)) => Ok(Step { class, transform, condition }),
        (transform, condition) => {
            let wrong = [transform.err(), condition.err()].into_iter().flatten();
            Err(ConfigErrors(wrong.flat_map(|errors| errors.0).collect()))
        }
    }
}

/// The transform of that class, with its Java class.
fn transform(prefix: &str, class: &str, own: Properties) -> Result<(&'static str, Box<dyn Transform>), ConfigErrors> {
    let key = format!("{prefix}.class");
    let Some((factory, target)) = find_transform(class) else {
        let known: Vec<_> = transforms().iter().map(|factory| factory.java_class).collect();
        let message = format!(
            "Failed to find any class that implements Transform and which name matches {class}, available transforms are: {}",
            known.join(", ")
        );
        return Err(ConfigError::new(key, message).with_value(class).with_remedy(transform_remedy(class)).into());
    };
    if factory.targets && target.is_none() {
        let message = format!("Config {key} is \"{class}\", expected {class}$Key or {class}$Value");
        let remedy = format!("write {class}$Value to change the record's value, {class}$Key to change its key");
        return Err(ConfigError::new(key, message).with_value(class).with_remedy(remedy).into());
    }
    check_own_keys(prefix, factory.keys, &own)?;
    let transform = (factory.build)(&TransformConfig { properties: own, target });
    Ok((factory.java_class, transform.map_err(|errors| prefixed(prefix, errors))?))
}

/// The predicate of this name, with its Java class.
fn predicate(name: &str, config: &Properties) -> Result<(&'static str, Box<dyn Predicate>), ConfigErrors> {
    let prefix = format!("predicates.{name}");
    let mut own = own_keys("predicates", name, config);
    let class = take_class(&prefix, &mut own)?;
    let Some(factory) = find_predicate(&class) else {
        let known: Vec<_> = predicates().iter().map(|factory| factory.java_class).collect();
        let message = format!("there is no predicate called {class}; there are {}", known.join(", "));
        let error = ConfigError::new(format!("{prefix}.class"), message).with_value(&class);
        return Err(error.with_remedy(predicate_remedy(&class)).into());
    };
    check_own_keys(&prefix, factory.keys, &own)?;
    let predicate = (factory.build)(&own).map_err(|errors| prefixed(&prefix, errors))?;
    Ok((factory.java_class, predicate))
}

/// The class of a transform.
const TRANSFORM_CLASS: ConfigKey = ConfigKey {
    name: "class",
    aliases: &["type"],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Which transform: its name, or a Java class.",
};
/// The class of a predicate.
const PREDICATE_CLASS: ConfigKey = ConfigKey { doc: "Which predicate: its name, or a Java class.", ..TRANSFORM_CLASS };
/// The predicate of a transform.
const STEP_PREDICATE: ConfigKey = ConfigKey {
    name: PREDICATE,
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "One of the names in `predicates`: the transform applies only to records for which that predicate holds.",
};
/// Whether the predicate is turned round.
const STEP_NEGATE: ConfigKey = ConfigKey {
    name: NEGATE,
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Apply the transform to records for which the predicate does not hold.",
};

/// The transforms and predicates that a configuration names, with their keys.
#[must_use]
pub fn parts(config: &Properties) -> Vec<Part> {
    let of = |list: &ConfigKey, common: &[ConfigKey], keys_of: fn(&str) -> &'static [ConfigKey]| -> Vec<Part> {
        let one = |name: String| {
            let (prefix, own) = (format!("{}.{name}", list.name), own_keys(list.name, &name, config));
            let class = TRANSFORM_CLASS.given(&own).unwrap_or_default();
            let keys = common.iter().chain(keys_of(class)).copied().collect();
            Part { prefix, keys, own }
        };
        names(list, config).into_iter().map(one).collect()
    };
    let transform_keys = |class: &str| find_transform(class).map(|(factory, _)| factory.keys).unwrap_or_default();
    let predicate_keys = |class: &str| find_predicate(class).map(|factory| factory.keys).unwrap_or_default();
    let mut all = of(&TRANSFORMS, &[TRANSFORM_CLASS, STEP_PREDICATE, STEP_NEGATE], transform_keys);
    all.extend(of(&PREDICATES, &[PREDICATE_CLASS], predicate_keys));
    all
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
            let error = ConfigError::new(format!("{prefix}.{NEGATE}"), message).with_value(text);
            return Err(error.with_remedy(STEP_NEGATE.remedy(Some(text))).into());
        }
    };
    let key = format!("{prefix}.{PREDICATE}");
    let Some(name) = own.remove(PREDICATE).map(|name| name.trim().to_owned()) else {
        if negate {
            let message = format!("Config {prefix}.{NEGATE} is \"true\", but {key} names no predicate");
            let remedy = format!("name one of those in `predicates` by {key}, or leave {prefix}.{NEGATE} out");
            return Err(ConfigError::new(key, message).with_remedy(remedy).into());
        }
        return Ok(None);
    };
    if !predicate_names.contains(&name) {
        let message = format!("Config {key} is \"{name}\", expected one of those in `predicates`");
        let remedy = match nearest(&name, predicate_names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("add {name} to `predicates`, and describe it by predicates.{name}.class"),
        };
        return Err(ConfigError::new(key, message).with_value(name).with_remedy(remedy).into());
    }
    let (class, predicate) = predicate(&name, config)?;
    Ok(Some(Condition { class, predicate, negate }))
}

/// The class that a step names; its keys stay without it.
fn take_class(prefix: &str, own: &mut Properties) -> Result<String, ConfigErrors> {
    let checked = check_own_keys(prefix, &[TRANSFORM_CLASS], own);
    let named: Vec<String> = CLASS.iter().filter_map(|key| own.remove(*key)).collect();
    checked?;
    match named.first().map(|class| class.trim()) {
        Some(class) if !class.is_empty() => Ok(class.to_owned()),
        _ => {
            let key = format!("{prefix}.class");
            let message = format!("Request config key: {key}");
            let remedy = format!("set {key}: {}", TRANSFORM_CLASS.doc.trim_end_matches('.'));
            Err(ConfigError::new(key, message).with_remedy(remedy).into())
        }
    }
}

#[cfg(test)]
mod tests;
