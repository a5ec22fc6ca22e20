//! What lies under `pluginPaths`. Nothing there can be loaded, since connectors are built into the binary; so each file is
//! named with what it is, which of its classes this binary has itself, and which it lacks.

mod jar;

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rmqc_core::registry;

/// Entries of directories that one scan looks at.
const ENTRIES_MAX: usize = 20_000;
/// Files that one scan tells of.
const FINDINGS_MAX: usize = 1000;
/// Classes that are named of one file.
const CLASSES_MAX: usize = 200;
/// Directories inside each other.
const DEPTH_MAX: usize = 8;

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A Java archive.
    Jar,
    /// A zip archive.
    Zip,
    /// A Java class.
    Class,
    /// A shared library.
    Library,
    /// Anything else that an entry names itself.
    Other,
}

impl FileKind {
    /// The kind that a file's name tells; nothing for other files.
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "jar" => Self::Jar,
            "zip" => Self::Zip,
            "class" => Self::Class,
            "so" | "dylib" | "dll" => Self::Library,
            _ => return None,
        })
    }

    /// Its word in answers and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jar => "jar",
            Self::Zip => "zip",
            Self::Class => "class",
            Self::Library => "library",
            Self::Other => "other",
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Java classes in it that this binary answers to by parts of its own, sorted.
    pub built_in: Vec<String>,
    /// Connector classes in it that this binary lacks, sorted.
    pub not_available: Vec<String>,
    /// Why it isn't loaded, and what to do.
    pub reason: String,
}

impl Finding {
    /// Whether everything that is asked of it is there: nothing is lost by not loading it.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        !self.built_in.is_empty() && self.not_available.is_empty()
    }
}

/// What one entry of `pluginPaths` came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathReport {
    /// The entry as configured, trimmed.
    pub entry: String,
    /// What is in it, in the order of paths.
    pub found: Vec<Finding>,
    /// What is wrong with the entry, or with directories below it.
    pub problems: Vec<String>,
}

/// The paths, and what the last scan found there.
#[derive(Debug, Default)]
pub struct PluginPaths {
    entries: Vec<String>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    reports: Option<Arc<Vec<PathReport>>>,
    running: bool,
}

impl PluginPaths {
    /// Paths that have not been scanned.
    #[must_use]
    pub fn new(entries: Vec<String>) -> Self {
        Self { entries, last: Mutex::default() }
    }

    /// What the last scan found; nothing before the first has ended.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Vec<PathReport>>> {
        self.locked().reports.clone()
    }

    /// Scans in a thread of its own, which may take as long as the file systems take; says each entry in the log, then
    /// calls `done`. While another scan runs nothing is started, and `done` is dropped without a call.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn scan_aside(self: &Arc<Self>, done: impl FnOnce() + Send + 'static) -> io::Result<()> {
        if std::mem::replace(&mut self.locked().running, true) {
            return Ok(());
        }
        let paths = Arc::clone(self);
        let started = std::thread::Builder::new().name("plugin-paths".to_owned()).spawn(move || {
            let reports = scan(&paths.entries);
            tell(&reports);
            *paths.locked() = Last { reports: Some(Arc::new(reports)), running: false };
            done();
        });
        if started.is_err() {
            self.locked().running = false;
        }
        started.map(drop)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Last> {
        // Nothing panics while it is held.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line an entry, and one a file.
fn tell(reports: &[PathReport]) {
    for report in reports {
        tracing::info!("pluginPaths: {}: {} files that could be plug-ins", report.entry, report.found.len());
        for problem in &report.problems {
            tracing::warn!("pluginPaths: {problem}");
        }
        for finding in &report.found {
            let (path, kind) = (finding.path.display(), finding.kind.name());
            if finding.is_answered() {
                tracing::info!("pluginPaths: {path} ({kind}): {}", finding.reason);
            } else {
                tracing::warn!("pluginPaths: {path} ({kind}): {}", finding.reason);
            }
        }
    }
}

/// Looks at all entries. Blocks on the file system.
#[must_use]
pub fn scan(entries: &[String]) -> Vec<PathReport> {
    let mut budget = Budget { entries_left: ENTRIES_MAX, findings_left: FINDINGS_MAX };
    entries.iter().map(|entry| look_at_entry(entry, &mut budget)).collect()
}

/// What a scan may still look at and tell.
struct Budget {
    entries_left: usize,
    findings_left: usize,
}

fn look_at_entry(entry: &str, budget: &mut Budget) -> PathReport {
    let mut report = PathReport { entry: entry.to_owned(), ..PathReport::default() };
    let path = Path::new(entry);
    let pattern = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('*'));
    if let Some((start, end)) = pattern {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fits = |name: &str| {
            name.len() >= start.len().saturating_add(end.len()) && name.starts_with(start) && name.ends_with(end)
        };
        look_into(folder, &fits, 0, budget, &mut report);
        return report;
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => look_into(path, &|_| true, 0, budget, &mut report),
        Ok(metadata) if metadata.is_file() => {
            report.found.push(look_at(path, FileKind::of(path).unwrap_or(FileKind::Other)))
        }
        Ok(_) => report.problems.push(format!("{entry} is neither a file nor a directory; take it out of pluginPaths")),
        Err(error) => report.problems.push(format!("{entry} can't be looked at: {error}; correct pluginPaths")),
    }
    report
}

