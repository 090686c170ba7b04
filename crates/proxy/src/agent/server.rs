//! HTTP for pages that may take a while. In: a port and routes. Out: answers; a peer that is slow or silent has
//! one of a few places, for a bounded time and until others need it.

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
use lateen_runtime::http::Limits;
use lateen_runtime::socket::OPEN_BACKLOG;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// Of each port.
const LIMITS: Limits = Limits { connections: 256, lasting: Some(Duration::from_secs(120)) };

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Error>;
pub type Reply = Response<Body>;

/// A request without its body, which none of the pages has.
pub struct Asked {
    pub parts: Parts,
    /// Whether the peer is on this machine.
    pub near: bool,
}

/// From a request to its answer.
pub type Routes = Arc<dyn Fn(Asked) -> BoxFuture<'static, Reply> + Send + Sync>;

pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "text/plain; charset=utf-8", body)
}

pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    let mut reply = with_type(content_type, body.boxed_unsync());
    *reply.status_mut() = status;
    reply
}

pub fn with_type(content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
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
    socket.listen(OPEN_BACKLOG.cast_signed())?;
    TcpListener::from_std(socket.into())
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, routes: Routes) {
    lateen_runtime::http::serve(listener, LIMITS, move |request: Request<Incoming>, near| {
        routes(Asked { parts: request.into_parts().0, near })
    })
    .await;
}
