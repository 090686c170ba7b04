//! What an edge is told from others by. In: the labels of Istio's metrics. Out: a key.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::io::prometheus::client::LabelPair;
use lateen_telemetry::labels::{LONGEST, Reporter, STANDARD, cut};
use lateen_telemetry::peer::UNKNOWN;

use crate::texts::Texts;

/// One end. An empty text is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Party {
    pub cluster: Arc<str>,
    pub namespace: Arc<str>,
    pub workload: Arc<str>,
    pub app: Arc<str>,
    pub version: Arc<str>,
    pub principal: Arc<str>,
}

/// The service that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    pub host: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Http,
    Grpc,
}

/// The labels of one series, but those that are of no use to the graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub reporter: Reporter,
    pub source: Party,
    pub destination: Party,
    pub service: Service,
    pub protocol: Protocol,
    pub mutual_tls: bool,
    /// Envoy's response flags; empty for none.
    pub flags: Arc<str>,
    /// The response code, or gRPC's status; empty for connections.
    pub code: Arc<str>,
}

/// The labels of either end, in the order of a party's texts.
const SOURCE: [&str; 6] = [
    "source_cluster",
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_principal",
];
const DESTINATION: [&str; 6] = [
    "destination_cluster",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_principal",
];
/// Those of the service: host, name, namespace.
const SERVICE: [&str; 3] =
    ["destination_service", "destination_service_name", "destination_service_namespace"];
const SECURITY: &str = "connection_security_policy";
/// Envoy's flag of a connection that its client broke off.
const CLIENT_ENDED: &str = "DC";
const MUTUAL_TLS: &str = "mutual_tls";

/// What stands for workloads that a reader may not look at.
const HIDDEN: &str = "other namespaces";

impl Protocol {
    fn named(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Http, Self::Grpc].into_iter().find(|protocol| protocol.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// The label that says how it went.
    fn code(self) -> &'static str {
        match self {
            Self::Grpc => "grpc_response_status",
            Self::Http | Self::Tcp => "response_code",
        }
    }
}

impl Party {
    fn new([cluster, namespace, workload, app, version, principal]: [Arc<str>; 6]) -> Self {
        Self { cluster, namespace, workload, app, version, principal }
    }

    fn texts(&self) -> [&Arc<str>; 6] {
        let Self { cluster, namespace, workload, app, version, principal } = self;
        [cluster, namespace, workload, app, version, principal]
    }

    pub fn is_known(&self) -> bool {
        !self.workload.is_empty()
    }

    fn kept(&self, texts: &mut Texts) -> Self {
        Self::new(self.texts().map(|text| texts.keep(text.clone())))
    }

    fn hidden() -> Self {
        Self { workload: HIDDEN.into(), app: HIDDEN.into(), ..Self::default() }
    }
}

impl Key {
    /// The key of a series' labels, as [`Key::read`] has it.
    pub fn of(labels: &[LabelPair], texts: &mut Texts) -> Option<Self> {
        let value = |name: &str| labels.iter().find(|one| one.name() == name).map(LabelPair::value);
        Self::read(value, texts)
    }

    /// The same key, whose texts are those that are kept.
    pub fn kept(&self, texts: &mut Texts) -> Self {
        let (source, destination) = (self.source.kept(texts), self.destination.kept(texts));
        let mut kept = |text: &Arc<str>| texts.keep(text.clone());
        let service = Service {
            host: kept(&self.service.host),
            name: kept(&self.service.name),
            namespace: kept(&self.service.namespace),
        };
        let (flags, code) = (kept(&self.flags), kept(&self.code));
        Self { source, destination, service, flags, code, ..self.clone() }
    }

