//! `${env:NAME}`: an environment variable of the worker.

use rmqc_core::config::provider::{ConfigProvider, ProviderError, ProviderFactory};

struct Variables {
    allowed: Vec<String>,
}

impl Variables {
    fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        })
    }
}

impl ConfigProvider for Variables {
    fn value(&self, path: &str, key: &str) -> Result<String, ProviderError> {
        if !path.is_empty() {
            return Err(ProviderError::new("an environment variable has no path", "write ${env:NAME}"));
        }
        // The standard library's own look-up panics for such names.
        if key.contains(['=', '\0']) {
            return Err(ProviderError::new(format!("{key:?} is no name of a variable"), "write ${env:NAME}"));
        }
        if !self.allows(key) {
            return Err(ProviderError::new(
                format!("the environment variable {key} may not be read"),
                format!("add it to configProviderEnv, which is {}", self.allowed.join(",")),
            ));
        }
        std::env::var(key).map_err(|error| match error {
            std::env::VarError::NotPresent => ProviderError::new(
                format!("there is no environment variable {key}"),
                "set it where the worker is started, and start the worker again",
            ),
            // The value is not shown.
            std::env::VarError::NotUnicode(_) => {
                ProviderError::new(format!("the environment variable {key} is no text in UTF-8"), "set it to text")
            }
        })
    }
}

inventory::submit! {
    ProviderFactory {
        name: "env",
        doc: "`${env:NAME}` is an environment variable of the worker, if `configProviderEnv` allows it.",
        build: |settings| Box::new(Variables { allowed: settings.env.clone() }),
    }
}
