//! Changes of files, by one inotify instance and one thread for the whole process, started when first needed.
//!
//! A path is watched twice: its folder tells of creation, renaming and removal, and the file itself of changes of its
//! content even through a link. A change only sets a note; whoever awaits it looks for itself what happened.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rmqc_core::host::{HostWatch, LocalFuture};

use crate::driver::Driver;
use crate::driver::bell::{Notified, Notifier, notifier};
use crate::pace::MOMENT;

/// Paths that the process may watch at a time.
const WATCHES_MAX: usize = 8192;
/// `changed` also completes after this time, so that a note that got lost holds nobody up.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What the kernel tells of folder and file alike: the two may be the same inode.
const MASK: u32 = libc::IN_MODIFY
    | libc::IN_ATTRIB
    | libc::IN_CLOSE_WRITE
    | libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_DELETE_SELF
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_MOVE_SELF;
/// Bytes of notes read at once.
const NOTES_BYTES: usize = 16 * 1024;
/// Length of a note without the name: wd, mask, cookie and the name's length.
const NOTE_BYTES: usize = 16;

/// One path that someone waits for.
struct Watched {
    path: PathBuf,
    name: OsString,
    folder: i32,
    /// Nothing while there is no such file.
    file: Option<i32>,
    changed: Notifier,
}

#[derive(Default)]
struct Table {
    watched: HashMap<u64, Watched>,
    /// Who is interested in an inode, by the kernel's number for the watch.
    interested: HashMap<i32, HashSet<u64>>,
    next: u64,
}

struct Inotify {
    descriptor: OwnedFd,
    table: Mutex<Table>,
}

