//! Why a connection failed, in words, with the objects that decided. In: a connection and its edge. Out: the
//! graph API's `Failure`.

use lateen_telemetry::Flag;
use lateen_telemetry::labels::Reporter;
use serde::Serialize;

use crate::connection::{Connection, Object};
use crate::graph::{BLACK_HOLE, Query, neighbours, word};
use crate::key::{Key, Party};
use crate::view::GraphType;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Milliseconds since 1970.
    pub time: u64,
    /// Nodes of the workload graph.
    pub source: String,
    pub target: String,
    pub protocol: &'static str,
    /// The proxy that tells it.
    pub proxy: String,
    /// Where the client wanted to go, by address, and by what its TLS asked for.
    pub destination: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    pub flags: String,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub duration_ms: f64,
    pub summary: String,
    /// The way it took.
    pub steps: Vec<Step>,
    /// What to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// Of the object, the field that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// What is said of a failure: in one sentence, and what to check.
struct Words {
    summary: String,
    remedy: String,
}

/// The most telling of Envoy's flags comes first.
const TELLING: [Flag; 10] = [
    Flag::NoRouteFound,
    Flag::NoClusterFound,
    Flag::NoHealthyUpstream,
    Flag::UpstreamConnectionFailure,
    Flag::UpstreamOverflow,
    Flag::StreamIdleTimeout,
    Flag::DurationTimeout,
    Flag::UpstreamReset,
    Flag::DownstreamTermination,
    Flag::UpstreamRetryLimitExceeded,
];

/// `None` if it did not fail.
pub fn failure(key: &Key, connection: &Connection) -> Option<Failure> {
    let flag = TELLING.into_iter().find(|flag| connection.flags.contains(flag))?;
    let ends = neighbours(&query(), key).into_iter().next();
    let (source, target) = ends.unwrap_or_default();
    let words = words(flag, key, connection);
    Some(Failure {
        time: connection.time,
        source,
        target,
        protocol: word(key.protocol),
        proxy: connection.proxy.to_string(),
        destination: connection.destination.clone(),
        server_name: connection.server_name.clone(),
        flags: connection.flags(),
        bytes_received: connection.received,
        bytes_sent: connection.sent,
        duration_ms: connection.duration.as_secs_f64() * 1000.0,
        steps: steps(flag, key, connection, &words.summary),
        summary: words.summary,
        remedy: Some(words.remedy),
    })
}

/// Workloads next to each other.
fn query() -> Query {
    Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration: 0,
        at: 0,
        services: false,
        idle: true,
    }
}

fn words(flag: Flag, key: &Key, connection: &Connection) -> Words {
    let client = client(key, connection);
    let (server, wanted) = (server(key, connection), wanted(key, connection));
    let Connection { endpoint, reason, .. } = connection;
    let (summary, remedy) = match flag {
        Flag::NoRouteFound => nowhere(&client, key, connection),
        Flag::NoHealthyUpstream if connection.cluster == BLACK_HOLE => {
            nowhere(&client, key, connection)
        }
        Flag::NoClusterFound => (
            format!("the route leads to {}, which the proxy does not know", connection.cluster),
            "check that the Service, its port and the DestinationRule's subset exist".to_owned(),
        ),
        Flag::NoHealthyUpstream => (
            format!("{wanted} has no endpoint that is ready"),
            "check that its selector matches workloads, and that they are ready".to_owned(),
        ),
        Flag::UpstreamConnectionFailure | Flag::UpstreamRetryLimitExceeded => {
            unreachable(&server, connection)
        }
        Flag::UpstreamOverflow => (
            format!("{wanted} has as many connections as are allowed"),
            "raise trafficPolicy.connectionPool.tcp.maxConnections in its DestinationRule".to_owned(),
        ),
        Flag::StreamIdleTimeout => (
            format!("nothing was said for {}", seconds(connection)),
            "send keepalives, or raise the idle timeout (connectionPool.tcp.idleTimeout in a DestinationRule)"
                .to_owned(),
        ),
        Flag::DurationTimeout => (
            format!("the connection lasted as long as it may, {}", seconds(connection)),
            "raise connectionPool.tcp.maxConnectionDuration in the DestinationRule".to_owned(),
        ),
        Flag::UpstreamReset => (
            format!("{server} broke the connection off: {reason}"),
            format!("look at the log of {server}, and of its sidecar, at that time ({endpoint})"),
        ),
        Flag::DownstreamTermination => (
            format!("{client} broke the connection off: {reason}"),
            format!("look at the log of {client} at that time"),
        ),
    };
    Words { summary, remedy }
}

