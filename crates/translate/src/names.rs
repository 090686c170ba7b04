//! Istio's name table: the addresses of host names, for the proxies' DNS.
//!
//! All of it is one resource with an empty name, as Istio sends it. Asked by name, there is one
//! resource per name that exists, whose table has that very name as its only key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lateen_api::xds::NameInfo;
use lateen_model::host;
use lateen_model::index::services::ServiceId;
use lateen_model::service::{Registry, Service};

use crate::context::Context;
use crate::{Named, Want, wire};

/// The name table, or the entries of some names.
pub fn tables(context: &Context<'_>, want: Want<'_>) -> Vec<Named> {
    match want {
        Want::All => {
            let ids = context.seen().into_iter();
            let table = ids.filter_map(|id| {
                Some((context.service(id).hostname.to_string(), info(context, id)?))
            });
            let body = wire::name_table(table.collect());
            vec![Named { name: String::new(), body, origins: Vec::new() }]
        }
        Want::Names(names) => names.iter().filter_map(|name| entry(context, name)).collect(),
    }
}

fn entry(context: &Context<'_>, name: &str) -> Option<Named> {
    let id = lookup(context, name)?;
    let table = BTreeMap::from([(name.to_owned(), info(context, id)?)]);
    let origins = vec![context.service(id).meta.object.clone()];
    Some(Named { name: name.to_owned(), body: wire::name_table(table), origins })
}

/// What a name means to the proxy's workload: the exact host, the Service that a short form names,
/// or a ServiceEntry's wildcard.
fn lookup(context: &Context<'_>, name: &str) -> Option<ServiceId> {
    let name = name.to_ascii_lowercase();
    let candidates = host::candidates(&name, &context.proxy.namespace);
    let visible = |id: &ServiceId| seen(context, context.service(*id));
    let exact = candidates.iter().find_map(|host| context.resolve(host).filter(visible));
    exact.or_else(|| {
        let full = candidates.first()?;
        let wild = context.snapshot.services().by_wildcard(full);
        wild.into_iter().find(visible)
    })
}

fn seen(context: &Context<'_>, service: &Service) -> bool {
    service.ports.iter().any(|port| context.sees(service, port.number))
}

/// The addresses of a service; `None` when DNS elsewhere must answer.
fn info(context: &Context<'_>, id: ServiceId) -> Option<NameInfo> {
    let service = context.service(id);
    // An automatic address is given only where a listener takes connections to it.
    let ips = if service.headless { endpoints(context, id) } else { context.dialled(service) };
    if ips.is_empty() {
        return None;
    }
    let kubernetes = service.registry == Registry::Kubernetes;
    let own = |text: &str| if kubernetes { text.to_owned() } else { String::new() };
    Some(NameInfo {
        ips: ips.iter().map(IpAddr::to_string).collect(),
        registry: service.registry.as_str().to_owned(),
        shortname: own(&service.name),
        namespace: own(service.namespace()),
        alt_hosts: Vec::new(),
    })
}

fn endpoints(context: &Context<'_>, id: ServiceId) -> Vec<IpAddr> {
    let Some(port) = context.service(id).ports.first() else { return Vec::new() };
    let all = context.snapshot.endpoints(id).port(port.number).iter();
    let mut ips: Vec<IpAddr> = all.filter_map(|endpoint| endpoint.workload.address.ip()).collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}
