//! Reads connectors' configurations from files: JSON documents or Java properties, one or several.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use rmqc_core::config::key::{ConfigKey, MASK, is_secret};
use rmqc_core::config::{Properties, java};
use rmqc_core::registry::find_connector;
use serde_json::Value;
use serde_json::value::RawValue;

use super::usage;

/// Largest file that is read, in bytes; the worker takes configurations of up to a megabyte each.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where configurations are.
#[derive(Args, Debug)]
pub(super) struct FileFlags {
    /// Name of the connector; needed where the file does not name it.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// JSON or Java properties, `-` for stdin; may be given several times.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// A connector as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Its name, if the file says it.
    pub name: Option<String>,
    /// Its configuration.
    pub config: Properties,
}

impl FileFlags {
    /// All connectors of the files, whether they have a name or not.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read_unnamed(&self) -> anyhow::Result<Vec<(Option<String>, Properties)>> {
        let mut connectors = Vec::new();
        for file in &self.files {
            connectors.extend(read(file)?.into_iter().map(|one| (one.name.or_else(|| self.name.clone()), one.config)));
        }
        if connectors.is_empty() { usage("there is no connector in the file") } else { Ok(connectors) }
    }

    /// All connectors of the files, each with a name.
    ///
    /// # Errors
    /// A file that can't be read; a connector without a name or with another one than asked for; a name twice; a
    /// masked value.
    pub fn read(&self) -> anyhow::Result<Vec<(String, Properties)>> {
        let mut connectors = Vec::<(String, Properties)>::new();
        for file in &self.files {
            for document in read(file)? {
                let place = file.display();
                let name = match (&self.name, document.name) {
                    (Some(asked), Some(found)) if *asked != found => {
                        return usage(format!(
                            "{place} describes {found}, not {asked}; leave out {asked} on the command line"
                        ));
                    }
                    (None, None) => {
                        return usage(format!(
                            "{place} does not say its connector's name; give it on the command line, or write \"name\" into the file"
                        ));
                    }
                    (asked, found) => found.or_else(|| asked.clone()).unwrap_or_default(),
                };
                if connectors.iter().any(|(other, _)| *other == name) {
                    return usage(format!("{place}: {name} is described twice"));
                }
                refuse_masked(&name, &document.config)?;
                connectors.push((name, document.config));
            }
        }
        if connectors.is_empty() { usage("there is no connector in the file") } else { Ok(connectors) }
    }
}

/// Refuses to send the mask that answers show in the place of a secret.
fn refuse_masked(name: &str, config: &Properties) -> anyhow::Result<()> {
    let keys = keys_of(config);
    match config.iter().find(|(key, value)| *value == MASK && is_secret(key, &keys)) {
        Some((key, _)) => usage(format!(
            "{name}: {key} is {MASK}, which is what the worker shows in the place of a secret; write the secret, or a \
             reference to it such as ${{file:/path:key}}"
        )),
        None => Ok(()),
    }
}

/// The keys of a configuration's connector class, as far as this program has it.
pub(super) fn keys_of(config: &Properties) -> Vec<ConfigKey> {
    let factory = config.get("connector.class").and_then(|class| find_connector(class.trim()));
    rmqc_control::controller::known_keys(config, factory)
}

/// All documents of a file.
///
/// # Errors
/// A file that can't be read, is too large, or is neither.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Document>> {
    let text = match text(path) {
        Ok(text) => text,
        Err(error) => return usage(format!("cannot read {}: {error}", path.display())),
    };
    match parse(&text) {
        Ok(documents) => Ok(documents),
        Err(reason) => usage(format!("{}: {reason}", path.display())),
    }
}

/// The text of a file, or of stdin for `-`.
///
/// # Errors
/// When it can't be read, is no UTF-8, or is too large.
pub(super) fn text(path: &Path) -> std::io::Result<String> {
    let source: Box<dyn std::io::Read> =
        if path == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(fs::File::open(path)?) };
    let mut text = String::new();
    let length = source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Reads JSON where the text begins like it, else properties.
