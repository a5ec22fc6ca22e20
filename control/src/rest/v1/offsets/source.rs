//! Positions of sources.

use super::plan::{self, SourceChange, json_members};
use super::{OffsetEdit, OffsetInfo};
use crate::rest::v1::V1;
use crate::rest::v1::error::V1Error;

/// All positions.
pub(super) async fn offsets(v1: &V1, name: &str) -> Result<Vec<OffsetInfo>, V1Error> {
    let positions = v1.app.controller.positions(name).await?;
    let info = |one: &rmqc_core::position::StoredPosition| OffsetInfo {
        partition: json_members(&one.partition.0),
        offset: Some(json_members(&one.offset)),
        min: None,
        max: None,
        lag: None,
    };
    Ok(positions.iter().map(info).collect())
}

/// What edits change.
pub(super) async fn plan(v1: &V1, name: &str, edits: Option<Vec<OffsetEdit>>) -> Result<Vec<SourceChange>, V1Error> {
    let stored = v1.app.controller.positions(name).await?;
    plan::source_changes(&stored, edits.as_deref()).map_err(V1Error::bad_request)
}

/// Stores changes.
pub(super) async fn apply(v1: &V1, name: &str, changes: &[SourceChange]) -> Result<(), V1Error> {
    let edits = changes.iter().map(|change| (change.key(), change.to.clone())).collect();
    Ok(v1.app.controller.alter_positions(name, edits).await?)
}
