//! A small HTTP/1.1 server for pages that may take a while. In: a listener and routes. Out: answers; a peer
//! that is slow or silent holds one of a few places for a bounded time.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections of one port that are served at the same time; more wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a peer may take to send a request's head, or to think about the next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one connection may last.
const LONGEST: Duration = Duration::from_secs(120);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 128;

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Error>;
pub type Reply = Response<Body>;

/// A request without its body, which none of the pages has.
pub struct Asked {
    pub parts: Parts,
    pub peer: IpAddr,
}

/// From a request to its answer.
pub type Routes = Arc<dyn Fn(Asked) -> BoxFuture<'static, Reply> + Send + Sync>;

pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "text/plain; charset=utf-8", body)
}

pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    let mut reply = Response::new(body.boxed_unsync());
    *reply.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    reply.headers_mut().insert(header::CONTENT_TYPE, content_type);
    reply
}

/// Listens on an address, or on every one of the pod, both families where the kernel has both.
pub fn listen(address: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    match address {
        Some(address) => bind(SocketAddr::new(address, port)),
        None => bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).or_else(|error| match error
            .kind()
        {
            io::ErrorKind::AddrInUse => Err(error),
            _ => bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        }),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, routes: Routes) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let routes = routes.clone();
        connections.spawn(async move {
            let served = serve_connection(stream, peer.ip().to_canonical(), routes);
            if tokio::time::timeout(LONGEST, served).await.is_err() {
                tracing::debug!(%peer, "a connection took too long");
            }
            drop(slot);
        });
    }
}

async fn serve_connection(stream: TcpStream, peer: IpAddr, routes: Routes) {
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = routes(Asked { parts: request.into_parts().0, peer });
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
