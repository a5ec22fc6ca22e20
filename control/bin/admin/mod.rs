//! `connectAdmin`: the Java project's command line tool, by its old names, options and messages. It speaks the Java
//! worker's REST API and nothing else, so that it works against either worker. What the old tool got wrong is right here:
//! `queryConnectorStatus` shows the status, `stopAll` and `getAllocated…` ask paths that exist, the port is a worker's
//! own by default, and a failure is an exit code other than 0.

mod allocated;
mod options;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use rmqc_core::config::{Properties, java};
use serde_json::Value;

use crate::client::{Client, RequestError, ServerFlags, segment};
use crate::{EXIT_FAILURE, EXIT_UNREACHABLE, EXIT_USAGE, say, say_error};
use options::{CONNECTOR, Given, HELP, PATH, Spec, TASK};

/// Global options that make no sense end the old tool with this code.
const EXIT_BAD_GLOBAL: u8 = 255;
/// Port of a worker whose conf file names none.
const PORT_DEFAULT: &str = "8082";
/// Longest wait for an answer, in seconds.
const TIMEOUT_S: u64 = 30;

/// The Java project's connectAdmin: all its commands by their old names and options.
#[derive(Args, Debug)]
#[command(
    disable_help_flag = true,
    after_help = "The same program called under the name connectAdmin, or bin/connectAdmin, does this \
                  too.\n\nExamples:\n  rmqc-fast admin\n  rmqc-fast admin help createConnector\n  rmqc-fast admin \
                  createConnector -c orders -p orders.json\n  rmqc-fast admin -s conf/connect.conf stopConnector -c orders"
)]
pub(crate) struct Admin {
    /// [-s FILE] COMMAND [-c NAME] [-p FILE]; without a command the list of them. -s names a conf file with httpAddr and
    /// httpPort.
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Admin {
    /// Does what the arguments say.
    pub fn run(&self) -> ExitCode {
        run(&self.arguments)
    }
}

/// One command of the old tool.
struct Command {
    name: &'static str,
    about: &'static str,
    options: &'static [&'static Spec],
    run: fn(&Server, &Given) -> Result<Outcome, RequestError>,
}

/// What came of a command: what to print, and whether it is good news.
struct Outcome {
    text: String,
    good: bool,
}

/// In the order in which the old tool lists them; those that it lacked follow.
const COMMANDS: &[Command] = &[
    Command {
        name: "createConnector",
        about: "Create and start a connector by connector's config",
        options: &[&CONNECTOR, &HELP, &PATH],
        run: create,
    },
    Command {
        name: "stopConnector",
        about: "Stop a specific connector by connector-name",
        options: &[&CONNECTOR, &HELP],
        run: |server, given| server.show(&format!("/connectors/{}/stop", given.connector())),
    },
    Command {
        name: "queryConnectorConfig",
        about: "Get configuration information for a connector",
        options: &[&CONNECTOR, &HELP],
        run: |server, given| server.show(&format!("/connectors/{}/config", given.connector())),
    },
    Command {
        name: "queryConnectorStatus",
        about: "Get Status information for a connector",
        options: &[&CONNECTOR, &HELP],
        run: |server, given| server.show(&format!("/connectors/{}/status", given.connector())),
    },
    Command {
        name: "stopAll",
        about: "Stop and delete all Connectors and all configuration information",
        options: &[&HELP],
        run: |server, _| server.show("/connectors/stop/all"),
    },
    Command {
        name: "reloadPlugins",
        about: "Reload the Connector file under the plugin directory",
        options: &[&HELP],
        run: |server, _| server.show("/plugin/reload"),
    },
    Command {
        name: "getConfigInfo",
        about: "Get all connectors and tasks configuration information",
        options: &[&HELP],
        run: |server, _| server.show("/connectors/list"),
    },
    Command {
        name: "getClusterInfo",
        about: "Get cluster information",
        options: &[&HELP],
        run: |server, _| server.show("/getClusterInfo"),
    },
    Command {
        name: "getAllocatedInfo",
        about: "Get the load information of the current worker",
        options: &[&HELP],
        run: allocated::info,
    },
    Command {
        name: "getAllocatedConnectors",
        about: "Get allocated connectors information",
        options: &[&HELP],
        run: allocated::connectors,
    },
    Command {
        name: "getAllocatedTasks",
        about: "Get allocated tasks information",
        options: &[&HELP],
        run: allocated::tasks,
    },
    Command {
        name: "pauseConnector",
        about: "Pause a specific connector by connector-name",
        options: &[&CONNECTOR, &HELP],
        run: |server, given| server.show(&format!("/connectors/{}/pause", given.connector())),
    },
    Command {
        name: "resumeConnector",
        about: "Resume a specific connector by connector-name",
        options: &[&CONNECTOR, &HELP],
        run: |server, given| server.show(&format!("/connectors/{}/resume", given.connector())),
    },
    Command {
        name: "pauseAll",
        about: "Pause all connectors",
        options: &[&HELP],
        run: |server, _| server.show("/connectors/pause/all"),
    },
    Command {
        name: "resumeAll",
        about: "Resume all connectors",
        options: &[&HELP],
        run: |server, _| server.show("/connectors/resume/all"),
    },
    Command {
        name: "listConnectors",
        about: "List all connectors with their status",
        options: &[&HELP],
        run: |server, _| server.show("/connectors/list"),
    },
    Command {
        name: "listPlugins",
        about: "List all plugins of the worker",
        options: &[&HELP],
        run: |server, _| server.show("/plugin/list"),
    },
    Command {
        name: "queryTaskStatus",
        about: "Get Status information for a task",
        options: &[&CONNECTOR, &HELP, &TASK],
        run: |server, given| {
            let task = segment(given.value("t"));
            server.show(&format!("/connectors/{}/tasks/{task}/status", given.connector()))
        },
    },
];

