//! `/plugin/…`: what this binary has built in.

use axum::http::StatusCode;
use rmqc_core::registry::{ConnectorKind, connectors, converters};

use super::dto::PluginInfo;
use super::error::ApiError;
use super::{Answer, Success, json, success};

const NOT_IMPLEMENTED: &str = "This function has not been implemented yet";

fn info(class_name: &'static str, kind: &'static str) -> PluginInfo {
    PluginInfo { class_name, kind, version: "undefined" }
}

/// Sinks, sources and, if asked for, converters, each by class name.
pub(super) fn list(with_converters: bool) -> Answer {
    let of = |wanted: ConnectorKind, name: &'static str| {
        let all = connectors().into_iter().filter(move |factory| factory.build.kind() == wanted);
        all.map(move |factory| info(factory.java_class, name))
    };
    let mut all: Vec<PluginInfo> = of(ConnectorKind::Sink, "SINK").chain(of(ConnectorKind::Source, "SOURCE")).collect();
    if with_converters {
        all.extend(converters().into_iter().map(|factory| info(factory.java_class, "CONVERTER")));
    }
    success(all)
}

/// Not there, in the success shape.
pub(super) fn config() -> Answer {
    json(StatusCode::OK, &Success { status: 400, body: NOT_IMPLEMENTED })
}

/// Not there, in the error shape.
pub(super) fn validate() -> ApiError {
    ApiError::not_implemented(NOT_IMPLEMENTED)
}
