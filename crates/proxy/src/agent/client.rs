//! Asking the application. In: an address, and a request. Out: a connection from the address that interception
//! leaves alone, with or without TLS, and the head of its answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// What comes from here to the pod's own address is for the application, not for the proxy.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);

/// Connects as inbound passthrough does.
pub async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = match to.ip() {
        IpAddr::V4(_) => {
            let socket = TcpSocket::new_v4()?;
            socket.bind((SOURCE, 0).into())?;
            socket
        }
        IpAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            // The address is there only where the rules for IPv6 have put it.
            let _ = socket.bind((SOURCE_V6, 0).into());
            socket
        }
    };
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS with whatever certificate, as the kubelet has it for probes.
pub async fn encrypt(stream: TcpStream, address: IpAddr) -> io::Result<TlsStream<TcpStream>> {
    let config: Arc<ClientConfig> =
        lateen_identity::unverified_client_config().map_err(io::Error::other)?;
    TlsConnector::from(config).connect(ServerName::from(address), stream).await
}

/// The body of an answer, with the connection that brings it.
pub struct Incoming {
    body: hyper::body::Incoming,
    _connection: JoinSet<()>,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Sends one request. The connection lives as long as the answer is read.
pub async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the application broke off");
        }
    });
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| Incoming { body, _connection: task }))
}
