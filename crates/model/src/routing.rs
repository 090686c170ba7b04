//! Gateways, VirtualServices, DestinationRules and Sidecars, compiled: hosts resolved, numbers checked,
//! `.` and `*` understood. What cannot be used is left out, with an Issue by the converter.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::meta::Meta;
use crate::service::{Labels, Protocol};
use crate::visibility::ExportTo;

/// An Istio Gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    pub meta: Arc<Meta>,
    pub selector: Labels,
    pub servers: Vec<Server>,
}

/// One server of a Gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub port: u16,
    pub port_name: String,
    pub protocol: Protocol,
    pub bind: Option<IpAddr>,
    /// `(namespace pattern, DNS name)`: `*/host`, `./host` (namespace already put in), or `ns/host`.
    pub hosts: Vec<(String, String)>,
    pub tls: TlsMode,
}

/// What a server does with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS settings.
    None,
    /// Routed by SNI, not ended here.
    Passthrough,
    /// Routed by SNI to the cluster that it names, without a VirtualService.
    AutoPassthrough,
    /// Ended at the gateway.
    Terminate,
}

/// A VirtualService, as far as connections are routed.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualService {
    pub meta: Arc<Meta>,
    /// Resolved, lower case.
    pub hosts: Vec<Arc<str>>,
    /// `mesh` or `namespace/name`.
    pub gateways: Vec<Arc<str>>,
    pub export_to: Option<ExportTo>,
    pub tcp: Vec<L4Route>,
    pub tls: Vec<L4Route>,
}

/// A TCP or TLS route: any match leads to the weighted destinations.
#[derive(Debug, Clone, PartialEq)]
pub struct L4Route {
    pub matches: Vec<L4Match>,
    pub destinations: Vec<Destination>,
}

/// One match of a TCP or TLS route. Empty fields match everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct L4Match {
    pub port: Option<u16>,
    pub destination_subnets: Vec<IpNet>,
    pub source_subnet: Option<IpNet>,
    pub source_labels: Labels,
    pub source_namespace: Option<String>,
    pub gateways: Vec<Arc<str>>,
    pub sni_hosts: Vec<String>,
}

/// Where a share of the connections goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// The host as written.
    pub written: String,
    /// The names it may mean, the likeliest first.
    pub hosts: Vec<Arc<str>>,
    pub port: Option<u16>,
    pub subset: String,
    pub weight: u32,
    /// The path of `host` in the object.
    pub path: String,
}

/// A DestinationRule.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationRule {
    pub meta: Arc<Meta>,
    pub host: Arc<str>,
    pub export_to: Option<ExportTo>,
    pub workload_selector: Option<Labels>,
    pub policy: Option<TrafficPolicy>,
    pub subsets: Vec<Subset>,
}

/// A named part of a service's endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Subset {
    pub name: String,
    pub labels: Labels,
    pub policy: Option<TrafficPolicy>,
    /// The rule that defines it (rules for one host are merged).
    pub owner: Arc<Meta>,
}

/// The connection settings of a rule. `None` inherits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrafficPolicy {
    pub balancer: Option<Balancer>,
    pub pool: Option<TcpPool>,
    pub ports: Vec<(u16, TrafficPolicy)>,
}

/// How an endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    RoundRobin,
    LeastRequest,
    Random,
    Passthrough,
}

/// `connectionPool.tcp`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TcpPool {
    pub max_connections: Option<u32>,
    pub connect_timeout: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    pub keepalive: Option<Keepalive>,
}

/// TCP keepalive; `None` is the operating system's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// A Sidecar object.
#[derive(Debug, Clone, PartialEq)]
pub struct Sidecar {
    pub meta: Arc<Meta>,
    /// `None`: the default of its namespace.
    pub selector: Option<Labels>,
    /// Empty: everything is visible.
    pub egress: Vec<Egress>,
    pub outbound: Option<OutboundMode>,
}

/// One egress listener of a Sidecar.
#[derive(Debug, Clone, PartialEq)]
pub struct Egress {
    /// Only this port, or all.
    pub port: Option<u16>,
    /// `(namespace pattern, host pattern)`; `.` is already the Sidecar's namespace.
    pub hosts: Vec<(String, String)>,
    /// What it does not show of these, in the same form.
    pub left_out: Vec<(String, String)>,
}

/// What happens to connections to nowhere known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutboundMode {
    #[default]
    AllowAny,
    RegistryOnly,
}

impl TrafficPolicy {
    /// A subset's policy over its rule's: each field that is set wins. Istio's merge.
    #[must_use]
    pub fn overlaid(&self, over: Option<&Self>) -> Self {
        let Some(over) = over else { return self.clone() };
        let ports = if over.ports.is_empty() { &self.ports } else { &over.ports };
        Self {
            balancer: over.balancer.or(self.balancer),
            pool: over.pool.clone().or_else(|| self.pool.clone()),
            ports: ports.clone(),
        }
    }

    /// The settings for one port: those written for the port replace all others, unset ones included.
    #[must_use]
    pub fn for_port(&self, port: u16) -> Self {
        let found = self.ports.iter().find(|(number, _)| *number == port);
        found.map_or_else(|| self.clone(), |(_, policy)| policy.clone())
    }
}

impl Egress {
    /// Whether it lets a proxy see `host` of `namespace` on some port.
    pub fn sees(&self, namespace: &str, host: &str) -> bool {
        let of = |ns: &str| ns == "*" || ns == namespace;
        !self.left_out.iter().any(|(ns, pattern)| of(ns) && crate::host::covers(pattern, host))
            && self.hosts.iter().any(|(ns, pattern)| {
                of(ns)
                    && (crate::host::covers(pattern, host)
                        || (crate::host::is_wildcard(host) && crate::host::covers(host, pattern)))
            })
    }
}

impl VirtualService {
    /// Ports and gateways are matched by the callers; this says whether it concerns `gateway` at all.
    pub fn on_gateway(&self, gateway: &str) -> bool {
        self.gateways.iter().any(|name| &**name == gateway)
    }
}
