//! A finished connection as Envoy's access log service carries it. In: an access record. Out: a
//! `TcpAccessLogEntry`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::config::core::v3::address::Address as Inner;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Metadata, SocketAddress};
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, AccessLogType, ConnectionProperties, ResponseFlags, TcpAccessLogEntry,
    TlsProperties,
};
use envoy_types::pb::google::protobuf::{Duration, ListValue, Struct, Timestamp, Value, value};
use serde_json::Value as Json;

use crate::record::{AccessRecord, Flag};

/// The tags that name what took the connection.
pub const LISTENER: &str = "listener";
pub const FILTER_CHAIN: &str = "filter_chain";
/// Where the objects are that the listener, the cluster and the endpoint come from.
pub const ORIGIN: &str = "istio";
pub const CLUSTER_ORIGIN: &str = "istio.cluster";
pub const ENDPOINT_ORIGIN: &str = "istio.endpoint";

/// How the reason ends why a connection was closed for which the control plane was asked, and did not answer in time.
pub const NO_ANSWER: &str = "no answer from the control plane";

/// The entry of a record, as Envoy sends it.
pub fn entry(record: &AccessRecord) -> TcpAccessLogEntry {
    let properties = ConnectionProperties {
        received_bytes: record.bytes_received,
        sent_bytes: record.bytes_sent,
    };
    TcpAccessLogEntry {
        common_properties: Some(common(record)),
        connection_properties: Some(properties),
    }
}

/// The entry with all that Envoy's has no field for: where the connection's objects are, what its client's TLS asked
/// for, and how it ended even if nothing failed.
pub fn full_entry(record: &AccessRecord) -> TcpAccessLogEntry {
    let origins = [
        (ORIGIN, &record.origin),
        (CLUSTER_ORIGIN, &record.cluster_origin),
        (ENDPOINT_ORIGIN, &record.workload),
    ];
    let filter_metadata = origins.into_iter().filter_map(|(name, text)| {
        let structure = structure(text.as_deref()?)?;
        Some((name.to_owned(), structure))
    });
    let tags = [(LISTENER, &record.listener), (FILTER_CHAIN, &record.filter_chain)];
    let common = AccessLogCommon {
        connection_termination_details: record.close_reason.to_string(),
        tls_properties: record.server_name.as_ref().map(|name| TlsProperties {
            tls_sni_hostname: name.to_string(),
            ..TlsProperties::default()
        }),
        metadata: Some(Metadata {
            filter_metadata: filter_metadata.collect(),
            ..Metadata::default()
        }),
        response_flags: (!record.flags.is_empty()).then(|| flags(record.flags)),
        upstream_transport_failure_reason: text(record.upstream_failure.as_ref()),
        custom_tags: tags.map(|(name, text)| (name.to_owned(), text.to_string())).into(),
        ..common(record)
    };
    TcpAccessLogEntry { common_properties: Some(common), ..entry(record) }
}

/// What entries of connections and of requests have in common.
pub fn common(record: &AccessRecord) -> AccessLogCommon {
    let shown: Vec<Flag> = record.envoys_flags().collect();
    AccessLogCommon {
        downstream_remote_address: Some(address(record.downstream_remote)),
        downstream_direct_remote_address: Some(address(record.downstream_remote)),
        downstream_local_address: Some(address(record.downstream_local)),
        upstream_remote_address: record.upstream_remote.map(address),
        upstream_local_address: record.upstream_local.map(address),
        start_time: Some(timestamp(record.start)),
        time_to_last_downstream_tx_byte: Some(duration(record.duration)),
        duration: Some(duration(record.duration)),
        upstream_cluster: text(record.cluster.as_ref()),
        response_flags: (!shown.is_empty()).then(|| flags(&shown)),
        upstream_transport_failure_reason: record.transport_failure().unwrap_or_default(),
        upstream_request_attempt_count: record.attempts,
        downstream_wire_bytes_received: record.bytes_received,
        downstream_wire_bytes_sent: record.bytes_sent,
        upstream_wire_bytes_sent: record.bytes_received,
        upstream_wire_bytes_received: record.bytes_sent,
        access_log_type: AccessLogType::TcpConnectionEnd.into(),
        ..AccessLogCommon::default()
    }
}

fn text(text: Option<&Arc<str>>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

fn address(address: SocketAddr) -> Address {
    let inner = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
        ..SocketAddress::default()
    };
    Address { address: Some(Inner::SocketAddress(inner)) }
}

/// What is before 1970 is 1970.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Duration { seconds, nanos } = duration(since);
    Timestamp { seconds, nanos }
}

fn duration(time: std::time::Duration) -> Duration {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Duration { seconds, nanos: time.subsec_nanos() as i32 }
}

