//! Objects -> the model's types. Each converter takes one object, uses it as far as it is sound and
//! notes the rest as Issues; none fails the whole object without saying why.

pub mod destination_rule;
pub mod entry;
pub mod gateway;
pub mod mesh;
pub mod provider;
pub mod service;
pub mod sidecar;
pub mod telemetry;
pub mod virtual_service;

use ipnet::IpNet;
use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::istio::networking::{TcpKeepalive, TcpSettings};

use crate::meta::Meta;
use crate::routing::{Keepalive, TcpPool};

/// A field that Lateen reads but does not act on yet.
pub const NOT_SUPPORTED: Code = Code("LTN0001");

/// Two objects want the same place and the older has it.
pub const CONFLICT: Code = Code("LTN0002");

/// Collects the Issues of one object.
#[derive(Debug)]
pub struct Notes<'a> {
    meta: &'a Meta,
    issues: Vec<Issue>,
}

impl<'a> Notes<'a> {
    /// Notes about `meta`'s object.
    pub fn new(meta: &'a Meta) -> Self {
        Self { meta, issues: Vec::new() }
    }

    /// What the notes are about.
    pub fn object(&self) -> &ObjectRef {
        &self.meta.object
    }

    /// What was noted.
    pub fn finish(self) -> Vec<Issue> {
        self.issues
    }

    /// A part that cannot be used.
    pub fn bad(&mut self, path: &str, message: &str) {
        let object = self.meta.object.clone();
        self.issues.push(Issue::error(object, path, Code::SCHEMA_VALIDATION_ERROR, message));
    }

    /// A part that has no effect here.
    pub fn unsupported(&mut self, path: &str) {
        let message = "this field has no effect here yet: remove it or do without its effect";
        self.without_effect(path, message);
    }

    /// A part that has no effect here, for a reason of its own.
    pub fn without_effect(&mut self, path: &str, message: &str) {
        let object = self.meta.object.clone();
        self.issues.push(Issue::warning(object, path, NOT_SUPPORTED, message));
    }

    /// A port number from 1 to 65535, or a note.
    pub fn port(&mut self, number: u32, path: &str) -> Option<u16> {
        let found = u16::try_from(number).ok().filter(|number| *number > 0);
        if found.is_none() {
            self.bad(path, "a port must be between 1 and 65535");
        }
        found
    }

    /// An address or address range, or a note.
    pub fn subnet(&mut self, text: &str, path: &str) -> Option<IpNet> {
        let found = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        if found.is_none() {
            self.bad(path, "not an IP address or range such as 10.0.0.0/8");
        }
        found.map(|net| net.trunc())
    }
}

/// `ns/host` as gateways and Sidecars write it; a missing namespace is `*`, `.` the own one.
pub fn namespaced_host(text: &str, namespace: &str) -> (String, String) {
    let (ns, host) = text.split_once('/').unwrap_or(("*", text));
    let ns = match ns {
        "." => namespace,
        "" => "*",
        ns => ns,
    };
    (ns.to_owned(), host.to_ascii_lowercase())
}

/// `connectionPool.tcp`; one that is not there sets nothing, and still takes the place of another pool.
pub fn tcp_pool(spec: Option<&TcpSettings>) -> TcpPool {
    let Some(spec) = spec else { return TcpPool::default() };
    TcpPool {
        max_connections: spec
            .max_connections
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0),
        connect_timeout: spec.connect_timeout.as_ref().and_then(|d| d.to_std()),
        idle_timeout: spec.idle_timeout.as_ref().and_then(|d| d.to_std()),
        keepalive: spec.tcp_keepalive.as_ref().map(keepalive),
    }
}

/// Istio's TCP keepalive settings.
pub fn keepalive(spec: &TcpKeepalive) -> Keepalive {
    let std = |d: &lateen_api::duration::Duration| d.to_std();
    Keepalive {
        probes: spec.probes.filter(|probes| *probes > 0),
        time: spec.time.as_ref().and_then(std),
        interval: spec.interval.as_ref().and_then(std),
    }
}
