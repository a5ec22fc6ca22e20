//! `/v1`: the API in the shape of Kafka Connect's, for its clients and dashboards, and what goes beyond it: offsets, dead
//! letters, a look at live records. Errors have their real status. A change is answered when it is durable.

mod connectors;
mod dlq;
mod error;
mod flow;
mod latency;
mod loggers;
mod mask;
mod offsets;
mod openapi;
mod plugins;
mod request;
mod running;
mod tap;
mod worker;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::header::CONNECTION;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use axum::response::IntoResponse as _;
use axum::routing::any;
use tokio::sync::Semaphore;
use tower_service::Service as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, BODY_BYTES_MAX, NoBody};
use super::{Answer, App};
use error::V1Error;
pub use error::{ErrorBody, Wrong};
pub use flow::document;

/// Looks at live records at once.
const TAPS_MAX: usize = 16;

/// What handlers of `/v1` share.
pub(super) struct V1 {
    /// What all of REST shares.
    app: Arc<App>,
    /// Room for looks at live records.
    taps: Arc<Semaphore>,
    /// Held by the one replay of dead letters that may be under way.
    replay: Arc<tokio::sync::Mutex<()>>,
    /// The cluster's name, once it was told.
    cluster_name: tokio::sync::OnceCell<String>,
    /// The description of all routes, as JSON, once it was asked for.
    openapi: OnceLock<String>,
}

/// All routes, with their description.
fn described() -> OpenApiRouter<Arc<V1>> {
    let inner = OpenApiRouter::new()
        .routes(routes!(worker::worker))
        .routes(routes!(worker::tasks))
        .routes(routes!(flow::flow))
        .routes(routes!(openapi::document))
        .routes(routes!(connectors::list, connectors::create))
        .routes(routes!(connectors::get, connectors::delete))
        .routes(routes!(connectors::config, connectors::put_config, connectors::patch_config))
        .routes(routes!(connectors::tasks))
        .routes(routes!(connectors::tasks_config))
        .routes(routes!(connectors::topics))
        .routes(routes!(connectors::reset_topics))
        .routes(routes!(running::status))
        .routes(routes!(latency::latency))
        .routes(routes!(running::task_status))
        .routes(routes!(running::restart))
        .routes(routes!(running::restart_task))
        .routes(routes!(running::pause))
        .routes(routes!(running::resume))
        .routes(routes!(running::stop))
        .routes(routes!(offsets::get, offsets::patch, offsets::delete))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::config))
        .routes(routes!(plugins::validate))
        .routes(routes!(plugins::paths))
        .routes(routes!(loggers::list))
        .routes(routes!(loggers::get, loggers::put))
        .routes(routes!(dlq::list))
        .routes(routes!(dlq::summary))
        .routes(routes!(dlq::replay))
        .routes(routes!(tap::tap));
    OpenApiRouter::with_openapi(openapi::frame()).routes(routes!(worker::root)).nest("/v1", inner)
}

/// Answers everything below `/v1`.
pub(super) fn router(app: Arc<App>) -> Router {
    let (routes, _) = described().split_for_parts();
    let v1 = Arc::new(V1 {
        app: Arc::clone(&app),
        taps: Arc::new(Semaphore::new(TAPS_MAX)),
        replay: Arc::default(),
        cluster_name: tokio::sync::OnceCell::new(),
        openapi: OnceLock::new(),
    });
    let inner = routes
        .fallback(async || V1Error::new(StatusCode::NOT_FOUND, "HTTP 404 Not Found: /v1 has no such path"))
        .method_not_allowed_fallback(async || {
            V1Error::new(StatusCode::METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed: this path has other methods")
        })
        .with_state(v1);
    let enter = move |request| enter(Arc::clone(&app), inner.clone(), request);
    Router::new().route("/v1", any(enter.clone())).route("/v1/", any(enter.clone())).route("/v1/{*rest}", any(enter))
}

/// One request: its body read within bounds, one of the requests in work. The server bounds the time to the answer.
async fn enter(app: Arc<App>, mut inner: Router, request: Request<Body>) -> Answer {
    let (mut head, body) = request.into_parts();
    head.uri = without_last_slash(head.uri);
    let body = match read_body(&app, body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    // The semaphore is never closed, so a permit always comes.
    let _permit = app.room.acquire().await;
    match inner.call(Request::from_parts(head, Body::from(body))).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// The whole body, or the answer that says why there is none; after that the connection can't be used.
async fn read_body(app: &App, body: Body) -> Result<Vec<u8>, Answer> {
    if body.is_end_stream() {
        return Ok(Vec::new());
    }
    let _permit = app.bodies.acquire().await;
    let (status, message) = match body::read(body, app.settings.limits.body_timeout).await {
        Ok(body) => return Ok(body),
        Err(NoBody::TooLarge) => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the request's body is longer than {BODY_BYTES_MAX} bytes"))
        }
        Err(NoBody::TooSlow) => (StatusCode::REQUEST_TIMEOUT, "the request's body did not come in time".to_owned()),
        Err(NoBody::Broken) => (StatusCode::BAD_REQUEST, "the request's body broke off".to_owned()),
    };
    Err(([(CONNECTION, HeaderValue::from_static("close"))], V1Error::new(status, message)).into_response())
}

/// The same address without a slash at the end of its path.
fn without_last_slash(uri: Uri) -> Uri {
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty()) else { return uri };
    let text = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    let Ok(changed) = text.parse::<PathAndQuery>() else { return uri };
    parts.path_and_query = Some(changed);
    Uri::from_parts(parts).unwrap_or(uri)
}
