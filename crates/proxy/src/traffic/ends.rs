//! What a connection is counted by. In: what the data path holds anyway. Out: keys that cost nothing to make
//! or compare, and the labels that they stand for.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use lateen_telemetry::Flag;
use lateen_telemetry::labels::{Reporter, Service};
use lateen_telemetry::peer::{Peer, unknown};
use serde_json::Value;

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
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub reporter: Reporter,
    pub source: End,
    pub destination: End,
    pub asked: Asked,
    pub flags: &'static [Flag],
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

impl Key {
    pub fn with_flags(&self, flags: &'static [Flag]) -> Self {
        Self { flags, ..self.clone() }
    }
}

impl Asked {
    /// The service, by the cluster's origin, else by its name, else by the workload that was reached.
    pub fn service(&self, destination: &Peer) -> Service {
        let Self::Cluster { name, origin } = self else {
            return Service { host: unknown(), name: unknown(), namespace: unknown() };
        };
        let origin = origin.as_ref().and_then(|origin| declared(&origin.0));
        origin.or_else(|| from_name(&name.0)).unwrap_or_else(|| Service {
            host: unknown(),
            name: name.0.clone(),
            namespace: destination.namespace.clone(),
        })
    }
}

/// The first of the services that a cluster is for.
fn declared(origin: &str) -> Option<Service> {
    let origin: Value = serde_json::from_str(origin).ok()?;
    let service = origin["services"].get(0)?;
    let text = |field: &str| service[field].as_str().map_or_else(unknown, Arc::from);
    Some(Service { host: text("host"), name: text("name"), namespace: text("namespace") })
}

/// `outbound|PORT|SUBSET|HOST`: a host of the mesh is `NAME.NAMESPACE.svc.…`.
fn from_name(cluster: &str) -> Option<Service> {
    let host = cluster.strip_prefix("outbound|")?.splitn(3, '|').nth(2)?;
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
