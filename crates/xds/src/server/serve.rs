//! The gRPC server around the streams. In: listening sockets, a [`Source`] and the signal to stop. Out: both methods of Envoy's AggregatedDiscoveryService.
//!
//! Whoever may connect to a Unix socket is decided by the credentials that the kernel vouches for:
//! the server's own user and root.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use discovery::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::aside::Aside;
use super::delta::Delta;
use super::passing::Passing;
use super::peer::{Authenticate, Entrance, Refusal};
use super::reports::{AccessLogs, Metrics};
use super::slots::Slots;
use super::sotw::Sotw;
use super::stream::{AdsStream, responses};
use super::told::Told;
use super::{Limits, Machine, Source};

/// How long an idle connection stays quiet before it is probed, and how long the probe may take.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Pause after a failed accept; the usual cause, no free descriptors, passes only with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A proxy needs one stream of each kind, and a second one for a moment while it comes again.
const STREAMS_PER_CONNECTION: u32 = 32;
/// Per cent by which the ages of connections differ.
const JITTER: u32 = 10;
/// How long a connection may stay once all its streams should have ended.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the listening socket: {0}")]
    Listener(#[source] io::Error),
    #[error("the ads server broke off: {0}")]
    Transport(#[from] tonic::transport::Error),
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// A listening socket, and what it asks of those who come through it.
pub enum Door {
    /// For processes of this machine; the kernel says whose they are.
    Unix(std::os::unix::net::UnixListener),
    /// For anybody, without TLS.
    Plaintext(TcpListener),
    /// For whoever shows a token, over connections whose handshakes are done.
    Secure {
        incoming: BoxStream<'static, io::Result<Box<dyn Connection>>>,
        authenticate: Arc<dyn Authenticate>,
        /// How old a connection may become, a tenth more or less; all its streams end then.
        max_age: Option<Duration>,
    },
}

/// Bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Serves until `shutdown` holds true; then the streams are ended and the call returns.
pub async fn serve(
    doors: Vec<Door>,
    source: Arc<dyn Source>,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    let slots = Slots::new("configuration", limits.streams, limits.of_pod);
    let aside = Aside::new(limits.made_at_once);
    let telemetry = Slots::new("telemetry", limits.telemetry, limits.of_pod);
    let served = doors.into_iter().map(|door| {
        let ads = Ads {
            source: source.clone(),
            limits,
            entrance: Entrance::Local,
            slots: slots.clone(),
            aside: aside.clone(),
            telemetry: telemetry.clone(),
            shutdown: shutdown.clone(),
        };
        serve_door(door, ads, shutdown.clone())
    });
    futures::future::try_join_all(served).await?;
    Ok(())
}

async fn serve_door(door: Door, ads: Ads, shutdown: watch::Receiver<bool>) -> Result<(), Error> {
    match door {
        Door::Unix(listener) => over_unix(listener, ads, shutdown).await,
        Door::Plaintext(listener) => {
            let incoming = futures::stream::unfold(listener, |listener| async move {
                let stream = accept_tcp(&listener).await;
                Some((Ok::<_, io::Error>(stream), listener))
            });
            let ads = Ads { entrance: Entrance::Plaintext, ..ads };
            server(ads, None).serve_with_incoming_shutdown(incoming, stopped(shutdown)).await?;
            Ok(())
        }
        Door::Secure { incoming, authenticate, max_age } => {
            let ads = Ads { entrance: Entrance::Token(authenticate), ..ads };
            let attached = move |connection| {
                let until = max_age.map(|age| Instant::now() + jittered(age));
                Attached { connection, until: Until(until) }
            };
            let incoming = incoming.map(move |connection| connection.map(attached));
            server(ads, max_age).serve_with_incoming_shutdown(incoming, stopped(shutdown)).await?;
            Ok(())
        }
    }
}

async fn over_unix(
    listener: std::os::unix::net::UnixListener,
    ads: Ads,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listener)?;
    let listener = UnixListener::from_std(listener).map_err(Error::Listener)?;
    let own_uid = own_uid().map_err(Error::Listener)?;
    let incoming = futures::stream::unfold(listener, move |listener| async move {
        let stream = accept_unix(&listener, own_uid).await;
        Some((Ok::<_, io::Error>(stream), listener))
    });
    server(ads, None).serve_with_incoming_shutdown(incoming, stopped(shutdown)).await?;
    Ok(())
}

fn server(ads: Ads, max_age: Option<Duration>) -> tonic::transport::server::Router {
    let limit = ads.limits.request_bytes;
    let metrics = Told::<Metrics>::new(ads.clone());
    let logs = Told::<AccessLogs>::new(ads.clone());
    let passing = Passing(ads.clone());
    let service = AggregatedDiscoveryServiceServer::new(ads)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(usize::MAX);
    let mut builder = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    if let Some(age) = max_age {
        // The peer is told in time to open its next stream on another connection.
        builder = builder
            .max_connection_age(age - age * JITTER / 100)
            .max_connection_age_grace(age * JITTER / 50 + GRACE);
    }
    builder.add_service(service).add_service(metrics).add_service(logs).add_service(passing)
}

/// When the streams of a connection are to end, so that the proxy comes again and is spread over the replicas anew.
/// It is one time for all of them: the one connection after it has them all again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Until(Option<Instant>);

impl Until {
    /// Of the connection by which a request came.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }
}

/// A connection of which tonic need know nothing else.
struct Attached {
    connection: Box<dyn Connection>,
    until: Until,
}

impl tonic::transport::server::Connected for Attached {
    type ConnectInfo = Until;

    fn connect_info(&self) -> Until {
        self.until
    }
}

impl AsyncRead for Attached {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl AsyncWrite for Attached {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

async fn accept_unix(listener: &UnixListener, own_uid: u32) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) if peer.uid() == own_uid || peer.uid() == 0 => return stream,
                Ok(peer) => tracing::warn!(
                    uid = peer.uid(),
                    own_uid,
                    "ads connection refused: only the own user and root may connect"
                ),
                Err(error) => tracing::warn!(%error, "ads peer without credentials refused"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept an ads connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_tcp(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an ads connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The user of this process, as the kernel would tell it to a peer.
fn own_uid() -> io::Result<u32> {
    let (own, _peer) = UnixStream::pair()?;
    Ok(own.peer_cred()?.uid())
}

async fn stopped(mut shutdown: watch::Receiver<bool>) {
    // An error means that whoever could ask for the shutdown is gone: that is one too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// `age`, a tenth more or less, so that proxies that came together do not all come again together.
fn jittered(age: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let part = u32::try_from(random % u64::from(2 * JITTER + 1)).unwrap_or_default();
    age - age * JITTER / 100 + age * part / 100
}

#[derive(Clone)]
pub(super) struct Ads {
    pub(super) source: Arc<dyn Source>,
    limits: Limits,
    pub(super) entrance: Entrance,
    slots: Arc<Slots>,
    aside: Aside,
    pub(super) telemetry: Arc<Slots>,
    shutdown: watch::Receiver<bool>,
}

impl Ads {
    /// Bytes of one message.
    pub(super) fn message_limit(&self) -> usize {
        self.limits.request_bytes
    }

    /// Resolves when the server ends, or the stream's connection is as old as it may become.
    pub(super) async fn over(&self, until: Until) {
        let aged = async {
            match until.0 {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(self.shutdown.clone()) => {}
            () = aged => {}
        }
    }

    async fn stream<M>(
        &self,
        request: Request<Streaming<M::Request>>,
        machine: M,
    ) -> Result<Response<Responses<M::Response>>, Status>
    where
        M: Machine + Send + 'static,
        M::Request: Send + 'static,
        M::Response: Send + 'static,
    {
        let peer = self.entrance.peer(request.metadata()).await.map_err(Refusal::status)?;
        let slot = self.slots.take(&peer)?;
        let until = Until::of(&request).0;
        let stream = AdsStream {
            inbound: request.into_inner(),
            machine: Arc::new(Mutex::new(machine)),
            source: self.source.clone(),
            aside: self.aside.clone(),
            peer,
            until,
            shutdown: self.shutdown.clone(),
            _slot: slot,
        };
        Ok(Response::new(Box::pin(responses(stream))))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<discovery::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<discovery::DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<discovery::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.stream(request, Sotw::new(self.limits)).await
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<discovery::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.stream(request, Delta::new(self.limits)).await
    }
}
