//! Services: Kubernetes Services and ServiceEntry hosts in one shape, as translation asks for them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::meta::Meta;
use crate::visibility::ExportTo;

/// Labels or a selector, sorted by key.
pub type Labels = BTreeMap<String, String>;

/// One host name that clients may dial.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub hostname: Arc<str>,
    /// The object's name; for a ServiceEntry the host.
    pub name: Arc<str>,
    pub meta: Arc<Meta>,
    /// The object's own.
    pub labels: Arc<Labels>,
    pub ports: Vec<Port>,
    /// Virtual addresses that the object names itself.
    pub addresses: Vec<IpAddr>,
    /// Address ranges (a ServiceEntry's CIDR addresses), kept as ranges.
    pub ranges: Vec<ipnet::IpNet>,
    pub resolution: Resolution,
    pub location: Location,
    pub registry: Registry,
    /// `None`: the mesh's default.
    pub export_to: Option<ExportTo>,
    /// A Kubernetes Service with `clusterIP: None`.
    pub headless: bool,
    /// The name an `ExternalName` Service stands for.
    pub external_name: Option<String>,
    /// Which workloads belong to it; `None` selects nothing.
    pub selector: Option<Labels>,
    /// Whether an automatic address may be given to it.
    pub auto_allocate: bool,
    /// An automatic address (240.240.0.0/16), when it has none of its own.
    pub auto_address: Option<IpAddr>,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub number: u16,
    pub name: String,
    pub protocol: Protocol,
    pub target: TargetPort,
}

/// The port of the workload behind a service's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// Not written: the service's own number.
    Same,
    Number(u16),
    Named(String),
}

/// How the endpoints of a service are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The control plane knows the addresses.
    Static,
    /// The proxy resolves the endpoints' names.
    Dns,
    /// As `Dns`, but one address at a time.
    DnsRoundRobin,
    /// The client's own address is kept.
    Passthrough,
}

/// Whether a service's endpoints belong to the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Internal,
    External,
}

/// Where a service comes from; the words are Istio's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    Kubernetes,
    External,
}

impl Registry {
    /// The word of Istio's name table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::External => "External",
        }
    }
}

/// An application protocol, from a port's name, `appProtocol` or well-known number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http,
    Http2,
    Https,
    Grpc,
    GrpcWeb,
    Tcp,
    Tls,
    Mongo,
    Mysql,
    Redis,
    Udp,
    Hbone,
    /// Nothing said: Istio detects HTTP on such ports.
    Unknown,
}

impl Protocol {
    /// Reads a protocol word; names of ports may carry a suffix (`http-web`).
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let found = match word.as_str() {
            "http" | "http1" | "http/1.1" => Self::Http,
            "http2" | "kubernetes.io/h2c" | "h2c" => Self::Http2,
            "https" => Self::Https,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            "mongo" => Self::Mongo,
            "mysql" => Self::Mysql,
            "redis" => Self::Redis,
            "udp" => Self::Udp,
            "hbone" => Self::Hbone,
            _ => return None,
        };
        Some(found)
    }

    /// Istio's protocol selection for a Kubernetes port: UDP first, then `appProtocol`, the name's
    /// prefix, and ports on which the server speaks first.
    pub fn select(transport: &str, app: Option<&str>, name: &str, number: u16) -> Self {
        if transport.eq_ignore_ascii_case("udp") {
            return Self::Udp;
        }
        if let Some(found) = app.and_then(Self::from_word) {
            return found;
        }
        if name.starts_with("grpc-web") {
            return Self::GrpcWeb;
        }
        let prefix = name.split('-').next().unwrap_or(name);
        match Self::from_word(prefix) {
            Some(found) => found,
            None if server_speaks_first(number) => Self::Tcp,
            None => Self::Unknown,
        }
    }
}

/// Ports on which detection would wait for a client that waits for the server.
fn server_speaks_first(number: u16) -> bool {
    matches!(number, 25 | 53 | 3306 | 27017)
}

impl Service {
    /// Whether clients dial its endpoints' own addresses: those of a headless Service, and of fixed
    /// endpoints outside the mesh, which programs knew before the mesh gave their host an address.
    pub fn is_dialled_directly(&self) -> bool {
        let outside = self.location == Location::External && self.resolution == Resolution::Static;
        self.headless || (outside && self.auto_address.is_some())
    }

    /// The namespace of the object.
    pub fn namespace(&self) -> &str {
        &self.meta.namespace
    }

    /// The port of this number.
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The addresses that clients dial: its own, else the automatic one when `automatic` is wanted.
    pub fn dialled(&self, automatic: bool) -> Vec<IpAddr> {
        if !self.addresses.is_empty() || !self.ranges.is_empty() {
            return self.addresses.clone();
        }
        self.auto_address.filter(|_| automatic).into_iter().collect()
    }
}

impl Port {
    /// The number a workload without port names of its own listens on.
    pub fn target_number(&self) -> Option<u16> {
        match self.target {
            TargetPort::Same => Some(self.number),
            TargetPort::Number(number) => Some(number),
            TargetPort::Named(_) => None,
        }
    }

    /// Whether it carries TLS, so that connections can be told apart by their server names.
    pub fn is_tls(&self) -> bool {
        matches!(self.protocol, Protocol::Tls | Protocol::Https)
    }

    /// Whether it carries HTTP/2, gRPC among it.
    pub fn is_http2(&self) -> bool {
        matches!(self.protocol, Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
    }

    /// Whether it carries a stream that a TCP listener can take.
    pub fn is_tcp(&self) -> bool {
        self.protocol != Protocol::Udp
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn protocol_is_app_protocol_then_prefix_then_well_known_port() {
        assert_eq!(Protocol::select("TCP", Some("http"), "tcp", 80), Protocol::Http);
        assert_eq!(Protocol::select("TCP", None, "grpc-web-x", 80), Protocol::GrpcWeb);
        assert_eq!(Protocol::select("TCP", None, "tcp", 80), Protocol::Tcp);
        assert_eq!(Protocol::select("TCP", None, "db", 3306), Protocol::Tcp);
        assert_eq!(Protocol::select("TCP", None, "web", 8080), Protocol::Unknown);
        assert_eq!(Protocol::select("UDP", None, "http", 80), Protocol::Udp);
    }
}
