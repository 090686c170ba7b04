//! Who owns an address, for telemetry: Istio's `Address` resources, which are asked for by `network/ip`.

use std::net::IpAddr;

use lateen_api::owner::Owner;
use lateen_api::xds::{Address, ResourceType, Workload as Message, WorkloadType, address};
use lateen_model::workload::Workload;

use crate::context::Context;
use crate::{Named, Want, wire};

/// The owners of the addresses that are asked for, or of all.
pub fn addresses(context: &Context<'_>, want: Want<'_>) -> Vec<Named> {
    match want {
        Want::All => {
            let all = context.snapshot.endpoint_index().workloads();
            let named = all.filter_map(|found| {
                let name = format!("{}/{}", found.network, found.address.ip()?);
                Some(resource(context, name, found))
            });
            named.collect()
        }
        Want::Names(names) => names
            .iter()
            .filter_map(|name| {
                let (network, ip) = name.split_once('/')?;
                let found = context.snapshot.workload(ip.parse().ok()?)?;
                (found.network == network).then(|| resource(context, name.clone(), found))
            })
            .collect(),
    }
}

fn resource(context: &Context<'_>, name: String, found: &Workload) -> Named {
    let address = Address { r#type: Some(address::Type::Workload(message(context, found))) };
    let origins = vec![found.meta.object.clone()];
    Named { name, body: wire::any_of(ResourceType::Workload, &address), origins }
}

fn message(context: &Context<'_>, found: &Workload) -> Message {
    let (namespace, cluster) = (&found.meta.namespace, &context.proxy.cluster);
    let object = &found.meta.object;
    let bytes = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    Message {
        uid: format!("{cluster}/{}/{}/{namespace}/{}", object.group, object.kind, found.meta.name),
        name: found.meta.name.clone(),
        namespace: namespace.clone(),
        addresses: found.address.ip().map(bytes).into_iter().collect(),
        network: found.network.clone(),
        trust_domain: String::new(),
        service_account: found.service_account.clone(),
        canonical_name: found.canonical_name().to_owned(),
        canonical_revision: found.canonical_revision().to_owned(),
        workload_type: workload_type(&found.owner).into(),
        workload_name: found.owner.name.clone(),
        cluster_id: cluster.clone(),
    }
}

/// Istio's types are fewer than Kubernetes'.
fn workload_type(owner: &Owner) -> WorkloadType {
    match owner.kind.as_str() {
        "CronJob" => WorkloadType::CronJob,
        "Job" => WorkloadType::Job,
        "Pod" | "WorkloadEntry" => WorkloadType::Pod,
        _ => WorkloadType::Deployment,
    }
}
