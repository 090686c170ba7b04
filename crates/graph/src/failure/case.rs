//! One connection that failed. In: what its proxy tells, and what the mesh has of where it went. Out: the words.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use lateen_control::known::{Known, Portless};
use lateen_telemetry::Flag;
use lateen_telemetry::entry::NO_ANSWER;
use lateen_telemetry::labels::Reporter;

use crate::connection::{Connection, Object};
use crate::graph::{BLACK_HOLE, PASSTHROUGH};
use crate::key::{Key, Party};

/// A failure, and what is known of it.
pub struct Case<'c> {
    flag: Flag,
    pub key: &'c Key,
    pub connection: &'c Connection,
    /// Where it was to go, if that is a part of a service.
    subset: Option<Subset<'c>>,
    /// Who has the address, but not this port.
    pub portless: Option<(Portless, u16)>,
}

/// What is said of a failure: in one sentence, and what to check.
pub struct Words {
    pub summary: String,
    pub remedy: String,
}

struct Subset<'c> {
    name: &'c str,
    host: &'c str,
    rule: Option<Object>,
    /// Empty if they are not known.
    labels: String,
}

impl<'c> Case<'c> {
    pub fn new(flag: Flag, key: &'c Key, connection: &'c Connection, known: &Known) -> Self {
        let mut case = Self { flag, key, connection, subset: None, portless: None };
        case.subset = subset(connection, known);
        if case.is_unrouted() {
            case.portless = portless(&connection.destination, known);
        }
        case
    }

    /// Whether a client went where nothing is declared, so that no route took it.
    fn is_unrouted(&self) -> bool {
        let Connection { cluster, at_gateway, unresolved, .. } = self.connection;
        let taken = match self.flag {
            Flag::NoRouteFound => false,
            Flag::NoHealthyUpstream => cluster != BLACK_HOLE,
            Flag::UpstreamConnectionFailure | Flag::UpstreamRetryLimitExceeded => {
                cluster != PASSTHROUGH
            }
            _ => true,
        };
        !taken && !at_gateway && unresolved.is_empty() && self.key.reporter == Reporter::Source
    }

    /// The object that made the cluster what it is, and the field that decided.
    pub fn policy(&self) -> (Option<Object>, Option<&'static str>) {
        let own = self.connection.policy.clone();
        match (&self.subset, self.flag) {
            (Some(subset), Flag::NoHealthyUpstream) => {
                (subset.rule.clone().or(own), Some("spec.subsets"))
            }
            (_, Flag::UpstreamOverflow) => {
                let field = own.as_ref().map(|_| "spec.trafficPolicy");
                (own, field)
            }
            _ => (own, None),
        }
    }

