//! Envoy's access log service: records -> its messages.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::{
    HttpAccessLogEntry, HttpRequestProperties, HttpResponseProperties,
};
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    HttpAccessLogEntries, Identifier, LogEntries, TcpAccessLogEntries,
};
use lateen_routing::{Collector, Protocol};
use lateen_telemetry::AccessRecord;
use lateen_telemetry::entry::{common, entry};

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
        Protocol::Tcp | Protocol::Otlp(_) => LogEntries::TcpLogs(TcpAccessLogEntries {
            log_entry: batch.iter().map(entry).collect(),
        }),
    };
    StreamAccessLogsMessage { identifier, log_entries: Some(entries) }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
    use lateen_routing::{Collector, Protocol};

    use super::{Node, message};
    use crate::sample::record;

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
        assert_eq!(common.connection_termination_details, "", "as Envoy's");
        let reason = "delayed connect error: Connection refused";
        assert_eq!(common.upstream_transport_failure_reason, reason);
        assert_eq!(common.upstream_request_attempt_count, 3);
    }
}
