//! The stores as files below `<storePathRootDir>/config/`, with the very names and bytes of the Java worker's.
//!
//! A file is written whole: aside, synced, the previous one kept as `.bak`, renamed into place, directory synced. So at
//! every instant one complete version is there under its name or its backup's.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rmqc_core::position::StoredPosition;

use super::codec::{self, Damage, Entry};
use super::memory::{MemoryConfigStore, MemoryPositionStore, MemoryStateStore};
use super::{ConfigStore, PositionEdits, PositionStore, StateStore, StoreError, StoredConnector, StoredStatus};

/// One file of a store.
struct StoreFile {
    path: PathBuf,
}

impl StoreFile {
    fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name) }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// Reads the file through `decode`; falls back to the backup when the file is missing, empty or damaged.
    fn read<T: Default>(&self, decode: impl Fn(&[u8]) -> Result<T, Damage>) -> Result<T, StoreError> {
        let damage = match contents(&self.path)? {
            None => None,
            Some(bytes) => match decode_whole(&bytes, &decode) {
                Ok(value) => return Ok(value),
                Err(damage) => Some(damage),
            },
        };
        let backup = self.beside(".bak");
        match (contents(&backup)?, damage) {
            (None, None) => Ok(T::default()),
            (None, Some(damage)) => Err(self.damaged(damage, "and there is no backup beside it")),
            (Some(bytes), damage) => match decode_whole(&bytes, &decode) {
                Ok(value) => {
                    let why = damage
                        .map_or("is missing".to_owned(), |d| format!("is damaged at byte {}: {}", d.position, d.what));
                    tracing::warn!("{} {why}; its backup {} is used", self.path.display(), backup.display());
                    Ok(value)
                }
                Err(second) => Err(self.damaged(damage.unwrap_or(second), "and its backup is damaged too")),
            },
        }
    }

    fn damaged(&self, damage: Damage, more: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            position: damage.position,
            what: format!("{} ({more})", damage.what),
            remedy: format!(
                "restore it from a copy, or move it and {} away to start without its contents",
                self.beside(".bak").display()
            ),
        }
    }

    /// Replaces the file's contents; durable when it returns.
    fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let aside = self.beside(".tmp");
        let fail = |what, path: &Path| {
            let path = path.to_owned();
            move |cause| StoreError::Io { what, path, cause }
        };
        let mut file = File::create(&aside).map_err(fail("create", &aside))?;
        file.write_all(bytes).map_err(fail("write", &aside))?;
        file.sync_all().map_err(fail("sync", &aside))?;
        drop(file);
        self.keep_previous()?;
        fs::rename(&aside, &self.path).map_err(fail("rename", &aside))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail("sync", dir))
    }

    /// Makes the present file the backup, without a moment in which its own name is gone.
    fn keep_previous(&self) -> Result<(), StoreError> {
        let backup = self.beside(".bak");
        let aside = self.beside(".bak.tmp");
        let fail = |cause| StoreError::Io { what: "keep a backup of", path: self.path.clone(), cause };
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        // A second name costs no copy; where the file system has none, copy.
        match fs::hard_link(&self.path, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => {
                fs::copy(&self.path, &aside).map_err(fail)?;
                File::open(&aside).and_then(|copy| copy.sync_all()).map_err(fail)?;
            }
            Ok(()) => {}
        }
        fs::rename(&aside, &backup).map_err(fail)
    }
}

/// The bytes of a file; none when there is no such file.
fn contents(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StoreError::Io { what: "read", path: path.to_owned(), cause }),
    }
}

/// Decodes, and takes an empty file for a damaged one: the store never writes one.
fn decode_whole<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, Damage>) -> Result<T, Damage> {
    if bytes.is_empty() {
        return Err(Damage { position: 0, what: "the file is empty".to_owned() });
    }
    decode(bytes)
}

/// Decodes all entries of a file with `one`.
fn decode_all<T>(bytes: &[u8], one: impl Fn(&Entry) -> Result<T, Damage>) -> Result<Vec<T>, Damage> {
    codec::decode_file(bytes)?.iter().map(one).collect()
}

fn create_dir(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(|cause| StoreError::Io { what: "create", path: dir.to_owned(), cause })
}

/// Connectors in `connectorConfig.json`, their tasks in `taskConfig.json`.
pub struct FileConfigStore {
    connectors: StoreFile,
    tasks: StoreFile,
    kept: MemoryConfigStore,
}

