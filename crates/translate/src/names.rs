//! Istio's name table: the addresses of host names, for the proxies' DNS.
//!
//! All of it is one resource with an empty name, as Istio sends it. Asked by name, there is one
//! resource per name that exists, whose table has that very name as its only key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lateen_api::xds::NameInfo;
use lateen_model::index::services::ServiceId;
use lateen_model::service::{Registry, Service};
use lateen_model::workload::{Endpoint, Health};

use crate::context::Context;
use crate::{Named, Want, wire};

/// The name table, or the entries of some names.
pub fn tables(context: &Context<'_>, want: Want<'_>) -> Vec<Named> {
    match want {
        Want::All => {
            let ids = context.seen().into_iter();
            let listed =
                ids.map(|id| (id, dialled(context, id))).filter(|(_, ips)| !ips.is_empty());
            let table = listed.map(|(id, ips)| {
                (context.service(id).hostname.to_string(), info(context, id, &ips))
            });
            let body = wire::name_table(table.collect());
            vec![Named { name: String::new(), body, origins: Vec::new() }]
        }
        Want::Names(names) => names.iter().filter_map(|name| entry(context, name)).collect(),
    }
}

fn entry(context: &Context<'_>, name: &str) -> Option<Named> {
    let name = name.to_ascii_lowercase();
    let (id, info) = match lookup(context, &name) {
        Some(id) => (id, known(context, id)?),
        None => member(context, &name)?,
    };
    let table = BTreeMap::from([(name.clone(), info)]);
    let origins = vec![context.service(id).meta.object.clone()];
    Some(Named { name, body: wire::name_table(table), origins })
}

/// What a name means to the proxy's workload: the exact host, the Service that a short form names,
/// or a ServiceEntry's wildcard.
fn lookup(context: &Context<'_>, name: &str) -> Option<ServiceId> {
    let candidates = context.snapshot.domain().candidates(name, &context.proxy.namespace);
    let visible = |id: &ServiceId| seen(context, context.service(*id));
    let exact = candidates.iter().find_map(|host| context.resolve(host).filter(visible));
    exact.or_else(|| {
        let full = candidates.first()?;
        let wild = context.snapshot.services().by_wildcard(full);
        wild.into_iter().find(visible)
    })
}

/// `WORKLOAD.SERVICE`, in every form of the Service's name: one endpoint of a headless Service, as
/// Kubernetes names the pods of a StatefulSet.
fn member(context: &Context<'_>, name: &str) -> Option<(ServiceId, NameInfo)> {
    let (workload, service) = name.split_once('.')?;
    let id = lookup(context, service).filter(|id| context.service(*id).headless)?;
    let own = |endpoint: &&Endpoint| {
        !endpoint.workload.synthetic && endpoint.workload.meta.name == workload
    };
    let ips = addresses(context.snapshot.endpoints(id).all().filter(own));
    (!ips.is_empty()).then(|| (id, info(context, id, &ips)))
}

/// Whether the proxy sees a service at all; one without ports, such as an alias may be, has a name too.
fn seen(context: &Context<'_>, service: &Service) -> bool {
    match service.ports.as_slice() {
        [] => context.sees_host(service),
        ports => ports.iter().any(|port| context.sees(service, port.number)),
    }
}

/// What a service's name means; `None` when DNS elsewhere must answer. Nobody else knows the names of
/// Kubernetes Services: one without addresses is a name without addresses.
fn known(context: &Context<'_>, id: ServiceId) -> Option<NameInfo> {
    let service = context.service(id);
    if let Some(alias) = &service.external_name {
        let alias = alias.trim_end_matches('.').to_ascii_lowercase();
        return Some(NameInfo { alias, ..info(context, id, &[]) });
    }
    let ips = dialled(context, id);
    let kubernetes = service.registry == Registry::Kubernetes;
    (kubernetes || !ips.is_empty()).then(|| info(context, id, &ips))
}

/// The addresses that a name is answered with. An automatic address is given only where a listener
/// takes connections to it.
fn dialled(context: &Context<'_>, id: ServiceId) -> Vec<IpAddr> {
    let service = context.service(id);
    if service.headless {
        addresses(context.snapshot.endpoints(id).all())
    } else {
        context.dialled(service)
    }
}

fn info(context: &Context<'_>, id: ServiceId, ips: &[IpAddr]) -> NameInfo {
    let service = context.service(id);
    let kubernetes = service.registry == Registry::Kubernetes;
    let own = |text: &str| if kubernetes { text.to_owned() } else { String::new() };
    NameInfo {
        ips: ips.iter().map(IpAddr::to_string).collect(),
        registry: service.registry.as_str().to_owned(),
        shortname: own(&service.name),
        namespace: own(service.namespace()),
        ..NameInfo::default()
    }
}

/// The addresses of the endpoints that take new connections, as Kubernetes publishes them.
fn addresses<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Vec<IpAddr> {
    let ready = endpoints.filter(|endpoint| endpoint.health == Health::Healthy);
    let mut ips: Vec<IpAddr> = ready.filter_map(|e| e.workload.address.ip()).collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}
