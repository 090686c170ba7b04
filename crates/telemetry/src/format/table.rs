//! Envoy's command operators, by name and with what they take. In: a name, an argument, a length. Out: the operator, or
//! why Envoy would refuse it. Source: Envoy's page on access logs, and what Envoy 1.40 takes.

use serde_json::Value;

use super::operator::{Moment, Operator, Owner, Show, Side, Typed, Unit};
use crate::cel::Expression;
use crate::timestamp;

/// `%START_TIME_LOCAL%`: proxies know no time zone but UTC.
const WITH_ZONE: &str = "%Y-%m-%dT%H:%M:%S.%3f%z";

/// Names of operators without argument and without value on a TCP connection.
pub const ABSENT: &[&str] = &[
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "GRPC_STATUS_NUMBER",
    "PROTOCOL",
    "REQUEST_DURATION",
    "REQUEST_TX_DURATION",
    "RESPONSE_DURATION",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "ROUTE_RESOLUTION_TIME_US",
    "SPAN_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "VIRTUAL_CLUSTER_NAME",
    // Why a filter ended the connection; none does.
    "CONNECTION_TERMINATION_DETAILS",
];

/// Numbers that are 0 on a TCP connection.
pub const ZERO: &[&str] = &[
    "BYTES_RETRANSMITTED",
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "PACKETS_RETRANSMITTED",
    "REQUEST_HEADERS_BYTES",
    "RESPONSE_CODE",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "ROUTE_RESOLUTION_COUNT",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
];

/// Texts that are empty.
pub const EMPTY: &[&str] = &[
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "LOCAL_REPLY_BODY",
];

/// Those that need a request's headers, and an argument.
pub const HEADERS: &[&str] = &[
    "QUERY_PARAM",
    "REQ",
    "REQUEST_HEADER",
    "REQ_WITHOUT_QUERY",
    "RESP",
    "RESPONSE_HEADER",
    "RESPONSE_TRAILER",
    "TRAILER",
];

/// An operator as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    pub name: &'a str,
    pub argument: &'a str,
    pub longest: Option<usize>,
}

/// The operator.
///
/// # Errors
/// With the reason why it cannot be used.
pub fn operator(written: Written<'_>) -> Result<Operator, String> {
    if let Some(found) = plain(written.name) {
        return match (written.argument, written.longest) {
            ("", None) => Ok(found),
            _ => Err("takes neither an argument nor a length: leave them out".into()),
        };
    }
    match with_length(written) {
        Some(found) if written.argument.is_empty() => found.and(Err("needs an argument".into())),
        Some(found) => found,
        None if written.longest.is_some() => match with_argument(written) {
            Some(_) => Err("takes no length: leave it out".into()),
            None => Err(UNKNOWN.into()),
        },
        None => with_argument(written).unwrap_or_else(|| Err(UNKNOWN.into())),
    }
}

const UNKNOWN: &str = "is not known: use one of those on Envoy's page about access logs";

