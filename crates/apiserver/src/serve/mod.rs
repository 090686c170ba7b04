//! Connections: in, a bound listener; out, TLS sessions of HTTP/1.1 and HTTP/2 within limits, each
//! owned by the one set that is emptied at the end. A peer that does not show who it is takes no place
//! from those that do.

mod gate;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use gate::Visit;
use gate::{Gate, Limits};

use crate::server::Server;

const LIMITS: Limits = Limits {
    newcomers: 256,
    known: 1024,
    handshake: Duration::from_secs(10),
    introduction: Duration::from_secs(20),
};
const STREAMS: u32 = 256;
const HEAD_BYTES: usize = 64 << 10;
/// Also ends idle connections, so it is longer than clients keep theirs for another request.
const HEAD: Duration = Duration::from_secs(100);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// What a peer that has to go may still finish.
const FAREWELL: Duration = Duration::from_secs(1);
/// What is under way at the end may take this long.
const DRAIN: Duration = Duration::from_secs(5);
/// A pause after the system ran out of something.
const PRESSURE: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets what is under way finish.
pub async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shutdown: impl Future<Output = ()>,
) {
    serve_within(LIMITS, server, listener, tls, shutdown).await;
}

async fn serve_within(
    limits: Limits,
    server: Arc<Server>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shutdown: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let gate = Arc::new(Gate::new(limits));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let visit = Arc::new(Visit::enter(&gate));
                let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
                connections.spawn(connection(server, acceptor, stream, visit));
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept; check the limit of open files");
                tokio::time::sleep(PRESSURE).await;
            }
        }
    }
    drop(listener);
    server.stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
    server.owned.drain().await;
}

fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn connection(
    server: Arc<Server>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    visit: Arc<Visit>,
) {
    let _ = stream.set_nodelay(true);
    let stream = tokio::select! {
        accepted = acceptor.accept(stream) => match accepted {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "no TLS handshake"),
        },
        () = visit.no_handshake() => return tracing::debug!("the TLS handshake took too long"),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let mut stopping = server.stopping();
    let guest = Arc::clone(&visit);
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let server = Arc::clone(&server);
        request.extensions_mut().insert(Arc::clone(&guest));
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    // The handshake has settled the protocol, so there is nothing to guess and to wait for.
    let builder = if http2 { builder().http2_only() } else { builder().http1_only() };
    let session = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(session);
    let ended = tokio::select! {
        ended = session.as_mut() => ended,
        () = stopped(&mut stopping) => {
            session.as_mut().graceful_shutdown();
            session.await
        }
        () = visit.overstay() => {
            session.as_mut().graceful_shutdown();
            match tokio::time::timeout(FAREWELL, session).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("a peer did not say who it is and was let go"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended");
    }
}

async fn stopped(stopping: &mut tokio::sync::watch::Receiver<bool>) {
    // The sender lives in the server, so an error means the same as true.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32);
    builder
}
