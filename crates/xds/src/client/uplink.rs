//! What a proxy sends besides ADS over the same connection. In: messages of metrics. Out: Envoy's MetricsService.

use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::metrics_service_client::MetricsServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::address::AdsAddress;
use super::dial::authorize;

/// A connection to the control plane; useless once that has ended.
#[derive(Clone, Debug)]
pub struct Uplink {
    channel: Channel,
    address: AdsAddress,
}

impl Uplink {
    pub(super) fn new(channel: Channel, address: AdsAddress) -> Self {
        Self { channel, address }
    }

    /// Sends metrics until the sender is dropped or the server ends the stream.
    ///
    /// # Errors
    /// With the server's reason, or why the credentials cannot be read.
    pub async fn metrics(
        &self,
        messages: mpsc::Receiver<StreamMetricsMessage>,
    ) -> Result<(), Status> {
        let mut request = Request::new(ReceiverStream::new(messages));
        let unauthorized =
            |error: super::dial::DialError| Status::unauthenticated(error.to_string());
        authorize(&self.address, &mut request).await.map_err(unauthorized)?;
        MetricsServiceClient::new(self.channel.clone()).stream_metrics(request).await.map(drop)
    }
}
