//! TLS at a listening socket. In: a listener and the configuration of the moment. Out: a stream of
//! connections whose handshakes are done. A peer that is slow, or speaks something else, holds up nobody; nor do many
//! connections of one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::crowd::{Crowd, Entry, Limits, Share};
use crate::http::{Listener, Peer};

/// How long a peer may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; more peers wait in the listener's backlog, for those at most that are slow.
const HANDSHAKES: Share = Share { all: 256, of_one_peer: 64 };
const SLOW: Duration = Duration::from_secs(1);
/// Pause after a failed accept; the usual cause, no free descriptors, passes only with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener of HTTP/1.1 over TLS, with the certificate that others offer HTTP/2 with.
pub struct Http1(Mutex<BoxStream<'static, io::Result<TlsStream<TcpStream>>>>);

impl Http1 {
    pub fn new(listener: TcpListener, tls: watch::Receiver<Arc<ServerConfig>>) -> Self {
        let accepted = accepted(listener, tls, |config| {
            let mut config = (*config).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        });
        Self(Mutex::new(accepted.boxed()))
    }
}

impl Listener for Http1 {
    type Stream = TlsStream<TcpStream>;

    async fn next(&self) -> io::Result<(Self::Stream, Peer)> {
        let mut streams = self.0.lock().await;
        loop {
            let next = streams.next().await;
            let stream = next.ok_or_else(|| io::Error::other("the listener is gone"))??;
            // One without a peer has ended already.
            let Ok(peer) = stream.get_ref().0.peer_addr() else { continue };
            return Ok((stream, Peer { address: peer.ip().to_canonical(), is_near: false }));
        }
    }
}

/// Connections of `listener`, until the stream is dropped. Each takes the configuration that `tls` has
/// when it is accepted.
pub fn incoming(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send + Unpin + 'static {
    accepted(listener, tls, |config| config)
}

fn accepted(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    change: fn(Arc<ServerConfig>) -> Arc<ServerConfig>,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send + Unpin + 'static {
    let (done, ready) = mpsc::channel(HANDSHAKES.all);
    let mut accepting = JoinSet::new();
    accepting.spawn(accept(listener, tls, change, done));
    Box::pin(futures::stream::unfold((ready, accepting), |(mut ready, accepting)| async move {
        let stream = ready.recv().await?;
        Some((Ok(stream), (ready, accepting)))
    }))
}

async fn accept(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    change: fn(Arc<ServerConfig>) -> Arc<ServerConfig>,
    done: mpsc::Sender<TlsStream<TcpStream>>,
) {
    let crowd = Crowd::new(Limits { places: HANDSHAKES, busy: HANDSHAKES, spared: SLOW });
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a tls connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let seat = loop {
            match crowd.enter(peer) {
                Entry::Seat(seat) => break Some(seat),
                Entry::Crowded => break None,
                Entry::Full => crowd.room().await,
            }
        };
        let Some(seat) = seat else {
            tracing::debug!(%peer, "too many tls handshakes of one peer");
            continue;
        };
        let acceptor = TlsAcceptor::from(change(tls.borrow().clone()));
        let done = done.clone();
        handshakes.spawn(async move {
            let finished = async {
                if let Some(stream) = handshake(acceptor, stream).await {
                    // Nobody takes connections any more: the process stops.
                    let _ = done.send(stream).await;
                }
            };
            tokio::select! {
                () = finished => {}
                () = seat.evicted() => {}
            }
        });
    }
}

async fn handshake(acceptor: TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let peer = stream.peer_addr().ok();
    // Small answers must not wait for the acknowledgement of earlier ones; without it they only do.
    let _ = stream.set_nodelay(true);
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(?peer, %error, "tls handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(?peer, "tls handshake took too long");
            None
        }
    }
}
