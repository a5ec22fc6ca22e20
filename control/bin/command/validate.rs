//! `rmqc-fast validate`: all that is wrong with configurations, before anything is created.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use rmqc_control::controller::{ConfigWarning, ConverterDefaults, DefineSettings, validate};
use rmqc_core::config::Properties;
use rmqc_core::config::key::ConfigError;
use rmqc_core::config::provider::Providers;
use serde_json::{Value, json};

use super::documents::FileFlags;
use super::output::{array, at, line};
use super::{Asking, Session};
use crate::cli::WorkerFlags;
use crate::client::segment;
use crate::{EXIT_FAILURE, configuration};

/// Checks configurations without creating anything, and names every fault: key, value, reason, remedy.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code 0: accepted, 1: faulty.\n\nExamples:\n  rmqc-fast validate -f orders.json\n  rmqc-fast \
                        validate --offline -f orders.json --json"
)]
pub(crate) struct Validate {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    file: FileFlags,
    /// Ask no worker: check by what is built into this program. References are looked up on this machine.
    #[arg(long)]
    offline: bool,
    /// With --offline: the worker's conf file, for the converters that it gives to connectors that name none.
    #[arg(short = 'c', long = "configFile", value_name = "FILE", requires = "offline")]
    config_file: Option<PathBuf>,
}

impl Validate {
    /// Checks and shows.
    ///
    /// # Errors
    /// No worker, or a file that makes no sense.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            let settings = if self.offline { Some(self.settings()?) } else { None };
            let mut results = Vec::new();
            for (name, config) in self.file.read_unnamed()? {
                let (errors, warnings) = match &settings {
                    Some(settings) => offline(&config, settings),
                    None => online(session, &config)?,
                };
                results.push(json!({ "name": name, "errors": errors, "warnings": warnings }));
            }
            let faulty = results.iter().any(|one| !array(one, "/errors").is_empty());
            session.show(&json!({ "valid": !faulty, "connectors": results }), text);
            Ok(if faulty { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS })
        })
    }
}

impl Validate {
    /// What a worker on this machine would go by.
    fn settings(&self) -> anyhow::Result<DefineSettings> {
        let config = configuration(&WorkerFlags::of_file(self.config_file.clone()))?.config;
        let cpus = || std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(DefineSettings {
            converters: ConverterDefaults { key: config.key_converter, value: config.value_converter },
            shards: config.cores.unwrap_or_else(cpus),
            providers: Arc::new(Providers::registered(&config.providers)),
        })
    }
}

/// Faults and warnings as this program sees them.
fn offline(config: &Properties, settings: &DefineSettings) -> (Vec<Value>, Vec<Value>) {
    // A connector's own name is no key of its configuration.
    let mut config = config.clone();
    config.remove("name");
    let found = validate(&config, settings);
    let fault = |error: &ConfigError| json!({ "key": error.key, "value": error.value, "reason": error.message, "remedy": error.remedy });
    let warning = |one: &ConfigWarning| json!({ "key": one.key, "reason": one.message, "likely": one.likely });
    (found.errors.iter().map(fault).collect(), found.warnings.iter().map(warning).collect())
}

/// Faults and warnings as the worker sees them.
fn online(session: &Session, config: &Properties) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    let Some(class) = config.get("connector.class").filter(|class| !class.trim().is_empty()) else {
        let fault = json!({
            "key": "connector.class",
            "value": null,
            "reason": "Request config key: connector.class",
            "remedy": "name the connector's class; rmqc-fast plugins lists them",
        });
        return Ok((vec![fault], Vec::new()));
    };
    let path = format!("/v1/connector-plugins/{}/config/validate", segment(class.trim()));
    let (_, answer) = session.change("PUT", &path, Some(&json!(config)))?;
    Ok((array(&answer, "/errors").to_vec(), array(&answer, "/warnings").to_vec()))
}

fn text(document: &Value) -> String {
    let mut text = String::new();
    for one in array(document, "/connectors") {
        let (errors, warnings) = (array(one, "/errors"), array(one, "/warnings"));
        let verdict = match errors.len() {
            0 => "accepted".to_owned(),
            1 => "1 fault".to_owned(),
            many => format!("{many} faults"),
        };
        match one.get("name").and_then(Value::as_str) {
            Some(name) => text.push_str(&format!("{}: {verdict}\n", line(name))),
            None => text.push_str(&format!("{verdict}\n")),
        }
        for fault in errors {
            text.push_str(&format!("  {}", line(&at(fault, "/key"))));
            if let Some(value) = fault.get("value").and_then(Value::as_str) {
                text.push_str(&format!(" = {}", line(value)));
            }
            text.push_str(&format!("\n    {}\n", line(&at(fault, "/reason"))));
            if let Some(remedy) = fault.get("remedy").and_then(Value::as_str) {
                text.push_str(&format!("    remedy: {}\n", line(remedy)));
            }
        }
        for warning in warnings {
            let reason = line(&at(warning, "/reason"));
            text.push_str(&format!("  warning: {}: {reason}", line(&at(warning, "/key"))));
            // The reason may say it already.
            if let Some(likely) =
                warning.get("likely").and_then(Value::as_str).filter(|likely| !reason.contains(likely))
            {
                text.push_str(&format!("; did you mean {}?", line(likely)));
            }
            text.push('\n');
        }
    }
    text
}