/// Those that take nothing.
pub fn plain(name: &str) -> Option<Operator> {
    let show = |name: &str| if name.ends_with("_PORT") { Show::Port } else { Show::All };
    Some(match name {
        "DURATION" => Operator::Duration(Unit::Milliseconds),
        "BYTES_RECEIVED" | "DOWNSTREAM_WIRE_BYTES_RECEIVED" | "UPSTREAM_WIRE_BYTES_SENT" => {
            Operator::BytesReceived
        }
        "BYTES_SENT" | "DOWNSTREAM_WIRE_BYTES_SENT" | "UPSTREAM_WIRE_BYTES_RECEIVED" => {
            Operator::BytesSent
        }
        "RESPONSE_FLAGS" => Operator::Flags,
        "RESPONSE_FLAGS_LONG" => Operator::FlagsLong,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamFailure,
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamAttempts,
        "UPSTREAM_CONNECTION_ID" => Operator::UpstreamConnectionId,
        "UPSTREAM_CONNECTION_IDS_ATTEMPTED" => Operator::UpstreamConnectionIds,
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => Operator::UpstreamReady,
        "UPSTREAM_DETECTED_CLOSE_TYPE" => Operator::DetectedClose(Side::Upstream),
        "DOWNSTREAM_DETECTED_CLOSE_TYPE" => Operator::DetectedClose(Side::Downstream),
        "UPSTREAM_LOCAL_CLOSE_REASON" => Operator::LocalClose(Side::Upstream),
        "DOWNSTREAM_LOCAL_CLOSE_REASON" => Operator::LocalClose(Side::Downstream),
        "UPSTREAM_HOST" | "UPSTREAM_HOST_NAME" => Operator::UpstreamRemote(Show::All),
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => Operator::UpstreamRemote(Show::Ip),
        "UPSTREAM_HOSTS_ATTEMPTED" | "UPSTREAM_HOST_NAMES_ATTEMPTED" => Operator::Tried(Show::All),
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT" | "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT" => {
            Operator::Tried(Show::Ip)
        }
        "UPSTREAM_REMOTE_ADDRESS" | "UPSTREAM_REMOTE_PORT" => Operator::Connected(show(name)),
        "UPSTREAM_LOCAL_ADDRESS" | "UPSTREAM_LOCAL_PORT" => Operator::UpstreamLocal(show(name)),
        "DOWNSTREAM_LOCAL_ADDRESS"
        | "DOWNSTREAM_LOCAL_PORT"
        | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS"
        | "DOWNSTREAM_DIRECT_LOCAL_PORT" => Operator::DownstreamLocal(show(name)),
        "DOWNSTREAM_REMOTE_ADDRESS"
        | "DOWNSTREAM_REMOTE_PORT"
        | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS"
        | "DOWNSTREAM_DIRECT_REMOTE_PORT" => Operator::DownstreamRemote(show(name)),
        "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID" => Operator::EmptyOnceConnected,
        "LISTENER_NAME" => Operator::Listener,
        "FILTER_CHAIN_NAME" => Operator::FilterChain,
        "ACCESS_LOG_TYPE" => Operator::LogType,
        "CONNECTION_ID" => Operator::ConnectionId,
        "STREAM_ID" => Operator::Unique(1),
        "UNIQUE_ID" => Operator::Unique(2),
        "HOSTNAME" => Operator::Hostname,
        _ if ABSENT.contains(&name) => Operator::Absent,
        _ if ZERO.contains(&name) => Operator::Zero,
        _ if EMPTY.contains(&name) => Operator::Empty,
        _ => return None,
    })
}

/// Those that need an argument and may have a length.
fn with_length(Written { name, argument, .. }: Written<'_>) -> Option<Result<Operator, String>> {
    Some(match name {
        "ENVIRONMENT" => Ok(Operator::Environment(argument.to_owned())),
        "DYNAMIC_METADATA" => Ok(Operator::Absent),
        "METADATA" => metadata(argument),
        "FILTER_STATE" | "UPSTREAM_FILTER_STATE" => filter_state(argument),
        "CEL" => expression(argument, Typed::No),
        "TYPED_CEL" => expression(argument, Typed::Yes),
        "COALESCE" => coalesce(argument),
        _ if HEADERS.contains(&name) => header(argument),
        _ => return None,
    })
}

