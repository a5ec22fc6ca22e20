//! `rmqc-fast plugins …`: what the worker can run.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::{array, at, line, rows, table};
use super::{Asking, Session};
use crate::client::segment;

/// Shows the connectors, converters, transforms and predicates that the worker has.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast plugins\n  rmqc-fast plugins show file-sink")]
pub(crate) struct Plugins {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists all of them; what plugins without a word does.
    #[command(after_help = "Example:\n  rmqc-fast plugins list --json")]
    List,
    /// Shows the keys of one, with their defaults.
    #[command(after_help = "Example:\n  rmqc-fast plugins show file-sink")]
    Show {
        /// Its class, in any spelling that connector.class takes.
        #[arg(value_name = "PLUGIN")]
        name: String,
    },
}

impl Plugins {
    /// Does what the command line says.
    ///
    /// # Errors
    /// No worker, or its refusal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            match &self.action {
                None | Some(Action::List) => list(session)?,
                Some(Action::Show { name }) => show(session, name)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn list(session: &Session) -> anyhow::Result<()> {
    let plugins = session.get("/v1/connector-plugins?connectorsOnly=false")?;
    session.show(&plugins, |plugins| {
        rows(array(plugins, ""), &[("TYPE", "/type"), ("VERSION", "/version"), ("CLASS", "/class")])
    });
    Ok(())
}

fn show(session: &Session, name: &str) -> anyhow::Result<()> {
    let keys = session.get(&format!("/v1/connector-plugins/{}/config", segment(name)))?;
    session.show(&keys, |keys| {
        let row = |key: &serde_json::Value| {
            let default =
                if at(key, "/required") == "true" { "(required)".to_owned() } else { at(key, "/default_value") };
            vec![at(key, "/name"), at(key, "/type"), default, line(&at(key, "/documentation"))]
        };
        let rows: Vec<_> = array(keys, "").iter().map(row).collect();
        table(&["KEY", "TYPE", "DEFAULT", "MEANING"], &rows)
    });
    Ok(())
}
