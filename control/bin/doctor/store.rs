//! The stores: their directory, their files, and the connectors in them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rmqc_control::store::{ConfigStore as _, FileConfigStore, FilePositionStore, FileStateStore, StoreError};
use rmqc_core::config::Properties;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::finding::Finding;
use super::folders::{self, Folder};

const CHECK: &str = "store";

/// A connector's name and configuration.
pub(crate) type Named = (String, Properties);

/// The store's directory and files, and the connectors in them.
pub(crate) fn look(dir: &Path) -> (Vec<Finding>, Vec<Named>) {
    let folder = Folder { check: CHECK, key: "storePathRootDir", path: dir, durable: true };
    let mut findings = folders::look(folder);
    findings.extend(folders::look_file(folder, "worker.lock"));
    let config = dir.join("config");
    // Opening a store makes its directory, and the doctor makes nothing.
    if !config.is_dir() {
        return (findings, Vec::new());
    }
    let (found, connectors) = read(&config);
    findings.extend(found);
    (findings, connectors)
}

/// Reads all files as the worker would.
fn read(config: &Path) -> (Vec<Finding>, Vec<Named>) {
    let heard = Heard::default();
    let subscriber = tracing_subscriber::registry().with(Listener(heard.clone()));
    let (connectors, others) = tracing::subscriber::with_default(subscriber, || {
        let others = [FilePositionStore::open(config).err(), FileStateStore::open(config).err()];
        (FileConfigStore::open(config), others)
    });
    let looked_at = config.display().to_string();
    let (connectors, broken) = match connectors {
        Ok(store) => (store.all().into_iter().map(|one| (one.name, one.properties)).collect(), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let mut findings: Vec<Finding> = broken.into_iter().chain(others.into_iter().flatten()).map(damaged).collect();
    for warning in heard.take() {
        let remedy =
            "nothing at once: the next change writes the file anew; cp the .bak file over it to be done with it";
        findings.push(Finding::warn(CHECK, &looked_at, warning, remedy));
    }
    if findings.is_empty() {
        let found = format!("connectors, positions and states are readable; connectors: {}", connectors.len());
        findings.push(Finding::ok(CHECK, looked_at, found));
    }
    (findings, connectors)
}

fn damaged(error: StoreError) -> Finding {
    match error {
        StoreError::Damaged { path, position, what, remedy } => {
            Finding::fail(CHECK, path.display().to_string(), format!("is damaged at byte {position}: {what}"), remedy)
        }
        StoreError::Io { what, path, cause } => {
            let shown = path.display().to_string();
            let remedy = format!("chown -R {} {shown}; see dmesg for the disk's errors", rustix::process::geteuid());
            Finding::fail(CHECK, shown, format!("cannot {what} it: {cause}"), remedy)
        }
    }
}

/// What the stores warned of while they were read.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn take(&self) -> Vec<String> {
        self.0.lock().map(|mut lines| std::mem::take(&mut *lines)).unwrap_or_default()
    }
}

/// Notes warnings instead of logging them.
struct Listener(Heard);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::WARN {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        if let Ok(mut lines) = self.0.0.lock() {
            lines.push(message.0);
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a text never fails.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::finding::Status;
    use super::*;

    #[test]
    fn damaged_files_are_all_named_and_a_backup_in_use_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        assert_eq!(look(dir.path()).0.len(), 2);
        assert!(!config.exists(), "looking makes nothing");
        fs::create_dir(&config).unwrap();
        fs::write(config.join("connectorConfig.json"), "{").unwrap();
        fs::write(config.join("position.json"), "").unwrap();
        let (findings, _) = read(&config);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.status == Status::Fail));
        for name in ["connectorConfig.json.bak", "position.json.bak"] {
            fs::write(config.join(name), "{}").unwrap();
        }
        let (findings, _) = read(&config);
        assert!(findings.iter().all(|finding| finding.status == Status::Warn), "{findings:?}");
        assert_eq!(findings.len(), 2);
    }
}
