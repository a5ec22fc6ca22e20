//! Reads requests: names and numbers in paths, query parameters, JSON bodies. What can't be read is a 400 that says why.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::V1Error;

/// Longest name of a connector, in bytes.
const NAME_BYTES_MAX: usize = 1000;

/// Checks a connector's name by Kafka Connect's rules.
pub(super) fn check_name(name: &str) -> Result<(), V1Error> {
    let wrong = if name.trim().is_empty() {
        "must not be empty".to_owned()
    } else if name.chars().any(char::is_control) {
        "must not contain control characters".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("must not be longer than {NAME_BYTES_MAX} bytes")
    } else {
        return Ok(());
    };
    Err(V1Error::bad_request(format!("a connector's name {wrong}")))
}

async fn in_path<S: Send + Sync>(parts: &mut Parts, state: &S, member: &str) -> Result<String, V1Error> {
    let unreadable = |error| V1Error::bad_request(format!("the path can't be read: {error}"));
    let Path(mut members) =
        Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await.map_err(unreadable)?;
    Ok(members.remove(member).unwrap_or_default())
}

/// `{name}` of a path: a connector's name, or a plugin's or logger's.
pub(super) struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = V1Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, V1Error> {
        let name = in_path(parts, state, "name").await?;
        check_name(&name)?;
        Ok(Self(name))
    }
}

/// `{task}` of a path: a task's index.
pub(super) struct TaskIndex(pub u32);

impl<S: Send + Sync> FromRequestParts<S> for TaskIndex {
    type Rejection = V1Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, V1Error> {
        let text = in_path(parts, state, "task").await?;
        let index = text.parse();
        index.map(Self).map_err(|_| V1Error::missing(format!("Task {text} not found: a task is named by its number")))
    }
}

/// The query parameters, in order.
pub(super) struct Asked(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = V1Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, V1Error> {
        let unreadable = |error| V1Error::bad_request(format!("the query can't be read: {error}"));
        let Query(pairs) = Query::from_request_parts(parts, state).await.map_err(unreadable)?;
        Ok(Self(pairs))
    }
}

impl Asked {
    /// All values of one parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's value; of several the last, and none for an empty one.
    pub fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).last().filter(|value| !value.is_empty())
    }

    /// A truth value; given without a value it is true.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, V1Error> {
        match self.all(name).last() {
            None => Ok(default),
            Some("" | "true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(V1Error::bad_request(format!("{name} is \"{other}\", expected true or false"))),
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, bounds: RangeInclusive<i64>) -> Result<Option<i64>, V1Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let fits = text.parse().ok().filter(|number| bounds.contains(number));
        let (low, high) = (bounds.start(), bounds.end());
        let wrong = || format!("{name} is \"{text}\", expected a whole number from {low} to {high}");
        fits.map(Some).ok_or_else(|| V1Error::bad_request(wrong()))
    }
}

/// A body of JSON.
pub(super) struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = V1Error;
    async fn from_request(request: Request, state: &S) -> Result<Self, V1Error> {
        let kind =
            request.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default().to_ascii_lowercase());
        if kind.is_some_and(|kind| !kind.contains("json")) {
            let message = "HTTP 415 Unsupported Media Type: send Content-Type: application/json";
            return Err(V1Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let unreadable = |error| V1Error::bad_request(format!("the body can't be read: {error}"));
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        let malformed = |error| V1Error::bad_request(format!("the body is not the JSON that this path takes: {error}"));
        serde_json::from_slice(&bytes).map(Self).map_err(malformed)
    }
}
