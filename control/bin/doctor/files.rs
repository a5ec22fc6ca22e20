//! Files beside the stores: log files, plug-ins, and who may read secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigKey, MASK, is_secret};

use super::finding::Finding;
use super::folders::{self, Folder};

/// Everyone may read a file.
const OTHERS_READ: u32 = 0o004;
/// Everyone may pass a directory.
const OTHERS_PASS: u32 = 0o001;

/// The directory of the log files, and the file that is appended to.
pub(crate) fn logs(dir: &Path) -> Vec<Finding> {
    let folder = Folder { check: "logs", key: "logDir", path: dir, durable: false };
    let mut findings = folders::look(folder);
    findings.extend(folders::look_file(folder, "connect_runtime.log"));
    findings
}

/// What `pluginPaths` names.
pub(crate) fn plugins(given: &Properties) -> Vec<Finding> {
    const CHECK: &str = "plugins";
    let paths = given.get("pluginPaths").map(String::as_str).unwrap_or_default();
    let look = |path: &str| match fs::metadata(path) {
        Ok(_) => Finding::ok(CHECK, path, "is there"),
        Err(error) => Finding::warn(CHECK, path, error.to_string(), "correct pluginPaths, or remove the entry from it"),
    };
    paths.split(',').map(str::trim).filter(|path| !path.is_empty()).map(look).collect()
}

/// Whether a file with secrets in clear can be read by everyone. Nothing is said of one without secrets.
pub(crate) fn secrets(file: &Path, properties: &Properties, keys: &[ConfigKey]) -> Option<Finding> {
    const CHECK: &str = "secrets";
    let in_clear = |(name, value): &(&String, &String)| {
        let value = value.trim();
        is_secret(name, keys) && !value.is_empty() && value != MASK && !value.starts_with("${")
    };
    let names: Vec<&str> = properties.iter().filter(in_clear).map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let (shown, names) = (file.display().to_string(), names.join(", "));
    if everyone_reads(file) {
        let found = format!("everyone on this machine can read {names}");
        return Some(Finding::warn(CHECK, &shown, found, format!("chmod o-rwx {shown}")));
    }
    Some(Finding::ok(CHECK, shown, format!("{names} in clear; not everyone can read the file")))
}

fn everyone_reads(file: &Path) -> bool {
    let Ok(whole) = file.canonicalize() else { return false };
    let allows = |path: &Path, bit| fs::metadata(path).is_ok_and(|data| data.permissions().mode() & bit != 0);
    allows(&whole, OTHERS_READ) && whole.ancestors().skip(1).all(|above| allows(above, OTHERS_PASS))
}

#[cfg(test)]
mod tests {
    use rmqc_core::config::worker::WORKER_KEYS;

    use super::super::finding::Status;
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn secrets_count_only_in_clear_and_never_show() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.path().join("x.conf");
        fs::write(&file, "").unwrap();
        let look = |mode, pairs: &[(&str, &str)]| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            secrets(&file, &properties(pairs), WORKER_KEYS)
        };
        let open = look(0o644, &[("secretKey", "hunter2")]).unwrap();
        assert_eq!(open.status, Status::Warn);
        assert!(!format!("{open:?}").contains("hunter2"));
        assert_eq!(look(0o640, &[("secretKey", "hunter2")]).unwrap().status, Status::Ok);
        assert_eq!(look(0o644, &[("secretKey", "${file:/x:y}"), ("accessKey", "")]), None);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(look(0o644, &[("secretKey", "hunter2")]).unwrap().status, Status::Ok);
    }

    #[test]
    fn plug_ins_that_are_not_there_are_named() {
        let found = plugins(&properties(&[("pluginPaths", "/, /no/such/folder ,")]));
        let shown: Vec<_> = found.iter().map(|finding| (finding.looked_at.as_str(), finding.status)).collect();
        assert_eq!(shown, [("/", Status::Ok), ("/no/such/folder", Status::Warn)]);
    }
}
