//! Flags, conf files and example connectors.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use rmqc_connectors as _;
use rmqc_control::controller::{ConverterDefaults, DefineSettings, define};
use rmqc_core::config::Properties;
use rmqc_core::config::worker::{Environment, WorkerConfig};

use super::support::{TempDir, repository};

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmqc-fast"));
    command.args(arguments).env_remove("RMQC_IO").env_remove("NAMESRV_ADDR").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn help_names_every_flag_and_where_to_read_on() {
    let help = program(&["--help"]);
    assert!(help.status.success(), "{help:?}");
    for word in
        ["--configFile", "--cores", "--pin", "--io", "--http-port", "--check", "quickstart", "conf/reference.md"]
    {
        assert!(text(&help.stdout).contains(word), "no {word}: {}", text(&help.stdout));
    }
    let help = program(&["quickstart", "--help"]);
    assert!(help.status.success(), "{help:?}");
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    for flag in ["--lines", "--size", "--cores", "--io", "--dir", "--namesrv"] {
        assert!(text(&help.stdout).contains(flag), "no {flag}: {}", text(&help.stdout));
        assert!(readme.contains(flag), "README does not know {flag}");
    }
}

#[test]
fn version_is_that_of_the_package() {
    let version = program(&["--version"]);
    assert!(version.status.success(), "{version:?}");
    assert_eq!(text(&version.stdout).trim(), concat!("rmqc-fast ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_conf_files_that_we_ship_are_right_without_a_warning() {
    let shipped = files("conf", "conf");
    assert!(shipped.len() >= 2, "{shipped:?}");
    for path in shipped {
        let checked = program(&["--check", "-c", path.to_str().unwrap()]);
        assert!(checked.status.success(), "{}: {checked:?}", path.display());
        assert!(text(&checked.stdout).contains("is right"), "{}: {checked:?}", path.display());
        assert!(checked.stderr.is_empty(), "{}: {checked:?}", path.display());
    }
}

#[test]
fn a_mistyped_key_is_named_with_the_likely_one() {
    let home = TempDir::new("mistyped");
    for (mistyped, meant) in [("httpprot=8082", "httpPort"), ("namesrvaddr=embedded", "namesrvAddr")] {
        let path = home.file("mistyped.conf");
        std::fs::write(&path, format!("{mistyped}\n")).unwrap();
        let checked = program(&["--check", "-c", path.to_str().unwrap()]);
        let said = text(&checked.stderr);
        let key = mistyped.split_once('=').unwrap().0;
        assert!(said.contains(&format!("key {key} is unknown")), "{checked:?}");
        assert!(said.contains(&format!("did you mean {meant}?")), "{checked:?}");
    }
}

#[test]
fn bad_conf_files_end_with_the_code_for_usage() {
    let home = TempDir::new("bad-conf");
    let bad = home.file("bad.conf");
    std::fs::write(&bad, "httpPort=many\ncores=none\n").unwrap();
    let checked = program(&["--check", "-c", bad.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
    for key in ["httpPort", "cores"] {
        assert!(text(&checked.stderr).contains(key), "{checked:?}");
    }
    let missing = home.file("missing.conf");
    let checked = program(&["--check", "-c", missing.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
    assert!(text(&checked.stderr).contains(missing.to_str().unwrap()), "{checked:?}");
}

/// The value of a setting of the systemd unit.
fn unit_setting<'u>(unit: &'u str, name: &str) -> &'u str {
    let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {name}"))
}

#[test]
fn a_conf_file_may_refer_to_secrets_and_never_shows_them() {
    let dir = TempDir::new("references");
    let at = dir.path().display().to_string();
    std::fs::write(dir.path().join("s.properties"), "access=open-sesame\nport=80-sesame\n").unwrap();
    let conf = dir.path().join("connect.conf");
    let check = |more: &str| {
        let text = format!("storePathRootDir={at}\nlogDir={at}\naclEnable=true\nsecretKey=${{env:PATH}}\n{more}");
        std::fs::write(&conf, text).unwrap();
        program(&["-c", conf.to_str().unwrap(), "--check"])
    };
    let right = check(&format!("accessKey=${{file:{at}/s.properties:access}}\n"));
    assert!(right.status.success(), "{right:?}");
    let wrong = check(&format!(
        "accessKey=${{file:/etc/hostname:x}}\nhttpPort=${{file:{at}/s.properties:port}}\ncores=${{enw:N}}\npin=x\n"
    ));
    assert_eq!(wrong.status.code(), Some(2));
    let said = text(&wrong.stderr);
    for part in [
        "Config accessKey refers to ${file:/etc/hostname:x}: /etc/hostname is outside of what may be read; put the file",
        &format!("Config httpPort is \"${{file:{at}/s.properties:port}}\", expected a whole number"),
        "Config cores refers to ${enw:N}: there is no config provider called enw; did you mean env?",
        "Config pin is \"x\", expected one of auto, on, off; write one of auto, on, off",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("sesame"), "{said}");
    let fenced = check("configProviderEnv=A,B*\naccessKey=x\n");
    assert!(
        text(&fenced.stderr).contains("PATH may not be read; add it to configProviderEnv, which is A,B*"),
        "{fenced:?}"
    );
}

#[test]
fn the_systemd_unit_fits_the_program() {
    let unit = std::fs::read_to_string(repository().join("conf/rmqc-fast.service")).unwrap();
    let mut words = unit_setting(&unit, "ExecStart").split_whitespace();
    assert!(words.next().unwrap().ends_with("/rmqc-fast"), "{unit}");
    let conf = repository().join("conf/connect.conf");
    let arguments = words.map(|word| if word.starts_with('/') { conf.to_str().unwrap() } else { word });
    let checked = program(&arguments.chain(["--check"]).collect::<Vec<_>>());
    assert!(checked.status.success(), "{checked:?}");

    assert_ne!(unit_setting(&unit, "User"), "root");
    assert_eq!(unit_setting(&unit, "KillSignal"), "SIGTERM");
    let patience: u64 = unit_setting(&unit, "TimeoutStopSec").parse().unwrap();
    let home = Environment { home: Some("/var/lib/rmqc-fast".to_owned()), ..Environment::default() };
    let config = WorkerConfig::build(&Properties::new(), &Properties::new(), &home).unwrap().config;
    assert!(patience > config.stop_timeout.as_secs(), "systemd would kill a worker that still drains");
}

/// The worker's own validation, with its default converters.
fn define_example(path: &Path) -> usize {
    let properties: Properties = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let string = "org.apache.rocketmq.connect.runtime.converter.record.StringConverter".to_owned();
    let converters = ConverterDefaults { key: string.clone(), value: string };
    let settings = DefineSettings { converters, shards: 1, providers: Arc::default() };
    let definition = define(&properties, &settings).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    definition.tasks.len()
}

#[test]
fn the_example_connectors_are_accepted() {
    let examples = files("conf/examples", "json");
    assert!(examples.len() >= 2, "{examples:?}");
    for path in examples {
        assert_eq!(define_example(&path), 1, "{}", path.display());
    }
}
