//! Keys of the blackhole.

use std::time::Duration;

use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigErrors, ConfigKey, KeyKind, check_all};

const PUT_DELAY_MS: ConfigKey = ConfigKey {
    name: "put.delay.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: 3_600_000 },
    default: Some("0"),
    unit: "ms",
    doc: "How long each batch takes.",
};

/// Keys of `blackhole-sink`.
pub(super) const KEYS: &[ConfigKey] = &[PUT_DELAY_MS];

/// Configuration of `blackhole-sink`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlackholeConfig {
    /// How long each batch takes.
    pub put_delay: Duration,
}

impl BlackholeConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every key at fault.
    pub fn parse(properties: &Properties) -> Result<Self, ConfigErrors> {
        check_all(KEYS, properties)?;
        let put_delay_ms = u64::try_from(PUT_DELAY_MS.integer(properties)).unwrap_or_default();
        Ok(Self { put_delay: Duration::from_millis(put_delay_ms) })
    }
}