/// Those that take an argument and no length.
fn with_argument(Written { name, argument, .. }: Written<'_>) -> Option<Result<Operator, String>> {
    let one_of = |known: &[&str]| match argument.is_empty() || known.contains(&argument) {
        true => Ok(Operator::Absent),
        false => Err(format!("takes {}, and not {argument:?}", known.join(", "))),
    };
    Some(match name {
        "START_TIME" => time(Moment::Start, None, argument),
        "START_TIME_LOCAL" => time(Moment::Start, Some(WITH_ZONE), argument),
        "EMIT_TIME" => time(Moment::Emit, None, argument),
        "EMIT_TIME_LOCAL" => time(Moment::Emit, Some(WITH_ZONE), argument),
        "DOWNSTREAM_PEER_CERT_V_START"
        | "DOWNSTREAM_PEER_CERT_V_END"
        | "UPSTREAM_PEER_CERT_V_START"
        | "UPSTREAM_PEER_CERT_V_END" => {
            time(Moment::Start, None, argument).map(|_| Operator::Absent)
        }
        "COMMON_DURATION" => common_duration(argument),
        "CLUSTER_METADATA" | "UPSTREAM_METADATA" if argument.is_empty() => {
            Err("needs an argument: a namespace and keys, such as istio:workload".into())
        }
        "CLUSTER_METADATA" => Ok(of_istio(Owner::Cluster, argument)),
        "UPSTREAM_METADATA" => Ok(of_istio(Owner::Endpoint, argument)),
        "RESPONSE_CODE_DETAILS" => Ok(Operator::CodeDetails),
        "GRPC_STATUS" => one_of(&["CAMEL_STRING", "SNAKE_STRING", "NUMBER"]),
        "QUERY_PARAMS" => one_of(&["ORIG", "DECODED"]),
        "PATH" => choice(argument, &["WQ", "NQ"]).map(|()| Operator::Absent),
        "REQUESTED_SERVER_NAME" => choice(argument, &["SNI_ONLY", "SNI_FIRST", "HOST_FIRST"])
            .map(|()| Operator::ServerName),
        _ => return masked(name, argument).map(Ok),
    })
}

/// An address without its port, or its network.
fn masked(name: &str, argument: &str) -> Option<Operator> {
    // What is no number of bits is as if it were not there, as in Envoy.
    let show = argument.parse().map_or(Show::Ip, Show::Network);
    Some(match name.strip_suffix("_ADDRESS_WITHOUT_PORT")? {
        "UPSTREAM_REMOTE" => Operator::Connected(show),
        "UPSTREAM_LOCAL" => Operator::UpstreamLocal(show),
        "DOWNSTREAM_LOCAL" | "DOWNSTREAM_DIRECT_LOCAL" => Operator::DownstreamLocal(show),
        "DOWNSTREAM_REMOTE" | "DOWNSTREAM_DIRECT_REMOTE" => Operator::DownstreamRemote(show),
        _ => return None,
    })
}

fn time(moment: Moment, usual: Option<&str>, argument: &str) -> Result<Operator, String> {
    let own = Some(argument).filter(|argument| !argument.is_empty());
    if own.is_some_and(timestamp::has_newline) {
        return Err("must not have %n in its format: a line would end there".into());
    }
    Ok(Operator::Time(moment, own.or(usual).map(str::to_owned)))
}

fn header(argument: &str) -> Result<Operator, String> {
    if argument.matches('?').count() > 1 {
        return Err("has more than one alternative: write NAME or NAME?OTHER".into());
    }
    match argument.contains(char::is_whitespace) {
        true => Err("has a space in a header's name: remove it".into()),
        false => Ok(Operator::Absent),
    }
}

fn expression(text: &str, typed: Typed) -> Result<Operator, String> {
    let parsed = Expression::parse(text);
    let parsed = parsed.map_err(|error| format!("has no usable CEL expression: {error}"))?;
    Ok(Operator::Expression(Box::new(parsed), typed))
}

/// `KEY`, `KEY:PLAIN`, `KEY:TYPED` or `KEY:FIELD:NAME`: connections have none.
fn filter_state(argument: &str) -> Result<Operator, String> {
    match argument.split(':').collect::<Vec<_>>().as_slice() {
        ["", ..] => Err("needs a key".into()),
        [_] | [_, "PLAIN" | "TYPED"] | [_, "FIELD", _] => Ok(Operator::Absent),
        _ => Err("takes KEY, KEY:PLAIN, KEY:TYPED or KEY:FIELD:NAME".into()),
    }
}

