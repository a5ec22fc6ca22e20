//! `rmqc-fast new connector`: writes a crate with a connector of one's own, which builds, passes its test and can be run.
//!
//! The templates below `new/template` are the files of such a crate for the connector `my-thing`; its names are replaced,
//! and what stands between `// [sink]` and `// [/sink]` (or `source`) is left out where it isn't wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::say;

/// What is to be written.
#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// A crate with a connector of your own, which builds, has a passing test and runs as a worker.
    Connector(NewConnector),
}

/// How the crate is to be.
#[derive(Args, Debug)]
pub(crate) struct NewConnector {
    /// Name of the crate and the connector: small letters, digits and `-`.
    #[arg(value_parser = Names::parse)]
    name: Names,
    /// Write a source only.
    #[arg(long)]
    source: bool,
    /// Write a sink only.
    #[arg(long)]
    sink: bool,
    /// Write both a source and a sink [default].
    #[arg(long, conflicts_with_all = ["source", "sink"])]
    both: bool,
    /// Folder to write into [default: ./NAME].
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Where the crate finds rmqc-fast: a folder with its source, or the URL of a git repository. Without it the folders
    /// above this one and above the program are looked at.
    #[arg(long, env = "RMQC_SOURCE", value_name = "DIR|URL")]
    rmqc: Option<String>,
    /// Write into a folder that is not empty, over files of the same names.
    #[arg(long)]
    force: bool,
}

/// A file of the crate: its path and its text, both for `my-thing`; `wanted_by` is the part without which it is left out.
struct Template {
    path: &'static str,
    text: &'static str,
    wanted_by: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Source,
    Sink,
}

macro_rules! template {
    ($path:literal, $file:literal, $wanted_by:expr) => {
        Template { path: $path, text: include_str!(concat!("new/template/", $file)), wanted_by: $wanted_by }
    };
}

const TEMPLATES: &[Template] = &[
    template!("Cargo.toml", "Cargo.toml.in", None),
    template!(".gitignore", "gitignore", None),
    template!("README.md", "README.md", None),
    template!("src/main.rs", "src/main.rs", None),
    template!("src/lib.rs", "src/lib.rs", None),
    template!("src/my_thing/mod.rs", "src/my_thing/mod.rs", None),
    template!("src/my_thing/config.rs", "src/my_thing/config.rs", None),
    template!("src/my_thing/source.rs", "src/my_thing/source.rs", Some(Part::Source)),
    template!("src/my_thing/sink.rs", "src/my_thing/sink.rs", Some(Part::Sink)),
    template!("tests/conformance.rs", "tests/conformance.rs", None),
    template!("conf/connect.conf", "conf/connect.conf", None),
    template!("conf/my-thing-source.json", "conf/my-thing-source.json", Some(Part::Source)),
    template!("conf/my-thing-sink.json", "conf/my-thing-sink.json", Some(Part::Sink)),
];

/// Stands in the template's Cargo.toml for the dependency.
const DEPENDENCY: &str = "RMQC_FAST";
/// Longest name.
const NAME_BYTES_MAX: usize = 48;
/// Names that the compiler or the worker has already.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "config",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "rmqc",
    "rmqc_conformance",
    "rmqc_connectors",
    "rmqc_control",
    "rmqc_core",
    "rmqc_fast",
    "rmqc_io",
    "self",
    "sink",
    "source",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The connector's name in its three spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names {
    kebab: String,
    snake: String,
    camel: String,
}

