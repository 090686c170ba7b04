//! Collectors that listen to nobody, or not for long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use lateen_routing::{Collector, Protocol};
use lateen_telemetry::AccessRecord;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use super::{BATCH, Dialer, Follower};
use crate::collect::tests::{als, connect, counts, refusing, until};
use crate::start::Handle;

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

/// Reads one message of each stream and ends it: the streams of these numbers with an error, all others in order.
struct Brief {
    broken: &'static [usize],
    streams: AtomicUsize,
    read: mpsc::UnboundedSender<StreamAccessLogsMessage>,
}

#[tonic::async_trait]
impl AccessLogService for Brief {
    async fn stream_access_logs(
        &self,
        messages: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        if self.broken.contains(&number) {
            return Err(Status::unavailable("not now"));
        }
        let message = messages.into_inner().message().await?.unwrap();
        self.read.send(message).unwrap();
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}

/// What sends to such a collector, the proxy that counts, and a batch.
async fn follower(collector: impl AccessLogService) -> (Follower, Handle, Vec<AccessRecord>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (proxy, at) = refusing(listener.local_addr().unwrap(), als()).await;
    let service = AccessLogServiceServer::new(collector);
    let server = tonic::transport::Server::builder().add_service(service);
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
    (Follower::new(collector.into(), dialer, Node::default()), proxy, batch)
}

#[tokio::test]
async fn a_collector_that_reads_nothing_is_waited_for_only_so_long() {
    let (follower, proxy, batch) = follower(Deaf).await;
    let mut follower = Follower { patience: Duration::from_millis(500), ..follower };
    let some_are_dropped = async {
        while counts(&proxy)[1] == 0 {
            follower.deliver(&batch).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), some_are_dropped).await.unwrap();
    assert_eq!(counts(&proxy)[1], BATCH as u64);
}

#[tokio::test]
async fn what_a_collector_has_read_before_it_ends_a_stream_is_not_sent_again() {
    let (read, mut messages) = mpsc::unbounded_channel();
    let collector = Brief { broken: &[1, 3], streams: AtomicUsize::new(0), read };
    let (mut follower, proxy, batch) = follower(collector).await;
    // The proxy itself sends the one connection that it was made to see, over a stream of its own.
    let own = messages.recv().await.unwrap();
    assert_eq!(entries(&own), 1);
    until(&proxy, |counts| counts == [1, 0]).await;
    for delivered in 1..=3 {
        follower.deliver(&batch).await;
        let message = messages.recv().await.unwrap();
        assert!(message.identifier.is_some(), "each stream says whose it is");
        assert_eq!(entries(&message), BATCH);
        assert!(messages.try_recv().is_err(), "once");
        assert_eq!(counts(&proxy), [1 + delivered * BATCH as u64, 0]);
    }
}

fn entries(message: &StreamAccessLogsMessage) -> usize {
    let Some(LogEntries::TcpLogs(logs)) = &message.log_entries else { panic!("no entries") };
    logs.log_entry.len()
}