/// `TYPE:NAMESPACE:KEY:…`
fn metadata(argument: &str) -> Result<Operator, String> {
    let (kind, rest) = argument.split_once(':').unwrap_or((argument, ""));
    match kind {
        "UPSTREAM_HOST" => Ok(of_istio(Owner::Endpoint, rest)),
        "CLUSTER" => Ok(of_istio(Owner::Cluster, rest)),
        "LISTENER_FILTER_CHAIN" => Ok(of_istio(Owner::FilterChain, rest)),
        "DYNAMIC" | "LISTENER" | "ROUTE" | "VIRTUAL_HOST" => Ok(Operator::Absent),
        _ => Err(format!(
            "knows no metadata {kind:?}: use UPSTREAM_HOST, CLUSTER, LISTENER_FILTER_CHAIN, LISTENER, DYNAMIC, \
             ROUTE or VIRTUAL_HOST"
        )),
    }
}

/// `istio` is all that endpoints, clusters and filter chains have in their metadata here.
fn of_istio(owner: Owner, argument: &str) -> Operator {
    let mut path = argument.split(':').map(str::to_owned);
    match path.next().as_deref() {
        Some("istio") => Operator::Metadata(owner, path.collect()),
        _ => Operator::Absent,
    }
}

/// `FROM:TO[:UNIT]`; a connection has a beginning and an end.
fn common_duration(argument: &str) -> Result<Operator, String> {
    let parts: Vec<&str> = argument.split(':').collect();
    let (from, to, unit) = match parts.as_slice() {
        [from, to] => (*from, *to, "ms"),
        [from, to, unit] => (*from, *to, *unit),
        _ => return Err("takes FROM:TO or FROM:TO:UNIT, such as DS_CX_BEG:DS_CX_END:us".into()),
    };
    let unit = match unit {
        "ms" => Unit::Milliseconds,
        "us" => Unit::Microseconds,
        "ns" => Unit::Nanoseconds,
        _ => return Err(format!("knows no unit {unit:?}: use ms, us or ns")),
    };
    match (from, to) {
        ("DS_CX_BEG", "DS_CX_END") => Ok(Operator::Duration(unit)),
        _ => Ok(Operator::Absent),
    }
}

/// `FIRST[:SECOND]`, as operators take it that may look at headers.
fn choice(argument: &str, firsts: &[&str]) -> Result<(), String> {
    const SECONDS: [&str; 3] = ["ORIG_OR_HOST", "HOST", "ORIG"];
    let (first, second) = argument.split_once(':').unwrap_or((argument, "ORIG"));
    let fits = argument.is_empty()
        || firsts.contains(&first) && (SECONDS.contains(&second) || firsts[0] == "WQ");
    match fits {
        true => Ok(()),
        false => Err(format!("takes {}, and not {argument:?}", firsts.join(", "))),
    }
}

/// `{"operators": ["NAME", {"command": "NAME", "param": "ARGUMENT", "max_length": 5}, …]}`
fn coalesce(argument: &str) -> Result<Operator, String> {
    let form =
        "takes {\"operators\": [\"NAME\", {\"command\": \"NAME\", \"param\": \"ARGUMENT\"}]}";
    let whole: Value = serde_json::from_str(argument).map_err(|_| form.to_owned())?;
    let all = whole["operators"].as_array().filter(|all| !all.is_empty()).ok_or(form)?;
    let one = |item: &Value| {
        let name = item.as_str().or_else(|| item["command"].as_str()).ok_or(form)?;
        let argument = item["param"].as_str().unwrap_or_default();
        let longest = item["max_length"].as_u64().and_then(|length| usize::try_from(length).ok());
        // One in another would let formats nest without end.
        if name == "COALESCE" {
            return Err("takes no COALESCE in it".to_owned());
        }
        let found = operator(Written { name, argument, longest });
        found.map(|found| (found, longest)).map_err(|reason| format!("has {name}, which {reason}"))
    };
    Ok(Operator::First(all.iter().map(one).collect::<Result<_, String>>()?))
}
