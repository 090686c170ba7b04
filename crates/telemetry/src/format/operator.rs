//! Operators of the format language, one table. In: a name and its argument. Out: what it writes of a record.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::Value;

use crate::labels::cut;
use crate::record::AccessRecord;
use crate::timestamp;

/// Longer values are cut, so that a line is one that people and collectors can take.
pub const LONGEST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    StartTime,
    Duration,
    BytesReceived,
    BytesSent,
    ResponseFlags,
    ResponseCode,
    TerminationDetails,
    UpstreamFailure,
    ResponseFlagsLong,
    /// The endpoint that was chosen.
    UpstreamRemote(Show),
    /// The same once there was a connection to it.
    Connected(Show),
    UpstreamLocal(Show),
    UpstreamCluster,
    WireReceived,
    WireSent,
    /// A member of `filter_metadata.istio` of the endpoint or the cluster.
    Metadata(Owner, String),
    LogType,
    UpstreamAttempts,
    DownstreamLocal(Show),
    DownstreamRemote(Show),
    FilterChain,
    ServerName,
    /// Has no value on a TCP connection.
    Absent,
}

/// What of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    All,
    Ip,
    Port,
}

/// Whose metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Endpoint,
    Cluster,
}

impl Operator {
    /// Whether it writes Envoy's response flags.
    pub fn is_flags(&self) -> bool {
        matches!(self, Self::ResponseFlags | Self::ResponseFlagsLong)
    }

    /// Whether it writes a number.
    pub fn is_number(&self) -> bool {
        matches!(
            self,
            Self::Duration
                | Self::BytesReceived
                | Self::BytesSent
                | Self::ResponseCode
                | Self::UpstreamAttempts
                | Self::WireReceived
                | Self::WireSent
                | Self::UpstreamRemote(Show::Port)
                | Self::Connected(Show::Port)
                | Self::UpstreamLocal(Show::Port)
                | Self::DownstreamLocal(Show::Port)
                | Self::DownstreamRemote(Show::Port)
        )
    }

    /// Writes its value, or a dash.
    pub fn write(&self, record: &AccessRecord, out: &mut String) {
        match self {
            Self::StartTime => timestamp::write(out, record.start),
            Self::Duration => number(out, record.duration.as_millis() as u64),
            Self::BytesReceived => number(out, record.bytes_received),
            Self::BytesSent => number(out, record.bytes_sent),
            Self::ResponseFlags => out.push_str(&record.flags_text()),
            Self::ResponseCode => out.push('0'),
            // One word, and only when something went wrong, so that lines stay splittable.
            Self::TerminationDetails if record.flags.is_empty() => out.push('-'),
            Self::TerminationDetails => text(out, Some(&record.close_reason.replace(' ', "_"))),
            Self::UpstreamFailure => text(out, record.upstream_failure.as_deref()),
            Self::ResponseFlagsLong => text(out, Some(&record.flags_long())),
            Self::UpstreamRemote(show) => address(out, record.upstream_remote, *show),
            Self::Connected(show) => {
                let connected = record.upstream_remote.filter(|_| record.upstream_local.is_some());
                address(out, connected, *show);
            }
            Self::UpstreamCluster => text(out, record.cluster.as_deref()),
            Self::UpstreamLocal(show) => address(out, record.upstream_local, *show),
            // Nothing is encrypted here, and TCP has no headers of its own.
            Self::WireReceived => number(out, record.bytes_received),
            Self::WireSent => number(out, record.bytes_sent),
            Self::Metadata(owner, member) => {
                let all = match owner {
                    Owner::Endpoint => &record.workload,
                    Owner::Cluster => &record.cluster_origin,
                };
                text(out, metadata(all.as_deref(), member).as_deref());
            }
            Self::LogType => out.push_str("TcpConnectionEnd"),
            Self::UpstreamAttempts => number(out, u64::from(record.attempts)),
            Self::DownstreamLocal(show) => address(out, Some(record.downstream_local), *show),
            Self::DownstreamRemote(show) => address(out, Some(record.downstream_remote), *show),
            Self::FilterChain => text(out, Some(&record.filter_chain)),
            Self::ServerName => text(out, record.server_name.as_deref()),
            Self::Absent => out.push('-'),
        }
    }
}

