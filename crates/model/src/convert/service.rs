//! Kubernetes Service, EndpointSlice and Pod -> services, slices and workloads.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PodSpec, PodStatus, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lateen_api::owner::{Controller, Owner};
use lateen_api::validate::host_or_address;

use crate::convert::Notes;
use crate::host::{self, Domain};
use crate::meta::Meta;
use crate::service::{Labels, Location, Port, Protocol, Registry, Resolution, Service, TargetPort};
use crate::visibility::ExportTo;
use crate::workload::{Address, Health, Locality, Workload};

/// A compiled EndpointSlice.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    pub meta: Arc<Meta>,
    pub service: String,
    /// Name (empty for the only port) and number; no number means every port.
    pub ports: Vec<(String, Option<u16>)>,
    pub endpoints: Vec<SliceMember>,
}

/// One address of a slice.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceMember {
    pub address: IpAddr,
    pub health: Health,
    pub pod: Option<String>,
    pub zone: String,
}

/// Compiles a Kubernetes Service.
pub fn service(
    meta: &Arc<Meta>,
    object: &ObjectMeta,
    spec: &ServiceSpec,
    domain: &Domain,
    notes: &mut Notes<'_>,
) -> Service {
    let hostname = host::shared(&domain.service(&meta.name, &meta.namespace));
    let annotations = object.annotations.as_ref();
    let export = annotations.and_then(|all| all.get("networking.istio.io/exportTo"));
    let export: Vec<&str> = export.map(|list| list.split(',').collect()).unwrap_or_default();
    let external_name = external_name(spec, notes);
    let cluster_ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let headless = external_name.is_none() && cluster_ip == "None";
    let ips = spec.cluster_ips.clone().filter(|ips| !ips.is_empty());
    let ips = ips.unwrap_or_else(|| vec![cluster_ip.to_owned()]);
    let resolution = match (&external_name, headless) {
        (Some(_), _) => Resolution::Dns,
        (None, true) => Resolution::Passthrough,
        (None, false) => Resolution::Static,
    };
    Service {
        hostname,
        name: Arc::from(meta.name.as_str()),
        meta: Arc::clone(meta),
        labels: Arc::new(object.labels.clone().unwrap_or_default()),
        ports: ports(spec.ports.as_deref().unwrap_or_default(), notes),
        addresses: ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
        ranges: Vec::new(),
        resolution,
        location: Location::Internal,
        registry: Registry::Kubernetes,
        export_to: ExportTo::parse(&export, &meta.namespace),
        headless,
        external_name,
        selector: spec.selector.clone().filter(|labels| !labels.is_empty()),
        auto_allocate: false,
        auto_address: None,
    }
}

/// Where an ExternalName Service leads; one that cannot be resolved leads nowhere, which is noted.
fn external_name(spec: &ServiceSpec, notes: &mut Notes<'_>) -> Option<String> {
    if spec.type_.as_deref() != Some("ExternalName") {
        return None;
    }
    let name = spec.external_name.as_deref().unwrap_or_default();
    if let Err(reason) = host_or_address(name) {
        notes.bad("spec.externalName", &reason);
        return None;
    }
    Some(name.to_owned())
}

fn ports(list: &[ServicePort], notes: &mut Notes<'_>) -> Vec<Port> {
    let mut out = Vec::new();
    for (i, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        let number = u32::try_from(port.port).unwrap_or(0);
        let Some(number) = notes.port(number, &format!("{path}.port")) else { continue };
        let transport = port.protocol.as_deref().unwrap_or("TCP");
        if !transport.eq_ignore_ascii_case("TCP") && !transport.eq_ignore_ascii_case("UDP") {
            notes.unsupported(&format!("{path}.protocol"));
            continue;
        }
        let name = port.name.clone().unwrap_or_default();
        let app = port.app_protocol.as_deref();
        let protocol = Protocol::select(transport, app, &name, number);
        let target = match &port.target_port {
            None => TargetPort::Same,
            Some(IntOrString::Int(number)) => match u16::try_from(*number) {
                Ok(number) if number > 0 => TargetPort::Number(number),
                _ => TargetPort::Same,
            },
            Some(IntOrString::String(name)) => TargetPort::Named(name.clone()),
        };
        out.push(Port { number, name, protocol, target });
    }
    out
}

/// Compiles an EndpointSlice; `None` when it belongs to no Service.
pub fn slice(meta: &Arc<Meta>, labels: &Labels, object: &EndpointSlice) -> Option<Slice> {
    let service = labels.get("kubernetes.io/service-name")?.clone();
    let ports = object.ports.iter().flatten();
    let ports = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let ports = ports.map(|port| {
        let number = port.port.and_then(|number| u16::try_from(number).ok());
        (port.name.clone().unwrap_or_default(), number)
    });
    Some(Slice {
        meta: Arc::clone(meta),
        service,
        ports: ports.collect(),
        endpoints: object.endpoints.iter().flatten().flat_map(members).collect(),
    })
}

/// The addresses of one entry that may take connections, or still finish theirs.
fn members(endpoint: &SliceEndpoint) -> Vec<SliceMember> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let serving = conditions.serving.unwrap_or(ready);
    let health = match (ready, conditions.terminating.unwrap_or(false) && serving) {
        (true, _) => Health::Healthy,
        (false, true) => Health::Draining,
        (false, false) => return Vec::new(),
    };
    let pod = endpoint.target_ref.as_ref().filter(|r| r.kind.as_deref() == Some("Pod"));
    let pod = pod.and_then(|r| r.name.clone());
    let zone = endpoint.zone.clone().unwrap_or_default();
    let addresses = endpoint.addresses.iter().filter_map(|text| text.parse().ok());
    addresses
        .map(|address| SliceMember { address, health, pod: pod.clone(), zone: zone.clone() })
        .collect()
}

/// Compiles a Pod; `None` while it has no address of its own.
pub fn pod(
    meta: &Arc<Meta>,
    object: &ObjectMeta,
    labels: &Labels,
    spec: Option<&PodSpec>,
    status: Option<&PodStatus>,
) -> Option<Workload> {
    if spec.is_some_and(|spec| spec.host_network == Some(true)) {
        return None;
    }
    let ip: IpAddr = status?.pod_ip.as_deref()?.parse().ok()?;
    let done = matches!(status?.phase.as_deref(), Some("Succeeded" | "Failed"));
    if done {
        return None;
    }
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports = ports
        .filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?)));
    let locality = labels.get("istio-locality").map(|text| Locality::parse(text));
    Some(Workload {
        meta: Arc::clone(meta),
        owner: owner(object, labels),
        address: Address::Ip(ip),
        labels: labels.clone(),
        ports: ports.collect(),
        weight: 1,
        locality: locality.unwrap_or_default(),
        service_account: spec.and_then(|s| s.service_account_name.clone()).unwrap_or_default(),
        network: String::new(),
        healthy: true,
        synthetic: false,
        implied: false,
    })
}

fn owner(object: &ObjectMeta, labels: &Labels) -> Owner {
    let generated = object.generate_name.as_deref().is_some_and(|name| !name.is_empty());
    let references = object.owner_references.iter().flatten();
    let controller = references.filter(|_| generated).find(|one| one.controller == Some(true));
    let controller = controller.map(|one| Controller {
        api_version: &one.api_version,
        kind: &one.kind,
        name: &one.name,
    });
    let name = object.name.as_deref().unwrap_or_default();
    Owner::of_pod(name, controller, |key| labels.get(key).map(String::as_str))
}
