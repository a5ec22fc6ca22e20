//! The REST API: the Java worker's, answer for answer, and what this worker tells about itself. A handler reads the
//! request, asks the controller, and renders; it decides nothing.

mod body;
mod cluster;
mod connectors;
mod cross_site;
mod dto;
mod error;
mod input;
mod legacy;
mod metrics;
mod page;
mod plugin_paths;
mod plugins;
mod route;
mod server;
mod v1;

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONNECTION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::command::ShardPort;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::controller::Controller;
use crate::logs::LogLevels;
use crate::metrics::Monitored;
use crate::plugins::PluginPaths;
use body::NoBody;
pub use dto::{LatencyInfo, TaskInfoV1, WorkerInfoV1};
use error::ApiError;
use route::{Route, route};
pub use server::RestLimits;
pub use v1::document as flow;
pub use v1::{ErrorBody, Wrong};

/// Requests in work at once; further ones wait.
const REQUESTS_MAX: usize = 256;
/// Bodies read at once; further ones wait. Those that trickle in hold up no request without a body.
const BODIES_MAX: usize = 32;

/// What REST needs to know about the worker.
#[derive(Clone, Debug)]
pub struct RestSettings {
    /// Name of this worker in statuses.
    pub worker_id: String,
    /// Origins of web pages that may ask for changes beside the worker's own; lower case.
    pub allowed_origins: Vec<String>,
    /// Give handled errors their HTTP status instead of 200.
    pub real_status: bool,
    /// Hide the values of secret keys.
    pub mask_secrets: bool,
    /// Version of the program.
    pub version: &'static str,
    /// Where the cluster is, for `/v1/worker`.
    pub name_servers: Vec<String>,
    /// Whether the broker is inside this process.
    pub embedded: bool,
    /// A shard without progress for so long makes `/health` fail.
    pub stall_timeout: std::time::Duration,
    /// What lies under `pluginPaths`.
    pub plugin_paths: Arc<PluginPaths>,
    /// What a client may take of this worker.
    pub limits: RestLimits,
    /// Changes what is logged.
    pub log_levels: Arc<dyn LogLevels>,
    /// What is counted, for `/metrics`.
    pub monitored: Arc<Monitored>,
}

/// Everything that a handler may use.
pub(crate) struct App {
    controller: Controller,
    port: Arc<dyn ShardPort>,
    cluster: Arc<dyn ClusterPort>,
    settings: RestSettings,
    started: Instant,
    room: tokio::sync::Semaphore,
    bodies: tokio::sync::Semaphore,
}

/// Answers requests until `stop` completes and those under way are answered.
pub async fn serve(
    listener: TcpListener,
    controller: Controller,
    port: Arc<dyn ShardPort>,
    cluster: Arc<dyn ClusterPort>,
    settings: RestSettings,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let limits = settings.limits;
    let room = tokio::sync::Semaphore::new(REQUESTS_MAX);
    let bodies = tokio::sync::Semaphore::new(BODIES_MAX);
    let app = Arc::new(App { controller, port, cluster, settings, started: Instant::now(), room, bodies });
    // One handler for all other paths: the Java server's rules on methods, slashes and precedence are those of `route`.
    let router = v1::router(Arc::clone(&app)).merge(axum::Router::new().fallback(handle).with_state(Arc::clone(&app)));
    let router = router.layer(from_fn_with_state(app.clone(), cross_site::guard));
    // Outermost: what the guard refuses is counted too.
    let router = router.layer(from_fn_with_state(app, metrics::count));
    server::run(listener, router, limits, stop).await;
}

/// A finished answer.
type Answer = Response<Body>;

