//! Workloads (what owns an address) and endpoints (a workload behind one port of a service).

use std::net::IpAddr;
use std::sync::Arc;

use lateen_api::owner::Owner;

use crate::meta::Meta;
use crate::service::Labels;

/// Something that listens: a Pod, a WorkloadEntry, or an address that only a ServiceEntry or an
/// EndpointSlice names.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    pub meta: Arc<Meta>,
    /// What owns it, such as the Deployment of a Pod; itself if nothing does.
    pub owner: Owner,
    pub address: Address,
    pub labels: Labels,
    /// Named ports: the name of a service's port, or of its target port, to a number.
    pub ports: Vec<(String, u16)>,
    pub weight: u32,
    pub locality: Locality,
    pub service_account: String,
    pub network: String,
    pub healthy: bool,
    /// No object of its own: written inside a ServiceEntry, or only an EndpointSlice's address.
    pub synthetic: bool,
    /// Not written at all: a DNS ServiceEntry without endpoints resolves its own host.
    pub implied: bool,
}

/// Where a workload is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Ip(IpAddr),
    /// A name that the proxy resolves.
    Host(String),
    /// A Unix domain socket's path.
    Unix(String),
}

/// `region/zone/subzone`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locality {
    pub region: String,
    pub zone: String,
    pub subzone: String,
}

/// One workload behind one port of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub workload: Arc<Workload>,
    pub port: u16,
    pub health: Health,
}

/// What a balancer may do with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Unhealthy,
    /// Ends soon: established connections stay, new ones go elsewhere.
    Draining,
}

impl Address {
    /// Reads an address as Istio objects write it.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix://") {
            return (!path.is_empty()).then(|| Self::Unix(path.to_owned()));
        }
        if let Ok(ip) = text.parse() {
            return Some(Self::Ip(ip));
        }
        let host = !text.is_empty() && !text.contains(['/', ' ', ':']) && !text.starts_with('*');
        host.then(|| Self::Host(text.to_owned()))
    }

    /// The IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            _ => None,
        }
    }
}

impl Locality {
    /// Reads `region/zone/subzone` (or Istio's label form with dots).
    pub fn parse(text: &str) -> Self {
        let separator = if text.contains('/') { '/' } else { '.' };
        let mut parts = text.splitn(3, separator).map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }
}

impl Workload {
    /// The number this workload gives to a port name.
    pub fn named_port(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }

    /// The canonical service of Istio's telemetry.
    pub fn canonical_name(&self) -> &str {
        self.labelled_name().unwrap_or(&self.owner.name)
    }

    /// As the labels say it.
    pub fn labelled_name(&self) -> Option<&str> {
        self.label(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
    }

    /// The canonical revision of Istio's telemetry.
    pub fn canonical_revision(&self) -> &str {
        self.labelled_revision().unwrap_or("latest")
    }

    /// As the labels say it.
    pub fn labelled_revision(&self) -> Option<&str> {
        self.label(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
    }

    /// The first of these that there is.
    fn label(&self, keys: [&str; 3]) -> Option<&str> {
        keys.iter().find_map(|key| self.labels.get(*key)).map(String::as_str)
    }
}

/// The owner of what nothing owns.
pub fn itself(meta: &Meta) -> Owner {
    Owner::new(&meta.object.group, &meta.object.kind, &meta.name)
}

/// Whether `labels` contain all of `selector`; an empty selector matches everything.
pub fn matches(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
