//! The gRPC connection to an ADS server, made again whenever it breaks. In: an address. Out: a stream
//! of [`Event`]s; each connection brings a sender of its own, so that no request outlives it.

use std::error::Error;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::address::AdsAddress;
use super::backoff::Backoff;
use super::dial::{DialError, authorize, dial};
use super::uplink::Uplink;

/// Requests and responses that may wait; more holds the other side back.
const QUEUE: usize = 64;
/// A push of a large mesh to stock-like subscriptions fits.
const MAX_MESSAGE: usize = 256 << 20;

/// What happens to the link. After `Lost` it is being made again.
#[derive(Debug)]
pub enum Event {
    Connected(mpsc::Sender<DeltaDiscoveryRequest>, Uplink),
    /// The server took the stream; with nothing to change it may send no response for long.
    Answered,
    Response(Box<DeltaDiscoveryResponse>),
    Lost(String),
}

/// The link's events, and the task that keeps a connection to the server until the receiver is dropped.
pub fn connect(
    address: AdsAddress,
    seed: u64,
) -> (mpsc::Receiver<Event>, impl Future<Output = ()> + Send + 'static) {
    let (events, receiver) = mpsc::channel(QUEUE);
    let task = async move {
        let mut backoff = Backoff::new(seed);
        while !events.is_closed() {
            let reason = session(&address, &events, &mut backoff).await;
            if events.send(Event::Lost(reason)).await.is_err() {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    };
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
        Err(error) => return words(&error),
    };
    let (requests, receiver) = mpsc::channel(QUEUE);
    let mut request = Request::new(ReceiverStream::new(receiver));
    if let Err(error) = authorize(address, &mut request).await {
        return words(&error);
    }
    let mut client = AggregatedDiscoveryServiceClient::new(channel.clone())
        .max_decoding_message_size(MAX_MESSAGE);
    let uplink = Uplink::new(channel, address.clone());
    // The server may send its headers only with its first response: requests must flow before.
    if events.send(Event::Connected(requests, uplink)).await.is_err() {
        return "no longer wanted".into();
    }
    let stream = client.delta_aggregated_resources(request).await;
    let mut stream = match stream {
        Ok(stream) => stream.into_inner(),
        Err(status) => return plain(&status),
    };
    if events.send(Event::Answered).await.is_err() {
        return "no longer wanted".into();
    }
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

/// A refusal in the server's words; the end of the connection without those of the libraries below.
pub(super) fn plain(status: &Status) -> String {
    if status.source().is_some() {
        return "connection closed".into();
    }
    match status.message() {
        "" => status.code().description().to_lowercase(),
        message => format!("the server said: {message}"),
    }
}

/// Our own errors say it all; those of the libraries below are looked into.
pub(super) fn words(error: &DialError) -> String {
    match error {
        DialError::Transport(error) => root(error),
        error => error.to_string(),
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

    use super::{Status, plain, root};

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
