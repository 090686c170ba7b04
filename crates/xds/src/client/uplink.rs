//! What a proxy sends besides ADS over the same connection. In: messages of metrics and of connections that have
//! ended. Out: Envoy's MetricsService and AccessLogService.

use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_client::AccessLogServiceClient;
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::metrics_service_client::MetricsServiceClient;
use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::address::AdsAddress;
use super::dial::{DialError, authorize};

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

    /// Sends metrics until their stream ends or the server does.
    ///
    /// # Errors
    /// With the server's reason, or why the credentials cannot be read.
    pub async fn metrics(
        &self,
        messages: impl Stream<Item = StreamMetricsMessage> + Send + 'static,
    ) -> Result<(), Status> {
        let request = self.authorized(Request::new(messages)).await?;
        MetricsServiceClient::new(self.channel.clone()).stream_metrics(request).await.map(drop)
    }

    /// Sends one message of connections that have ended.
    ///
    /// # Errors
    /// As [`Uplink::metrics`].
    pub async fn connections(&self, message: StreamAccessLogsMessage) -> Result<(), Status> {
        let request = self.authorized(Request::new(tokio_stream::once(message))).await?;
        let mut client = AccessLogServiceClient::new(self.channel.clone());
        client.stream_access_logs(request).await.map(drop)
    }

    async fn authorized<T>(&self, mut request: Request<T>) -> Result<Request<T>, Status> {
        let unauthorized = |error: DialError| Status::unauthenticated(error.to_string());
        authorize(&self.address, &mut request).await.map_err(unauthorized)?;
        Ok(request)
    }
}
