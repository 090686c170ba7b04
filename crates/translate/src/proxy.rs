//! Who asks. In: the Node of a proxy's first request. Out: its role, place and settings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Struct, Value, value};

/// The names under which proxies have Istio's stats filter.
const STATS: [&str; 2] = [STATS_FILTER, "envoy.filters.network.istio_stats"];
/// A node id is of a pod's, a namespace's and a domain's name.
const LONGEST_ID: usize = 1024;
/// Istio's own name of it.
pub const STATS_FILTER: &str = "istio.stats";

/// What a proxy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Beside one workload.
    Sidecar,
    /// An ingress or egress gateway.
    Gateway,
}

/// A proxy, as far as its configuration depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    pub role: Role,
    /// The whole node id.
    pub id: String,
    pub name: String,
    pub namespace: String,
    /// The first is the one in the node id.
    pub addresses: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    /// `SERVICE_ACCOUNT`, if the proxy says it.
    pub service_account: Option<String>,
    /// Where a gateway's servers without `bind` listen (`LATEEN_BIND`).
    pub bind: Option<IpAddr>,
    /// Whether the workload's names are resolved by the proxy (`DNS_CAPTURE`), so that automatic
    /// addresses reach it.
    pub dns_capture: bool,
    /// Whether what comes in keeps its addresses on the way to the proxy (`INTERCEPTION_MODE: TPROXY`).
    pub transparent: bool,
    /// Istio's cluster name (`CLUSTER_ID`).
    pub cluster: String,
    /// Whether it counts traffic in Istio's metrics: stock Envoy lacks the filter, and says what it has.
    pub counts_traffic: bool,
}

impl Proxy {
    /// Reads Istio's node id, `role~IP~NAME.NAMESPACE~DOMAIN`, and metadata.
    ///
    /// # Errors
    /// A message for the client when the id has another form or the role is not known.
    pub fn from_node(node: &Node) -> Result<Self, String> {
        if node.id.len() > LONGEST_ID {
            return Err(format!("the node id has more than {LONGEST_ID} bytes"));
        }
        let parts: Vec<&str> = node.id.split('~').collect();
        let &[role, ip, name, domain] = parts.as_slice() else {
            let id = &node.id;
            return Err(format!("node id {id:?} is not role~ip~name.namespace~domain"));
        };
        let role = match role {
            "sidecar" => Role::Sidecar,
            "router" | "gateway" => Role::Gateway,
            other => return Err(format!("node role {other:?} is neither sidecar nor router")),
        };
        let empty = Struct::default();
        let metadata = node.metadata.as_ref().unwrap_or(&empty);
        let id_name = name.rsplit_once('.');
        let namespace = text(metadata, "NAMESPACE")
            .or_else(|| id_name.map(|(_, ns)| ns.to_owned()))
            .or_else(|| domain.split('.').next().map(str::to_owned))
            .filter(|namespace| !namespace.is_empty())
            .ok_or_else(|| format!("node id {:?} and its metadata name no namespace", node.id))?;
        let instance = text(metadata, "INSTANCE_IPS").unwrap_or_default();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for ip in std::iter::once(ip).chain(instance.split(',')).flat_map(|ip| ip.trim().parse()) {
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        let own = text(metadata, "NAME").or_else(|| id_name.map(|(name, _)| name.to_owned()));
        Ok(Self {
            role,
            id: node.id.clone(),
            name: own.unwrap_or_else(|| name.to_owned()),
            namespace,
            addresses,
            labels: labels(metadata),
            service_account: text(metadata, "SERVICE_ACCOUNT"),
            bind: text(metadata, "LATEEN_BIND").and_then(|bind| bind.parse().ok()),
            dns_capture: text(metadata, "DNS_CAPTURE").is_some_and(|value| value == "true"),
            transparent: role == Role::Sidecar
                && text(metadata, "INTERCEPTION_MODE").is_some_and(|mode| mode == "TPROXY"),
            cluster: text(metadata, "CLUSTER_ID").unwrap_or_else(|| "Kubernetes".to_owned()),
            counts_traffic: node.extensions.iter().any(|one| STATS.contains(&one.name.as_str())),
        })
    }

    /// The namespace that its id names, if it names one.
    pub fn id_namespace(&self) -> Option<&str> {
        Some(self.id.split('~').nth(2)?.rsplit_once('.')?.1)
    }

    /// Whether others reach it by IPv6, alone or too.
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// The address in the node id.
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }
}

fn text(metadata: &Struct, key: &str) -> Option<String> {
    let found = metadata.fields.get(key).and_then(as_text);
    found.filter(|value| !value.is_empty())
}

fn as_text(value: &Value) -> Option<String> {
    match value.kind.as_ref()? {
        value::Kind::StringValue(text) => Some(text.clone()),
        value::Kind::BoolValue(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn labels(metadata: &Struct) -> BTreeMap<String, String> {
    let Some(value::Kind::StructValue(labels)) =
        metadata.fields.get("LABELS").and_then(|value| value.kind.as_ref())
    else {
        return BTreeMap::new();
    };
    let pairs = labels.fields.iter();
    pairs.filter_map(|(key, value)| Some((key.clone(), as_text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::Node;
    use envoy_types::pb::google::protobuf::{Struct, Value, value};

    use super::{LONGEST_ID, Proxy, Role};

    fn node(id: &str) -> Node {
        Node { id: id.to_owned(), ..Default::default() }
    }

    #[test]
    fn istio_node_ids_are_understood() {
        let id = "router~10.0.0.9~gw-0.istio-system~istio-system.svc.cluster.local";
        let proxy = Proxy::from_node(&node(id)).unwrap();
        assert_eq!((proxy.role, proxy.name.as_str()), (Role::Gateway, "gw-0"));
        assert_eq!(proxy.namespace, "istio-system");
        assert_eq!(proxy.address().unwrap().to_string(), "10.0.0.9");
        let dotted = Proxy::from_node(&node("sidecar~10.0.0.9~a.b.shop~shop.svc.cluster.local"));
        let dotted = dotted.unwrap();
        assert_eq!((&*dotted.name, &*dotted.namespace), ("a.b", "shop"));
    }

    #[test]
    fn only_a_sidecar_in_mode_tproxy_is_transparent() {
        let of = |role: &str, mode: &str| {
            let kind = Some(value::Kind::StringValue(mode.to_owned()));
            let fields = [("INTERCEPTION_MODE".to_owned(), Value { kind })].into();
            let metadata = Some(Struct { fields });
            let id = format!("{role}~10.0.0.9~a.b~b.svc.cluster.local");
            Proxy::from_node(&Node { metadata, ..node(&id) }).unwrap().transparent
        };
        assert!(of("sidecar", "TPROXY"));
        assert!(!of("sidecar", "REDIRECT") && !of("router", "TPROXY"));
    }

    #[test]
    fn other_ids_are_refused_with_the_reason() {
        assert!(Proxy::from_node(&node("envoy")).unwrap_err().contains("role~ip"));
        let long = format!("sidecar~1.1.1.1~a.b~{}", "c".repeat(LONGEST_ID));
        assert!(Proxy::from_node(&node(&long)).unwrap_err().contains("1024 bytes"));
        assert!(Proxy::from_node(&node("ztunnel~1.1.1.1~a.b~c")).unwrap_err().contains("ztunnel"));
    }
}
