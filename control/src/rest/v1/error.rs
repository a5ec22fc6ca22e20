//! Errors in Kafka Connect's shape, with their real status.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rmqc_core::cluster_port::ClusterError;
use rmqc_core::config::key::ConfigError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::controller::ControlError;
use crate::rest::error::ApiError;
use crate::rest::json;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wrong {
    /// The key at fault.
    pub key: String,
    /// Its value; none where there is none, or where it is a secret.
    pub value: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it, where the reason does not say it.
    pub remedy: Option<String>,
}

impl From<&ConfigError> for Wrong {
    fn from(error: &ConfigError) -> Self {
        let ConfigError { key, message, value, remedy } = error.clone();
        Self { key, value, reason: message, remedy }
    }
}

/// What every failure answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The HTTP status once more.
    pub error_code: u16,
    /// What is wrong, and what to do.
    pub message: String,
    /// For a configuration that is refused: everything wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Wrong>,
}

/// A failure on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct V1Error {
    status: StatusCode,
    message: String,
    errors: Vec<Wrong>,
}

impl V1Error {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new() }
    }

    /// 400: the request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such thing.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 404 for a connector.
    pub fn no_connector(name: &str) -> Self {
        Self::missing(format!("Connector {name} not found"))
    }

    /// 409: not now; the message says what to do first.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// The same with more to say.
    pub fn and(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// 502: the cluster did not do its part.
    pub fn cluster(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, message)
    }
}

impl From<ControlError> for V1Error {
    fn from(error: ControlError) -> Self {
        let errors = match &error {
            ControlError::Invalid(errors) => errors.0.iter().map(Wrong::from).collect(),
            _ => Vec::new(),
        };
        let message = match &error {
            ControlError::NotFound(name) => format!("Connector {name} not found"),
            other => other.to_string(),
        };
        Self { status: ApiError::from(error).status(), message, errors }
    }
}

impl From<ClusterError> for V1Error {
    fn from(error: ClusterError) -> Self {
        Self::cluster(error.0)
    }
}

impl IntoResponse for V1Error {
    fn into_response(self) -> Response {
        let Self { status, message, errors } = self;
        json(status, &ErrorBody { error_code: status.as_u16(), message, errors })
    }
}
