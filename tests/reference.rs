//! `conf/reference.md` and `conf/metrics.md` say what the program says. `UPDATE_REFERENCE=1` rewrites it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells by printing"
)]

use std::path::Path;

// Named, so that the linker keeps the connectors' entries in the registry.
use rmqc_connectors as _;
// The same for the config providers.
use rmqc_control as _;

#[test]
fn the_reference_page_is_fresh() {
    let page = rmqc_core::config::docs::reference_page(
        &rmqc_core::registry::connectors(),
        &rmqc_core::registry::converters(),
        &rmqc_core::registry::transforms(),
        &rmqc_core::registry::predicates(),
    );
    check("conf/reference.md", &page);
}

#[test]
fn the_page_of_metrics_is_fresh() {
    check("conf/metrics.md", &rmqc_control::metrics::catalogue::reference_page());
}

/// Compares a page with its file, or writes it.
fn check(file: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{} is stale; run UPDATE_REFERENCE=1 cargo test --test reference", path.display());
}
