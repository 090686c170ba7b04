//! Connections of the proxy's own to a cluster. In: a collector. Out: a channel to one of its endpoints.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper_util::rt::TokioIo;
use lateen_routing::Collector;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use crate::config::Cluster;
use crate::connect::connect_from;
use crate::decide::Addresses;
use crate::worker::Shared;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Dialer {
    pub shared: Arc<Shared>,
    /// Where the workers make their sockets.
    pub netns: Option<Arc<OwnedFd>>,
}

impl Dialer {
    /// Connects to an endpoint of the collector's cluster.
    ///
    /// # Errors
    /// With the reason.
    pub async fn channel(&self, collector: &Collector) -> Result<Channel, String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", collector.authority));
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        // Made before the channel, which has no words for why it cannot be.
        let stream = self.stream(collector).await?;
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_| {
            // Once it is over another is dialled, to an endpoint of that time.
            std::future::ready(stream.take().ok_or_else(|| io::Error::other("it has ended")))
        });
        let endpoint = endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_while_idle(true);
        endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
    }

    async fn stream(&self, collector: &Collector) -> Result<TcpStream, String> {
        let name = &collector.cluster;
        let entry = match self.shared.config.load().clusters.get(name) {
            Some(Cluster::Present(entry)) => entry.clone(),
            Some(Cluster::Refused(why)) => {
                return Err(format!("cluster {name} was refused: {why}"));
            }
            Some(Cluster::Absent) | None => {
                return Err(format!("the control plane knows no cluster {name}"));
            }
        };
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let addresses = Addresses { remote: nowhere, local: nowhere, original: None };
        let random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let chosen = entry.choose(&addresses, random as u64).map_err(|error| error.to_string())?;
        let sockets = self.shared.sockets;
        let stream =
            connect_from(self.netns.as_ref(), &entry.compiled, chosen.address, sockets).await;
        let stream = stream.map_err(|error| format!("{}: {error}", chosen.address))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }
}
