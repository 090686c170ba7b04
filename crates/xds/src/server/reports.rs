//! Envoy's MetricsService and AccessLogService beside ADS, under the same rules. In: streams of metrics and of
//! connections that have ended. Out: what they carry, to the source's collection.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use envoy_types::pb::envoy::service::metrics::v3::{StreamMetricsMessage, StreamMetricsResponse};
use futures::FutureExt;
use tonic::codegen::BoxFuture;
use tonic::{Request, Response, Status, Streaming};

use super::Collection;
use super::peer::{Peer, Refusal};
use super::serve::{Ads, Until};
use super::told::Telling;
use super::weight::{LOGS, METRICS, Shape};

/// How long a stream of metrics goes on when its time is over, and that of its proxy's configuration.
const FAREWELL: Duration = Duration::from_secs(2);

/// Envoy's MetricsService.
pub struct Metrics;
/// Envoy's AccessLogService.
pub struct AccessLogs;

impl Telling for Metrics {
    const SERVICE: &'static str = "envoy.service.metrics.v3.MetricsService";
    const PATH: &'static str = "/envoy.service.metrics.v3.MetricsService/StreamMetrics";
    const SHAPE: &'static Shape = &METRICS;
    type Message = StreamMetricsMessage;
    type Answer = StreamMetricsResponse;

    fn take(
        ads: Ads,
        request: Request<Streaming<StreamMetricsMessage>>,
    ) -> BoxFuture<Response<StreamMetricsResponse>, Status> {
        Box::pin(async move { ads.metrics(request).await })
    }
}

impl Telling for AccessLogs {
    const SERVICE: &'static str = "envoy.service.accesslog.v3.AccessLogService";
    const PATH: &'static str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
    const SHAPE: &'static Shape = &LOGS;
    type Message = StreamAccessLogsMessage;
    type Answer = StreamAccessLogsResponse;

    fn take(
        ads: Ads,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> BoxFuture<Response<StreamAccessLogsResponse>, Status> {
        Box::pin(async move { ads.access_logs(request).await })
    }
}

impl Ads {
    async fn metrics(
        &self,
        request: Request<Streaming<StreamMetricsMessage>>,
    ) -> Result<Response<StreamMetricsResponse>, Status> {
        let peer = self.entrance.peer(request.metadata()).await.map_err(Refusal::status)?;
        let _slot = self.telemetry.take(&peer)?;
        let until = Until::of(&request);
        let mut stream = request.into_inner();
        let first = stream.message().await?.ok_or_else(nobody)?;
        let node = first.identifier.and_then(|identifier| identifier.node);
        let (node, collection) = self.collection(node, &peer)?;
        let collector = collection.stream(&node);
        let take = |families| match &collector {
            Some(collector) => collector.metrics(families),
            None => drop(families),
        };
        take(first.envoy_metrics);
        // Who has another connection by then ends it, having told all.
        let over = self.over(until).then(|()| tokio::time::sleep(FAREWELL));
        tokio::pin!(over);
        while let Some(message) = next(&mut stream, over.as_mut()).await? {
            take(message.envoy_metrics);
        }
        Ok(Response::new(StreamMetricsResponse {}))
    }

    async fn access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let peer = self.entrance.peer(request.metadata()).await.map_err(Refusal::status)?;
        let _slot = self.telemetry.take(&peer)?;
        let until = Until::of(&request);
        let mut stream = request.into_inner();
        let mut message = stream.message().await?.ok_or_else(nobody)?;
        let node = message.identifier.take().and_then(|identifier| identifier.node);
        let (node, collection) = self.collection(node, &peer)?;
        let over = self.over(until);
        tokio::pin!(over);
        loop {
            if let Some(LogEntries::TcpLogs(entries)) = message.log_entries {
                collection.connections(&node, entries.log_entry);
            }
            match next(&mut stream, over.as_mut()).await? {
                Some(next) => message = next,
                None => return Ok(Response::new(StreamAccessLogsResponse {})),
            }
        }
    }

    fn collection(
        &self,
        node: Option<Node>,
        peer: &Peer,
    ) -> Result<(Node, Arc<dyn Collection>), Status> {
        let node = node.ok_or_else(nobody)?;
        let collection = self.source.collect(&node, peer).map_err(Refusal::status)?;
        Ok((node, collection))
    }
}

/// The next message; none when the stream or its time is at its end.
pub(super) async fn next<M>(
    stream: &mut Streaming<M>,
    over: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<M>, Status> {
    tokio::select! {
        message = stream.message() => message,
        () = over => Ok(None),
    }
}

fn nobody() -> Status {
    Status::invalid_argument("the first message names no node")
}
