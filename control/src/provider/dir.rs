//! `${dir:PATH:NAME}`: the whole content of a file, as secrets are mounted into containers.

use std::path::{Component, Path, PathBuf};

use rmqc_core::config::provider::{ConfigProvider, ProviderError, ProviderFactory};

use super::fence;

struct Directories {
    roots: Vec<PathBuf>,
}

impl ConfigProvider for Directories {
    fn value(&self, path: &str, key: &str) -> Result<String, ProviderError> {
        let mut parts = Path::new(key).components();
        let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else {
            return Err(ProviderError::new(format!("{key} is no name of a file"), "write ${dir:PATH:NAME}"));
        };
        if path.is_empty() {
            return Err(ProviderError::new("the reference names no directory", "write ${dir:PATH:NAME}"));
        }
        let text = fence::read(&self.roots, &Path::new(path).join(name))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }
}

inventory::submit! {
    ProviderFactory {
        name: "dir",
        doc: "`${dir:PATH:NAME}` is the whole content of the file NAME in that directory, without a line's end at its \
              end; below one of `configProviderRoots`.",
        build: |settings| Box::new(Directories { roots: settings.roots.clone() }),
    }
}
