//! The one place where errors become answers.

use axum::http::StatusCode;
use serde::Serialize;

use super::{Answer, json};
use crate::controller::ControlError;

/// A handled failure: `{"errorCode":…,"message":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    /// 400 or 500, as the Java worker says it.
    code: u16,
    /// The status it gets with `restStatusCodes=real`.
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorMessage<'a> {
    error_code: u16,
    message: &'a str,
}

impl ApiError {
    /// A request that can't be read.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// Something that does not exist.
    pub fn missing(message: impl Into<String>) -> Self {
        Self { code: 500, status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// A value that can't be used.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self { code: 500, status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// The real status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer: HTTP 200 as the Java worker gives it, or the real status.
    pub fn answer(&self, real_status: bool) -> Answer {
        let status = if real_status { self.status } else { StatusCode::OK };
        json(status, &ErrorMessage { error_code: self.code, message: &self.message })
    }
}

/// The answer to a request that was given up, in the shape of the API that was asked. Its status is real: no client may
/// take it for done.
pub(super) fn refusal(status: StatusCode, message: &str, v1: bool) -> Answer {
    if v1 {
        return json(status, &serde_json::json!({"error_code": status.as_u16(), "message": message}));
    }
    let code = if status.is_client_error() { 400 } else { 500 };
    json(status, &ErrorMessage { error_code: code, message })
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::Invalid(_) | ControlError::UnknownClass(_) => StatusCode::BAD_REQUEST,
            ControlError::SameConfig | ControlError::Exists(_) | ControlError::Conflict(_) => StatusCode::CONFLICT,
            ControlError::Cluster(_) => StatusCode::BAD_GATEWAY,
            ControlError::NotFound(_) | ControlError::NoTask(..) => StatusCode::NOT_FOUND,
            ControlError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ControlError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { code: 500, status, message: error.to_string() }
    }
}
