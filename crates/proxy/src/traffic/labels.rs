//! Envoy's attributes of what is counted, for expressions of labels.

use lateen_telemetry::attributes::{endpoint, peer};
use lateen_telemetry::cel::{Attributes, Value};
use lateen_telemetry::labels::{Facts, Reporter};
use lateen_telemetry::peer::Peer;

use super::ends::{Asked, Key, Place};

/// A key of traffic and what is known of it.
pub struct About<'a> {
    pub key: &'a Key,
    pub facts: &'a Facts<'a>,
    /// The proxy's own node.
    pub node: &'a Value,
}

impl Attributes for About<'_> {
    fn attribute(&self, group: &str, name: &str) -> Option<Value> {
        let place: &Place = &self.key.shown.as_ref()?.place;
        match (group, name) {
            ("source", _) => endpoint(place.source?, name),
            ("destination", _) => endpoint(place.destination?, name),
            ("upstream", _) => endpoint(place.upstream?, name),
            ("connection", "mtls") => Some(Value::Bool(false)),
            ("connection", "requested_server_name") => {
                Some(Value::Text(place.server_name.clone().unwrap_or_default()))
            }
            ("response", "flags") => {
                let flags = self.key.flags.iter().fold(0, |all, flag| all | flag.bit());
                i64::try_from(flags).ok().map(Value::Int)
            }
            ("xds", "cluster_name") => match &self.key.asked {
                Asked::Cluster { name, .. } | Asked::Missing { name, .. } => {
                    Some(Value::Text(name.0.clone()))
                }
                Asked::Hole | Asked::Nothing => None,
            },
            ("xds", "listener_direction") => Some(Value::Int(match self.facts.reporter {
                Reporter::Destination => 1,
                Reporter::Source => 2,
            })),
            ("xds", "node") => Some(self.node.clone()),
            ("node", _) => self.node.member(name),
            ("upstream_peer" | "downstream_peer", _) => peer(self.peer(group)?, name),
            ("filter_state", "upstream_peer" | "downstream_peer") => {
                Some(lateen_telemetry::attributes::members(self.peer(name)?))
            }
            _ => None,
        }
    }
}

impl About<'_> {
    /// The far end: upstream of a client's proxy, downstream of a server's.
    fn peer(&self, which: &str) -> Option<&Peer> {
        match (self.facts.reporter, which) {
            (Reporter::Source, "upstream_peer") => Some(self.facts.destination),
            (Reporter::Destination, "downstream_peer") => Some(self.facts.source),
            _ => None,
        }
    }
}
