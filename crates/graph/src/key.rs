//! What an edge is told from others by. In: the labels of Istio's metrics. Out: a key.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use lateen_telemetry::labels::{LONGEST, Reporter, cut};
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

/// What stands for workloads that a reader may not look at.
const HIDDEN: &str = "other namespaces";

/// Keeps one copy of each text.
#[derive(Debug, Default)]
pub struct Texts(HashSet<Arc<str>>);

impl Texts {
    pub fn get(&mut self, text: &str) -> Arc<str> {
        match self.0.get(text) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = text.into();
                self.0.insert(new.clone());
                new
            }
        }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Forgets the texts that nobody else has.
    pub fn sweep(&mut self) {
        self.0.retain(|text| Arc::strong_count(text) > 1);
    }
}

impl Party {
    pub fn is_known(&self) -> bool {
        !self.workload.is_empty()
    }

    fn hidden() -> Self {
        Self { workload: HIDDEN.into(), app: HIDDEN.into(), ..Self::default() }
    }
}

impl Key {
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
            mutual_tls: value("connection_security_policy") == "mutual_tls",
            code: texts.get(&value(code)),
            flags: texts.get(flags),
        })
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
