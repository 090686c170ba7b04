//! Why a connection failed, in words, with the objects that decided. In: a connection and its edge, and
//! what the mesh has. Out: the graph API's `Failure`.

mod case;

use lateen_control::known::Known;
use lateen_telemetry::Flag;
use lateen_telemetry::labels::Reporter;
use serde::Serialize;

use crate::connection::{Connection, Object};
use crate::graph::{Query, neighbours};
use crate::key::Key;
use crate::view::GraphType;
use case::Case;

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
pub fn failure(key: &Key, connection: &Connection, known: &Known) -> Option<Failure> {
    let flag = TELLING.into_iter().find(|flag| connection.flags.contains(flag))?;
    let case = Case::new(flag, key, connection, known);
    let ends = neighbours(&query(), key).into_iter().next();
    let (source, target) = ends.unwrap_or_default();
    let words = case.words();
    Some(Failure {
        time: connection.time,
        source,
        target,
        protocol: key.protocol.name(),
        proxy: connection.proxy.to_string(),
        destination: connection.destination.clone(),
        server_name: connection.server_name.clone(),
        flags: connection.flags(),
        bytes_received: connection.received,
        bytes_sent: connection.sent,
        duration_ms: connection.duration.as_secs_f64() * 1000.0,
        steps: steps(&case, &words.summary),
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

fn steps(case: &Case<'_>, summary: &str) -> Vec<Step> {
    let Case { key, connection, .. } = case;
    let Connection { destination, listener, cluster, endpoint, route, .. } = connection;
    let mut steps = vec![Step {
        what: format!("{} ({}) connected to {destination}", case.client(), connection.client),
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
        let (object, field) = case.policy();
        let what = format!("it was to go to {cluster}");
        steps.push(Step { what, object, field, failed: false });
    }
    if !endpoint.is_empty() {
        let server = case.server();
        let what = match &server == endpoint {
            true => format!("{endpoint} was chosen"),
            false => format!("{endpoint} of {server} was chosen"),
        };
        steps.push(Step { what, ..Step::default() });
    }
    let portless = case.portless.as_ref();
    steps.push(Step {
        what: summary.to_owned(),
        object: portless.map(|(found, _)| Object::from(&found.object)),
        field: portless.map(|_| "spec.ports"),
        failed: true,
    });
    steps
}

/// Where the route is in the object.
fn route_field(kind: &str) -> Option<&'static str> {
    match kind {
        "VirtualService" => Some("spec.tcp"),
        "Gateway" => Some("spec.servers"),
        "Sidecar" => Some("spec.outboundTrafficPolicy"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
