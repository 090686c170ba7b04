//! The page and its API over HTTP. In: a listening socket, who may ask, and the pages of the API. Out: HTTP/1.1.
//! The page itself holds nothing that is anybody's secret: what it shows comes from the API, which asks for a
//! token.

mod assets;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lateen_runtime::admin::{Handler, Page};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::api::problem;

/// Connections served at once; more wait.
const MAX_CONNECTIONS: usize = 128;
/// How long a peer may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Nothing from anywhere else, and nobody's frame.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Who may ask: whoever knows the token.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// Whether a request shows it, in a time that tells nothing of how much of it was right.
    fn admits(&self, request: &Request<Incoming>) -> bool {
        let value = request.headers().get(header::AUTHORIZATION);
        let shown = value.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        shown.is_some_and(|shown| {
            let (own, shown) = (self.0.as_bytes(), shown.trim().as_bytes());
            let differences = own.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b));
            own.len() == shown.len() && differences == 0
        })
    }
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, token: Token, api: Handler) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (token, api) = (token.clone(), api.clone());
        connections.spawn(async move {
            // A browser that keeps its connection for ever must not keep others out.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection(stream, token, api)).await;
            drop(slot);
        });
    }
}

async fn connection(stream: TcpStream, token: Token, api: Handler) {
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = reply(&request, &token, &api);
        async move { Ok::<_, Infallible>(reply) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the graph's page ended");
    }
}

fn reply(request: &Request<Incoming>, token: &Token, api: &Handler) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return dynamic(problem(405, "the graph's api answers GET only"));
    }
    if !path.starts_with("/api/") {
        return file(path, accepts_gzip(request));
    }
    if !token.admits(request) {
        let text = "a token is needed: open the address that lateen up printed, or send \
                    authorization: Bearer TOKEN";
        return dynamic(problem(401, text));
    }
    let page = api(path, request.uri().query().unwrap_or_default());
    dynamic(page.unwrap_or_else(|| problem(404, format!("there is no {path}"))))
}

/// A part of the page. What is not there is the page itself, which knows its own paths.
fn file(path: &str, packed: bool) -> Response<Full<Bytes>> {
    let found = assets::find(path).or_else(|| assets::find("/index.html"));
    let Some(asset) = found else {
        let text = "this lateen was built without its page: install Node 20, run `make ui`, and build it again.\n\
                    The API is at /api/v1/graph.\n";
        return dynamic(Page::text(text).with_status(501));
    };
    // The name of a hashed file changes with its content.
    let age =
        if asset.path.starts_with("/assets/") { "max-age=31536000, immutable" } else { "no-cache" };
    if !packed {
        return match asset.unpacked() {
            Ok(body) => secured(asset.content_type, age, body.into()),
            Err(error) => dynamic(problem(500, format!("cannot unpack {path}: {error}"))),
        };
    }
    let mut response = secured(asset.content_type, age, Bytes::from_static(asset.gzip));
    let gzip = HeaderValue::from_static("gzip");
    response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    response
}

fn accepts_gzip(request: &Request<Incoming>) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|one| one.split(';').next().is_some_and(|one| one.trim() == "gzip"))
}

fn dynamic(page: Page) -> Response<Full<Bytes>> {
    let mut response = secured(page.content_type, "no-store", page.body.into());
    *response.status_mut() =
        StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn secured(content_type: &'static str, age: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, age),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
