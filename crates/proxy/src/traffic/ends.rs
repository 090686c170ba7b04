//! What a connection is counted by. In: what the data path holds anyway. Out: keys that cost nothing to make
//! or compare, and the labels that they stand for.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lateen_routing::{Changes, Needs};
use lateen_telemetry::Flag;
use lateen_telemetry::labels::{Reporter, Service};
use lateen_telemetry::peer::{Peer, unknown};
use serde_json::Value;

use crate::decide::BLACK_HOLE;

/// A text that is told from others by where it is. Two of the same text are two keys of one series.
#[derive(Clone, Debug)]
pub struct Text(pub Arc<str>);

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The proxy's own workload.
    Own,
    /// What the control plane said of the endpoint: `filter_metadata.istio` as JSON.
    Endpoint(Text),
    /// Whoever has the address.
    Address(IpAddr),
    Unknown,
}

/// The service that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// What the control plane said of the cluster: `filter_metadata.istio` as JSON; and its name.
    Cluster {
        name: Text,
        origin: Option<Text>,
    },
    /// A cluster of which nothing is known but its name; and what the control plane said of the filter chain that leads
    /// there.
    Missing {
        name: Text,
        chain: Option<Text>,
    },
    /// Nobody knows which, and it leads nowhere.
    Hole,
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub reporter: Reporter,
    pub source: End,
    pub destination: End,
    pub asked: Asked,
    pub flags: &'static [Flag],
    /// Refused before a filter chain took it. Envoy counts no such connection, so it is in reports alone.
    pub untaken: bool,
    /// What is shown instead of the standard metrics, if they are changed.
    pub shown: Option<Shown>,
}

/// Changes of metrics, told from others by where they are, and what of a connection they ask for.
#[derive(Clone, Debug)]
pub struct Shown {
    pub changes: Arc<Changes>,
    pub place: Box<Place>,
}

/// What of one connection the expressions of labels ask for; nothing of what they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    pub source: Option<SocketAddr>,
    pub destination: Option<SocketAddr>,
    pub upstream: Option<SocketAddr>,
    pub server_name: Option<Arc<str>>,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<u8>().hash(state);
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.changes, &other.changes) && self.place == other.place
    }
}

impl Eq for Shown {}

impl Hash for Shown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.changes).hash(state);
        self.place.hash(state);
    }
}

impl Place {
    /// As much of it as is needed.
    #[must_use]
    pub fn limited_to(self, needs: Needs) -> Self {
        Self {
            source: self.source.filter(|_| needs.source),
            destination: self.destination.filter(|_| needs.destination),
            upstream: self.upstream.filter(|_| needs.upstream),
            server_name: self.server_name.filter(|_| needs.server_name),
        }
    }
}

impl Key {
    pub fn with_flags(&self, flags: &'static [Flag]) -> Self {
        Self { flags, ..self.clone() }
    }
}

impl Asked {
    /// The service, by the cluster's origin or its chain's, else by its name, else by the workload that was reached.
    pub fn service(&self, destination: &Peer) -> Service {
        let nothing = |name| Service { host: unknown(), name, namespace: unknown() };
        let (name, declared) = match self {
            Self::Cluster { name, origin } => {
                (name, origin.as_ref().and_then(|origin| declared(&origin.0, |_| true)))
            }
            Self::Missing { name, chain } => {
                let host = host(&name.0);
                let leads_there =
                    |service: &Value| host.is_some_and(|host| service["host"] == host);
                (name, chain.as_ref().and_then(|chain| declared(&chain.0, leads_there)))
            }
            Self::Hole => return nothing(BLACK_HOLE.into()),
            Self::Nothing => return nothing(unknown()),
        };
        declared.or_else(|| from_name(&name.0)).unwrap_or_else(|| Service {
            host: unknown(),
            name: name.0.clone(),
            namespace: destination.namespace.clone(),
        })
    }
}

/// The first of the services in an origin that is wanted.
fn declared(origin: &str, is_wanted: impl Fn(&Value) -> bool) -> Option<Service> {
    let origin: Value = serde_json::from_str(origin).ok()?;
    let service = origin["services"].as_array()?.iter().find(|service| is_wanted(service))?;
    let text = |field: &str| service[field].as_str().map_or_else(unknown, Arc::from);
    Some(Service { host: text("host"), name: text("name"), namespace: text("namespace") })
}

/// That of `outbound|PORT|SUBSET|HOST`.
fn host(cluster: &str) -> Option<&str> {
    cluster.strip_prefix("outbound|")?.splitn(3, '|').nth(2)
}

/// By the host alone: one of the mesh is `NAME.NAMESPACE.svc.…`.
fn from_name(cluster: &str) -> Option<Service> {
    let host = host(cluster)?;
    let (name, namespace) = match host.split('.').collect::<Vec<_>>().as_slice() {
        [name, namespace, "svc", ..] => ((*name).into(), (*namespace).into()),
        _ => (host.into(), unknown()),
    };
    Some(Service { host: host.into(), name, namespace })
}

/// The workload that an endpoint's metadata names.
pub fn endpoint(about: &Text) -> Peer {
    let about: Value = serde_json::from_str(&about.0).unwrap_or_default();
    about["workload"].as_str().map(Peer::from_compact).unwrap_or_default()
}

/// `UF,URX`; `-` for none.
pub fn flags(flags: &[Flag]) -> Arc<str> {
    match flags {
        [] => "-".into(),
        flags => flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(",").into(),
    }
}
