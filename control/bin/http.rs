//! The HTTP client of all who ask another process.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// A client that has so much time for each whole request, and for which any status is an answer. Certificates of servers are checked
/// against the authorities that this machine trusts, which are read when the first `https` address is asked.
pub(crate) fn agent(patience: Duration) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder().tls_config(tls).timeout_global(Some(patience)).http_status_as_error(false).build().into()
}
