//! The labels of Istio's metrics. In: what is known of a connection or request. Out: names and values in
//! Istio's order. Source: Istio's "Standard Metrics" page.

use std::borrow::Cow;
use std::sync::Arc;

use crate::peer::Peer;

/// Longer values are cut: a label is a name, and some of them come from outside.
pub const LONGEST: usize = 512;
/// Labels that may be added to a metric: each connection pays for each.
pub const ADDED_LABELS: usize = 50;
/// Where something was cut.
const CUT: &str = "…";

/// The names of the standard labels, of connections and of requests.
pub const STANDARD: [&str; 25] = [
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
];

/// Whose view it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reporter {
    /// The client's proxy, or a gateway.
    Source,
    /// The server's proxy.
    Destination,
}

/// How a connection was secured, as far as the reporter can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// The client's side does not say, as in Istio.
    Unknown,
    None,
    MutualTls,
}

/// The service that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Its full host name.
    pub host: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
}

/// What only a request has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Response {
    pub code: u16,
    /// gRPC's status, of gRPC requests.
    pub grpc: Option<u32>,
}

/// Everything that the standard labels are made of.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub reporter: Reporter,
    pub source: &'a Peer,
    pub destination: &'a Peer,
    pub service: &'a Service,
    /// `tcp`, `http` or `grpc`.
    pub protocol: &'static str,
    pub response: Option<Response>,
    /// Envoy's response flags; `-` for none.
    pub flags: Arc<str>,
    pub security: Security,
}

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    pub name: Cow<'static, str>,
    pub value: Arc<str>,
}

/// The labels of one series, cheap to share and to compare.
pub type Labels = Arc<[Label]>;

impl Reporter {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl Security {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::MutualTls => "mutual_tls",
        }
    }
}

impl Facts<'_> {
    /// The standard labels.
    pub fn labels(&self) -> Labels {
        let mut all = Vec::with_capacity(25);
        let mut put = |name: &'static str, value: Arc<str>| {
            all.push(Label { name: name.into(), value: bounded(value) });
        };
        put("reporter", self.reporter.as_str().into());
        put("source_workload", self.source.workload.clone());
        put("source_canonical_service", self.source.canonical_service.clone());
        put("source_canonical_revision", self.source.canonical_revision.clone());
        put("source_workload_namespace", self.source.namespace.clone());
        put("source_principal", self.source.principal.clone());
        put("source_app", self.source.app.clone());
        put("source_version", self.source.version.clone());
        put("source_cluster", self.source.cluster.clone());
        put("destination_workload", self.destination.workload.clone());
        put("destination_workload_namespace", self.destination.namespace.clone());
        put("destination_principal", self.destination.principal.clone());
        put("destination_app", self.destination.app.clone());
        put("destination_version", self.destination.version.clone());
        put("destination_service", self.service.host.clone());
        put("destination_canonical_service", self.destination.canonical_service.clone());
        put("destination_canonical_revision", self.destination.canonical_revision.clone());
        put("destination_service_name", self.service.name.clone());
        put("destination_service_namespace", self.service.namespace.clone());
        put("destination_cluster", self.destination.cluster.clone());
        put("request_protocol", self.protocol.into());
        if let Some(response) = &self.response {
            put("response_code", response.code.to_string().into());
            let grpc = response.grpc.map(|status| status.to_string()).unwrap_or_default();
            put("grpc_response_status", grpc.into());
        }
        put("response_flags", self.flags.clone());
        put("connection_security_policy", self.security.as_str().into());
        all.into()
    }
}

/// A value that is not longer than [`LONGEST`] bytes, with a mark where it was cut.
pub fn bounded(value: Arc<str>) -> Arc<str> {
    match value.len() {
        0..=LONGEST => value,
        _ => cut(&value, LONGEST).into(),
    }
}

/// The same with a limit of one's own.
pub fn cut(value: &str, longest: usize) -> Cow<'_, str> {
    if value.len() <= longest {
        return Cow::Borrowed(value);
    }
    let end = value.floor_char_boundary(longest.saturating_sub(CUT.len()));
    Cow::Owned(format!("{}{CUT}", &value[..end]))
}

/// Bytes of a label's name.
const LONGEST_NAME: usize = 256;

/// The name under which a label of one's own is exported: what Prometheus does not take in names is `_`, as Envoy
/// writes it.
///
/// # Errors
/// With the reason why there can be no label of that name.
pub fn exported_name(name: &str) -> Result<Cow<'_, str>, &'static str> {
    match name {
        "" => return Err("it is empty: write a name"),
        "le" | "quantile" => {
            return Err(
                "Prometheus keeps that name for its histograms and summaries: use another one",
            );
        }
        _ if name.len() > LONGEST_NAME => {
            return Err("it has more than 256 bytes: use a shorter name");
        }
        _ => {}
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let exported = match name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => Cow::Borrowed(name),
        false => {
            let digit = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
            Cow::Owned(digit.to_owned() + &name.replace(|c| !fits(c), "_"))
        }
    };
    match exported.starts_with("__") {
        true => Err("Prometheus keeps names that begin with __ for itself: use another one"),
        false => Ok(exported),
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, LONGEST, Reporter, Response, Security, Service, bounded};
    use crate::peer::Peer;

    fn facts<'a>(peers: &'a (Peer, Peer), service: &'a Service) -> Facts<'a> {
        Facts {
            reporter: Reporter::Destination,
            source: &peers.0,
            destination: &peers.1,
            service,
            protocol: "tcp",
            response: None,
            flags: "-".into(),
            security: Security::None,
        }
    }

    fn echo() -> ((Peer, Peer), Service) {
        let peers = (
            Peer::from_compact("client;a;client;v1;c1"),
            Peer::from_compact("echo-server;b;echo;v2;c2"),
        );
        let service = Service {
            host: "echo.b.svc.cluster.local".into(),
            name: "echo".into(),
            namespace: "b".into(),
        };
        (peers, service)
    }

    #[test]
    fn a_connection_has_istios_labels_in_istios_order() {
        let (peers, service) = echo();
        let labels = facts(&peers, &service).labels();
        let all: Vec<String> =
            labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        assert_eq!(
            all.join(" "),
            "reporter=destination source_workload=client source_canonical_service=client \
             source_canonical_revision=v1 source_workload_namespace=a source_principal=unknown \
             source_app=client source_version=v1 source_cluster=c1 \
             destination_workload=echo-server destination_workload_namespace=b \
             destination_principal=unknown destination_app=echo destination_version=v2 \
             destination_service=echo.b.svc.cluster.local destination_canonical_service=echo \
             destination_canonical_revision=v2 destination_service_name=echo \
             destination_service_namespace=b destination_cluster=c2 request_protocol=tcp \
             response_flags=- connection_security_policy=none"
        );
    }

    #[test]
    fn a_request_has_its_answers_too() {
        let (peers, service) = echo();
        let response = Some(Response { code: 200, grpc: Some(14) });
        let labels = Facts { response, protocol: "grpc", ..facts(&peers, &service) }.labels();
        let value = |name: &str| {
            labels.iter().find(|label| label.name == name).map(|label| label.value.to_string())
        };
        assert_eq!(value("response_code").as_deref(), Some("200"));
        assert_eq!(value("grpc_response_status").as_deref(), Some("14"));
        let names: Vec<&str> = labels.iter().map(|label| &*label.name).collect();
        assert_eq!(names, super::STANDARD);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let cut = bounded("é".repeat(100_000).into());
        assert!(cut.len() <= LONGEST && cut.ends_with("é…"), "{}", cut.len());
        assert_eq!(&*bounded("short".into()), "short");
    }
}
