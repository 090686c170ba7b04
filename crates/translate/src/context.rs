//! What every translation needs: the snapshot, the proxy, which services it sees, and where Issues go.

use std::net::IpAddr;
use std::sync::Arc;

use lateen_api::issue::{Code, Issue};
use lateen_model::Snapshot;
use lateen_model::index::services::ServiceId;
use lateen_model::meta::Meta;
use lateen_model::routing::{L4Match, L4Route, OutboundMode, Sidecar, VirtualService};
use lateen_model::service::{Port, Registry, Service};

use crate::proxy::{Proxy, Role};
use crate::reporting::Reporting;

/// How many `ExternalName` Services may lead to each other.
const LONGEST_ALIAS: usize = 8;

/// One translation.
pub struct Context<'a> {
    pub snapshot: &'a Snapshot,
    pub proxy: &'a Proxy,
    pub sidecar: Option<&'a Arc<Sidecar>>,
    pub issues: Vec<Issue>,
    /// What its listeners log and count.
    pub reporting: Reporting,
}

impl<'a> Context<'a> {
    pub fn new(snapshot: &'a Snapshot, proxy: &'a Proxy) -> Self {
        let root = snapshot.root_namespace();
        let sidecar = match proxy.role {
            Role::Sidecar => snapshot.routes().sidecar(&proxy.namespace, root, &proxy.labels),
            Role::Gateway => None,
        };
        let reporting = Reporting::default();
        Self { snapshot, proxy, sidecar, issues: Vec::new(), reporting }
    }

    /// The service at a place of the index.
    pub fn service(&self, id: ServiceId) -> &'a Arc<Service> {
        self.snapshot.services().get(id)
    }

    /// Whether the proxy may reach a service at all (`exportTo`).
    pub fn exported(&self, service: &Service) -> bool {
        self.snapshot.service_visible(service, &self.proxy.namespace)
    }

    /// Whether the proxy sees a port of a service: `exportTo` and its Sidecar's egress hosts.
    pub fn sees(&self, service: &Service, port: u16) -> bool {
        self.exported(service) && self.egress(service.namespace(), &service.hostname, Some(port))
    }

    /// The same whatever the port.
    pub fn sees_host(&self, service: &Service) -> bool {
        self.exported(service) && self.egress(service.namespace(), &service.hostname, None)
    }

    fn egress(&self, namespace: &str, host: &str, port: Option<u16>) -> bool {
        let Some(sidecar) = self.sidecar.filter(|sidecar| !sidecar.egress.is_empty()) else {
            return true;
        };
        sidecar.egress.iter().any(|egress| {
            let port_fits = port.is_none() || egress.port.is_none() || egress.port == port;
            port_fits && egress.sees(namespace, host)
        })
    }

    /// The service that a full host name means to this proxy: Kubernetes first, then its own
    /// namespace's, then the oldest that it may reach.
    pub fn resolve(&self, host: &str) -> Option<ServiceId> {
        self.snapshot.service_for(host, &self.proxy.namespace)
    }

    /// What a service stands for, if it is an alias of one that this proxy knows: Istio routes to that
    /// one then. Else itself.
    pub fn concrete(&self, mut id: ServiceId) -> ServiceId {
        for _ in 0..LONGEST_ALIAS {
            let alias = self.service(id).external_name.as_deref();
            let name = alias.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
            match name.and_then(|name| self.resolve(&name)) {
                Some(next) => id = next,
                None => break,
            }
        }
        id
    }

    /// Every service that answers for its name and is seen on at least one port.
    pub fn seen(&self) -> Vec<ServiceId> {
        let all = self.snapshot.services().all().iter().enumerate();
        all.filter(|(id, service)| {
            service.ports.iter().any(|port| self.sees(service, port.number))
                && self.resolve(&service.hostname) == Some(*id)
        })
        .map(|(id, _)| id)
        .collect()
    }

    /// Whether a service answers for its name to this proxy and is seen on a port.
    pub fn chosen(&self, id: ServiceId, port: u16) -> bool {
        let service = self.service(id);
        service.port(port).is_some_and(|port| port.is_tcp())
            && self.sees(service, port)
            && self.resolve(&service.hostname) == Some(id)
    }

    /// The mesh's VirtualServices for a host: the most specific name first, then the oldest.
    pub fn virtual_services(&self, host: &'a str) -> impl Iterator<Item = &'a Arc<VirtualService>> {
        let snapshot = self.snapshot;
        snapshot.routes().for_host(host).filter(move |vs| {
            snapshot.virtual_service_visible(vs, &self.proxy.namespace)
                && self.egress(&vs.meta.namespace, host, None)
        })
    }

    /// The VirtualService that routes connections to a port of a host: the first with a TCP route
    /// that matches. One that has none there leaves the host to the next.
    pub fn tcp_routes(&self, host: &'a str, port: u16) -> Option<&'a Arc<VirtualService>> {
        self.virtual_services(host).find(|vs| self.any_applies(&vs.tcp, port))
    }

    /// The same for TLS routes, which are for ports that carry TLS.
    pub fn tls_routes(&self, host: &'a str, port: &Port) -> Option<&'a Arc<VirtualService>> {
        let found =
            || self.virtual_services(host).find(|vs| self.any_applies(&vs.tls, port.number));
        port.is_tls().then(found).flatten()
    }

    fn any_applies(&self, routes: &[L4Route], port: u16) -> bool {
        let applies = |item: &L4Match| self.applies(item, port);
        routes.iter().any(|route| route.matches.is_empty() || route.matches.iter().any(applies))
    }

    /// Whether a match concerns this sidecar and port.
    pub fn applies(&self, item: &L4Match, port: u16) -> bool {
        let proxy = self.proxy;
        let gateway =
            item.gateways.is_empty() || item.gateways.iter().any(|name| &**name == "mesh");
        let namespace = item.source_namespace.as_ref().is_none_or(|ns| *ns == proxy.namespace);
        gateway
            && namespace
            && item.port.is_none_or(|number| number == port)
            && lateen_model::workload::matches(&item.source_labels, &proxy.labels)
    }

    /// What happens to connections to nowhere known.
    pub fn outbound_mode(&self) -> OutboundMode {
        let own = self.sidecar.and_then(|sidecar| sidecar.outbound);
        own.unwrap_or(self.snapshot.mesh().outbound)
    }

    /// The addresses at which the proxy's workload reaches a service; none means the wildcard
    /// listener of the port.
    pub fn dialled(&self, service: &Service) -> Vec<IpAddr> {
        service.dialled(self.proxy.dns_capture)
    }

    /// Whether a ServiceEntry host is caught by its port alone.
    pub fn by_port_only(&self, service: &Service) -> bool {
        service.registry == Registry::External && self.dialled(service).is_empty()
    }

    /// Something in an object that has no effect.
    pub fn issue(&mut self, meta: &Meta, path: &str, code: Code, message: String) {
        self.issues.push(Issue::error(meta.object.clone(), path, code, message));
    }

    /// Something in an object that works otherwise than its author may think.
    pub fn warn(&mut self, meta: &Meta, path: &str, code: Code, message: String) {
        self.issues.push(Issue::warning(meta.object.clone(), path, code, message));
    }
}
