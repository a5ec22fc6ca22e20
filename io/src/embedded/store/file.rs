//! Small files, replaced as a whole: after a crash the old or the new content is there, never a mix.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Replaces `dir/name`: writes aside, syncs, renames, syncs the directory.
pub(in crate::embedded) fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let aside = dir.join(format!("{name}.new"));
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// The content of `dir/name`; `None` when there is no such file.
pub(in crate::embedded) fn read(dir: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(dir.join(name)) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
