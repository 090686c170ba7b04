//! ServiceEntries: hosts, addresses, ports, and endpoints that fit the resolution.
//!
//! In: a spec. Out: findings in the report.

use std::collections::HashSet;
use std::net::IpAddr;

use super::shared::{check_export_to, check_selected};
use super::{Report, names, workload};
use crate::istio::networking::{ServiceEntrySpec, ServiceResolution};

pub(super) fn check(report: &mut Report, spec: &ServiceEntrySpec) {
    check_hosts(report, spec);
    check_addresses(report, spec);
    check_ports(report, spec);
    check_endpoints(report, spec);
    check_export_to(report, &spec.export_to, true);
    if let Some(selector) = &spec.workload_selector {
        check_selected(report, "spec.workloadSelector.labels", &selector.labels);
    }
}

fn check_hosts(report: &mut Report, spec: &ServiceEntrySpec) {
    if spec.hosts.is_empty() {
        report.error("spec.hosts", "a service entry needs at least one host, add it");
    }
    for (index, host) in spec.hosts.iter().enumerate() {
        let path = format!("spec.hosts[{index}]");
        if host == "*" {
            report.error(path, "the host * stands for everything, write *.example.com");
        } else {
            report.expect(path, names::wildcard_host(host));
        }
    }
}

fn check_addresses(report: &mut Report, spec: &ServiceEntrySpec) {
    let resolution = spec.resolution.unwrap_or_default();
    let ranges = matches!(resolution, ServiceResolution::None | ServiceResolution::Static);
    for (index, address) in spec.addresses.iter().enumerate() {
        let path = format!("spec.addresses[{index}]");
        if address.contains('/') && !ranges {
            report.error(&path, "a range needs resolution NONE or STATIC, write an address");
        }
        report.expect(path, names::subnet(address));
    }
}

fn check_ports(report: &mut Report, spec: &ServiceEntrySpec) {
    if spec.ports.is_empty() {
        report.warning("spec.ports", "without a port it serves nothing, add one");
    }
    let (mut seen_names, mut seen_numbers) = (HashSet::new(), HashSet::new());
    for (index, port) in spec.ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let number = port.number.unwrap_or_default();
        report.expect(format!("{path}.number"), names::port(number));
        if !seen_numbers.insert(number) {
            report.error(format!("{path}.number"), format!("port {number} is listed twice"));
        }
        if port.name.is_empty() {
            report.error(format!("{path}.name"), "the port has no name, give it one");
        } else if !seen_names.insert(port.name.as_str()) {
            let message = format!("the port name {:?} is taken by another port", port.name);
            report.error(format!("{path}.name"), message);
        } else {
            // Istio takes capital letters, too.
            report.expect(format!("{path}.name"), names::label(&port.name.to_lowercase()));
        }
        let tells = ["HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY", "TLS"];
        let tells = tells.iter().any(|known| known.eq_ignore_ascii_case(&port.protocol));
        let resolves = spec.resolution.unwrap_or_default() != ServiceResolution::None;
        if resolves && spec.hosts.len() > 1 && !tells {
            let message = "connections do not tell hosts apart, write one host, or use HTTP, TLS or resolution NONE";
            report.error(format!("{path}.protocol"), message);
        }
        if !port.protocol.is_empty() {
            report.expect(format!("{path}.protocol"), names::protocol(&port.protocol));
        }
        if let Some(target) = port.target_port.filter(|target| *target != 0) {
            report.expect(format!("{path}.targetPort"), names::port(target));
        }
    }
}

fn check_endpoints(report: &mut Report, spec: &ServiceEntrySpec) {
    let resolution = spec.resolution.unwrap_or_default();
    if spec.workload_selector.is_some() && !spec.endpoints.is_empty() {
        let message = "workloadSelector and endpoints exclude each other, keep one of them";
        report.error("spec.workloadSelector", message);
    }
    check_resolution(report, spec, resolution);
    let port_names: HashSet<&str> = spec.ports.iter().map(|port| port.name.as_str()).collect();
    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        let path = format!("spec.endpoints[{index}]");
        workload::check_entry(report, &path, endpoint);
        let is_address =
            endpoint.address.parse::<IpAddr>().is_ok() || endpoint.address.starts_with("unix:");
        if resolution == ServiceResolution::Static && !is_address && !endpoint.address.is_empty() {
            let message = "STATIC needs an IP address, write one or use resolution DNS";
            report.error(format!("{path}.address"), message);
        }
        if endpoint.address.starts_with("unix://") {
            if matches!(resolution, ServiceResolution::Dns | ServiceResolution::DnsRoundRobin) {
                let message = "a socket is not resolved, write resolution STATIC";
                report.error(format!("{path}.address"), message);
            }
            if port_names.len() != 1 {
                report.error("spec.ports", "for a socket the entry needs exactly one port");
            }
        }
        for name in endpoint.ports.keys().filter(|name| !port_names.contains(name.as_str())) {
            let message = format!("{name:?} is not a port of this entry, check spec.ports");
            report.error(format!("{path}.ports.{name}"), message);
        }
    }
}

fn check_resolution(report: &mut Report, spec: &ServiceEntrySpec, resolution: ServiceResolution) {
    let wildcard = spec.hosts.iter().any(|host| host.starts_with('*'));
    match resolution {
        ServiceResolution::None if !spec.endpoints.is_empty() => {
            let message = "resolution NONE goes where the client dialled, remove the endpoints";
            report.error("spec.endpoints", message);
        }
        ServiceResolution::Static
            if spec.endpoints.is_empty() && spec.workload_selector.is_none() =>
        {
            let message = "STATIC has no endpoint, add endpoints or a workloadSelector";
            report.warning("spec.endpoints", message);
        }
        ServiceResolution::Dns | ServiceResolution::DnsRoundRobin
            if wildcard && spec.endpoints.is_empty() =>
        {
            let message = "a wildcard host cannot be resolved, add endpoints or use NONE";
            report.error("spec.hosts", message);
        }
        ServiceResolution::DnsRoundRobin if spec.endpoints.len() > 1 => {
            let message = "DNS_ROUND_ROBIN takes one endpoint at most, keep one";
            report.error("spec.endpoints", message);
        }
        ServiceResolution::None
        | ServiceResolution::Static
        | ServiceResolution::Dns
        | ServiceResolution::DnsRoundRobin
        | ServiceResolution::DynamicDns => {}
    }
}
