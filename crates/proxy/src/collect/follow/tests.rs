//! A collector that lets everybody in and listens to nobody.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use lateen_routing::{Collector, Protocol};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use super::{BATCH, Dialer, Follower};
use crate::collect::tests::{als, connect, counts, refusing};

/// Never reads a message; the connection is well.
struct Deaf;

#[tonic::async_trait]
impl AccessLogService for Deaf {
    async fn stream_access_logs(
        &self,
        _messages: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_collector_that_reads_nothing_is_waited_for_only_so_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (proxy, at) = refusing(listener.local_addr().unwrap(), als()).await;
    let server = tonic::transport::Server::builder().add_service(AccessLogServiceServer::new(Deaf));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let shared = proxy.view().shared.clone();
    connect(at, 1).await;
    let batch = vec![shared.records.newest().pop().unwrap(); BATCH];
    let collector = Collector {
        cluster: "als".into(),
        authority: "als".to_owned(),
        log_name: "all".to_owned(),
        flush: Duration::ZERO,
        protocol: Protocol::Tcp,
    };
    let dialer = Dialer { shared, netns: None };
    let follower = Follower::new(collector.into(), dialer, Node::default());
    let mut follower = Follower { patience: Duration::from_millis(500), ..follower };
    let some_are_dropped = async {
        while counts(&proxy)[1] == 0 {
            follower.deliver(&batch).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), some_are_dropped).await.unwrap();
    assert_eq!(counts(&proxy)[1], BATCH as u64);
}