impl Names {
    /// Checks a name.
    ///
    /// # Errors
    /// Why it is none, and what to write instead.
    fn parse(name: &str) -> anyhow::Result<Self> {
        let words: Vec<&str> = name.split(['-', '_']).collect();
        let is_word = |word: &&str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !words.iter().all(is_word) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            bail!(
                "\"{name}\" is no name for a connector: write small letters and digits, words joined by `-`, a letter first"
            );
        }
        if name.len() > NAME_BYTES_MAX {
            bail!("\"{name}\" is longer than {NAME_BYTES_MAX} characters; choose a shorter name");
        }
        let (kebab, snake) = (words.join("-"), words.join("_"));
        if let Some(stem) = kebab.strip_suffix("-source").or_else(|| kebab.strip_suffix("-sink")) {
            bail!("the ending is added by itself: write `new connector {stem}` with --source or --sink");
        }
        let built_in = rmqc_core::registry::connectors();
        let claimed = |end: &str| built_in.iter().any(|factory| factory.name == format!("{kebab}{end}"));
        if TAKEN.contains(&snake.as_str()) || claimed("-source") || claimed("-sink") {
            bail!("the name \"{name}\" is taken by the language or by this program; choose another one");
        }
        let capital = |word: &&str| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        };
        Ok(Self { camel: words.iter().map(capital).collect(), kebab, snake })
    }

    /// A template's text with these names.
    fn fill(&self, text: &str) -> String {
        text.replace("my-thing", &self.kebab).replace("my_thing", &self.snake).replace("MyThing", &self.camel)
    }
}

/// Leaves out what stands between the marks of a part that isn't wanted, and all marks.
fn only(wanted: &[Part], text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut inside = None;
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            "// [source]" => inside = Some(Part::Source),
            "// [sink]" => inside = Some(Part::Sink),
            "// [/source]" | "// [/sink]" => inside = None,
            _ if inside.is_none_or(|part| wanted.contains(&part)) => kept.push_str(line),
            _ => {}
        }
    }
    kept
}

/// Where the crate finds `rmqc-fast`.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Folder(PathBuf),
    Git(String),
    Version,
}

impl Origin {
    /// What the flag says, else the source around this folder or the program, else a version.
    ///
    /// # Errors
    /// A folder without the source.
    fn find(asked: Option<&str>) -> anyhow::Result<Self> {
        let Some(asked) = asked else {
            let places = [std::env::current_dir().ok(), std::env::current_exe().ok()];
            let mut folders = places.iter().flatten().flat_map(|place| place.ancestors());
            return Ok(folders
                .find(|folder| is_source(folder))
                .map_or(Self::Version, |one| Self::Folder(one.to_owned())));
        };
        if asked.contains("://") || asked.starts_with("git@") {
            return Ok(Self::Git(asked.to_owned()));
        }
        let folder = fs::canonicalize(asked).with_context(|| {
            format!("--rmqc {asked} can't be looked at; name a folder with the source of rmqc-fast or a git URL")
        })?;
        if !is_source(&folder) {
            bail!("--rmqc {asked} is not the source of rmqc-fast: no Cargo.toml there has the package rmqc-fast");
        }
        Ok(Self::Folder(folder))
    }

    /// The dependency in Cargo.toml.
    fn dependency(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match self {
            Self::Folder(folder) => format!("rmqc-fast = {{ path = {} }}", quoted(&folder.to_string_lossy())),
            Self::Git(url) => format!("rmqc-fast = {{ git = {} }}", quoted(url)),
            Self::Version => format!("rmqc-fast = {}", quoted(env!("CARGO_PKG_VERSION"))),
        }
    }
}

/// Whether a folder is the top of this program's source.
fn is_source(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| text.lines().any(|line| line.trim() == "name = \"rmqc-fast\""))
}

