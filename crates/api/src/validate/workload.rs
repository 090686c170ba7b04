//! WorkloadEntries, WorkloadGroups and Sidecars.
//!
//! In: a spec. Out: findings in the report.

use std::net::IpAddr;

use super::{Report, gateway, names};
use crate::istio::networking::{
    IstioEgressListener, IstioIngressListener, SidecarSpec, WorkloadEntrySpec, WorkloadGroupSpec,
};
use crate::labels::{is_label_key, is_label_value, no_label_key, no_label_value};

/// `path` is where the entry lies: `spec`, or an endpoint of a ServiceEntry.
pub(super) fn check_entry(report: &mut Report, path: &str, entry: &WorkloadEntrySpec) {
    let address = entry.address.as_str();
    if address.is_empty() {
        if entry.network.is_empty() {
            let message = "there is no address, write an IP address or a host name";
            report.error(format!("{path}.address"), message);
        }
    } else if let Some(socket) = address.strip_prefix("unix://") {
        if !socket.starts_with('/') && !socket.starts_with('@') {
            report.error(format!("{path}.address"), "a socket's path is absolute, start it with /");
        }
        if !entry.ports.is_empty() {
            report.error(format!("{path}.ports"), "a socket has no ports, remove them");
        }
    } else if address.parse::<IpAddr>().is_err() {
        report.expect(format!("{path}.address"), names::fqdn(address));
    }
    for (name, number) in &entry.ports {
        report.expect(format!("{path}.ports.{name}"), names::port(*number));
    }
    for (key, value) in &entry.labels {
        // Istio takes capital letters in the domain before a key's slash, too.
        if !is_label_key(&key.to_ascii_lowercase()) {
            report.error(format!("{path}.labels"), no_label_key(key));
        }
        if !is_label_value(value) {
            report.error(format!("{path}.labels.{key}"), no_label_value(value));
        }
    }
}

pub(super) fn check_group(report: &mut Report, spec: &WorkloadGroupSpec) {
    let Some(template) = &spec.template else {
        report.error("spec.template", "a workload group needs a template, add it");
        return;
    };
    for (name, number) in &template.ports {
        report.expect(format!("spec.template.ports.{name}"), names::port(*number));
    }
    let Some(probe) = &spec.probe else { return };
    let methods = [
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.exec.is_some(),
        probe.grpc.is_some(),
    ];
    if !methods.contains(&true) {
        report.error("spec.probe", "it probes nothing, set httpGet, tcpSocket, exec or grpc");
    }
    for (name, seconds) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if seconds.is_some_and(|seconds| seconds < 0) {
            report.error(format!("spec.probe.{name}"), "it is negative, use 0 or more");
        }
    }
}

pub(super) fn check_sidecar(report: &mut Report, spec: &SidecarSpec) {
    if let Some(selector) = &spec.workload_selector
        && selector.labels.is_empty()
    {
        let message = "it selects nothing in particular, add labels or remove it";
        report.warning("spec.workloadSelector.labels", message);
    }
    for (index, listener) in spec.ingress.iter().enumerate() {
        check_ingress(report, &format!("spec.ingress[{index}]"), listener);
    }
    for (index, listener) in spec.egress.iter().enumerate() {
        check_egress(report, &format!("spec.egress[{index}]"), listener);
    }
}

fn check_ingress(report: &mut Report, path: &str, listener: &IstioIngressListener) {
    match &listener.port {
        None => report.error(format!("{path}.port"), "an ingress listener needs a port, add it"),
        Some(port) => {
            let number = names::port(port.number.unwrap_or_default());
            report.expect(format!("{path}.port.number"), number);
            report.expect(format!("{path}.port.protocol"), names::protocol(&port.protocol));
        }
    }
    let endpoint = listener.default_endpoint.as_str();
    let unix = endpoint.starts_with("unix:///") || endpoint.starts_with("unix://@");
    let local = endpoint.rsplit_once(':').is_some_and(|(host, port)| {
        let host = matches!(host, "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]" | "");
        host && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !endpoint.is_empty() && !unix && !local {
        let message = "write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH";
        report.error(format!("{path}.defaultEndpoint"), message);
    }
    if let Some(tls) = &listener.tls {
        gateway::check_tls(report, &format!("{path}.tls"), tls);
    }
}

fn check_egress(report: &mut Report, path: &str, listener: &IstioEgressListener) {
    if listener.hosts.is_empty() {
        report.error(format!("{path}.hosts"), "an egress listener needs hosts, for example ./*");
    }
    for (index, host) in listener.hosts.iter().enumerate() {
        report.expect(format!("{path}.hosts[{index}]"), names::namespaced_host(host, true));
    }
    if let Some(port) = &listener.port {
        let unix = listener.bind.starts_with("unix:");
        let number = port.number.unwrap_or_default();
        if !(unix && number == 0) {
            report.expect(format!("{path}.port.number"), names::port(number));
        }
    }
}
