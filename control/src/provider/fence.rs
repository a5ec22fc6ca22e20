//! Which files may be read: those below the roots, once all links are followed.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use rmqc_core::config::provider::{PROVIDED_BYTES_MAX, ProviderError};

/// Reads a text file below one of the roots.
///
/// # Errors
/// A path that is not whole, or leads out of the roots, be it by `..` or by a link; a file that is missing, unreadable, no
/// plain file, too long or no text. Nothing is said of what is outside but that it is outside.
pub(super) fn read(roots: &[PathBuf], path: &Path) -> Result<String, ProviderError> {
    let shown = path.display();
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(ProviderError::new(format!("{shown} is not a whole path"), "write the path from / on, without .."));
    }
    let real_roots: Vec<PathBuf> = roots.iter().filter_map(|root| fs::canonicalize(root).ok()).collect();
    let outside = || {
        let list: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        let allowed = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        ProviderError::new(
            format!("{shown} is outside of what may be read"),
            format!(
                "put the file below one of the directories of configProviderRoots ({allowed}), or add its directory"
            ),
        )
    };
    if !roots.iter().chain(&real_roots).any(|root| path.starts_with(root)) {
        return Err(outside());
    }
    let unreadable = |error: std::io::Error| {
        ProviderError::new(
            format!("cannot read {shown}: {error}"),
            "see that the file is there and that the worker may read it",
        )
    };
    let real = fs::canonicalize(path).map_err(unreadable)?;
    if !real_roots.iter().any(|root| real.starts_with(root)) {
        return Err(outside());
    }
    // A pipe would be waited for.
    if !fs::metadata(&real).map_err(unreadable)?.is_file() {
        return Err(ProviderError::new(format!("{shown} is no plain file"), "name a file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(PROVIDED_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    File::open(&real).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > PROVIDED_BYTES_MAX {
        let message = format!("{shown} is longer than {PROVIDED_BYTES_MAX} bytes");
        return Err(ProviderError::new(message, "name a shorter file"));
    }
    // The error would show bytes of the file.
    String::from_utf8(bytes)
        .map_err(|_| ProviderError::new(format!("{shown} is no text in UTF-8"), "store the value as text in UTF-8"))
}
