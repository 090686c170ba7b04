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

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
    use lateen_routing::{Collector, Protocol};
    use lateen_telemetry::{AccessRecord, Flag};

    use super::{Duration, Node, UNIX_EPOCH, message};

    fn record() -> AccessRecord {
        AccessRecord {
            start: UNIX_EPOCH + Duration::from_millis(1500),
            duration: Duration::from_millis(12),
            listener: "front".into(),
            filter_chain: "".into(),
            origin: None,
            cluster: Some("back".into()),
            cluster_origin: None,
            workload: None,
            downstream_remote: "10.0.0.7:41000".parse().unwrap(),
            downstream_local: "10.1.0.1:3306".parse().unwrap(),
            original_destination: None,
            upstream_remote: Some("10.0.0.2:3306".parse().unwrap()),
            upstream_local: None,
            server_name: None,
            bytes_received: 5,
            bytes_sent: 7,
            attempts: 2,
            flags: &[Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded],
            close_reason: "connection refused".into(),
            upstream_failure: Some("connection refused".into()),
        }
    }

    fn collector(protocol: Protocol) -> Collector {
        Collector {
            cluster: "als".into(),
            authority: "als".to_owned(),
            log_name: "all".to_owned(),
            flush: Duration::ZERO,
            protocol,
        }
    }

    #[test]
    fn where_entries_of_requests_are_asked_for_a_connection_is_one_without_a_request() {
        let node = Node { id: "a".to_owned(), ..Default::default() };
        let first = message(&collector(Protocol::Http), Some(&node), &[record()]);
        let identifier = first.identifier.unwrap();
        assert_eq!((identifier.node.unwrap().id.as_str(), &*identifier.log_name), ("a", "all"));
        let Some(LogEntries::HttpLogs(logs)) = first.log_entries else { panic!("no entries") };
        let entry = &logs.log_entry[0];
        let (request, response) =
            (entry.request.as_ref().unwrap(), entry.response.as_ref().unwrap());
        assert_eq!((request.request_body_bytes, response.response_body_bytes), (5, 7));
        assert!(request.path.is_empty() && response.response_code.is_none());
    }

    #[test]
    fn an_entry_says_when_whose_and_what_went_wrong() {
        let next = message(&collector(Protocol::Tcp), None, &[record(), record()]);
        assert!(next.identifier.is_none(), "the stream's first message said it");
        let Some(LogEntries::TcpLogs(logs)) = next.log_entries else { panic!("no entries") };
        assert_eq!(logs.log_entry.len(), 2);
        let common = logs.log_entry[0].common_properties.as_ref().unwrap();
        let start = common.start_time.as_ref().unwrap();
        assert_eq!((start.seconds, start.nanos), (1, 500_000_000));
        assert_eq!(common.duration.as_ref().unwrap().nanos, 12_000_000);
        let flags = common.response_flags.as_ref().unwrap();
        assert!(flags.upstream_connection_failure && flags.upstream_retry_limit_exceeded);
        assert!(!flags.no_healthy_upstream);
        assert_eq!(common.connection_termination_details, "connection refused");
        assert_eq!(common.upstream_request_attempt_count, 2);
    }
}
