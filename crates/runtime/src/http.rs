//! HTTP/1.1 for few clients. In: a listening socket and a function from requests to responses. Out: connections that
//! are bounded in number, in the time that they take, and in what they send. No connection waits for another one: those
//! that come are accepted at once, and of whom has the most the one that has asked for nothing longest makes room, so
//! that nobody who opens many keeps out others, or those behind the same address.

mod flushed;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::admin::Page;
use crate::crowd::{self, Crowd, Entry, Seat, Share};
use crate::pages::{Ask, MAX_BODY, Reader};
use flushed::Flushed;

/// How long a peer may take to send its request's head, and then its body.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection may send before it is read, and so the longest head.
const BUFFER: usize = 32 << 10;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A response that is there as a whole.
pub type Reply = Response<Full<Bytes>>;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, half of them with a request that is answered; a peer may have half of each.
    pub connections: usize,
    /// How long one may last, if it may not for ever and so keep others out.
    pub lasting: Option<Duration>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Which connections are one's own.
    pub address: IpAddr,
    /// Whether it is on this machine, and its connection unencrypted.
    pub is_near: bool,
}

/// Where connections come from.
pub trait Listener: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, peer) = self.accept().await?;
        let address = peer.ip().to_canonical();
        Ok((stream, Peer { address, is_near: address.is_loopback() }))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Peer)> {
        let peer = Peer { address: Ipv4Addr::LOCALHOST.into(), is_near: true };
        Ok((self.accept().await?.0, peer))
    }
}

/// Serves until dropped. `reply` is told whether the peer is on this machine.
pub async fn serve<F, R, B>(listener: impl Listener, limits: Limits, reply: F)
where
    F: Fn(Request<Incoming>, bool) -> R + Clone + Send + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let all = limits.connections;
    let share = |all: usize| Share { all, of_one_peer: all.div_ceil(2) };
    let (places, busy) = (share(all), share(all.div_ceil(2)));
    let crowd = Crowd::new(crowd::Limits { places, busy, spared: Duration::ZERO });
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Those without a seat end as soon as they run.
        while connections.len() > all {
            connections.join_next().await;
        }
        let Ok((stream, peer)) = listener.next().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Entry::Seat(seat) = crowd.enter(peer.address) else { continue };
        let reply = reply.clone();
        connections.spawn(async move {
            let served = connection(stream, &seat, move |request| reply(request, peer.is_near));
            match limits.lasting {
                Some(limit) => drop(tokio::time::timeout(limit, served).await),
                None => served.await,
            }
        });
    }
}

/// Serves until the connection ends or its seat is another one's; what has been asked by then is still answered if
/// the answer is at hand.
async fn connection<S, R, B>(stream: S, seat: &Seat, reply: impl Fn(Request<Incoming>) -> R)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let (stream, sending) = Flushed::new(stream);
    let service = service_fn(move |request| {
        let (busy, reply, sending) = (seat.work(), reply(request), sending.clone());
        async move {
            let response = reply.await;
            sending.until_flushed(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let served = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        biased;
        ended = served => ended,
        () = seat.evicted() => return,
    };
    if let Err(error) = ended {
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

#[cfg(test)]
mod tests;
