//! `${file:PATH:KEY}`: the value of a key in a Java properties file.

use std::path::{Path, PathBuf};

use rmqc_core::config::java;
use rmqc_core::config::key::nearest;
use rmqc_core::config::provider::{ConfigProvider, ProviderError, ProviderFactory};

use super::fence;

struct Files {
    roots: Vec<PathBuf>,
}

impl ConfigProvider for Files {
    fn value(&self, path: &str, key: &str) -> Result<String, ProviderError> {
        if path.is_empty() {
            return Err(ProviderError::new("the reference names no file", "write ${file:PATH:KEY}"));
        }
        let text = fence::read(&self.roots, Path::new(path))?;
        let properties = java::parse(&text).map_err(|wrong| {
            // Only the place: the line may hold a secret.
            let lines: Vec<_> = wrong.0.iter().map(|error| error.key.as_str()).collect();
            ProviderError::new(
                format!("{path} is no properties file: {}", lines.join(", ")),
                "write key=value lines; \\u must be followed by four hexadecimal digits",
            )
        })?;
        properties.get(key).cloned().ok_or_else(|| {
            let remedy = match nearest(key, properties.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("add a line {key}=… to the file"),
            };
            ProviderError::new(format!("{path} has no key {key}"), remedy)
        })
    }
}

inventory::submit! {
    ProviderFactory {
        name: "file",
        doc: "`${file:PATH:KEY}` is the value of a key in a Java properties file below one of `configProviderRoots`.",
        build: |settings| Box::new(Files { roots: settings.roots.clone() }),
    }
}