/// Names that these commands go by too.
const ALIASES: &[(&str, &str)] = &[("pause", "pauseConnector"), ("resume", "resumeConnector")];

fn find(name: &str) -> Option<&'static Command> {
    let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    let name = alias.map_or(name, |(_, name)| name);
    COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name))
}

/// Whether the program was called as `connectAdmin`.
pub(crate) fn is_called_so(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "connectAdmin")
}

/// Does what the arguments, without the program's name, say.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let (global, rest) = match options::global(arguments) {
        Ok(found) => found,
        Err(wrong) => {
            say_error(&wrong);
            say(&options::global_usage());
            return ExitCode::from(EXIT_BAD_GLOBAL);
        }
    };
    if global.help {
        say(&options::global_usage());
        return ExitCode::SUCCESS;
    }
    match rest.split_first() {
        None => {
            say(&listing());
            ExitCode::SUCCESS
        }
        Some((help, [])) if help.eq_ignore_ascii_case("help") => no_such_command(help),
        Some((help, [name, ..])) if help.eq_ignore_ascii_case("help") => match find(name) {
            Some(command) => {
                say(&options::usage(command.name, command.options));
                ExitCode::SUCCESS
            }
            None => no_such_command(name),
        },
        Some((name, arguments)) => match find(name) {
            Some(command) => carry_out(command, arguments, global.conf_file.as_deref()),
            None => no_such_command(name),
        },
    }
}

fn no_such_command(name: &str) -> ExitCode {
    say(&format!("The sub command {name} not exist."));
    ExitCode::from(EXIT_USAGE)
}

fn listing() -> String {
    let mut text = "The most commonly used connectAdmin commands are:\n".to_owned();
    for command in COMMANDS {
        text.push_str(&format!("   {:<25} {}\n", command.name, command.about));
    }
    text.push_str("\nSee 'connectAdmin help <command>' for more information on a specific command.");
    text
}