/// No route, or one to nowhere.
fn nowhere(client: &str, key: &Key, connection: &Connection) -> (String, String) {
    let Connection { destination, reason, unresolved, .. } = connection;
    if !unresolved.is_empty() {
        let summary = match reason.as_str() {
            "" => format!("the route names {unresolved}, which does not exist"),
            reason => reason.to_owned(),
        };
        let remedy = "correct the route's destination, or declare what it names: a Service or ServiceEntry with the \
                      port, or a DestinationRule with the subset";
        return (summary, remedy.to_owned());
    }
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let summary = format!("nothing leads {client} to {destination}{why}");
    let remedy = match (connection.at_gateway, key.reporter) {
        (true, _) => {
            "give the Gateway a server, and a VirtualService a route, for this port and the host that was asked for"
        }
        (false, Reporter::Source) => {
            "declare the destination by a Service or ServiceEntry with this port, or let everything pass \
             (meshConfig.outboundTrafficPolicy.mode: ALLOW_ANY)"
        }
        (false, Reporter::Destination) => {
            "connect to a port that a Service of the workload declares, in the protocol that it declares"
        }
    };
    (summary, remedy.to_owned())
}

fn unreachable(server: &str, connection: &Connection) -> (String, String) {
    let Connection { endpoint, unreachable, attempts, .. } = connection;
    let times = match attempts {
        0 | 1 => String::new(),
        times => format!(", {times} times"),
    };
    if unreachable.contains("refused") {
        let port = endpoint.rsplit(':').next().unwrap_or_default();
        return (
            format!("{server} refused the connection at {endpoint}{times}"),
            format!("check that a program of {server} listens on port {port}"),
        );
    }
    let why = if unreachable.is_empty() { "no reason is known" } else { unreachable };
    (
        format!("{server} could not be reached at {endpoint}{times}: {why}"),
        "check that it runs, and that no NetworkPolicy or firewall is in between".to_owned(),
    )
}

fn steps(flag: Flag, key: &Key, connection: &Connection, summary: &str) -> Vec<Step> {
    let Connection { destination, listener, cluster, endpoint, route, policy, .. } = connection;
    let mut steps = vec![Step {
        what: format!(
            "{} ({}) connected to {destination}",
            client(key, connection),
            connection.client
        ),
        ..Step::default()
    }];
    let side = match key.reporter {
        _ if connection.at_gateway => "the gateway",
        Reporter::Source => "the client's proxy",
        Reporter::Destination => "the server's proxy",
    };
    steps.push(Step {
        what: format!("listener {listener} of {side}, {}, took it", connection.proxy),
        object: route.clone(),
        field: route.as_ref().and_then(|object| route_field(&object.kind)),
        failed: false,
    });
    if !cluster.is_empty() {
        let field = policy.as_ref().map(|_| "spec.trafficPolicy");
        steps.push(Step {
            what: format!("it was to go to {cluster}"),
            object: policy.clone(),
            field: field.filter(|_| flag == Flag::UpstreamOverflow),
            failed: false,
        });
    }
    if !endpoint.is_empty() {
        let what = format!("{endpoint} of {} was chosen", server(key, connection));
        steps.push(Step { what, ..Step::default() });
    }
    steps.push(Step { what: summary.to_owned(), failed: true, ..Step::default() });
    steps
}

/// Where the route is in the object.
fn route_field(kind: &str) -> Option<&'static str> {
    match kind {
        "VirtualService" => Some("spec.tcp"),
        "Gateway" => Some("spec.servers"),
        "Sidecar" => Some("spec.egress"),
        _ => None,
    }
}

fn client(key: &Key, connection: &Connection) -> String {
    if connection.at_gateway {
        return "a client of the gateway".to_owned();
    }
    party(&key.source).unwrap_or_else(|| "a client outside the mesh".to_owned())
}

fn server(key: &Key, connection: &Connection) -> String {
    party(&key.destination).unwrap_or_else(|| wanted(key, connection))
}

fn party(party: &Party) -> Option<String> {
    party.is_known().then(|| format!("{}/{}", party.namespace, party.workload))
}

/// What the client asked for.
fn wanted(key: &Key, connection: &Connection) -> String {
    match &*key.service.host {
        "" => connection.destination.clone(),
        host => host.to_owned(),
    }
}

fn seconds(connection: &Connection) -> String {
    format!("{:.1} s", connection.duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
