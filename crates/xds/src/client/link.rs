//! The gRPC connection to an ADS server, made again whenever it breaks. In: an address. Out: a stream
//! of [`Event`]s; each connection brings a sender of its own, so that no request outlives it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::backoff::Backoff;

/// Requests and responses that may wait; more holds the other side back.
const QUEUE: usize = 64;
/// A push of a large mesh to stock-like subscriptions fits.
const MAX_MESSAGE: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where the ADS server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdsAddress {
    Unix(PathBuf),
    /// `host:port`, in plain text.
    Tcp(String),
}

/// What happens to the link. After `Lost` it is being made again.
#[derive(Debug)]
pub enum Event {
    Connected(mpsc::Sender<DeltaDiscoveryRequest>),
    Response(Box<DeltaDiscoveryResponse>),
    Lost(String),
}

impl FromStr for AdsAddress {
    type Err = Infallible;

    /// `http://host:port`, `host:port`, or a path with a slash, `unix:` before it or not.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            return Ok(Self::Tcp(rest.trim_end_matches('/').into()));
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        Ok(Self::Tcp(text.into()))
    }
}

impl fmt::Display for AdsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

/// Keeps a connection to the server until the receiver is dropped or the task is aborted.
pub fn connect(address: AdsAddress, seed: u64) -> (mpsc::Receiver<Event>, JoinHandle<()>) {
    let (events, receiver) = mpsc::channel(QUEUE);
    let task = tokio::spawn(async move {
        let mut backoff = Backoff::new(seed);
        while !events.is_closed() {
            let reason = session(&address, &events, &mut backoff).await;
            if events.send(Event::Lost(reason)).await.is_err() {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    });
    (receiver, task)
}

/// One connection, from its start to the reason of its end.
async fn session(
    address: &AdsAddress,
    events: &mpsc::Sender<Event>,
    backoff: &mut Backoff,
) -> String {
    let channel = match dial(address).await {
        Ok(channel) => channel,
        Err(error) => return root(&error),
    };
    let (requests, receiver) = mpsc::channel(QUEUE);
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    // The server may send its headers only with its first response: requests must flow before.
    if events.send(Event::Connected(requests)).await.is_err() {
        return "no longer wanted".into();
    }
    let stream = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await;
    let mut stream = match stream {
        Ok(stream) => stream.into_inner(),
        Err(status) => return plain(&status),
    };
    loop {
        match stream.message().await {
            Ok(Some(response)) => {
                backoff.reset();
                if events.send(Event::Response(Box::new(response))).await.is_err() {
                    return "no longer wanted".into();
                }
            }
            Ok(None) => return "the server ended the stream".into(),
            Err(status) => return plain(&status),
        }
    }
}

async fn dial(address: &AdsAddress) -> Result<Channel, tonic::transport::Error> {
    let endpoint = |uri: String| {
        Ok::<_, tonic::transport::Error>(
            Endpoint::from_shared(uri)?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .tcp_nodelay(true),
        )
    };
    match address {
        AdsAddress::Tcp(host) => endpoint(format!("http://{host}"))?.connect().await,
        AdsAddress::Unix(path) => {
            let path = path.clone();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            endpoint("http://ads".into())?.connect_with_connector(connector).await
        }
    }
}

/// A refusal in the server's words; the end of the connection without those of the libraries below.
fn plain(status: &Status) -> String {
    if status.source().is_some() {
        return "connection closed".into();
    }
    match status.message() {
        "" => status.code().description().to_lowercase(),
        message => format!("the server said: {message}"),
    }
}

/// The innermost cause, since the outermost is often only "transport error". The system's number of
/// the error says nothing more.
fn root(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{AdsAddress, Status, plain, root};

    #[test]
    fn addresses_are_paths_or_hosts() {
        let parse = |text: &str| text.parse::<AdsAddress>().unwrap();
        assert_eq!(parse("/run/ads.sock"), AdsAddress::Unix("/run/ads.sock".into()));
        assert_eq!(parse("unix:run/ads.sock"), AdsAddress::Unix("run/ads.sock".into()));
        assert_eq!(parse("http://istiod:15010"), AdsAddress::Tcp("istiod:15010".into()));
        assert_eq!(parse("127.0.0.1:15010"), AdsAddress::Tcp("127.0.0.1:15010".into()));
    }

    #[test]
    fn a_loss_is_said_in_a_few_words() {
        let refused = Status::permission_denied("unknown node");
        assert_eq!(plain(&refused), "the server said: unknown node");
        let cut = Status::from_error(io::Error::from(io::ErrorKind::BrokenPipe).into());
        assert_eq!(plain(&cut), "connection closed");
        let absent = io::Error::from_raw_os_error(2);
        assert_eq!(root(&absent), "no such file or directory");
    }
}
