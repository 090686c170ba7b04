//! The admin server of a process: pages over HTTP/1.1 on a Unix socket that only its owner may open, and the
//! client for it; or on a TCP port, where some pages are for this machine alone. In: [`Pages`]. Out: [`Page`]s.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixStream};

use crate::http::{Limits, Reply, read, response, serve};
use crate::pages::{Pages, Reader, all, at_once};

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
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

    /// A value as JSON for people to read; a value that cannot be written is an error page.
    pub fn json<T: serde::Serialize>(value: &T) -> Self {
        Self::written(serde_json::to_vec_pretty(value))
    }

    /// The same without spaces, for what can be long.
    pub fn compact_json<T: serde::Serialize>(value: &T) -> Self {
        Self::written(serde_json::to_vec(value))
    }

    fn written(json: serde_json::Result<Vec<u8>>) -> Self {
        match json {
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

/// Listens on `path` (mode 0600; a stale socket there is replaced) and serves until dropped. Whoever may open
/// the socket is the owner.
pub async fn serve_unix(path: &Path, pages: Arc<dyn Pages>) -> Result<(), Error> {
    let listener =
        crate::socket::bind(path).map_err(|reason| Error::Listen { path: path.into(), reason })?;
    let limits = Limits { connections: MAX_CONNECTIONS, lasting: None };
    serve(listener, limits, move |request, _| answer(request, pages.clone())).await;
    Ok(())
}

/// Serves on a TCP port until dropped. What `open` has no page for is asked of `local`, but only for peers
/// on this machine's loopback, as those of `kubectl port-forward` are.
pub async fn serve_tcp(listener: TcpListener, open: Arc<dyn Pages>, local: Arc<dyn Pages>) {
    let near = all(vec![open.clone(), local]);
    let far = limited(open);
    let limits = Limits { connections: MAX_CONNECTIONS, lasting: Some(CONNECTION_TIMEOUT) };
    serve(listener, limits, move |request, is_near| {
        answer(request, if is_near { near.clone() } else { far.clone() })
    })
    .await;
}

/// The pages for everybody else, who are told of the others but cause nothing there.
fn limited(open: Arc<dyn Pages>) -> Arc<dyn Pages> {
    let text = "all other pages are for the loopback only: use kubectl port-forward\n";
    all(vec![open, at_once(move |_| Some(Page::text(text).with_status(403)))])
}

async fn answer(request: Request<Incoming>, pages: Arc<dyn Pages>) -> Reply {
    let ask = match read(request, Reader::Owner).await {
        Ok(ask) => ask,
        Err(page) => return response(page),
    };
    let missing = || Page::text(format!("no page {}\n", ask.path)).with_status(404);
    response(pages.answer(&ask).await.unwrap_or_else(missing))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Ask, reading};

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
        let server =
            tokio::spawn(serve_tcp(listener, reading(page("/ready")), reading(page("/debug"))));
        assert!(fetch(address, "/ready").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/debug").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/other").await.starts_with("HTTP/1.1 404"));
        server.abort();
    }

    #[tokio::test]
    async fn others_see_the_open_pages_only() {
        let far = limited(reading(page("/ready")));
        let status = async |path: &str| far.answer(&Ask::get(path, "")).await.unwrap().status;
        assert_eq!(status("/ready").await, 200);
        assert_eq!(status("/debug").await, 403);
    }

    #[tokio::test]
    async fn a_page_is_served_to_the_owner_and_an_unknown_one_is_404() {
        let path = scratch("page");
        let handler: Handler =
            Arc::new(|path, query| (path == "/ready").then(|| Page::text(format!("ok {query}"))));
        let server_path = path.clone();
        let server = tokio::spawn(async move { serve_unix(&server_path, reading(handler)).await });
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
