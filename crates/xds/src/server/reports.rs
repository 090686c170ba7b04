//! Envoy's MetricsService beside ADS, under the same rules. In: streams of metrics. Out: what they carry, to the
//! source's collector.

use envoy_types::pb::envoy::service::metrics::v3::metrics_service_server::MetricsService;
use envoy_types::pb::envoy::service::metrics::v3::{StreamMetricsMessage, StreamMetricsResponse};
use tonic::{Request, Response, Status, Streaming};

use super::peer::Refusal;
use super::serve::Ads;

#[tonic::async_trait]
impl MetricsService for Ads {
    async fn stream_metrics(
        &self,
        request: Request<Streaming<StreamMetricsMessage>>,
    ) -> Result<Response<StreamMetricsResponse>, Status> {
        let peer = self.entrance.peer(request.metadata()).await.map_err(Refusal::status)?;
        let _slot = self.slot()?;
        let mut stream = request.into_inner();
        let nobody = || Status::invalid_argument("the first message names no node");
        let first = stream.message().await?.ok_or_else(nobody)?;
        let node = first.identifier.and_then(|identifier| identifier.node).ok_or_else(nobody)?;
        let collector = self.source.collect(&node, &peer).map_err(Refusal::status)?;
        collector.metrics(&node, first.envoy_metrics);
        let over = self.over();
        tokio::pin!(over);
        loop {
            tokio::select! {
                message = stream.message() => match message? {
                    Some(message) => collector.metrics(&node, message.envoy_metrics),
                    None => return Ok(Response::new(StreamMetricsResponse {})),
                },
                () = &mut over => return Ok(Response::new(StreamMetricsResponse {})),
            }
        }
    }
}