fn parse(text: &str) -> Result<Vec<Document>, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '[']) {
        let mut documents = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>() {
            let value = value.map_err(|error| format!("it is no JSON: {error}"))?;
            if value.get().starts_with('[') {
                let several: Vec<Box<RawValue>> =
                    serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
                for one in &several {
                    documents.push(document(one)?);
                }
            } else {
                documents.push(document(&value)?);
            }
        }
        Ok(documents)
    } else {
        let config = java::parse(text).map_err(|errors| errors.to_string())?;
        if config.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(vec![Document { name: config.get("name").cloned(), config }])
    }
}

/// `{"name":…,"config":{…}}`, or the configuration itself, perhaps with its name in it.
fn document(raw: &RawValue) -> Result<Document, String> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get()).map_err(|_| {
        "a connector is a JSON object: {\"name\":…,\"config\":{…}} or the configuration itself".to_owned()
    })?;
    match members.get("config").filter(|config| config.get().starts_with('{')) {
        Some(config) => {
            let config: BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(config.get()).map_err(|error| error.to_string())?;
            let name = members.get("name").map(|name| value("name", name)).transpose()?;
            Ok(Document { name, config: properties(&config)? })
        }
        None => {
            let config = properties(&members)?;
            Ok(Document { name: config.get("name").cloned(), config })
        }
    }
}

fn properties(members: &BTreeMap<String, Box<RawValue>>) -> Result<Properties, String> {
    members.iter().map(|(key, raw)| Ok((key.clone(), value(key, raw)?))).collect()
}

/// A value as the worker stores it: numbers keep their digits, objects become their compact text.
fn value(key: &str, raw: &RawValue) -> Result<String, String> {
    let text = raw.get();
    match serde_json::from_str(text).map_err(|error| format!("{key}: {error}"))? {
        Value::Null => Err(format!("{key} is null; leave it out, or give it a value")),
        Value::String(text) => Ok(text),
        compact @ (Value::Object(_) | Value::Array(_)) => Ok(compact.to_string()),
        Value::Bool(_) | Value::Number(_) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(Option<&str>, &str)]) {
        let found: Vec<(Option<String>, String)> = parse(text)
            .unwrap()
            .into_iter()
            .map(|one| (one.name, one.config.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")))
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(name, text)| (name.map(str::to_owned), (*text).to_owned())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_form_is_read() {
        check(r#"{"name":"x","config":{"a":"1"}}"#, &[(Some("x"), "a=1")]);
        check(r#" {"a":"1","config":"y"}"#, &[(None, "a=1,config=y")]);
        check(r#"{"name":"x","a":1.50,"b":true,"c":{"d": 1}}"#, &[(Some("x"), r#"a=1.50,b=true,c={"d":1},name=x"#)]);
        check("{\"a\":\"1\"}\n{\"b\":\"2\"}", &[(None, "a=1"), (None, "b=2")]);
        check(r#"[{"a":"1"},{"name":"n","config":{"b":"2"}}]"#, &[(None, "a=1"), (Some("n"), "b=2")]);
        check("# c\nname=x\na = 1\n", &[(Some("x"), "a=1,name=x")]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (text, reason) in [
            ("", "empty"),
            ("{\"a\":", "no JSON"),
            ("[1]", "JSON object"),
            ("{\"a\":null}", "a is null"),
            ("a=\\uzz", "hexadecimal"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_mask_is_no_secret() {
        let config = Properties::from([("password".to_owned(), MASK.to_owned())]);
        assert!(refuse_masked("x", &config).unwrap_err().to_string().contains("password"));
        let config = Properties::from([("filename".to_owned(), MASK.to_owned())]);
        assert!(refuse_masked("x", &config).is_ok());
    }
}
