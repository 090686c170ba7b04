//! Why a connection failed, in words, with the objects that decided. In: a connection and its edge. Out: the
//! graph API's `Failure`.

use lateen_telemetry::Flag;
use lateen_telemetry::labels::Reporter;
use serde::Serialize;

use crate::connection::{Connection, Object};
use crate::graph::{Query, neighbours, word};
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

/// The cluster of what leads nowhere, by Istio's name.
const BLACK_HOLE: &str = "BlackHoleCluster";

/// The most telling of Envoy's flags comes first.
const TELLING: [Flag; 10] = [
    Flag::NoRouteFound,
    Flag::NoClusterFound,
    Flag::NoHealthyUpstream,
    Flag::UpstreamConnectionFailure,
    Flag::UpstreamOverflow,
    Flag::StreamIdleTimeout,
    Flag::DurationTimeout,
    Flag::UpstreamTermination,
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
        Flag::UpstreamTermination => (
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
        return (
            format!("the route names {unresolved}, which does not exist"),
            "correct the host in the route, or create its Service or ServiceEntry".to_owned(),
        );
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
mod tests {
    use lateen_telemetry::Flag;
    use lateen_telemetry::labels::Reporter;

    use super::{TELLING, failure};
    use crate::connection::{Connection, Object};
    use crate::key::{Key, Party, Protocol, Service};

    fn key() -> Key {
        let party = |workload: &str| Party {
            workload: workload.into(),
            namespace: "shop".into(),
            ..Party::default()
        };
        Key {
            reporter: Reporter::Source,
            source: party("client"),
            destination: party("server"),
            service: Service {
                host: "s.shop.svc.cluster.local".into(),
                name: "s".into(),
                namespace: "shop".into(),
            },
            protocol: Protocol::Tcp,
            mutual_tls: false,
            flags: "UF".into(),
            code: "".into(),
        }
    }

    fn connection(flags: &[Flag]) -> Connection {
        let route = Object {
            kind: "VirtualService".into(),
            group: "networking.istio.io".into(),
            namespace: "shop".into(),
            name: "s".into(),
        };
        Connection {
            destination: "10.96.0.9:80".into(),
            endpoint: "10.0.0.2:8080".into(),
            cluster: "outbound|80||s.shop.svc.cluster.local".into(),
            unreachable: "connection refused".into(),
            flags: flags.to_vec(),
            attempts: 3,
            route: Some(route),
            ..Connection::read(Default::default(), "sidecar~10.0.0.1~client-1.shop~", 7)
        }
    }

    #[test]
    fn a_refused_connection_names_server_port_and_route() {
        let flags = [Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded];
        let failure = failure(&key(), &connection(&flags)).unwrap();
        assert_eq!(failure.summary, "shop/server refused the connection at 10.0.0.2:8080, 3 times");
        assert_eq!(
            failure.remedy.as_deref(),
            Some("check that a program of shop/server listens on port 8080")
        );
        assert_eq!(
            (&*failure.source, &*failure.target),
            ("workload/shop/client", "workload/shop/server")
        );
        let route = &failure.steps[1];
        assert_eq!(
            (route.object.as_ref().unwrap().name.as_str(), route.field),
            ("s", Some("spec.tcp"))
        );
        let failed: Vec<_> = failure.steps.iter().filter(|step| step.failed).collect();
        assert_eq!(failed.len(), 1);
    }

    #[test]
    fn the_client_of_a_gateway_is_not_the_gateway() {
        let connection = Connection {
            at_gateway: true,
            client: "192.0.2.1:4000".into(),
            listener: "0.0.0.0_31400".into(),
            ..connection(&[Flag::NoHealthyUpstream])
        };
        let steps = failure(&key(), &connection).unwrap().steps;
        let whats: Vec<&str> = steps.iter().take(2).map(|step| &*step.what).collect();
        assert_eq!(
            whats,
            [
                "a client of the gateway (192.0.2.1:4000) connected to 10.96.0.9:80",
                "listener 0.0.0.0_31400 of the gateway, client-1.shop, took it",
            ]
        );
    }

    #[test]
    fn a_missing_host_is_named() {
        let mut connection = connection(&[Flag::NoHealthyUpstream]);
        connection.unresolved = "gone.shop".into();
        connection.cluster = "BlackHoleCluster".into();
        let summary = failure(&key(), &connection).unwrap().summary;
        assert_eq!(summary, "the route names gone.shop, which does not exist");
    }

    /// A connection that nothing led on, for this reason.
    fn lost(flag: Flag, cluster: &str, reason: &str) -> Connection {
        Connection {
            cluster: cluster.into(),
            endpoint: String::new(),
            reason: reason.into(),
            server_name: "a.example.com".into(),
            ..connection(&[flag])
        }
    }

    fn hole() -> Key {
        Key {
            destination: Party::default(),
            service: Service { name: "BlackHoleCluster".into(), ..Service::default() },
            ..key()
        }
    }

    #[test]
    fn what_leads_nowhere_is_told_with_where_it_was_to_go_and_why() {
        let told = [
            (lost(Flag::NoHealthyUpstream, "BlackHoleCluster", "the mode is REGISTRY_ONLY"), "UH"),
            (lost(Flag::NoRouteFound, "", "the mode is REGISTRY_ONLY"), "NR"),
        ];
        for (connection, flags) in told {
            let failure = failure(&hole(), &connection).unwrap();
            assert_eq!(
                failure.summary,
                "nothing leads shop/client to 10.96.0.9:80: the mode is REGISTRY_ONLY"
            );
            assert!(failure.remedy.unwrap().contains("ServiceEntry"));
            assert_eq!(failure.flags, flags);
            assert_eq!(
                (&*failure.source, &*failure.target),
                ("workload/shop/client", "blackHole//BlackHoleCluster")
            );
            assert_eq!((&*failure.proxy, &*failure.destination), ("client-1.shop", "10.96.0.9:80"));
            assert_eq!(failure.server_name, "a.example.com");
        }
        let at_gateway = Connection { at_gateway: true, ..lost(Flag::NoRouteFound, "", "") };
        let remedy = failure(&hole(), &at_gateway).unwrap().remedy.unwrap();
        assert!(remedy.contains("Gateway"), "{remedy}");
        let at_server = Key { reporter: Reporter::Destination, ..key() };
        let failure = failure(&at_server, &lost(Flag::NoRouteFound, "", "closed")).unwrap();
        assert_eq!(&*failure.target, "workload/shop/server");
        assert!(failure.remedy.unwrap().contains("declares"));
    }

    #[test]
    fn every_flag_has_words_and_none_is_no_failure() {
        for flag in TELLING {
            let failure = failure(&key(), &connection(&[flag])).unwrap();
            assert!(!failure.summary.is_empty() && failure.remedy.is_some(), "{flag:?}");
        }
        assert_eq!(failure(&key(), &connection(&[])), None);
    }
}
