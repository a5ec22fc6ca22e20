//! The way from a listening socket to the router. Whatever a client does or leaves undone, it holds a connection, memory
//! and this worker's attention only for a bounded time.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::error;

/// Longest request line with all headers, in bytes; a configuration that comes by `GET` is in it.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// A listener that can't accept, for want of file descriptors say, tries again after this.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What a client may take of this worker. The defaults are for production; tests are less patient.
#[derive(Clone, Copy, Debug)]
pub struct RestLimits {
    /// Open connections; further ones wait to be accepted.
    pub connections_max: usize,
    /// From an open, idle connection to the last byte of a request's head. Ends idle connections, too.
    pub head_timeout: Duration,
    /// From a request's head to the last byte of its body.
    pub body_timeout: Duration,
    /// From a request's head to the first byte of its answer; then the answer is HTTP 503.
    pub answer_timeout: Duration,
    /// A client that takes nothing of its answer for so long is left.
    pub write_timeout: Duration,
}

impl Default for RestLimits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// Serves until `stop` completes, and those requests that are then under way.
pub(super) async fn run(listener: TcpListener, router: Router, limits: RestLimits, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (socket, place) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let connection = connection(socket, router.clone(), limits, graceful.watcher());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection, when there is room for one.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so a place always comes.
    let place = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return (socket, place),
            Err(error) if of_the_client(&error) => tracing::debug!("a REST client left before it was heard: {error}"),
            Err(error) => {
                tracing::error!("REST can't accept connections, and tries again: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error concerns one client only.
fn of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers one client until it, its patience, or the worker ends.
async fn connection(socket: TcpStream, router: Router, limits: RestLimits, watcher: Watcher) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!("a REST connection stays with Nagle's algorithm: {error}");
    }
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(limits.write_timeout));
    let service = TowerToHyperService::new(router);
    let answer = service_fn(move |request| answer(service.clone(), request, limits.answer_timeout));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(socket)), answer);
    if let Err(error) = watcher.watch(serving).await {
        tracing::debug!("a REST connection ended: {error}");
    }
}

/// The router's answer, or in its place that it takes too long.
async fn answer(
    service: TowerToHyperService<Router>,
    request: Request<Incoming>,
    patience: Duration,
) -> Result<Response<Body>, Infallible> {
    let v1 = request.uri().path().starts_with("/v1/");
    if let Ok(answer) = timeout(patience, service.call(request)).await {
        return answer;
    }
    let message = format!(
        "no answer within {} s; what was asked may still be done: look before asking again",
        patience.as_secs_f64()
    );
    let mut answer = error::refusal(StatusCode::SERVICE_UNAVAILABLE, &message, v1);
    // What is left of the request is not waited for.
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(answer)
}
