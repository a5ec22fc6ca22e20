//! `rmqc-fast loggers …`: how much the worker logs, changed while it runs.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Asking;
use super::output::{at, members, table};
use crate::client::segment;

/// Shows and sets the levels of the worker's loggers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast loggers get\n  rmqc-fast loggers set rmqc_io DEBUG")]
pub(crate) struct Loggers {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows all loggers with their levels, or one.
    #[command(after_help = "Examples:\n  rmqc-fast loggers get\n  rmqc-fast loggers get root")]
    Get {
        /// Name of a logger; without it all.
        #[arg(value_name = "LOGGER")]
        name: Option<String>,
    },
    /// Sets a logger's level until the worker ends.
    #[command(after_help = "Examples:\n  rmqc-fast loggers set root WARN\n  rmqc-fast loggers set rmqc_io TRACE")]
    Set {
        /// Name of the logger: a module's path, or `root`.
        #[arg(value_name = "LOGGER")]
        name: String,
        /// TRACE, DEBUG, INFO, WARN, ERROR or OFF.
        #[arg(value_name = "LEVEL")]
        level: String,
    },
}

impl Loggers {
    /// Does what the command line says.
    ///
    /// # Errors
    /// No worker, or its refusal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        const PATH: &str = "/v1/admin/loggers";
        self.asking.run(|session| {
            match &self.action {
                Action::Get { name: None } => {
                    let all = session.get(PATH)?;
                    session.show(&all, |all| {
                        let loggers = members(all, "");
                        let rows: Vec<_> =
                            loggers.iter().map(|(name, one)| vec![(*name).to_owned(), at(one, "/level")]).collect();
                        table(&["LOGGER", "LEVEL"], &rows)
                    });
                }
                Action::Get { name: Some(name) } => {
                    let one = session.get(&format!("{PATH}/{}", segment(name)))?;
                    session.show(&one, |one| at(one, "/level"));
                }
                Action::Set { name, level } => {
                    let path = format!("{PATH}/{}", segment(name));
                    let (_, changed) = session.change("PUT", &path, Some(&json!({ "level": level })))?;
                    session.show(&changed, |_| format!("{name} logs {level} now."));
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
