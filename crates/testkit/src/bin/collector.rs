//! A collector of access logs: Envoy's access log service and OTLP's logs, both on one port. In: the port. Out:
//! a line on standard output for every entry, `als LOG CLUSTER FLAGS RECEIVED SENT` or `otlp BODY KEY=VALUE …`.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValue, any_value};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let port = std::env::args().nth(1).context("collector PORT")?;
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let server = tonic::transport::Server::builder()
        .add_service(AccessLogServiceServer::new(Als))
        .add_service(Logs);
    server.serve_with_incoming(TcpListenerStream::new(listener)).await?;
    Ok(())
}

struct Als;

#[tonic::async_trait]
impl AccessLogService for Als {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let mut messages = request.into_inner();
        let mut log_name = String::new();
        while let Some(message) = messages.message().await? {
            if let Some(identifier) = message.identifier {
                log_name = identifier.log_name;
            }
            if let Some(LogEntries::TcpLogs(logs)) = message.log_entries {
                logs.log_entry.iter().for_each(|entry| print(&log_name, entry));
            }
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}

fn print(log_name: &str, entry: &TcpAccessLogEntry) {
    let common = entry.common_properties.clone().unwrap_or_default();
    let bytes = entry.connection_properties.unwrap_or_default();
    let flags = if common.response_flags.is_some() { "flagged" } else { "-" };
    let cluster = &common.upstream_cluster;
    println!("als {log_name} {cluster} {flags} {} {}", bytes.received_bytes, bytes.sent_bytes);
}

/// As much of OTLP's messages as is printed.
#[derive(Clone, PartialEq, prost::Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceLogs {
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogRecord {
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exported {}

#[derive(Clone)]
struct Logs;

impl NamedService for Logs {
    const NAME: &'static str = "opentelemetry.proto.collector.logs.v1.LogsService";
}

impl Service<http::Request<Body>> for Logs {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec: ProstCodec<Exported, Export> = ProstCodec::default();
            Ok(Grpc::new(codec).unary(Printer, request).await)
        })
    }
}

struct Printer;

impl UnaryService<Export> for Printer {
    type Response = Exported;
    type Future = Ready<Result<Response<Exported>, Status>>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        let resources = request.into_inner().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        for record in scopes.flat_map(|scope| scope.log_records) {
            let pairs = record
                .attributes
                .iter()
                .map(|pair| format!(" {}={}", pair.key, text(pair.value.as_ref())));
            println!("otlp {}{}", text(record.body.as_ref()), pairs.collect::<String>());
        }
        ready(Ok(Response::new(Exported {})))
    }
}

fn text(value: Option<&AnyValue>) -> &str {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text,
        _ => "",
    }
}
