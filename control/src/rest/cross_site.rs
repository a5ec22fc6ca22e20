//! Keeps other sites' pages from changing anything. A browser lets every page send requests to every host; what it adds by
//! itself tells where they come from: `Origin` on all but plain reads, and `Sec-Fetch-Site` on reads too. Programs send
//! neither, so nothing changes for them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::middleware::Next;

use super::route::route;
use super::{Answer, App, error};

/// Passes a request on, or refuses it.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Answer {
    if !changes(request.method(), request.uri()) {
        return next.run(request).await;
    }
    match refused(request.headers(), &app.settings.allowed_origins) {
        None => next.run(request).await,
        Some(why) => {
            tracing::warn!("{} {} is refused: {why}", request.method(), request.uri().path());
            error::refusal(StatusCode::FORBIDDEN, &why, request.uri().path().starts_with("/v1"))
        }
    }
}

/// Whether a request may change something: the methods that are made for it, and the Java API's paths that do by `GET`.
fn changes(method: &Method, uri: &Uri) -> bool {
    if matches!(*method, Method::HEAD | Method::OPTIONS) {
        return false;
    }
    *method != Method::GET || route(method, uri).is_some_and(|route| route.changes())
}

/// Why a request that would change something is refused; none if it may pass.
fn refused(headers: &HeaderMap, allowed: &[String]) -> Option<String> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
    let remedy = "programs send no Origin header; a page of another address needs httpAllowedOrigins";
    if let Some(origin) = text(ORIGIN.as_str()) {
        let own = text(HOST.as_str()).is_some_and(|host| is_own(&origin, &host));
        return (!own && !allowed.contains(&origin))
            .then(|| format!("a page of {} may not change this worker: {remedy}", shown(&origin)));
    }
    let site = text("sec-fetch-site")?;
    (site == "cross-site" || site == "same-site")
        .then(|| format!("a page of another site may not change this worker: {remedy}"))
}

/// Whether an origin is the host that the request was sent to.
fn is_own(origin: &str, host: &str) -> bool {
    let of_scheme = |scheme: &str, port: &str| {
        let rest = origin.strip_prefix(scheme)?;
        Some(rest.strip_suffix(port).unwrap_or(rest) == host.strip_suffix(port).unwrap_or(host))
    };
    of_scheme("http://", ":80").or_else(|| of_scheme("https://", ":443")).unwrap_or(false)
}

/// An origin as an error shows it: a client can send anything.
fn shown(origin: &str) -> String {
    origin.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], passes: bool) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<axum::http::HeaderName>().unwrap(), HeaderValue::from_static(value)))
            .collect();
        let allowed = ["https://console.example".to_owned()];
        assert_eq!(refused(&headers, &allowed).is_none(), passes, "{headers:?}");
    }

    #[test]
    fn only_other_sites_pages_are_refused() {
        for (headers, passes) in [
            (&[("host", "h:8082")][..], true),
            (&[("host", "h:8082"), ("origin", "http://h:8082")], true),
            (&[("host", "H:8082"), ("origin", "http://h:8082"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "h"), ("origin", "http://h:80")], true),
            (&[("host", "h"), ("origin", "https://h")], true),
            (&[("host", "h:443"), ("origin", "https://h")], true),
            (&[("host", "h:80"), ("origin", "https://h")], false),
            (&[("host", "h:8082"), ("origin", "https://console.example")], true),
            (&[("host", "h:8082"), ("origin", "https://console.example.evil.example")], false),
            (&[("host", "h:8082"), ("origin", "http://h:8083")], false),
            (&[("host", "h:8082"), ("origin", "http://h")], false),
            (&[("host", "h:8082"), ("origin", "null")], false),
            (&[("host", "h:8082"), ("origin", "")], false),
            (&[("origin", "http://h:8082")], false),
            (&[("host", "h:8082"), ("sec-fetch-site", "none")], true),
            (&[("host", "h:8082"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "h:8082"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "h:8082"), ("sec-fetch-site", "cross-site")], false),
        ] {
            check(headers, passes);
        }
    }

    #[test]
    fn what_changes_something_is_known_whatever_its_method() {
        for (method, uri, expected) in [
            (Method::GET, "/connectors/list", false),
            (Method::GET, "/connectors/x/status", false),
            (Method::GET, "/plugin/config/validate?config={}", false),
            (Method::GET, "/v1/connectors", false),
            (Method::GET, "/", false),
            (Method::HEAD, "/connectors/x/stop", false),
            (Method::GET, "/connectors/x?config={}", true),
            (Method::GET, "/connectors/x/stop", true),
            (Method::GET, "/connectors/stopAll", true),
            (Method::GET, "/connectors/pause/all", true),
            (Method::GET, "/plugin/reload", true),
            (Method::POST, "/connectors/x", true),
            (Method::PUT, "/v1/connectors/x/pause", true),
            (Method::DELETE, "/v1/connectors/x", true),
            (Method::PATCH, "/v1/connectors/x/config", true),
        ] {
            assert_eq!(changes(&method, &uri.parse().unwrap()), expected, "{method} {uri}");
        }
    }
}