fn carry_out(command: &Command, arguments: &[String], conf_file: Option<&Path>) -> ExitCode {
    let usage = || say(&options::usage(command.name, command.options));
    let given = match options::parse(command.options, arguments) {
        Ok(given) => given,
        Err(wrong) => {
            say_error(&wrong);
            usage();
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if given.help {
        usage();
        return ExitCode::SUCCESS;
    }
    let server = match Server::of(conf_file) {
        Ok(server) => server,
        Err(wrong) => {
            say_error(&wrong);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match (command.run)(&server, &given) {
        Ok(outcome) => {
            say(&outcome.text);
            if outcome.good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) }
        }
        Err(error) => {
            say_error(&error.to_string());
            let unreachable = matches!(error, RequestError::Unreachable { .. });
            ExitCode::from(if unreachable { EXIT_UNREACHABLE } else { EXIT_FAILURE })
        }
    }
}

/// The worker that is asked.
struct Server {
    client: Client,
}

impl Server {
    /// The worker that a conf file names by `httpAddr` and `httpPort`: the old tool's, or a worker's own.
    fn of(conf_file: Option<&Path>) -> Result<Self, String> {
        let conf = match conf_file {
            None => Properties::new(),
            Some(path) => {
                let text =
                    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                java::parse(&text).map_err(|errors| format!("{}: {errors}", path.display()))?
            }
        };
        let flags = ServerFlags { server: address(&conf), timeout: TIMEOUT_S };
        Ok(Self { client: Client::new(&flags) })
    }

    /// Asks, and shows the answer as it came.
    fn show(&self, path: &str) -> Result<Outcome, RequestError> {
        self.ask("GET", path, None)
    }

    fn ask(&self, method: &str, path: &str, body: Option<String>) -> Result<Outcome, RequestError> {
        let reply = self.client.send(method, path, body)?;
        let good = is_good(reply.status, &reply.text);
        Ok(Outcome { text: reply.text, good })
    }

    /// Asks for a document; what is no good answer is an outcome to show.
    fn body(&self, path: &str) -> Result<Result<Value, Outcome>, RequestError> {
        let outcome = self.show(path)?;
        let parsed = serde_json::from_str::<Value>(&outcome.text).ok();
        Ok(match parsed.filter(|_| outcome.good) {
            Some(document) => Ok(document.get("body").cloned().unwrap_or(document)),
            None => Err(Outcome { good: false, ..outcome }),
        })
    }
}

fn address(conf: &Properties) -> String {
    let given = |key: &str| conf.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    // A worker that listens everywhere is reached here; its conf file names no single address.
    let listens = given("httpHost").filter(|host| !matches!(*host, "0.0.0.0" | "::"));
    let host = given("httpAddr").or(listens).unwrap_or("localhost");
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    format!("http://{host}:{}", given("httpPort").unwrap_or(PORT_DEFAULT))
}

/// The Java worker says 200 and `errorCode` when it refuses.
fn is_good(status: u16, text: &str) -> bool {
    let document: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let inner = document.get("status").and_then(Value::as_u64).unwrap_or(200);
    (200..300).contains(&status) && document.get("errorCode").is_none() && (200..300).contains(&inner)
}

fn create(server: &Server, given: &Given) -> Result<Outcome, RequestError> {
    let path = PathBuf::from(given.value("p"));
    match fs::read_to_string(&path) {
        Ok(config) => server.ask("POST", &format!("/connectors/{}", given.connector()), Some(config)),
        Err(error) => Ok(Outcome { text: format!("cannot read {}: {error}", path.display()), good: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_is_where_the_conf_file_says() {
        for (pairs, expected) in [
            (&[][..], "http://localhost:8082"),
            (&[("httpAddr", "10.0.0.1"), ("httpPort", "8081")], "http://10.0.0.1:8081"),
            (&[("httpHost", "0.0.0.0"), ("httpPort", " 9 ")], "http://localhost:9"),
            (&[("httpHost", "10.0.0.2")], "http://10.0.0.2:8082"),
            (&[("httpHost", "::1")], "http://[::1]:8082"),
        ] {
            let conf = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(address(&conf), expected);
        }
    }

    #[test]
    fn a_refusal_is_no_success_though_its_status_is_200() {
        for (status, text, good) in [
            (200, r#"{"status":200,"body":"x"}"#, true),
            (200, r#"{"errorCode":500,"message":"x"}"#, false),
            (200, r#"{"status":400,"body":"x"}"#, false),
            (404, "Not found", false),
            (200, "", true),
        ] {
            assert_eq!(is_good(status, text), good, "{text}");
        }
    }

    #[test]
    fn commands_are_found_in_any_case() {
        assert_eq!(find("STOPall").map(|command| command.name), Some("stopAll"));
        assert_eq!(find("pause").map(|command| command.name), Some("pauseConnector"));
        assert!(find("stop").is_none());
        assert!(is_called_so("/usr/bin/connectAdmin") && !is_called_so("rmqc-fast"));
    }
}