    /// `None` for labels that are not of Istio's standard metrics. Long values are cut, as proxies cut them.
    pub fn read<'l>(label: impl Fn(&str) -> Option<&'l str>, texts: &mut Texts) -> Option<Self> {
        let value = |name: &str| {
            let found = label(name).filter(|value| *value != UNKNOWN).unwrap_or_default();
            cut(found, LONGEST)
        };
        let reporter = match &*value("reporter") {
            "source" => Reporter::Source,
            "destination" => Reporter::Destination,
            _ => return None,
        };
        let protocol = Protocol::named(&value("request_protocol"))?;
        let flags = value("response_flags");
        let flags = if flags == "-" { "" } else { &*flags };
        let flags = texts.get(flags);
        let mut text = |name: &str| texts.get(&value(name));
        let (source, destination) = (SOURCE.map(&mut text), DESTINATION.map(&mut text));
        let [host, name, namespace] = SERVICE.map(&mut text);
        Some(Self {
            reporter,
            source: Party::new(source),
            destination: Party::new(destination),
            service: Service { host, name, namespace },
            protocol,
            mutual_tls: value(SECURITY) == MUTUAL_TLS,
            code: text(protocol.code()),
            flags,
        })
    }

    /// The labels that it is read from.
    pub fn labels(&self) -> Vec<LabelPair> {
        let mut labels = Vec::with_capacity(STANDARD.len());
        let mut put = |name: &str, value: &str| {
            let value = if value.is_empty() { UNKNOWN } else { value };
            labels.push(LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) });
        };
        for (names, party) in [(SOURCE, &self.source), (DESTINATION, &self.destination)] {
            names.iter().zip(party.texts()).for_each(|(name, value)| put(name, value));
        }
        let Service { host, name, namespace } = &self.service;
        SERVICE.iter().zip([host, name, namespace]).for_each(|(name, value)| put(name, value));
        put("reporter", self.reporter.as_str());
        put("request_protocol", self.protocol.name());
        put(SECURITY, if self.mutual_tls { MUTUAL_TLS } else { "" });
        put("response_flags", &self.flags);
        put(self.protocol.code(), &self.code);
        labels
    }

    /// Whether what it counts went wrong: a connection with flags, a 5xx, a status that is not OK. A client that breaks
    /// its own connection off, as probes of load balancers do, says nothing of whom it spoke with.
    pub fn is_failure(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => !matches!(&*self.flags, "" | CLIENT_ENDED),
            Protocol::Http => self.code.starts_with('5') || &*self.code == "0",
            Protocol::Grpc => !matches!(&*self.code, "" | "0"),
        }
    }

    /// What its connections are when they begin.
    pub fn without_flags(&self) -> Self {
        let none: Arc<str> = "".into();
        Self { flags: none.clone(), code: none, mutual_tls: false, ..self.clone() }
    }

    fn namespaces(&self) -> impl Iterator<Item = &str> {
        let all = [&self.source.namespace, &self.destination.namespace, &self.service.namespace];
        all.into_iter().map(|namespace| &**namespace).filter(|namespace| !namespace.is_empty())
    }

    pub fn touches(&self, namespace: &str) -> bool {
        self.namespaces().any(|one| one == namespace)
    }

    /// Whether it touches one of these namespaces, and no others.
    pub fn is_within(&self, namespaces: &BTreeSet<String>) -> bool {
        let mut all = self.namespaces().peekable();
        all.peek().is_some() && all.all(|namespace| namespaces.contains(namespace))
    }

    /// As whoever may look into these namespaces alone sees it: what is in others has no name. `None` if it touches
    /// none of them.
    pub fn seen_in(&self, namespaces: &BTreeSet<String>) -> Option<Self> {
        if !self.namespaces().any(|namespace| namespaces.contains(namespace)) {
            return None;
        }
        let hides = |of: &str| !of.is_empty() && !namespaces.contains(of);
        let mut seen = self.clone();
        if hides(&self.source.namespace) {
            seen.source = Party::hidden();
        }
        let hides_service = hides(&self.service.namespace);
        if hides_service {
            seen.service = Service::default();
        }
        let is_lost = hides_service && !self.destination.is_known();
        if hides(&self.destination.namespace) || is_lost {
            seen.destination = Party::hidden();
        }
        Some(seen)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Key, LabelPair, Party, Protocol, Reporter, Service, Texts};

    /// Of connections of which a client tells.
    pub(crate) fn tcp(source: Party, service: Service, destination: Party) -> Key {
        Key {
            reporter: Reporter::Source,
            source,
            destination,
            service,
            protocol: Protocol::Tcp,
            mutual_tls: false,
            flags: "".into(),
            code: "".into(),
        }
    }

    #[test]
    fn a_key_is_read_from_its_own_labels() {
        let party = |name: &str| Party {
            cluster: "c".into(),
            namespace: format!("{name}-ns").into(),
            workload: name.into(),
            app: "app".into(),
            version: "".into(),
            principal: format!("spiffe://{name}").into(),
        };
        let tcp = Key {
            reporter: Reporter::Destination,
            source: party("a"),
            destination: party("b"),
            service: Service { host: "b.ns".into(), name: "b".into(), namespace: "ns".into() },
            protocol: Protocol::Tcp,
            mutual_tls: true,
            flags: "UF".into(),
            code: "0".into(),
        };
        let none = Party::default();
        let grpc = Key { source: none, protocol: Protocol::Grpc, code: "14".into(), ..tcp.clone() };
        let http = Key {
            reporter: Reporter::Source,
            protocol: Protocol::Http,
            mutual_tls: false,
            flags: "".into(),
            ..tcp.clone()
        };
        for key in [tcp, grpc, http] {
            let labels = key.labels();
            let value =
                |name: &str| labels.iter().find(|one| one.name() == name).map(LabelPair::value);
            assert_eq!(Key::read(value, &mut Texts::default()), Some(key));
        }
    }
}