static INOTIFY: OnceLock<Arc<Inotify>> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// The process's instance; starts it the first time.
fn inotify() -> io::Result<&'static Arc<Inotify>> {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(inotify) = INOTIFY.get() {
        return Ok(inotify);
    }
    // SAFETY: the call takes no pointers.
    let descriptor = unsafe { libc::inotify_init1(libc::IN_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let inotify = Arc::new(Inotify { descriptor, table: Mutex::new(Table::default()) });
    let listening = Arc::clone(&inotify);
    std::thread::Builder::new().name("rmqc-inotify".to_owned()).spawn(move || {
        crate::shard::pin::unpin_this_thread();
        listening.listen();
    })?;
    Ok(INOTIFY.get_or_init(|| inotify))
}

impl Inotify {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_to_kernel(&self, path: &Path) -> io::Result<i32> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the descriptor is open and the path is a C string that outlives the call.
        let number = unsafe { libc::inotify_add_watch(self.descriptor.as_raw_fd(), path.as_ptr(), MASK) };
        if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
    }

    fn add(&self, path: &Path, changed: Notifier) -> io::Result<u64> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
        let folder_path = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Held until the entry is there, so that no note passes between the kernel's table and ours.
        let mut table = self.lock();
        if table.watched.len() >= WATCHES_MAX {
            return Err(io::Error::other(format!("{WATCHES_MAX} paths are watched already")));
        }
        let folder = self.add_to_kernel(folder_path)?;
        let file = self.add_to_kernel(path).ok();
        table.next += 1;
        let number = table.next;
        table.interested.entry(folder).or_default().insert(number);
        if let Some(file) = file {
            table.interested.entry(file).or_default().insert(number);
        }
        table.watched.insert(number, Watched { path: path.to_owned(), name, folder, file, changed });
        Ok(number)
    }

    fn remove(&self, number: u64) {
        let mut table = self.lock();
        if let Some(watched) = table.watched.remove(&number) {
            self.lose_interest(&mut table, watched.folder, number);
            if let Some(file) = watched.file {
                self.lose_interest(&mut table, file, number);
            }
        }
    }

    fn lose_interest(&self, table: &mut Table, kernel: i32, number: u64) {
        let Some(interested) = table.interested.get_mut(&kernel) else { return };
        interested.remove(&number);
        if interested.is_empty() {
            table.interested.remove(&kernel);
            // SAFETY: the call takes no pointers. An error means that the kernel has dropped the watch already.
            let _ = unsafe { libc::inotify_rm_watch(self.descriptor.as_raw_fd(), kernel) };
        }
    }

    fn listen(&self) {
        let mut notes = vec![0_u8; NOTES_BYTES];
        loop {
            // SAFETY: the descriptor is open, and the buffer as long as is said.
            let read = unsafe { libc::read(self.descriptor.as_raw_fd(), notes.as_mut_ptr().cast(), notes.len()) };
            match usize::try_from(read) {
                Ok(len) => {
                    self.take_notes(notes.get(..len).unwrap_or_default());
                    // A file may be written to many thousand times a second; what is told meanwhile is read at once.
                    std::thread::sleep(MOMENT);
                }
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    let error = io::Error::last_os_error();
                    tracing::error!(%error, "changes of files are not heard any more, they are looked for each second");
                    return;
                }
            }
        }
    }

    fn take_notes(&self, mut notes: &[u8]) {
        let mut table = self.lock();
        while let Some((note, rest)) = parse_note(notes) {
            self.take_note(&mut table, &note);
            notes = rest;
        }
    }

    fn take_note(&self, table: &mut Table, note: &Note<'_>) {
        if note.mask & libc::IN_Q_OVERFLOW != 0 {
            table.watched.values().for_each(|watched| watched.changed.notify());
            return;
        }
        let numbers: Vec<u64> = table.interested.get(&note.kernel).into_iter().flatten().copied().collect();
        if note.mask & libc::IN_IGNORED != 0 {
            table.interested.remove(&note.kernel);
        }
        for number in numbers {
            let Some(watched) = table.watched.get_mut(&number) else { continue };
            let of_file = watched.file == Some(note.kernel);
            let named = watched.folder == note.kernel && (note.name.is_empty() || note.name == watched.name);
            if !of_file && !named {
                continue;
            }
            watched.changed.notify();
            if of_file && note.mask & libc::IN_IGNORED != 0 {
                watched.file = None;
            }
            if named && note.mask & (libc::IN_CREATE | libc::IN_MOVED_TO) != 0 {
                self.follow_name(table, number);
            }
        }
    }

    /// Another file has the name now: watches that one.
    fn follow_name(&self, table: &mut Table, number: u64) {
        let Some(watched) = table.watched.get_mut(&number) else { return };
        let new = self.add_to_kernel(&watched.path).ok();
        let old = std::mem::replace(&mut watched.file, new);
        let folder = watched.folder;
        if let Some(new) = new {
            table.interested.entry(new).or_default().insert(number);
        }
        if let Some(old) = old
            && Some(old) != new
            && old != folder
        {
            self.lose_interest(table, old, number);
        }
    }
}

struct Note<'a> {
    kernel: i32,
    mask: u32,
    name: &'a OsStr,
}

/// Takes the first note off; nothing when there is none left.
fn parse_note(bytes: &[u8]) -> Option<(Note<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(NOTE_BYTES)?;
    let word = |at: usize| head.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes);
    let (name, rest) = rest.split_at_checked(usize::try_from(word(12)?).ok()?)?;
    // The name is filled up with zeros.
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some((Note { kernel: word(0)?.cast_signed(), mask: word(4)?, name: OsStr::from_bytes(name) }, rest))
}

/// A watched path, until it is dropped.
pub(super) struct DriverWatch<D> {
    inotify: &'static Arc<Inotify>,
    number: u64,
    changed: Notified,
    driver: PhantomData<D>,
}

impl<D: Driver> DriverWatch<D> {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let inotify = inotify()?;
        let (told, changed) = notifier().ok_or_else(|| io::Error::other("files are watched from a shard only"))?;
        let number = inotify.add(path, told)?;
        Ok(Self { inotify, number, changed, driver: PhantomData })
    }
}

impl<D> Drop for DriverWatch<D> {
    fn drop(&mut self) {
        self.inotify.remove(self.number);
    }
}

impl<D: Driver> HostWatch for DriverWatch<D> {
    fn changed(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(futures_lite::future::or(self.changed.wait(), D::sleep(LOOK_AGAIN)))
    }
}
