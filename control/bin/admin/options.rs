//! The old tool's options, read and described as commons-cli does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::client::segment;

/// Widest line of a usage text, in characters.
const WIDTH: usize = 110;

/// One option.
pub(super) struct Spec {
    pub short: &'static str,
    pub long: &'static str,
    pub about: &'static str,
    /// Whether a value follows; such options are required.
    pub value: bool,
}

/// The connector's name.
pub(super) const CONNECTOR: Spec = Spec { short: "c", long: "connectorName", about: "connector name", value: true };
/// The file with its configuration.
pub(super) const PATH: Spec = Spec { short: "p", long: "path", about: "Configuration file path", value: true };
/// The task's number.
pub(super) const TASK: Spec = Spec { short: "t", long: "taskId", about: "task id", value: true };
/// Help.
pub(super) const HELP: Spec = Spec { short: "h", long: "help", about: "Print help", value: false };
const CONF: Spec = Spec { short: "s", long: "configFile", about: "connect config properties file", value: true };

/// Options as given.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub help: bool,
    values: BTreeMap<&'static str, String>,
}

impl Given {
    /// The value of an option by its short name; empty if it was not given.
    pub fn value(&self, short: &str) -> &str {
        self.values.get(short).map_or("", String::as_str)
    }

    /// The connector's name as a segment of a path.
    pub fn connector(&self) -> String {
        segment(self.value(CONNECTOR.short))
    }
}

/// Options before the command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Global {
    pub help: bool,
    pub conf_file: Option<PathBuf>,
}

/// Takes the global options off the front: the old script's `-s FILE`, or none.
///
/// # Errors
/// An unknown option, or one without its value.
pub(super) fn global(arguments: &[String]) -> Result<(Global, &[String]), String> {
    let mut found = Global::default();
    let mut rest = arguments;
    while let Some((first, tail)) = rest.split_first().filter(|(first, _)| first.starts_with('-')) {
        let (spec, value) = split(&[&CONF, &HELP], first)?;
        rest = tail;
        if spec.value {
            let value = match value {
                Some(value) => value,
                None => {
                    let (next, tail) = rest.split_first().ok_or_else(|| missing_value(spec))?;
                    rest = tail;
                    next.clone()
                }
            };
            found.conf_file = Some(PathBuf::from(value));
        } else {
            found.help = true;
        }
    }
    Ok((found, rest))
}

/// Reads a command's options; words that are none are ignored, as the old tool does.
///
/// # Errors
/// An unknown option, one without its value, a required one that is missing.
pub(super) fn parse(specs: &[&'static Spec], arguments: &[String]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if !argument.starts_with('-') || argument == "-" {
            continue;
        }
        let (spec, value) = split(specs, argument)?;
        if spec.value {
            let value = value.or_else(|| arguments.next().cloned()).ok_or_else(|| missing_value(spec))?;
            given.values.insert(spec.short, value);
        } else {
            given.help = true;
        }
    }
    let missing: Vec<&str> =
        specs.iter().filter(|spec| spec.value && given.value(spec.short).is_empty()).map(|spec| spec.short).collect();
    match missing.as_slice() {
        _ if given.help => Ok(given),
        [] => Ok(given),
        [one] => Err(format!("Missing required option: {one}")),
        many => Err(format!("Missing required options: {}", many.join(", "))),
    }
}

/// Finds the option of `-c`, `-cVALUE`, `--long` or `--long=VALUE`.
fn split(specs: &[&'static Spec], argument: &str) -> Result<(&'static Spec, Option<String>), String> {
    let unknown = || format!("Unrecognized option: {argument}");
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (argument, None),
    };
    let bare = name.trim_start_matches('-');
    if let Some(spec) = specs.iter().find(|spec| spec.long == bare || spec.short == bare) {
        return if spec.value || value.is_none() { Ok((spec, value)) } else { Err(unknown()) };
    }
    let attached = specs.iter().filter(|spec| spec.value && !argument.starts_with("--")).find_map(|spec| {
        let value = argument.strip_prefix('-')?.strip_prefix(spec.short)?;
        Some((*spec, Some(value.to_owned())))
    });
    attached.ok_or_else(unknown)
}

fn missing_value(spec: &Spec) -> String {
    format!("Missing argument for option: {}", spec.short)
}

/// How a command is called.
pub(super) fn usage(command: &str, specs: &[&Spec]) -> String {
    let words = specs.iter().map(|spec| match (spec.value, spec.short) {
        (true, short) => format!(" -{short} <arg>"),
        (false, short) => format!(" [-{short}]"),
    });
    described(&format!("usage: connectAdmin {command}{}", words.collect::<String>()), specs)
}

/// How the tool itself is called.
pub(super) fn global_usage() -> String {
    described("usage: connect [-h] [-s <arg>]", &[&HELP, &CONF])
}

/// The first line, then a line an option, their texts in one column.
fn described(head: &str, specs: &[&Spec]) -> String {
    let left = |spec: &Spec| format!(" -{},--{}{}", spec.short, spec.long, if spec.value { " <arg>" } else { "" });
    let width = specs.iter().map(|spec| left(spec).len()).max().unwrap_or(0);
    let mut text = head.chars().take(WIDTH).collect::<String>();
    for spec in specs {
        text.push_str(&format!("\n{:width$}   {}", left(spec), spec.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &[&Spec] = &[&CONNECTOR, &HELP, &PATH];

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_spelling_of_an_option_is_read() {
        for text in ["-c a -p b", "--connectorName a --path=b", "-ca -pb", "x -p b stray -c a"] {
            let given = parse(CREATE, &words(text)).unwrap();
            assert_eq!((given.value("c"), given.value("p"), given.help), ("a", "b", false), "{text}");
        }
        assert!(parse(CREATE, &words("-h")).unwrap().help);
    }

    #[test]
    fn what_is_wrong_is_named_as_commons_cli_does() {
        for (text, wrong) in [
            ("", "Missing required options: c, p"),
            ("-c a", "Missing required option: p"),
            ("-c a -p", "Missing argument for option: p"),
            ("-c a -x", "Unrecognized option: -x"),
            ("--help=1", "Unrecognized option: --help=1"),
        ] {
            assert_eq!(parse(CREATE, &words(text)).unwrap_err(), wrong, "{text}");
        }
    }

    #[test]
    fn global_options_stand_in_front() {
        let arguments = words("-s conf/x.conf stopConnector -c a");
        let (found, rest) = global(&arguments).unwrap();
        assert_eq!(found, Global { help: false, conf_file: Some("conf/x.conf".into()) });
        assert_eq!(rest, &words("stopConnector -c a")[..]);
        assert_eq!(global(&words("getClusterInfo")).unwrap().1.len(), 1);
        assert!(global(&words("-h")).unwrap().0.help);
        assert!(global(&words("-x")).is_err() && global(&words("-s")).is_err());
    }

    #[test]
    fn usage_is_laid_out_as_before() {
        assert_eq!(
            usage("createConnector", CREATE),
            "usage: connectAdmin createConnector -c <arg> [-h] -p <arg>\n -c,--connectorName <arg>   connector name\n \
             -h,--help                  Print help\n -p,--path <arg>            Configuration file path"
        );
    }
}