async fn handle(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    let (head, body) = request.into_parts();
    let json = head
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    if let Some(answer) = page::answer(&head) {
        return answer;
    }
    let Some(route) = route(&head.method, &head.uri) else { return not_found(json) };
    if head.method == axum::http::Method::HEAD {
        return text(StatusCode::OK, "");
    }
    let body = match read_body(&app, body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    // The semaphore is never closed, so a permit always comes.
    let _permit = app.room.acquire().await;
    match dispatch(&app, route, &head, &body).await {
        Ok(answer) => answer,
        Err(error) => error.answer(app.settings.real_status),
    }
}

/// The whole body, or the answer that says why there is none.
async fn read_body(app: &App, body: Body) -> Result<Vec<u8>, Answer> {
    if body.is_end_stream() {
        return Ok(Vec::new());
    }
    let _permit = app.bodies.acquire().await;
    let refusal = match body::read(body, app.settings.limits.body_timeout).await {
        Ok(body) => return Ok(body),
        Err(NoBody::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large"),
        Err(NoBody::TooSlow) => (StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
        Err(NoBody::Broken) => (StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let mut answer = text(refusal.0, refusal.1);
    answer.headers_mut().insert(CONNECTION, axum::http::HeaderValue::from_static("close"));
    Err(answer)
}

async fn dispatch(app: &App, route: Route, head: &Parts, body: &[u8]) -> Result<Answer, ApiError> {
    let uri = &head.uri;
    match route {
        Route::ClusterInfo => Ok(cluster::info(app)),
        Route::AllocatedConnectors => cluster::allocated_connectors(app).await,
        Route::AllocatedTasks => cluster::allocated_tasks(app).await,
        Route::Health => Ok(cluster::health(app)),
        Route::Ready => Ok(cluster::ready(app).await),
        Route::Metrics => metrics::page(app, &head.headers).await,
        Route::List => connectors::list(app).await,
        Route::Config(name) => connectors::config(app, &name).await,
        Route::Status(name) => connectors::status(app, &name).await,
        Route::Tasks(name) => connectors::tasks(app, &name).await,
        Route::TaskStatus(name, task) => connectors::task_status(app, &name, &task).await,
        Route::Create(name) => connectors::create(app, &name, body).await,
        Route::CreateByGet(name) => legacy::create_by_get(app, &name, uri).await,
        Route::Stop(name) => connectors::stop(app, &name).await,
        Route::Pause(name) => connectors::pause(app, &name).await,
        Route::Resume(name) => connectors::resume(app, &name).await,
        Route::StopAll => connectors::stop_all(app).await,
        Route::PauseAll => connectors::pause_all(app).await,
        Route::ResumeAll => connectors::resume_all(app).await,
        Route::Plugins => Ok(plugins::list()),
        Route::PluginConnectors => Ok(plugins::list_connectors()),
        Route::PluginReload => plugin_paths::reload(app).await,
        Route::PluginConfig => plugins::config(uri),
        Route::PluginValidate => plugins::validate(app, uri, body).await,
        Route::OldAllocatedInfo => legacy::allocated_info(app).await,
        Route::OldAllocatedConnectors => legacy::allocated_connectors(app).await,
        Route::OldAllocatedTasks => legacy::allocated_tasks(app).await,
    }
}

/// A query parameter, decoded.
fn query(uri: &Uri, wanted: &str) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

/// The shape of every success: `{"status":200,"body":…}`.
#[derive(Serialize)]
struct Success<T> {
    status: u16,
    body: T,
}

fn success(body: impl Serialize) -> Answer {
    json(StatusCode::OK, &Success { status: 200, body })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_string(body) {
        Ok(body) => raw_json(status, body),
        Err(error) => {
            tracing::error!("an answer can't be written as JSON: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
        }
    }
}

fn raw_json(status: StatusCode, body: String) -> Answer {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    (status, [(CONTENT_TYPE, "text/plain")], body).into_response()
}

fn not_found(as_json: bool) -> Answer {
    if !as_json {
        return text(StatusCode::NOT_FOUND, "Not found");
    }
    let body = "{\n    \"title\": \"Not found\",\n    \"status\": 404,\n    \"type\": \
                \"https://javalin.io/documentation#notfoundresponse\",\n    \"details\": {}\n}";
    raw_json(StatusCode::NOT_FOUND, body.to_owned())
}
