//! The admin server of a process: read-only pages over HTTP/1.1 on a Unix socket that only its owner
//! may open, and the client for it; or on a TCP port, where some pages are for this machine alone. In: a
//! handler from path and query to a [`Page`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Semaphore;

/// Connections served at once; more wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a peer may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection over TCP may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The largest page that the client reads.
const MAX_PAGE: usize = 64 << 20;

/// An answer of the admin server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Page {
    pub fn text(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8", body: body.into().into() }
    }

    /// A value as JSON; a value that cannot be written is an error page.
    pub fn json<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_vec_pretty(value) {
            Ok(body) => Self { status: 200, content_type: "application/json", body },
            Err(error) => Self::text(error.to_string()).with_status(500),
        }
    }

    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Path and query (without `?`) to a page; `None` is 404.
pub type Handler = Arc<dyn Fn(&str, &str) -> Option<Page> + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {path}: {reason}")]
    Listen { path: PathBuf, reason: io::Error },
    #[error("nothing answers on {path}: {reason}")]
    Connect { path: PathBuf, reason: io::Error },
    #[error("the admin server on {path} broke off: {reason}")]
    Broken { path: PathBuf, reason: String },
    #[error("{uri} on {path} answered {status}: {body}")]
    Status { path: PathBuf, uri: String, status: u16, body: String },
}

/// Listens on `path` (mode 0600; a stale socket there is replaced) and serves until dropped.
pub async fn serve_unix(path: &Path, handler: Handler) -> Result<(), Error> {
    let listener =
        crate::socket::bind(path).map_err(|reason| Error::Listen { path: path.into(), reason })?;
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let handler = handler.clone();
        connections.spawn(async move {
            serve_connection(stream, handler).await;
            drop(slot);
        });
    }
}

/// Serves on a TCP port until dropped. What `open` has no page for is asked of `local`, but only for peers
/// on this machine's loopback, as those of `kubectl port-forward` are.
pub async fn serve_tcp(listener: TcpListener, open: Handler, local: Handler) {
    let (near, far) = (everything(open.clone(), local.clone()), limited(open, local));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let handler = if peer.ip().to_canonical().is_loopback() { &near } else { &far };
        let handler = handler.clone();
        connections.spawn(async move {
            // A peer that keeps its connection for ever must not keep others out.
            let served = serve_connection(stream, handler);
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, served).await;
            drop(slot);
        });
    }
}

/// The pages for this machine.
fn everything(open: Handler, local: Handler) -> Handler {
    Arc::new(move |path, query| open(path, query).or_else(|| local(path, query)))
}

/// The pages for everybody else, who are told of the others.
fn limited(open: Handler, local: Handler) -> Handler {
    Arc::new(move |path, query| {
        let refused = "this page is for the loopback only: use kubectl port-forward\n";
        let page = open(path, query);
        page.or_else(|| local(path, query).map(|_| Page::text(refused).with_status(403)))
    })
}

/// Asks the admin server at `path` for `uri` (such as `/config_dump`).
pub async fn get(path: &Path, uri: &str) -> Result<Bytes, Error> {
    let broken =
        |error: hyper::Error| Error::Broken { path: path.into(), reason: error.to_string() };
    let stream = UnixStream::connect(path)
        .await
        .map_err(|reason| Error::Connect { path: path.into(), reason })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::builder()
        .uri(uri)
        .header(header::HOST, "admin")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Error::Broken { path: path.into(), reason: error.to_string() })?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_PAGE).collect().await;
        drop(sender);
        let body = body
            .map_err(|error| Error::Broken { path: path.into(), reason: error.to_string() })?
            .to_bytes();
        Ok((status, body))
    };
    let (answer, _) = tokio::join!(exchange, connection);
    let (status, body) = answer?;
    if status.is_success() {
        return Ok(body);
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Err(Error::Status { path: path.into(), uri: uri.into(), status: status.as_u16(), body })
}

async fn serve_connection<S>(stream: S, handler: Handler)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let page = answer(&request, &handler);
        async move { Ok::<_, std::convert::Infallible>(response(page)) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin connection ended");
    }
}

fn answer(request: &Request<Incoming>, handler: &Handler) -> Page {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Page::text("the admin server answers GET only\n").with_status(405);
    }
    let uri = request.uri();
    handler(uri.path(), uri.query().unwrap_or(""))
        .unwrap_or_else(|| Page::text(format!("no page {}\n", uri.path())).with_status(404))
}

fn response(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() =
        StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = header::HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lateen-admin-{}-{name}.sock", std::process::id()))
    }

    fn page(known: &'static str) -> Handler {
        Arc::new(move |path, _| (path == known).then(|| Page::text(known)))
    }

    /// The answer to a GET over TCP, whole.
    async fn fetch(address: std::net::SocketAddr, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn over_tcp_the_loopback_sees_every_page() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_tcp(listener, page("/ready"), page("/debug")));
        assert!(fetch(address, "/ready").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/debug").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/other").await.starts_with("HTTP/1.1 404"));
        server.abort();
    }

    #[test]
    fn others_see_the_open_pages_only() {
        let far = limited(page("/ready"), page("/debug"));
        assert_eq!(far("/ready", "").unwrap(), Page::text("/ready"));
        let refused = far("/debug", "").unwrap();
        assert_eq!(refused.status, 403);
        assert!(!String::from_utf8(refused.body).unwrap().contains("/debug"));
        assert_eq!(far("/other", ""), None);
    }

    #[tokio::test]
    async fn a_page_is_served_to_the_owner_and_an_unknown_one_is_404() {
        let path = scratch("page");
        let handler: Handler =
            Arc::new(|path, query| (path == "/ready").then(|| Page::text(format!("ok {query}"))));
        let server_path = path.clone();
        let server = tokio::spawn(async move { serve_unix(&server_path, handler).await });
        let body = loop {
            match get(&path, "/ready?x=1").await {
                Err(Error::Connect { .. }) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        };
        assert_eq!(body, "ok x=1");
        let error = get(&path, "/nothing").await.unwrap_err();
        assert!(matches!(error, Error::Status { status: 404, .. }), "{error}");
        server.abort();
        std::fs::remove_file(path).unwrap();
    }
}