    pub fn words(&self) -> Words {
        let (client, server, wanted) = (self.client(), self.server(), self.wanted());
        let Connection { endpoint, reason, cluster, .. } = self.connection;
        let (summary, remedy) = match self.flag {
            Flag::NoRouteFound => self.nowhere(),
            Flag::NoHealthyUpstream if cluster == BLACK_HOLE => self.nowhere(),
            Flag::NoClusterFound => self.unknown(),
            Flag::NoHealthyUpstream => self.empty(),
            Flag::UpstreamConnectionFailure | Flag::UpstreamRetryLimitExceeded => self.unreachable(),
            Flag::UpstreamOverflow => (
                format!("{wanted} has as many connections as are allowed"),
                "raise trafficPolicy.connectionPool.tcp.maxConnections in its DestinationRule"
                    .to_owned(),
            ),
            Flag::StreamIdleTimeout => (
                format!("nothing was said for {}", self.seconds()),
                "send keepalives, or raise the idle timeout (connectionPool.tcp.idleTimeout in a DestinationRule)"
                    .to_owned(),
            ),
            Flag::DurationTimeout => (
                format!("the connection lasted as long as it may, {}", self.seconds()),
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

    /// A cluster that is not there, or not yet.
    fn unknown(&self) -> (String, String) {
        let Connection { cluster, reason, .. } = self.connection;
        let remedy = match reason.ends_with(NO_ANSWER) {
            true => {
                "nothing is wrong with the route: look whether the control plane was away or busy at that time (its log \
                 tells of slow pushes, pilot_proxy_convergence_time how long they took)"
            }
            false => "check that the Service, its port and the DestinationRule's subset exist",
        };
        let summary = match reason.as_str() {
            "" => format!("the route leads to {cluster}, which the proxy does not know"),
            reason => reason.to_owned(),
        };
        (summary, remedy.to_owned())
    }

    /// No route, or one to nowhere.
    fn nowhere(&self) -> (String, String) {
        let Connection { destination, reason, unresolved, .. } = self.connection;
        if !unresolved.is_empty() {
            let summary = match reason.as_str() {
                "" => format!("the route names {unresolved}, which does not exist"),
                reason => reason.to_owned(),
            };
            let remedy = "correct the route's destination, or declare what it names: a Service or ServiceEntry with \
                          the port, or a DestinationRule with the subset";
            return (summary, remedy.to_owned());
        }
        let client = self.client();
        if let Some((found, port)) = &self.portless {
            let summary = format!(
                "{} has no port {port}: nothing leads {client} to {destination}",
                found.object
            );
            return (summary, other_port(found, *port));
        }
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        (format!("nothing leads {client} to {destination}{why}"), self.way())
    }

    /// How to make a way where there is none.
    fn way(&self) -> String {
        let remedy = match (self.connection.at_gateway, self.key.reporter) {
            (true, _) => {
                "give the Gateway a server, and a VirtualService a route, for this port and the host that was asked for"
            }
            (false, Reporter::Source) => {
                let declare = "declare the destination by a Service or ServiceEntry with this port, or let everything pass";
                let sidecar =
                    self.connection.route.as_ref().filter(|route| route.kind == "Sidecar");
                return match sidecar {
                    Some(Object { namespace, name, .. }) => format!(
                        "{declare} (spec.outboundTrafficPolicy.mode: ALLOW_ANY in Sidecar {namespace}/{name})"
                    ),
                    None => format!("{declare} (meshConfig.outboundTrafficPolicy.mode: ALLOW_ANY)"),
                };
            }
            (false, Reporter::Destination) => {
                "connect to a port that a Service of the workload declares, in the protocol that it declares"
            }
        };
        remedy.to_owned()
    }

    /// No endpoint to choose.
    fn empty(&self) -> (String, String) {
        let Some(Subset { name, host, rule, labels }) = &self.subset else {
            return (
                format!("{} has no endpoint that is ready", self.wanted()),
                "check that its selector matches workloads, and that they are ready".to_owned(),
            );
        };
        let rule = match rule {
            Some(Object { kind, namespace, name, .. }) => format!("{kind} {namespace}/{name}"),
            None => "its DestinationRule".to_owned(),
        };
        let remedy = match labels.as_str() {
            "" => format!(
                "check the labels of subset {name} in {rule}, and that workloads with them are ready"
            ),
            labels => format!(
                "check that workloads of {host} have the labels {labels}, by which {rule} chooses them, and are ready"
            ),
        };
        (format!("subset {name} of {host} has no endpoint that is ready"), remedy)
    }

    fn unreachable(&self) -> (String, String) {
        let Connection { endpoint, unreachable, attempts, .. } = self.connection;
        let server = self.server();
        let times = match attempts {
            0 | 1 => String::new(),
            times => format!(", {times} times"),
        };
        let why = if unreachable.is_empty() { "no reason is known" } else { unreachable };
        if let Some((found, port)) = &self.portless {
            let summary = format!(
                "{} has no port {port}, and {endpoint} could not be reached{times}: {why}",
                found.object
            );
            return (summary, other_port(found, *port));
        }
        let is_address = &server == endpoint;
        let at = if is_address { String::new() } else { format!(" at {endpoint}") };
        if unreachable.contains("refused") && is_address {
            return (
                format!("{server} refused the connection{times}"),
                "check that a program listens there".to_owned(),
            );
        }
        if unreachable.contains("refused") {
            let port = endpoint.rsplit(':').next().unwrap_or_default();
            return (
                format!("{server} refused the connection{at}{times}"),
                format!("check that a program of {server} listens on port {port}"),
            );
        }
        (
            format!("{server} could not be reached{at}{times}: {why}"),
            "check that it runs, and that no NetworkPolicy or firewall is in between".to_owned(),
        )
    }

    pub fn client(&self) -> String {
        if self.connection.at_gateway {
            return "a client of the gateway".to_owned();
        }
        party(&self.key.source).unwrap_or_else(|| "a client outside the mesh".to_owned())
    }

    pub fn server(&self) -> String {
        party(&self.key.destination).unwrap_or_else(|| self.wanted())
    }

    /// What the client asked for.
    fn wanted(&self) -> String {
        match &*self.key.service.host {
            "" => self.connection.destination.clone(),
            host => host.to_owned(),
        }
    }

    fn seconds(&self) -> String {
        format!("{:.1} s", self.connection.duration.as_secs_f64())
    }
}

/// The subset in a cluster's name, `outbound|PORT|SUBSET|HOST`.
fn subset<'c>(connection: &'c Connection, known: &Known) -> Option<Subset<'c>> {
    let parts: Vec<&str> = connection.cluster.split('|').collect();
    let ["outbound", _, name, host] = parts[..] else { return None };
    if name.is_empty() {
        return None;
    }
    let found = known.subset(host, name);
    let told = connection.policy.clone().filter(|policy| policy.kind == "DestinationRule");
    Some(Subset {
        name,
        host,
        rule: found.as_ref().map(|subset| Object::from(&subset.rule)).or(told),
        labels: found.map(|subset| subset.labels).unwrap_or_default(),
    })
}

fn portless(destination: &str, known: &Known) -> Option<(Portless, u16)> {
    let dialled: SocketAddr = destination.parse().ok()?;
    let found = known.without_port(dialled.ip(), dialled.port())?;
    Some((found, dialled.port()))
}

fn other_port(found: &Portless, port: u16) -> String {
    let ports: Vec<String> = found.ports.iter().map(u16::to_string).collect();
    format!(
        "connect to a port that it has ({}), or add port {port} to its spec.ports",
        ports.join(", ")
    )
}

fn party(party: &Party) -> Option<String> {
    party.is_known().then(|| format!("{}/{}", party.namespace, party.workload))
}
