//! HTTP/1.1 for few clients. In: a listening socket and a function from requests to responses. Out: connections that
//! are bounded in number, in the time that they take, and in what they send.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::admin::Page;
use crate::pages::{Ask, MAX_BODY, Reader};

/// How long a peer may take to send its request's head, and then its body.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A response that is there as a whole.
pub type Reply = Response<Full<Bytes>>;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once; more wait.
    pub connections: usize,
    /// How long one may last, if it may not for ever and so keep others out.
    pub lasting: Option<Duration>,
}

/// Where connections come from.
pub trait Listener: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and whether its peer is on this machine.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, bool)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, bool)> {
        let (stream, peer) = self.accept().await?;
        Ok((stream, peer.ip().to_canonical().is_loopback()))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, bool)> {
        Ok((self.accept().await?.0, true))
    }
}

/// Serves until dropped. `reply` is told whether the peer is on this machine.
pub async fn serve<F, R, B>(listener: impl Listener, limits: Limits, reply: F)
where
    F: Fn(Request<Incoming>, bool) -> R + Clone + Send + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, near)) = listener.next().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let reply = reply.clone();
        connections.spawn(async move {
            let served = connection(stream, move |request| reply(request, near));
            match limits.lasting {
                Some(limit) => drop(tokio::time::timeout(limit, served).await),
                None => served.await,
            }
            drop(slot);
        });
    }
}

async fn connection<S, R, B>(stream: S, reply: impl Fn(Request<Incoming>) -> R)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let service = service_fn(move |request| {
        let reply = reply(request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a page ended");
    }
}

/// Reads a request to its end.
///
/// # Errors
/// A page that says why it was not read.
pub async fn read(request: Request<Incoming>, reader: Reader) -> Result<Ask, Page> {
    let too_long = || Page::problem(413, format!("the body has more than {MAX_BODY} bytes"));
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_long());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect());
    let body = match read.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_long()),
        Ok(Err(error)) => return Err(Page::problem(400, format!("the body broke off: {error}"))),
        Err(_) => return Err(Page::problem(408, "the body did not come in time")),
    };
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let accept = head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    Ok(Ask {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_type: content_type.to_ascii_lowercase(),
        accept: accept.unwrap_or_default().to_owned(),
        body,
        reader,
    })
}

/// A page as a response.
pub fn response(page: Page) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() =
        StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
