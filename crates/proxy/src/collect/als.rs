//! Envoy's access log service: records -> its messages.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use envoy_types::pb::envoy::config::core::v3::{
    Address, Node, SocketAddress, address, socket_address,
};
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, AccessLogType, ConnectionProperties, HttpAccessLogEntry,
    HttpRequestProperties, HttpResponseProperties, ResponseFlags, TcpAccessLogEntry,
};
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    HttpAccessLogEntries, Identifier, LogEntries, TcpAccessLogEntries,
};
use envoy_types::pb::google::protobuf::{Duration as PbDuration, Timestamp};
use lateen_routing::{Collector, Protocol};
use lateen_telemetry::{AccessRecord, Flag};

/// A message with some entries; the first of a stream says whose they are.
pub fn message(
    collector: &Collector,
    node: Option<&Node>,
    batch: &[AccessRecord],
) -> StreamAccessLogsMessage {
    let log_name = collector.log_name.clone();
    let identifier = node.map(|node| Identifier { node: Some(node.clone()), log_name });
    let entries = match collector.protocol {
        Protocol::Http => LogEntries::HttpLogs(HttpAccessLogEntries {
            log_entry: batch.iter().map(http).collect(),
        }),
        Protocol::Tcp | Protocol::Otlp(_) => {
            LogEntries::TcpLogs(TcpAccessLogEntries { log_entry: batch.iter().map(tcp).collect() })
        }
    };
    StreamAccessLogsMessage { identifier, log_entries: Some(entries) }
}

fn tcp(record: &AccessRecord) -> TcpAccessLogEntry {
    let properties = ConnectionProperties {
        received_bytes: record.bytes_received,
        sent_bytes: record.bytes_sent,
    };
    TcpAccessLogEntry {
        common_properties: Some(common(record)),
        connection_properties: Some(properties),
    }
}

/// A connection as Envoy tells of it where entries of requests are asked for: without a request.
fn http(record: &AccessRecord) -> HttpAccessLogEntry {
    let request =
        HttpRequestProperties { request_body_bytes: record.bytes_received, ..Default::default() };
    let response =
        HttpResponseProperties { response_body_bytes: record.bytes_sent, ..Default::default() };
    HttpAccessLogEntry {
        common_properties: Some(common(record)),
        request: Some(request),
        response: Some(response),
        ..Default::default()
    }
}

fn common(record: &AccessRecord) -> AccessLogCommon {
    let start = record.start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let termination = Some(&*record.close_reason).filter(|_| !record.flags.is_empty());
    AccessLogCommon {
        downstream_remote_address: Some(socket(record.downstream_remote)),
        downstream_direct_remote_address: Some(socket(record.downstream_remote)),
        downstream_local_address: Some(socket(record.downstream_local)),
        upstream_remote_address: record.upstream_remote.map(socket),
        upstream_local_address: record.upstream_local.map(socket),
        start_time: Some(Timestamp {
            seconds: i64::try_from(start.as_secs()).unwrap_or(i64::MAX),
            nanos: nanos(start),
        }),
        time_to_last_rx_byte: None,
        time_to_last_downstream_tx_byte: Some(duration(record.duration)),
        duration: Some(duration(record.duration)),
        upstream_cluster: text(record.cluster.as_deref()),
        response_flags: (!record.flags.is_empty()).then(|| flags(record.flags)),
        upstream_transport_failure_reason: text(record.upstream_failure.as_deref()),
        connection_termination_details: text(termination),
        upstream_request_attempt_count: record.attempts,
        downstream_wire_bytes_received: record.bytes_received,
        downstream_wire_bytes_sent: record.bytes_sent,
        upstream_wire_bytes_sent: record.bytes_received,
        upstream_wire_bytes_received: record.bytes_sent,
        access_log_type: AccessLogType::TcpConnectionEnd.into(),
        ..Default::default()
    }
}

fn socket(value: SocketAddr) -> Address {
    let socket = SocketAddress {
        address: value.ip().to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(value.port().into())),
        ..Default::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn duration(value: Duration) -> PbDuration {
    let seconds = i64::try_from(value.as_secs()).unwrap_or(i64::MAX);
    PbDuration { seconds, nanos: nanos(value) }
}

fn nanos(value: Duration) -> i32 {
    i32::try_from(value.subsec_nanos()).expect("nanoseconds of a second fit in i32")
}

fn flags(flags: &[Flag]) -> ResponseFlags {
    let has = |flag| flags.contains(&flag);
    ResponseFlags {
        no_healthy_upstream: has(Flag::NoHealthyUpstream),
        upstream_connection_failure: has(Flag::UpstreamConnectionFailure),
        upstream_overflow: has(Flag::UpstreamOverflow),
        upstream_retry_limit_exceeded: has(Flag::UpstreamRetryLimitExceeded),
        no_route_found: has(Flag::NoRouteFound),
        no_cluster_found: has(Flag::NoClusterFound),
        upstream_connection_termination: has(Flag::UpstreamTermination),
        downstream_connection_termination: has(Flag::DownstreamTermination),
        stream_idle_timeout: has(Flag::StreamIdleTimeout),
        duration_timeout: has(Flag::DurationTimeout),
        ..Default::default()
    }
}
