//! Whether a directory can be written to, keeps what is written, and has room left.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use super::finding::{Finding, Status};

/// Bytes of the file that is written and removed again.
const PROBE_BYTES: usize = 64 * 1024;
/// With less free space the next writes fail.
const FREE_BYTES_MIN: u64 = 16 << 20;
/// With less free space it is time to make some.
const FREE_BYTES_COMFORTABLE: u64 = 256 << 20;

/// A directory that the worker writes to.
#[derive(Clone, Copy)]
pub(crate) struct Folder<'f> {
    /// Name of the check.
    pub check: &'static str,
    /// The key that names another directory.
    pub key: &'static str,
    /// Where it is.
    pub path: &'f Path,
    /// Whether what is written there has to be synced.
    pub durable: bool,
}

/// Looks at a directory: whether it exists or can be made, takes a file, and has room.
pub(crate) fn look(folder: Folder<'_>) -> Vec<Finding> {
    if !folder.path.exists() {
        return vec![look_above(folder)];
    }
    if !folder.path.is_dir() {
        return vec![folder.fail("is no directory", folder.elsewhere())];
    }
    let mut findings = vec![match probe(folder) {
        Ok(found) => Finding::ok(folder.check, folder.shown(), found),
        Err((what, error)) => folder.refused(what, &error),
    }];
    findings.extend(room(folder));
    findings
}

impl Folder<'_> {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn fail(&self, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::fail(self.check, self.shown(), found, remedy)
    }

    fn elsewhere(&self) -> String {
        format!("set {}=DIRECTORY to another directory", self.key)
    }

    /// What to do about an error of the system.
    fn refused(&self, what: &str, error: &io::Error) -> Finding {
        let errno = Errno::from_io_error(error);
        let remedy = match errno {
            Some(Errno::ACCESS | Errno::PERM) => format!(
                "chown -R {} {}, start the worker as the directory's owner, or {}",
                rustix::process::geteuid(),
                self.shown(),
                self.elsewhere()
            ),
            Some(Errno::ROFS) => {
                format!("mount -o remount,rw the file system of {}, or {}", self.shown(), self.elsewhere())
            }
            Some(Errno::NOSPC) => {
                format!("free space (df -h {0}; df -i {0}), or {1}", self.shown(), self.elsewhere())
            }
            Some(Errno::DQUOT) => format!("raise the user's disk quota (quota -s), or {}", self.elsewhere()),
            Some(Errno::FBIG) => "ulimit -f unlimited (LimitFSIZE=infinity in systemd)".to_owned(),
            _ => format!("see dmesg for the disk's errors; {}", self.elsewhere()),
        };
        self.fail(format!("cannot {what}: {error}"), remedy)
    }
}

/// The directory is not there yet: whether the worker can make it.
fn look_above(folder: Folder<'_>) -> Finding {
    let Some(above) = folder.path.ancestors().skip(1).find(|above| above.exists()) else {
        return folder.fail("no directory above it exists", folder.elsewhere());
    };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    if !above.is_dir() {
        return folder.fail(format!("{} is no directory", above.display()), folder.elsewhere());
    }
    match access(above, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(folder.check, folder.shown(), "is not there yet; the worker makes it at its start"),
        Err(error) => {
            let remedy = format!(
                "mkdir -p {0} && chown {1} {0}, or {2}",
                folder.shown(),
                rustix::process::geteuid(),
                folder.elsewhere()
            );
            folder.fail(format!("is not there and can't be made in {}: {error}", above.display()), remedy)
        }
    }
}

/// Removes its file, whatever happened.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a file, syncs it if need be, and removes it.
fn probe(folder: Folder<'_>) -> Result<String, (&'static str, io::Error)> {
    // The worker writes its stores one level down.
    let inner = folder.path.join("config");
    let dir = if folder.durable && inner.is_dir() { inner } else { folder.path.to_owned() };
    let path = dir.join(format!(".rmqc-fast-doctor-{}", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| ("create a file in it", error))?;
    let _removed_at_the_end = Probe(path);
    file.write_all(&[0; PROBE_BYTES]).map_err(|error| ("write to a file in it", error))?;
    if !folder.durable {
        return Ok("a file was written and removed".to_owned());
    }
    let begin = std::time::Instant::now();
    file.sync_all().map_err(|error| ("sync a file in it", error))?;
    fs::File::open(&dir).and_then(|dir| dir.sync_all()).map_err(|error| ("sync it", error))?;
    Ok(format!("a file was written, synced in {} ms, and removed", begin.elapsed().as_millis()))
}

/// Free space and free inodes.
fn room(folder: Folder<'_>) -> Option<Finding> {
    let stat = statvfs(folder.path).ok()?;
    // What the system keeps for root is not counted.
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let inodes = (stat.f_files > 0).then_some(stat.f_favail);
    Some(judge_room(folder, free, inodes))
}

fn judge_room(folder: Folder<'_>, free_bytes: u64, free_inodes: Option<u64>) -> Finding {
    let found = format!("{} MiB free", free_bytes >> 20);
    let remedy = format!("free space (df -h {0}; df -i {0}), or {1}", folder.shown(), folder.elsewhere());
    if free_inodes == Some(0) {
        return folder.fail("no inode is free, so no file can be made", remedy);
    }
    let status = match free_bytes {
        FREE_BYTES_COMFORTABLE.. => return Finding::ok(folder.check, folder.shown(), found),
        FREE_BYTES_MIN.. => Status::Warn,
        _ => Status::Fail,
    };
    Finding { status, ..folder.fail(found, remedy) }
}

/// Whether a file that is there can be opened for writing; nothing is written.
pub(crate) fn look_file(folder: Folder<'_>, name: &str) -> Option<Finding> {
    let path = folder.path.join(name);
    match OpenOptions::new().append(true).open(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let finding = Folder { path: &path, ..folder }.refused("open it for writing", &error);
            Some(finding)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> Folder<'_> {
        Folder { check: "store", key: "storePathRootDir", path, durable: true }
    }

    #[test]
    fn looking_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(look(folder(dir.path())).iter().all(|finding| finding.status != Status::Fail));
        assert_eq!(look(folder(&dir.path().join("a/b"))).first().unwrap().status, Status::Ok);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_no_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(look(folder(&file)).first().unwrap().status, Status::Fail);
        assert_eq!(look(folder(&file.join("below"))).first().unwrap().status, Status::Fail);
    }

    #[test]
    fn little_room_warns_and_hardly_any_fails() {
        let path = Path::new("/x");
        for (free, inodes, status) in [
            (1 << 40, None, Status::Ok),
            (100 << 20, Some(5), Status::Warn),
            (1 << 20, Some(5), Status::Fail),
            (1 << 40, Some(0), Status::Fail),
        ] {
            assert_eq!(judge_room(folder(path), free, inodes).status, status);
        }
    }

    #[test]
    fn each_refusal_of_the_system_has_its_own_remedy() {
        for (errno, remedy) in [
            (Errno::ACCESS, "chown"),
            (Errno::ROFS, "remount,rw"),
            (Errno::NOSPC, "df -h"),
            (Errno::FBIG, "ulimit -f"),
            (Errno::IO, "dmesg"),
        ] {
            let finding = folder(Path::new("/x")).refused("write", &errno.into());
            assert!(finding.remedy.unwrap().contains(remedy));
        }
    }
}