/// Looks at what is in a directory, and below it.
fn look_into(folder: &Path, fits: &dyn Fn(&str) -> bool, depth: usize, budget: &mut Budget, report: &mut PathReport) {
    let mut children = match children(folder, budget) {
        Ok(children) => children,
        Err(problem) => return report.problems.push(problem),
    };
    if budget.entries_left == 0 {
        report.problems.push(format!("{}: only the first {ENTRIES_MAX} entries are looked at", folder.display()));
    }
    children.retain(|path| path.file_name().is_some_and(|name| fits(&name.to_string_lossy())));
    for path in children {
        // Links are followed, as Java does; a circle of them ends at the depth.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            if depth < DEPTH_MAX {
                look_into(&path, &|_| true, depth.saturating_add(1), budget, report);
            }
        } else if let Some(kind) = FileKind::of(&path).filter(|_| metadata.is_file()) {
            let Some(left) = budget.findings_left.checked_sub(1) else {
                return report
                    .problems
                    .push(format!("{}: more than {FINDINGS_MAX} files; the rest is not told", folder.display()));
            };
            budget.findings_left = left;
            report.found.push(look_at(&path, kind));
        }
    }
}

/// The entries of a directory, sorted, as far as the budget reaches.
fn children(folder: &Path, budget: &mut Budget) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: io::Error| format!("{} can't be looked into: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let Some(left) = budget.entries_left.checked_sub(1) else { break };
        budget.entries_left = left;
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Looks at one file, which is a regular one.
fn look_at(path: &Path, kind: FileKind) -> Finding {
    match kind {
        FileKind::Jar | FileKind::Zip => look_at_jar(path, kind),
        FileKind::Class => {
            let class = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mut classes = Classes::default();
            classes.add(class);
            classes.finding(path, kind)
        }
        FileKind::Library => unusable(
            path,
            kind,
            "native libraries are not loaded; build a binary with the connector: rmqc-fast new connector",
        ),
        FileKind::Other => unusable(path, kind, "it is no plug-in; take it out of pluginPaths"),
    }
}

fn unusable(path: &Path, kind: FileKind, reason: impl Into<String>) -> Finding {
    Finding { path: path.to_owned(), kind, built_in: vec![], not_available: vec![], reason: reason.into() }
}

fn look_at_jar(path: &Path, kind: FileKind) -> Finding {
    let mut classes = Classes::default();
    let read = File::open(path).map_err(jar::JarError::from).and_then(|mut file| {
        jar::names(&mut file, |name| {
            classes.add_entry(&String::from_utf8_lossy(name));
            true
        })
    });
    match read {
        Ok(()) => classes.finding(path, kind),
        Err(error) => unusable(path, kind, error.to_string()),
    }
}

/// The classes of one file, sorted out.
#[derive(Default)]
struct Classes {
    built_in: BTreeSet<String>,
    not_available: BTreeSet<String>,
    jars_inside: usize,
    left_out: usize,
}

impl Classes {
    /// Takes the path of a file in a jar.
    fn add_entry(&mut self, name: &str) {
        if let Some(class) = name.strip_suffix(".class") {
            // Jars for several versions of Java keep classes below such a folder.
            let class = class
                .strip_prefix("META-INF/versions/")
                .and_then(|rest| rest.split_once('/'))
                .map_or(class, |(_, class)| class);
            self.add(class.replace('/', "."));
        } else if name.ends_with(".jar") {
            self.jars_inside = self.jars_inside.saturating_add(1);
        }
    }

    fn add(&mut self, class: String) {
        let simple = class.rsplit('.').next().unwrap_or_default();
        let set = if is_built_in(&class) {
            &mut self.built_in
        } else if simple.ends_with("Connector") && !is_interface(&class, simple) {
            &mut self.not_available
        } else {
            return;
        };
        if set.len() < CLASSES_MAX {
            set.insert(class);
        } else if !set.contains(&class) {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn finding(self, path: &Path, kind: FileKind) -> Finding {
        let (built_in, lacking) = (self.built_in.len(), self.not_available.len());
        let mut reason = match (built_in, lacking) {
            (0, 0) if self.jars_inside > 0 => {
                format!("it holds {} jars; unpack it to have them looked at", self.jars_inside)
            }
            (0, 0) => "no connector is in it; Java code is not loaded".to_owned(),
            (_, 0) => format!("not loaded and not needed: this binary has {built_in} of its classes built in"),
            (0, _) => format!("Java code is not loaded, and this binary has none of its {lacking} connectors"),
            _ => format!(
                "Java code is not loaded; this binary has {built_in} of its classes built in and lacks {lacking} connectors"
            ),
        };
        if lacking > 0 {
            reason.push_str("; build a binary with them: rmqc-fast new connector");
        }
        if self.left_out > 0 {
            reason.push_str(&format!("; {} further classes are not named", self.left_out));
        }
        Finding {
            path: path.to_owned(),
            kind,
            built_in: self.built_in.into_iter().collect(),
            not_available: self.not_available.into_iter().collect(),
            reason,
        }
    }
}

/// Whether the class is one of those that connectors are made from, not a connector.
fn is_interface(class: &str, simple: &str) -> bool {
    class.starts_with("io.openmessaging.connector.api.")
        || class.contains('$')
        || matches!(simple, "Connector" | "SourceConnector" | "SinkConnector")
        || simple.starts_with("Abstract")
}

/// Whether a part of this binary answers to the class; one without a package is compared by its last part.
fn is_built_in(class: &str) -> bool {
    static KNOWN: OnceLock<HashSet<&'static str>> = OnceLock::new();
    KNOWN.get_or_init(built_in_classes).contains(class)
}

/// The Java classes that parts of this binary answer to, in full and by their last part.
fn built_in_classes() -> HashSet<&'static str> {
    let mut classes: Vec<&'static str> = Vec::new();
    classes.extend(registry::connectors().iter().flat_map(|one| [one.java_class, one.java_task_class]));
    classes.extend(registry::converters().iter().map(|one| one.java_class));
    classes.extend(registry::predicates().iter().map(|one| one.java_class));
    for one in registry::transforms() {
        classes.extend(std::iter::once(one.java_class).chain(one.aliases.iter().copied()));
    }
    let simple = |class: &'static str| class.rsplit('.').next().unwrap_or(class);
    classes.iter().flat_map(|class| [*class, simple(class)]).collect()
}

#[cfg(test)]
mod tests;
