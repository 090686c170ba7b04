//! OTLP's logs over gRPC: records -> an export. The messages are as much of OpenTelemetry's
//! `logs_service.proto` as a proxy fills in.

use std::time::{Duration, UNIX_EPOCH};

use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValue, any_value};
use lateen_routing::{Collector, Protocol};
use lateen_telemetry::AccessRecord;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// OTLP's default.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    pub log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<ExportLogsPartialSuccess>,
}

/// Why it did not want them is the collector's to say in its own log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportLogsPartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected_log_records: i64,
}

/// Sends some records; the answer is how many of them the collector did not want. It will not want them later either.
///
/// # Errors
/// With the collector's reason.
pub async fn export(
    channel: Channel,
    collector: &Collector,
    batch: &[AccessRecord],
) -> Result<usize, String> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let mut request = Request::new(message(collector, batch));
    request.set_timeout(TIMEOUT);
    let codec: ProstCodec<ExportLogsServiceRequest, ExportLogsServiceResponse> =
        ProstCodec::default();
    let answered = client.unary(request, PathAndQuery::from_static(EXPORT), codec);
    match tokio::time::timeout(TIMEOUT, answered).await {
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Ok(Ok(answer)) => {
            let part = answer.into_inner().partial_success.unwrap_or_default();
            Ok(usize::try_from(part.rejected_log_records).unwrap_or_default())
        }
    }
}

fn message(collector: &Collector, batch: &[AccessRecord]) -> ExportLogsServiceRequest {
    let Protocol::Otlp(otlp) = &collector.protocol else {
        return ExportLogsServiceRequest::default();
    };
    let record = |record: &AccessRecord| {
        let start = record.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = |format: &lateen_telemetry::Format| {
            let mut out = String::new();
            format.write_bare(record, &mut out);
            out
        };
        let attributes = otlp.attributes.iter();
        LogRecord {
            time_unix_nano: u64::try_from(start.as_nanos()).unwrap_or(u64::MAX),
            body: otlp.body.as_ref().map(|format| text(written(format))),
            attributes: attributes.map(|(key, format)| pair(key, written(format))).collect(),
        }
    };
    let resource = otlp.resource.iter().map(|(key, value)| pair(key, value.clone())).collect();
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: resource }),
            scope_logs: vec![ScopeLogs { log_records: batch.iter().map(record).collect() }],
        }],
    }
}

fn pair(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..Default::default() }
}

fn text(value: String) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value)) }
}
