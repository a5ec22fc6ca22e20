//! `/metrics`, in the form that the asker wants most.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse as _;

use super::error::ApiError;
use super::{Answer, App};
use crate::metrics;
use crate::trace::RequestSpan;

/// Counts one answer, and keeps a span of it if it is one of those looked at.
pub(super) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Answer {
    let monitored = Arc::clone(&app.settings.monitored);
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let looked_at = monitored.traces.sampled(traceparent).map(|place| {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        (RequestSpan { place, method, path, status: 0, begin: SystemTime::now(), took: Duration::ZERO }, Instant::now())
    });
    let answer = next.run(request).await;
    let status = answer.status().as_u16();
    monitored.requests.add(status);
    if let Some((span, begin)) = looked_at {
        monitored.traces.add(RequestSpan { status, took: begin.elapsed(), ..span });
    }
    answer
}

/// A form of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The form that an `Accept` header asks for: of those known the one of the highest weight, of equal ones the first; text
    /// when it names none of them.
    fn wanted(accept: &str) -> Self {
        let mut best: Option<(Self, f64)> = None;
        for range in accept.split(',') {
            let Some((form, weight)) = Self::of_range(range) else { continue };
            if weight > 0.0 && best.is_none_or(|(_, most)| weight > most) {
                best = Some((form, weight));
            }
        }
        best.map_or(Self::Text, |(form, _)| form)
    }

    /// One media range and its weight; none for a form that is not served.
    fn of_range(range: &str) -> Option<(Self, f64)> {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        let parameters: Vec<(String, &str)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
            .collect();
        let given = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        let is = |name: &str, wanted: &[&str]| given(name).is_none_or(|value| wanted.contains(&value));
        let form = match kind.as_str() {
            "application/openmetrics-text" if is("version", &["1.0.0", "0.0.1"]) => Self::OpenMetrics,
            "application/vnd.google.protobuf"
                if is("proto", &["io.prometheus.client.MetricFamily"]) && is("encoding", &["delimited"]) =>
            {
                Self::Protobuf
            }
            "text/plain" if is("version", &["0.0.4"]) => Self::Text,
            "text/*" | "*/*" => Self::Text,
            _ => return None,
        };
        Some((form, given("q").map_or(1.0, |weight| weight.parse().unwrap_or(0.0))))
    }
}

/// The page.
pub(super) async fn page(app: &App, headers: &HeaderMap) -> Result<Answer, ApiError> {
    let families = metrics::gather(&app.controller, &*app.port, &app.settings.monitored).await?;
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let form = Form::wanted(&accept.join(","));
    let body = match form {
        Form::Text => Body::from(metrics::prometheus(&families)),
        Form::OpenMetrics => Body::from(metrics::open_metrics(&families)),
        Form::Protobuf => Body::from(metrics::protobuf(&families)),
    };
    Ok((StatusCode::OK, [(CONTENT_TYPE, form.content_type()), (VARY, "Accept")], body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_wanted_most_is_given() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let table = [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/html", Form::Text),
            ("text/plain;version=0.0.4", Form::Text),
            ("application/openmetrics-text; version=1.0.0", Form::OpenMetrics),
            ("application/openmetrics-text", Form::OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Form::Text),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.6", Form::Text),
            ("application/openmetrics-text;q=0,text/plain;q=0.1", Form::Text),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Form::OpenMetrics,
            ),
            (protobuf, Form::Protobuf),
            (&format!("{protobuf};q=0.7,application/openmetrics-text;version=1.0.0;q=0.6"), Form::Protobuf),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Form::Text),
        ];
        for (accept, form) in table {
            assert_eq!(Form::wanted(accept), form, "{accept}");
        }
    }
}