/// Writes the crate.
///
/// # Errors
/// A bad name, a folder that is not empty, a source that isn't one, or what the file system says.
pub(crate) fn run(new: &New) -> anyhow::Result<ExitCode> {
    let New::Connector(wishes) = new;
    let names = &wishes.name;
    let wanted: &[Part] = match (wishes.source, wishes.sink) {
        (true, false) => &[Part::Source],
        (false, true) => &[Part::Sink],
        _ => &[Part::Source, Part::Sink],
    };
    let origin = Origin::find(wishes.rmqc.as_deref())?;
    let folder = wishes.path.clone().unwrap_or_else(|| PathBuf::from(&names.kebab));
    let empty = match fs::read_dir(&folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", folder.display())),
    };
    if !empty && !wishes.force {
        bail!(
            "{} is there and not empty; name another folder with --path, or write over it with --force",
            folder.display()
        );
    }
    for template in TEMPLATES.iter().filter(|one| one.wanted_by.is_none_or(|part| wanted.contains(&part))) {
        let text = only(wanted, template.text).replace(DEPENDENCY, &origin.dependency());
        write(&folder.join(names.fill(template.path)), &names.fill(&text))?;
    }
    // The versions that the program was built and tested with, instead of whatever is newest.
    if let Origin::Folder(source) = &origin
        && let Ok(lock) = fs::read_to_string(source.join("Cargo.lock"))
    {
        write(&folder.join("Cargo.lock"), &lock)?;
    }
    tell(&folder, names, &origin);
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn tell(folder: &Path, names: &Names, origin: &Origin) {
    say(&format!("wrote the crate {} to {}", names.kebab, folder.display()));
    match origin {
        Origin::Folder(source) => say(&format!("it uses rmqc-fast from {}", source.display())),
        Origin::Git(url) => say(&format!("it uses rmqc-fast from {url}")),
        Origin::Version => {
            say("it names rmqc-fast by its version, which no registry has to know: where cargo can't find it, write \
             rmqc-fast = { path = \"…\" } or { git = \"…\" } in its Cargo.toml, or run this again with --rmqc and --force")
        }
    }
    say(&format!("next: cd {} && cargo test && cargo run -- -c conf/connect.conf", folder.display()));
    say("then: README.md there tells what to change");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_three_spellings() {
        let names = Names::parse("my_old-db2").unwrap();
        assert_eq!((&*names.kebab, &*names.snake, &*names.camel), ("my-old-db2", "my_old_db2", "MyOldDb2"));
        assert_eq!(names.fill("my-thing/my_thing MyThingSource"), "my-old-db2/my_old_db2 MyOldDb2Source");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (name, reason) in [
            ("", "no name"),
            ("Ticker", "small letters"),
            ("2fast", "a letter first"),
            ("-a", "no name"),
            ("a--b", "no name"),
            ("a/../b", "no name"),
            ("ünder", "no name"),
            ("match", "taken"),
            ("rmqc-fast", "taken"),
            ("file", "taken"),
            ("ticker-source", "`new connector ticker`"),
            (&"a".repeat(49), "longer than 48"),
        ] {
            let error = Names::parse(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }

    #[test]
    fn parts_that_are_not_wanted_are_left_out() {
        let text = "a\n// [source]\nb\n// [/source]\n// [sink]\nc\n// [/sink]\nd\n";
        assert_eq!(only(&[Part::Source], text), "a\nb\nd\n");
        assert_eq!(only(&[Part::Sink], text), "a\nc\nd\n");
        assert_eq!(only(&[Part::Source, Part::Sink], text), "a\nb\nc\nd\n");
        for template in TEMPLATES {
            assert!(!only(&[], template.text).contains("// ["), "{}: a mark is left", template.path);
        }
    }

    #[test]
    fn the_dependency_is_a_folder_a_repository_or_a_version() {
        let here = Origin::find(Some(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(matches!(&here, Origin::Folder(folder) if folder.is_absolute()), "{here:?}");
        let git = Origin::find(Some("https://example.org/rmqc-fast.git")).unwrap();
        assert_eq!(git.dependency(), "rmqc-fast = { git = \"https://example.org/rmqc-fast.git\" }");
        assert!(Origin::Version.dependency().starts_with("rmqc-fast = \""));
        assert!(Origin::find(Some("/no/such/folder")).unwrap_err().to_string().contains("--rmqc /no/such/folder"));
        assert!(Origin::find(Some("/")).unwrap_err().to_string().contains("not the source"));
    }
}
