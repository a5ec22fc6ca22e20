//! What can be wrong with a configuration, and how it is said.

use std::fmt;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key at fault.
    pub key: String,
    /// What is wrong and what is expected. Never holds a secret's value.
    pub message: String,
    /// The value at fault; none where there is none, or where it must not be shown.
    pub value: Option<String>,
    /// What to do about it, where the message does not say it.
    pub remedy: Option<String>,
}

impl ConfigError {
    /// Names the key and what is wrong.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), value: None, remedy: None }
    }

    /// The same with the value at fault, which must be no secret.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// The message and what to do about it. A message that the Java worker gives too stands alone: scripts look for it.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) if !is_java_text(&self.message) => write!(f, "; {remedy}"),
            _ => Ok(()),
        }
    }
}

/// Whether a message is one that the Java worker's API gives, to the letter.
fn is_java_text(message: &str) -> bool {
    let begins = [
        "Request config key: ",
        "For input string: ",
        "Failed to find any class that implements Connector and ",
        "Failed to find any class that implements RecordConverter and ",
        "More than one connector matches alias ",
        "Connector with same config already exist.",
    ];
    begins.iter().any(|begin| message.starts_with(begin))
        || message.starts_with("Config ") && message.ends_with(" cannot be empty")
        || message.ends_with("taskConfigs is empty, Please check configuration")
}

/// Everything wrong with a configuration, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_said_unless_the_java_worker_fixes_the_text() {
        for (message, said) in [
            ("Config size is \"x\"", "Config size is \"x\"; set it"),
            ("Request config key: filename", "Request config key: filename"),
            ("Config connect.topicnames cannot be empty", "Config connect.topicnames cannot be empty"),
            ("For input string: \"abc\"", "For input string: \"abc\""),
        ] {
            let error = ConfigError::new("k", message).with_remedy("set it");
            assert_eq!(error.to_string(), said);
            let twice = ConfigErrors(vec![error.clone(), error]);
            assert_eq!(twice.to_string(), format!("{said}; {said}"));
        }
    }
}
