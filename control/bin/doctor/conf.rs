//! The conf file: whether it can be read, and what is wrong with its keys.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rmqc_core::config::key::{ConfigError, ConfigErrors, ConfigKey};
use rmqc_core::config::provider::Providers;
use rmqc_core::config::worker::{Parsed, WORKER_KEYS, WorkerConfig, provider_settings};
use rmqc_core::config::{Properties, java};

use super::finding::Finding;
use crate::cli::WorkerFlags;

const CHECK: &str = "conf";
/// No conf file is longer.
const CONF_BYTES_MAX: u64 = 1 << 20;

/// What the worker would be started with.
pub(crate) struct Conf {
    /// The conf file, if one was named.
    pub file: Option<PathBuf>,
    /// What stands in it.
    pub given: Properties,
    /// The configuration. Where a key is wrong, its default stands in, so that the other checks can go on.
    pub config: WorkerConfig,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Reads conf file, flags and environment.
///
/// # Errors
/// A file that can't be read or is no properties file, or a configuration that has no place for its stores.
pub(crate) fn read(flags: &WorkerFlags) -> Result<Conf, ConfigErrors> {
    let given = match &flags.config_file {
        Some(path) => java::parse(&text(path)?)?,
        None => Properties::new(),
    };
    let from_flags = flags.properties();
    let environment = crate::environment_of(flags);
    let providers = Providers::registered(&provider_settings(&given, &environment));
    let build = |given: &Properties, from_flags: &Properties| {
        WorkerConfig::build_resolved(given, from_flags, &environment, &providers)
    };
    let (parsed, errors) = match build(&given, &from_flags) {
        Ok(parsed) => (parsed, Vec::new()),
        Err(errors) => {
            let without = |properties: &Properties| without_faults(properties, &errors);
            (build(&without(&given), &without(&from_flags))?, errors.0)
        }
    };
    let file = flags.config_file.clone();
    let findings = judge(&place(file.as_deref()), given.len(), &errors, &parsed);
    Ok(Conf { file, given, config: parsed.config, findings })
}

/// Text of a file that is not larger than a conf file can be.
pub(crate) fn text(path: &Path) -> Result<String, ConfigErrors> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(CONF_BYTES_MAX).read_to_string(&mut text));
    let told = |error| ConfigErrors::from(ConfigError::new("-c", format!("cannot read {}: {error}", path.display())));
    read.map_err(told)?;
    Ok(text)
}

/// Where a key can be set.
pub(crate) fn place(file: Option<&Path>) -> String {
    file.map_or_else(|| "a conf file given by -c".to_owned(), |path| path.display().to_string())
}

/// The properties without the keys that are wrong, under any of their names. Signing is left off when its keys are
/// missing.
fn without_faults(properties: &Properties, errors: &ConfigErrors) -> Properties {
    let mut left = properties.clone();
    for error in &errors.0 {
        for name in definition(&error.key).into_iter().flat_map(|key| key.aliases.iter().copied().chain([key.name])) {
            left.remove(name);
        }
        left.remove(&error.key);
        if matches!(error.key.as_str(), "accessKey" | "secretKey") {
            left.remove("aclEnable");
        }
    }
    left
}

fn definition(name: &str) -> Option<&'static ConfigKey> {
    WORKER_KEYS.iter().find(|key| key.name == name)
}

fn judge(place: &str, keys: usize, errors: &[ConfigError], parsed: &Parsed) -> Vec<Finding> {
    let mut findings: Vec<Finding> = errors
        .iter()
        .map(|error| {
            Finding::fail(CHECK, format!("{} in {place}", error.key), error.message.clone(), cure(error, place))
        })
        .collect();
    for warning in &parsed.warnings {
        let remedy = if warning.contains("did you mean") {
            format!("correct the key's name in {place}")
        } else if warning.contains("no effect") {
            format!("remove the line from {place}")
        } else {
            format!("keep one of both: change {place} or unset the environment variable")
        };
        findings.push(Finding::warn(CHECK, place, warning.clone(), remedy));
    }
    if errors.is_empty() {
        findings.push(Finding::ok(CHECK, place, format!("keys read: {keys}; no value is wrong")));
    }
    findings
}

fn cure(error: &ConfigError, place: &str) -> String {
    let key = definition(&error.key);
    let default = key.and_then(|key| Some((key.name, key.default.filter(|default| !default.is_empty())?)));
    let what = error.remedy.as_deref().unwrap_or("correct the line");
    match default {
        Some((name, default)) => format!("{what}, in {place}; the default is {name}={default}"),
        None => format!("{what}; set {}=… in {place}", error.key),
    }
}

#[cfg(test)]
mod tests {
    use rmqc_core::config::worker::Environment;

    use super::*;

    #[test]
    fn what_is_wrong_is_left_out_and_the_rest_stays() {
        let given: Properties = [("httpPort", "x"), ("cores", "0"), ("workerId", "w"), ("aclEnable", "true")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let environment = Environment { home: Some("/h".to_owned()), ..Environment::default() };
        let errors = WorkerConfig::build(&given, &Properties::new(), &environment).unwrap_err();
        let left = without_faults(&given, &errors);
        let parsed = WorkerConfig::build(&left, &Properties::new(), &environment).unwrap();
        assert_eq!((parsed.config.http_port, parsed.config.worker_id.as_str()), (8082, "w"));
        let findings = judge("x.conf", given.len(), &errors.0, &parsed);
        assert_eq!(findings.len(), 4, "{findings:?}");
        assert!(findings.iter().any(|finding| finding.remedy.as_deref().unwrap().contains("httpPort=8082")));
    }
}