impl FileConfigStore {
    /// Opens (and creates) the directory, and reads the files.
    ///
    /// # Errors
    /// A file that can't be read or is damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        create_dir(dir)?;
        let connectors = StoreFile::new(dir, "connectorConfig.json");
        let tasks = StoreFile::new(dir, "taskConfig.json");
        let mut all = connectors.read(|bytes| decode_all(bytes, codec::decode_connector))?;
        let with_name = |entry: &Entry| codec::decode_tasks(entry).map(|tasks| (entry.key.clone(), tasks));
        for (name, tasks) in tasks.read(|bytes| decode_all(bytes, with_name))? {
            if let Some(connector) = all.iter_mut().find(|connector: &&mut StoredConnector| connector.name == name) {
                connector.tasks = tasks;
            }
        }
        Ok(Self { connectors, tasks, kept: MemoryConfigStore::of(all) })
    }

    /// Writes both files, then lets the change be seen. The connectors go first: tasks are made from them.
    fn store(&mut self, changed: MemoryConfigStore) -> Result<(), StoreError> {
        let all = changed.all();
        self.connectors.write(&codec::encode_file(all.iter().map(codec::encode_connector)))?;
        self.kept = changed;
        // The connectors are stored by now; tasks are made anew from them at each start.
        let tasks = codec::encode_file(all.iter().map(codec::encode_tasks));
        if let Err(error) = self.tasks.write(&tasks) {
            tracing::warn!("{error}; the task configurations in the file are old, the connectors' are right");
        }
        Ok(())
    }
}

impl ConfigStore for FileConfigStore {
    fn all(&self) -> Vec<StoredConnector> {
        self.kept.all()
    }

    fn put(&mut self, connectors: &[StoredConnector]) -> Result<(), StoreError> {
        let mut changed = self.kept.clone();
        changed.put(connectors)?;
        self.store(changed)
    }

    fn remove(&mut self, names: &[String]) -> Result<(), StoreError> {
        let mut changed = self.kept.clone();
        changed.remove(names)?;
        self.store(changed)
    }
}

/// Positions in `position.json`.
pub struct FilePositionStore {
    file: StoreFile,
    kept: MemoryPositionStore,
}

impl FilePositionStore {
    /// Opens (and creates) the directory, and reads the file.
    ///
    /// # Errors
    /// A file that can't be read or is damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        create_dir(dir)?;
        let file = StoreFile::new(dir, "position.json");
        let mut kept = MemoryPositionStore::default();
        for (connector, position) in file.read(|bytes| decode_all(bytes, codec::decode_position))? {
            kept.put(&[(connector, vec![position])])?;
        }
        Ok(Self { file, kept })
    }
}

impl FilePositionStore {
    /// Writes the file, then lets the change be seen.
    fn store(&mut self, changed: MemoryPositionStore) -> Result<(), StoreError> {
        let entries = changed.positions.iter().flat_map(|(connector, positions)| {
            positions.iter().map(|position| codec::encode_position(connector, position))
        });
        self.file.write(&codec::encode_file(entries))?;
        self.kept = changed;
        Ok(())
    }
}

impl PositionStore for FilePositionStore {
    fn of(&self, connector: &str) -> Vec<StoredPosition> {
        self.kept.of(connector)
    }

    fn put(&mut self, changes: &[(String, Vec<StoredPosition>)]) -> Result<(), StoreError> {
        let mut changed = self.kept.clone();
        changed.put(changes)?;
        self.store(changed)
    }

    fn alter(&mut self, connector: &str, edits: &PositionEdits) -> Result<(), StoreError> {
        let mut changed = self.kept.clone();
        changed.alter(connector, edits)?;
        self.store(changed)
    }

    fn remove(&mut self, connector: &str) -> Result<(), StoreError> {
        if self.kept.of(connector).is_empty() {
            return Ok(());
        }
        let mut changed = self.kept.clone();
        changed.remove(connector)?;
        self.store(changed)
    }
}

/// States in `connectorStatus.json` and `taskStatus.json`.
pub struct FileStateStore {
    connectors: StoreFile,
    tasks: StoreFile,
    kept: MemoryStateStore,
}

impl FileStateStore {
    /// Opens (and creates) the directory, and reads the files.
    ///
    /// # Errors
    /// A file that can't be read or is damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        create_dir(dir)?;
        let connectors = StoreFile::new(dir, "connectorStatus.json");
        let tasks = StoreFile::new(dir, "taskStatus.json");
        let mut all: Vec<StoredStatus> = connectors.read(|bytes| decode_all(bytes, codec::decode_connector_status))?;
        let with_name = |entry: &Entry| codec::decode_task_statuses(entry).map(|tasks| (entry.key.clone(), tasks));
        for (name, tasks) in tasks.read(|bytes| decode_all(bytes, with_name))? {
            if let Some(status) = all.iter_mut().find(|status| status.connector == name) {
                status.tasks = tasks;
            }
        }
        let mut kept = MemoryStateStore::default();
        kept.replace(&all)?;
        Ok(Self { connectors, tasks, kept })
    }
}

impl StateStore for FileStateStore {
    fn all(&self) -> Vec<StoredStatus> {
        self.kept.all()
    }

    fn replace(&mut self, statuses: &[StoredStatus]) -> Result<(), StoreError> {
        self.connectors.write(&codec::encode_file(statuses.iter().map(codec::encode_connector_status)))?;
        self.tasks.write(&codec::encode_file(statuses.iter().map(codec::encode_task_statuses)))?;
        self.kept.replace(statuses)
    }
}
