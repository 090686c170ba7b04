//! Sidecar -> [`Sidecar`]: which hosts its workloads see, and what happens to the rest.

use std::sync::Arc;

use lateen_api::istio::networking as api;

use crate::convert::{Notes, namespaced_host};
use crate::meta::Meta;
use crate::routing::{Egress, OutboundMode, Sidecar};

/// Compiles a Sidecar.
pub fn sidecar(meta: &Arc<Meta>, spec: &api::SidecarSpec, notes: &mut Notes<'_>) -> Sidecar {
    if !spec.ingress.is_empty() {
        notes.unsupported("spec.ingress");
    }
    let egress = spec.egress.iter().enumerate().filter_map(|(i, item)| {
        let path = format!("spec.egress[{i}]");
        let port = match item.port.as_ref().and_then(|port| port.number) {
            None | Some(0) => None,
            Some(number) => Some(notes.port(number, &format!("{path}.port.number"))?),
        };
        let (mut hosts, mut left_out) = (Vec::new(), Vec::new());
        for host in &item.hosts {
            match host.strip_prefix('~') {
                None => hosts.push(namespaced_host(host, &meta.namespace)),
                Some(host) => left_out.push(namespaced_host(host, &meta.namespace)),
            }
        }
        Some(Egress { port, hosts, left_out })
    });
    let egress = egress.collect();
    let selector = spec.workload_selector.as_ref().map(|selector| selector.labels.clone());
    Sidecar {
        meta: Arc::clone(meta),
        selector: selector.filter(|labels| !labels.is_empty()),
        egress,
        outbound: spec.outbound_traffic_policy.as_ref().map(|policy| {
            match policy.mode.unwrap_or_default() {
                api::OutboundTrafficPolicyMode::RegistryOnly => OutboundMode::RegistryOnly,
                api::OutboundTrafficPolicyMode::AllowAny => OutboundMode::AllowAny,
            }
        }),
    }
}
