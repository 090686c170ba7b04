//! What an edge is told from others by. In: the labels of Istio's metrics. Out: a key.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use envoy_types::pb::io::prometheus::client::LabelPair;
use lateen_telemetry::labels::{LONGEST, Reporter, STANDARD, cut};
use lateen_telemetry::peer::UNKNOWN;

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

const MUTUAL_TLS: &str = "mutual_tls";

/// What stands for workloads that a reader may not look at.
const HIDDEN: &str = "other namespaces";

/// Keeps one copy of each text.
#[derive(Debug, Default)]
pub struct Texts {
    all: HashSet<Arc<str>>,
    bytes: usize,
}

impl Texts {
    pub fn get(&mut self, text: &str) -> Arc<str> {
        match self.all.get(text) {
            Some(known) => known.clone(),
            None => self.keep(text.into()),
        }
    }

    /// The copy that is kept, which is this one if there was none.
    fn keep(&mut self, text: Arc<str>) -> Arc<str> {
        if text.is_empty() {
            // There is one for the whole process.
            return Arc::default();
        }
        if let Some(known) = self.all.get(&text) {
            return known.clone();
        }
        self.bytes += cost(&text);
        self.all.insert(text.clone());
        text
    }

    /// What they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Forgets the texts that nobody else has.
    pub fn sweep(&mut self) {
        self.all.retain(|text| Arc::strong_count(text) > 1);
        self.bytes = self.all.iter().map(cost).sum();
    }
}

/// A text with its two counts and its place in the set.
fn cost(text: &Arc<str>) -> usize {
    text.len() + 2 * size_of::<usize>() + size_of::<Arc<str>>()
}

impl Party {
    pub fn is_known(&self) -> bool {
        !self.workload.is_empty()
    }

    fn kept(&self, texts: &mut Texts) -> Self {
        let mut kept = |text: &Arc<str>| texts.keep(text.clone());
        Self {
            cluster: kept(&self.cluster),
            namespace: kept(&self.namespace),
            workload: kept(&self.workload),
            app: kept(&self.app),
            version: kept(&self.version),
            principal: kept(&self.principal),
        }
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
        let protocol = match &*value("request_protocol") {
            "tcp" => Protocol::Tcp,
            "http" => Protocol::Http,
            "grpc" => Protocol::Grpc,
            _ => return None,
        };
        let mut party = |side: &str| {
            let mut text = |name: &str| texts.get(&value(&format!("{side}_{name}")));
            Party {
                cluster: text("cluster"),
                namespace: text("workload_namespace"),
                workload: text("workload"),
                app: text("canonical_service"),
                version: text("canonical_revision"),
                principal: text("principal"),
            }
        };
        let (source, destination) = (party("source"), party("destination"));
        let mut text = |name: &str| texts.get(&value(name));
        let service = Service {
            host: text("destination_service"),
            name: text("destination_service_name"),
            namespace: text("destination_service_namespace"),
        };
        let code = match protocol {
            Protocol::Grpc => "grpc_response_status",
            Protocol::Http | Protocol::Tcp => "response_code",
        };
        let flags = value("response_flags");
        let flags = if flags == "-" { "" } else { &*flags };
        Some(Self {
            reporter,
            source,
            destination,
            service,
            protocol,
            mutual_tls: value("connection_security_policy") == MUTUAL_TLS,
            code: texts.get(&value(code)),
            flags: texts.get(flags),
        })
    }

    /// The labels that it is read from.
    pub fn labels(&self) -> Vec<LabelPair> {
        let mut labels = Vec::with_capacity(STANDARD.len());
        let mut put = |name: String, value: &str| {
            let value = if value.is_empty() { UNKNOWN } else { value };
            labels.push(LabelPair { name: Some(name), value: Some(value.to_owned()) });
        };
        for (side, party) in [("source", &self.source), ("destination", &self.destination)] {
            for (name, value) in [
                ("cluster", &party.cluster),
                ("workload_namespace", &party.namespace),
                ("workload", &party.workload),
                ("canonical_service", &party.app),
                ("canonical_revision", &party.version),
                ("principal", &party.principal),
            ] {
                put(format!("{side}_{name}"), value);
            }
        }
        let (protocol, code) = match self.protocol {
            Protocol::Tcp => ("tcp", "response_code"),
            Protocol::Http => ("http", "response_code"),
            Protocol::Grpc => ("grpc", "grpc_response_status"),
        };
        let security = if self.mutual_tls { MUTUAL_TLS } else { "" };
        for (name, value) in [
            ("reporter", self.reporter.as_str()),
            ("request_protocol", protocol),
            ("destination_service", &*self.service.host),
            ("destination_service_name", &*self.service.name),
            ("destination_service_namespace", &*self.service.namespace),
            ("connection_security_policy", security),
            ("response_flags", &*self.flags),
            (code, &*self.code),
        ] {
            put(name.to_owned(), value);
        }
        labels
    }

    /// Whether what it counts went wrong: a connection with flags, a 5xx, a status that is not OK.
    pub fn is_failure(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => !self.flags.is_empty(),
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
mod tests {
    use super::{Key, LabelPair, Party, Protocol, Reporter, Service, Texts};

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
