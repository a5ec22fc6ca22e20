//! The description of all routes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};

use super::V1;
use crate::rest::{Answer, raw_json};

/// The description without its routes.
pub(super) fn frame() -> OpenApi {
    let text = "Connectors of Apache RocketMQ in the shape of Kafka Connect's REST API. Every failure answers \
                {\"error_code\", \"message\"}. The paths of the Java worker's own API are served beside it.";
    let info = InfoBuilder::new().title("rmqc-fast").version(env!("CARGO_PKG_VERSION")).description(Some(text));
    OpenApiBuilder::new().info(info.build()).build()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "worker", responses((status = 200, description = "OpenAPI 3.1")))]
pub(super) async fn document(State(v1): State<Arc<V1>>) -> Answer {
    let text = v1.openapi.get_or_init(|| super::described().into_openapi().to_json().unwrap_or_default());
    raw_json(StatusCode::OK, text.clone())
}
