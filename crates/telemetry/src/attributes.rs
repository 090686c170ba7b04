//! Envoy's attributes of a connection that has ended, for expressions about its record. Source: Envoy's page on
//! attributes. What only a request or TLS has is absent, as it is in Envoy on a TCP connection.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::cel::{Attributes, Value};
use crate::peer::Peer;
use crate::record::AccessRecord;

/// Envoy's number of the direction of a listener for what comes in.
const INBOUND: i32 = 1;

impl Attributes for AccessRecord {
    fn attribute(&self, group: &str, name: &str) -> Option<Value> {
        match group {
            "source" => endpoint(self.downstream_remote, name),
            "destination" => endpoint(self.downstream_local, name),
            "connection" => self.connection(name),
            "upstream" => self.upstream(name),
            "request" => self.request(name),
            "response" => self.response(name),
            "xds" => self.xds(name),
            "node" => self.proxy.node.member(name),
            "downstream_peer" | "upstream_peer" => peer(self.peer(group)?.as_ref(), name),
            "filter_state" => Some(members(self.peer(name)?.as_ref())),
            _ => None,
        }
    }
}

impl AccessRecord {
    fn connection(&self, name: &str) -> Option<Value> {
        match name {
            "mtls" => Some(Value::Bool(false)),
            "requested_server_name" => {
                Some(Value::Text(self.server_name.clone().unwrap_or_default()))
            }
            "id" => Some(Value::Uint(self.id)),
            _ => None,
        }
    }

    fn upstream(&self, name: &str) -> Option<Value> {
        match name {
            "address" | "port" => endpoint(self.upstream_remote?, name),
            "local_address" => Some(Value::text(self.upstream_local?.to_string())),
            "transport_failure_reason" => {
                Some(Value::text(self.transport_failure().unwrap_or_default()))
            }
            "cx_pool_ready_duration" => Some(Value::Duration(self.upstream_id.and(self.ready)?)),
            "request_attempt_count" => Some(Value::Uint(u64::from(self.attempts))),
            _ => None,
        }
    }

    fn request(&self, name: &str) -> Option<Value> {
        match name {
            "duration" => Some(Value::Duration(self.duration)),
            "size" | "total_size" => i64::try_from(self.bytes_received).ok().map(Value::Int),
            _ => None,
        }
    }

    fn response(&self, name: &str) -> Option<Value> {
        match name {
            "flags" => {
                let flags = self.envoys_flags().fold(0, |all, flag| all | flag.bit());
                i64::try_from(flags).ok().map(Value::Int)
            }
            "size" | "total_size" => i64::try_from(self.bytes_sent).ok().map(Value::Int),
            _ => None,
        }
    }

    fn xds(&self, name: &str) -> Option<Value> {
        match name {
            "cluster_name" => self.cluster.clone().map(Value::Text),
            "filter_chain_name" => Some(Value::Text(self.filter_chain.clone())),
            "listener_direction" => Some(Value::Int(self.direction.into())),
            "node" => Some(self.proxy.node.clone()),
            _ => None,
        }
    }

    /// Who was reached, by the endpoint's metadata or its address; at a server's proxy, who came.
    fn peer(&self, which: &str) -> Option<Cow<'_, Peer>> {
        let far = || self.far.as_deref().map(Cow::Borrowed);
        match (which, self.direction == INBOUND) {
            ("downstream_peer", true) => far(),
            ("upstream_peer", false) => self.endpoint().map(Cow::Owned).or_else(far),
            _ => None,
        }
    }

    fn endpoint(&self) -> Option<Peer> {
        let about: serde_json::Value = serde_json::from_str(self.workload.as_deref()?).ok()?;
        about["workload"].as_str().map(Peer::from_compact)
    }
}

/// `address` with its port, or `port`.
pub fn endpoint(address: SocketAddr, name: &str) -> Option<Value> {
    match name {
        "address" => Some(Value::text(address.to_string())),
        "port" => Some(Value::Int(i64::from(address.port()))),
        _ => None,
    }
}

/// What Istio's metadata says of a peer.
pub fn peer(peer: &Peer, name: &str) -> Option<Value> {
    members(peer).member(name)
}

/// All of that.
pub fn members(peer: &Peer) -> Value {
    let all = [
        ("workload", &peer.workload),
        ("namespace", &peer.namespace),
        ("cluster", &peer.cluster),
        ("service", &peer.canonical_service),
        ("revision", &peer.canonical_revision),
        ("app", &peer.app),
        ("version", &peer.version),
    ];
    let known = all.into_iter().map(|(name, value)| (name.into(), Value::Text(value.clone())));
    Value::Map(Arc::new(known.collect::<BTreeMap<_, _>>()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::cel::{Expression, Value};
    use crate::peer::Peer;
    use crate::record::{AccessRecord, ProxyFacts};
    use crate::sample::record;

    #[test]
    fn a_connection_has_envoys_attributes() {
        for text in [
            "response.flags == 0x8020 && connection.id == 7u && !has(connection.termination_details)",
            "upstream.transport_failure_reason == 'delayed connect error: Connection refused'",
            "source.address == '10.0.0.7:41000' && source.port == 41000 && destination.port == 8020",
            "upstream.address == '10.0.0.2:8020' && upstream.transport_failure_reason != ''",
            "!connection.mtls && connection.requested_server_name == ''",
            "request.size == 5 && response.total_size == 7 && request.duration < duration('1s')",
            "xds.cluster_name.startsWith('outbound|8020|')",
            "upstream_peer.app == 'echo' && filter_state['upstream_peer'].namespace == 'default'",
            "!has(response.code) && !has(request.host) && !has(upstream.local_address)",
            "upstream.request_attempt_count == 3 && !has(upstream.cx_pool_ready_duration)",
            "!has(downstream_peer.app) && !has(filter_state.downstream_peer)",
        ] {
            assert!(Expression::parse(text).unwrap().is_true(&record()), "{text}");
        }
        let node = Value::Map(Arc::new([("id".into(), Value::text("sidecar~a"))].into()));
        let proxy = ProxyFacts { node, ..ProxyFacts::default() };
        let named = AccessRecord { proxy: proxy.into(), ..record() };
        for text in ["xds.listener_direction == 2 && xds.node.id == 'sidecar~a'", "has(node.id)"] {
            assert!(Expression::parse(text).unwrap().is_true(&named), "{text}");
        }
        let far = Some(Arc::new(Peer::from_compact("web-v1;shop;web;v1;Kubernetes")));
        let known = AccessRecord { far, workload: None, upstream_id: Some(8), ..record() };
        let text =
            "upstream_peer.app == 'web' && upstream.cx_pool_ready_duration > duration('1ms')";
        assert!(Expression::parse(text).unwrap().is_true(&known), "an endpoint without metadata");
        let inbound = AccessRecord { direction: 1, ..known };
        for text in [
            "downstream_peer.workload == 'web-v1' && !has(upstream_peer.workload)",
            "filter_state['downstream_peer'].namespace == 'shop' && !has(filter_state.other)",
        ] {
            assert!(Expression::parse(text).unwrap().is_true(&inbound), "{text}");
        }
        let ended = AccessRecord { flags: &[], upstream_remote: None, ..record() };
        for text in ["response.flags != 0", "has(upstream.port)"] {
            assert!(!Expression::parse(text).unwrap().is_true(&ended), "{text}");
        }
    }
}