/// The operator of a name; none if there is none. Those that need a request, TLS or a tracer have no value.
pub fn operator(name: &str, argument: &str) -> Option<Operator> {
    Some(match name {
        "START_TIME" => Operator::StartTime,
        "DURATION" => Operator::Duration,
        "BYTES_RECEIVED" => Operator::BytesReceived,
        "BYTES_SENT" => Operator::BytesSent,
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" | "UPSTREAM_WIRE_BYTES_SENT" => Operator::WireReceived,
        "DOWNSTREAM_WIRE_BYTES_SENT" | "UPSTREAM_WIRE_BYTES_RECEIVED" => Operator::WireSent,
        "RESPONSE_FLAGS" => Operator::ResponseFlags,
        "RESPONSE_FLAGS_LONG" => Operator::ResponseFlagsLong,
        "RESPONSE_CODE" => Operator::ResponseCode,
        "CONNECTION_TERMINATION_DETAILS" => Operator::TerminationDetails,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamFailure,
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamAttempts,
        "FILTER_CHAIN_NAME" => Operator::FilterChain,
        "REQUESTED_SERVER_NAME" => Operator::ServerName,
        "ACCESS_LOG_TYPE" => Operator::LogType,
        "UPSTREAM_METADATA" => of_istio(Owner::Endpoint, argument),
        "CLUSTER_METADATA" => of_istio(Owner::Cluster, argument),
        "METADATA" => match argument.split_once(':') {
            Some(("UPSTREAM_HOST", rest)) => of_istio(Owner::Endpoint, rest),
            Some(("CLUSTER", rest)) => of_istio(Owner::Cluster, rest),
            _ => Operator::Absent,
        },
        _ if ABSENT.contains(&name) => Operator::Absent,
        _ => return of_address(name),
    })
}

/// What a TCP connection has no value for.
const ABSENT: [&str; 65] = [
    "COMMON_DURATION",
    "CONNECTION_ID",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DYNAMIC_METADATA",
    "FILTER_STATE",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "PATH",
    "PROTOCOL",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "REQ",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "REQ_WITHOUT_QUERY",
    "RESP",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "SPAN_ID",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "TRAILER",
    "UNIQUE_ID",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_LOCAL_SUBJECT",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_FINGERPRINT_1",
    "UPSTREAM_PEER_FINGERPRINT_256",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SERIAL",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "VIRTUAL_CLUSTER_NAME",
];

/// `istio:workload` is all that endpoints and clusters have in their metadata here.
fn of_istio(owner: Owner, argument: &str) -> Operator {
    match argument.split_once(':') {
        Some(("istio", member)) => Operator::Metadata(owner, member.to_owned()),
        _ => Operator::Absent,
    }
}

/// An address, and what of it is shown.
fn of_address(name: &str) -> Option<Operator> {
    let (name, show) = match name.strip_suffix("_ADDRESS_WITHOUT_PORT") {
        Some(name) => (name, Show::Ip),
        None => match (name.strip_suffix("_ADDRESS"), name.strip_suffix("_PORT")) {
            (Some(name), _) => (name, Show::All),
            (None, Some(name)) => (name, Show::Port),
            (None, None) => (name, Show::All),
        },
    };
    Some(match (name, show) {
        ("UPSTREAM_HOST" | "UPSTREAM_HOST_NAME", Show::All) => Operator::UpstreamRemote(show),
        ("UPSTREAM_HOST_NAME_WITHOUT", Show::Port) => Operator::UpstreamRemote(Show::Ip),
        ("UPSTREAM_REMOTE", _) => Operator::Connected(show),
        ("UPSTREAM_LOCAL", _) => Operator::UpstreamLocal(show),
        ("DOWNSTREAM_LOCAL" | "DOWNSTREAM_DIRECT_LOCAL", _) => Operator::DownstreamLocal(show),
        ("DOWNSTREAM_REMOTE" | "DOWNSTREAM_DIRECT_REMOTE", _) => Operator::DownstreamRemote(show),
        _ => return None,
    })
}

fn metadata(all: Option<&str>, member: &str) -> Option<String> {
    let all: Value = serde_json::from_str(all?).ok()?;
    let mut found = &all;
    for part in member.split(':') {
        found = found.get(part)?;
    }
    Some(match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn number(out: &mut String, value: u64) {
    write!(out, "{value}").expect("writing to a string cannot fail");
}

fn text(out: &mut String, value: Option<&str>) {
    match value.map(|value| cut(value, LONGEST)).as_deref() {
        // Some of it is a peer's own words: they must not end a line or steer a terminal.
        Some(value) if value.contains(char::is_control) => {
            for letter in value.chars() {
                match letter.is_control() {
                    true => out.extend(letter.escape_default()),
                    false => out.push(letter),
                }
            }
        }
        Some(value) if !value.is_empty() => out.push_str(value),
        _ => out.push('-'),
    }
}

fn address(out: &mut String, value: Option<SocketAddr>, show: Show) {
    let written = match (value, show) {
        (None, _) => return out.push('-'),
        (Some(value), Show::All) => write!(out, "{value}"),
        (Some(value), Show::Ip) => write!(out, "{}", value.ip()),
        (Some(value), Show::Port) => write!(out, "{}", value.port()),
    };
    written.expect("writing to a string cannot fail");
}
