//! The gRPC server around the streams. In: inherited listening sockets, a [`Source`] and the signal
//! to stop. Out: both methods of Envoy's AggregatedDiscoveryService.
//!
//! Whoever may connect to a Unix socket is decided by the credentials that the kernel vouches for:
//! the server's own user and root.

#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use discovery::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use futures::Stream;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Response, Status, Streaming};

use super::delta::Delta;
use super::sotw::Sotw;
use super::stream::{AdsStream, responses};
use super::{Limits, Machine, Source};

/// How long an idle connection stays quiet before it is probed, and how long the probe may take.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Pause after a failed accept; the usual cause, no free descriptors, passes only with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the inherited listening socket: {0}")]
    Listener(#[source] io::Error),
    #[error("the ads server broke off: {0}")]
    Transport(#[from] tonic::transport::Error),
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// Serves until `shutdown` holds true; then the streams are ended and the call returns.
pub async fn serve(
    unix: std::os::unix::net::UnixListener,
    tcp: Option<std::net::TcpListener>,
    source: Arc<dyn Source>,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    let service = Ads {
        source,
        limits,
        slots: Arc::new(Semaphore::new(limits.streams)),
        shutdown: shutdown.clone(),
    };
    let over_tcp = async {
        match tcp {
            Some(listener) => over_tcp(listener, service.clone(), shutdown.clone()).await,
            None => Ok(()),
        }
    };
    let over_unix = over_unix(unix, service.clone(), shutdown.clone());
    tokio::try_join!(over_unix, over_tcp)?;
    Ok(())
}

async fn over_unix(
    listener: std::os::unix::net::UnixListener,
    service: Ads,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listener)?;
    let listener = UnixListener::from_std(listener).map_err(Error::Listener)?;
    let own_uid = own_uid().map_err(Error::Listener)?;
    let incoming = futures::stream::unfold(listener, move |listener| async move {
        let stream = accept_unix(&listener, own_uid).await;
        Some((Ok::<_, io::Error>(stream), listener))
    });
    server(service).serve_with_incoming_shutdown(incoming, stopped(shutdown)).await?;
    Ok(())
}

async fn over_tcp(
    listener: std::net::TcpListener,
    service: Ads,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listener)?;
    let listener = TcpListener::from_std(listener).map_err(Error::Listener)?;
    let incoming = futures::stream::unfold(listener, |listener| async move {
        let stream = accept_tcp(&listener).await;
        Some((Ok::<_, io::Error>(stream), listener))
    });
    server(service).serve_with_incoming_shutdown(incoming, stopped(shutdown)).await?;
    Ok(())
}

fn server(service: Ads) -> tonic::transport::server::Router {
    let limit = service.limits.request_bytes;
    let service = AggregatedDiscoveryServiceServer::new(service)
        .max_decoding_message_size(limit)
        .max_encoding_message_size(usize::MAX);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(service)
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

#[derive(Clone)]
struct Ads {
    source: Arc<dyn Source>,
    limits: Limits,
    slots: Arc<Semaphore>,
    shutdown: watch::Receiver<bool>,
}

impl Ads {
    fn stream<M>(
        &self,
        inbound: Streaming<M::Request>,
        machine: M,
    ) -> Result<Response<Responses<M::Response>>, Status>
    where
        M: Machine + Send + 'static,
        M::Request: Send + 'static,
        M::Response: Send + 'static,
    {
        let permit = self.slots.clone().try_acquire_owned().map_err(|_| {
            let limit = self.limits.streams;
            Status::resource_exhausted(format!("{limit} ads streams are open; try again later"))
        })?;
        let stream = AdsStream {
            inbound,
            machine,
            source: self.source.clone(),
            shutdown: self.shutdown.clone(),
            _permit: permit,
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
        self.stream(request.into_inner(), Sotw::new(self.limits))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<discovery::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.stream(request.into_inner(), Delta::new(self.limits))
    }
}