fn flags(set: &[Flag]) -> ResponseFlags {
    let mut flags = ResponseFlags::default();
    for flag in set {
        let field = match flag {
            Flag::NoHealthyUpstream => &mut flags.no_healthy_upstream,
            Flag::UpstreamConnectionFailure => &mut flags.upstream_connection_failure,
            Flag::UpstreamOverflow => &mut flags.upstream_overflow,
            Flag::UpstreamRetryLimitExceeded => &mut flags.upstream_retry_limit_exceeded,
            Flag::NoRouteFound => &mut flags.no_route_found,
            Flag::NoClusterFound => &mut flags.no_cluster_found,
            Flag::UpstreamReset => &mut flags.upstream_remote_reset,
            Flag::DownstreamTermination => &mut flags.downstream_connection_termination,
            Flag::StreamIdleTimeout => &mut flags.stream_idle_timeout,
            Flag::DurationTimeout => &mut flags.duration_timeout,
        };
        *field = true;
    }
    flags
}

/// The flags of an entry, in the order of their bits in Envoy's message.
pub fn flags_of(flags: &ResponseFlags) -> Vec<Flag> {
    let all = [
        (flags.no_healthy_upstream, Flag::NoHealthyUpstream),
        (flags.upstream_connection_failure, Flag::UpstreamConnectionFailure),
        (flags.upstream_remote_reset, Flag::UpstreamReset),
        (flags.upstream_overflow, Flag::UpstreamOverflow),
        (flags.no_route_found, Flag::NoRouteFound),
        (flags.downstream_connection_termination, Flag::DownstreamTermination),
        (flags.upstream_retry_limit_exceeded, Flag::UpstreamRetryLimitExceeded),
        (flags.stream_idle_timeout, Flag::StreamIdleTimeout),
        (flags.duration_timeout, Flag::DurationTimeout),
        (flags.no_cluster_found, Flag::NoClusterFound),
    ];
    all.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag)).collect()
}

/// A JSON object as protobuf has it; none of what is no object.
fn structure(json: &str) -> Option<Struct> {
    match protobuf(serde_json::from_str(json).ok()?).kind? {
        value::Kind::StructValue(structure) => Some(structure),
        _ => None,
    }
}

fn protobuf(json: Json) -> Value {
    let kind = match json {
        Json::Null => value::Kind::NullValue(0),
        Json::Bool(value) => value::Kind::BoolValue(value),
        Json::Number(number) => value::Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => value::Kind::StringValue(text),
        Json::Array(items) => {
            let values = items.into_iter().map(protobuf).collect();
            value::Kind::ListValue(ListValue { values })
        }
        Json::Object(members) => {
            let fields = members.into_iter().map(|(name, value)| (name, protobuf(value)));
            value::Kind::StructValue(Struct { fields: fields.collect() })
        }
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::{Flag, flags, flags_of, full_entry, protobuf};
    use crate::record::AccessRecord;
    use crate::sample::record;

    #[test]
    fn an_entry_has_what_the_record_has() {
        let record = AccessRecord {
            origin: Some(r#"{"config":"/apis/a/v1/namespaces/n/virtual-service/v"}"#.into()),
            cluster_origin: Some(r#"{"services":[{"host":"h"}]}"#.into()),
            workload: None,
            server_name: Some("h.example".into()),
            ..record()
        };
        let entry = full_entry(&record);
        let common = entry.common_properties.unwrap();
        let start = common.start_time.unwrap();
        assert_eq!((start.seconds, start.nanos), (1, 500_000_000));
        assert_eq!(common.duration.unwrap().nanos, 12_000_000);
        assert_eq!(common.upstream_cluster, "outbound|8020||echo.default.svc.cluster.local");
        assert_eq!(common.upstream_request_attempt_count, 3);
        assert_eq!(common.custom_tags["listener"], "0.0.0.0_8020");
        assert_eq!(common.tls_properties.unwrap().tls_sni_hostname, "h.example");
        let origins = common.metadata.unwrap().filter_metadata;
        assert_eq!(
            origins["istio.cluster"].fields["services"],
            protobuf(serde_json::json!([{"host": "h"}]))
        );
        assert_eq!(origins.len(), 2);
        let bytes = entry.connection_properties.unwrap();
        assert_eq!((bytes.received_bytes, bytes.sent_bytes), (5, 7));
        let plain = super::entry(&record).common_properties.unwrap();
        assert_eq!((plain.metadata, plain.custom_tags.len()), (None, 0), "as Envoy's");
    }

    #[test]
    fn flags_come_back() {
        use Flag::{
            DownstreamTermination, DurationTimeout, NoClusterFound, NoHealthyUpstream,
            NoRouteFound, StreamIdleTimeout, UpstreamConnectionFailure, UpstreamOverflow,
            UpstreamReset, UpstreamRetryLimitExceeded,
        };
        for flag in [
            NoHealthyUpstream,
            UpstreamConnectionFailure,
            UpstreamOverflow,
            UpstreamRetryLimitExceeded,
            NoRouteFound,
            NoClusterFound,
            UpstreamReset,
            DownstreamTermination,
            StreamIdleTimeout,
            DurationTimeout,
        ] {
            assert_eq!(flags_of(&flags(&[flag])), [flag]);
        }
    }
}
