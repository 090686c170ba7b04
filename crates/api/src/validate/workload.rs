//! WorkloadEntries, WorkloadGroups and Sidecars.
//!
//! In: a spec. Out: findings in the report.

use std::collections::HashSet;
use std::net::IpAddr;

use super::shared::{check_labels, check_selected};
use super::{Report, destination_rule, gateway, names};
use crate::istio::networking::{
    CaptureMode, IstioEgressListener, IstioIngressListener, OutboundTrafficPolicyMode,
    ReadinessProbe, ServerTlsMode, SidecarPort, SidecarSpec, WorkloadEntrySpec, WorkloadGroupSpec,
};

/// `path` is where the entry lies: `spec`, or an endpoint of a ServiceEntry.
pub(super) fn check_entry(report: &mut Report, path: &str, entry: &WorkloadEntrySpec) {
    let address = entry.address.as_str();
    if address.is_empty() {
        if entry.network.is_empty() {
            let message = "there is no address, write an IP address or a host name";
            report.error(format!("{path}.address"), message);
        }
    } else if let Some(socket) = address.strip_prefix("unix://") {
        if !names::is_socket(socket) {
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
        report.expect(format!("{path}.ports.{name}"), names::label(&name.to_lowercase()));
    }
    check_labels(report, &format!("{path}.labels"), &entry.labels);
}

pub(super) fn check_group(report: &mut Report, spec: &WorkloadGroupSpec) {
    let Some(template) = &spec.template else {
        report.error("spec.template", "a workload group needs a template, add it");
        return;
    };
    for (name, number) in &template.ports {
        report.expect(format!("spec.template.ports.{name}"), names::port(*number));
    }
    if let Some(meta) = &spec.metadata {
        check_labels(report, "spec.metadata.labels", &meta.labels);
    }
    if let Some(probe) = &spec.probe {
        check_probe(report, probe);
    }
}

fn check_probe(report: &mut Report, probe: &ReadinessProbe) {
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
    for (name, port) in [
        ("httpGet", probe.http_get.as_ref().map(|get| get.port)),
        ("tcpSocket", probe.tcp_socket.as_ref().map(|socket| socket.port)),
    ] {
        let result = port.map_or(Ok(()), |port| names::port(port.unwrap_or_default()));
        report.expect(format!("spec.probe.{name}.port"), result);
    }
    if let Some(get) = &probe.http_get {
        if !matches!(get.scheme.as_str(), "" | "HTTP" | "HTTPS") {
            report.error("spec.probe.httpGet.scheme", "write HTTP or HTTPS");
        }
        for (index, header) in get.http_headers.iter().enumerate() {
            let path = format!("spec.probe.httpGet.httpHeaders[{index}].name");
            if header.name.contains('_') {
                report.error(path, "a probe's header has letters, digits and - alone");
            } else {
                report.expect(path, names::header(&header.name));
            }
        }
    }
    if probe.exec.as_ref().is_some_and(|exec| exec.command.is_empty()) {
        report.error("spec.probe.exec.command", "there is no command, write it");
    }
}

pub(super) fn check_sidecar(report: &mut Report, spec: &SidecarSpec) {
    if let Some(selector) = &spec.workload_selector
        && selector.labels.is_empty()
    {
        let message = "it selects nothing in particular, add labels or remove it";
        report.warning("spec.workloadSelector.labels", message);
    }
    if let Some(selector) = &spec.workload_selector {
        check_selected(report, "spec.workloadSelector.labels", &selector.labels);
    }
    let policy = spec.outbound_traffic_policy.as_ref();
    let says = policy.is_some() || spec.inbound_connection_pool.is_some();
    if spec.ingress.is_empty() && spec.egress.is_empty() && !says {
        report.error("spec", "it says nothing, add egress, ingress or outboundTrafficPolicy");
    }
    let mut seen = HashSet::new();
    for (index, listener) in spec.ingress.iter().enumerate() {
        let path = format!("spec.ingress[{index}]");
        check_ingress(report, &path, listener);
        let number = listener.port.as_ref().and_then(|port| port.number);
        if number.is_some_and(|number| !seen.insert(number)) {
            report.error(format!("{path}.port.number"), "another listener has it, use another");
        }
    }
    if let Some(pool) = &spec.inbound_connection_pool {
        destination_rule::check_pool(report, "spec.inboundConnectionPool", pool);
    }
    let mut seen = HashSet::new();
    for (index, listener) in spec.egress.iter().enumerate() {
        let path = format!("spec.egress[{index}]");
        check_egress(report, &path, listener);
        match &listener.port {
            None if index + 1 < spec.egress.len() => {
                let message = "a listener without a port is for all others, put it last";
                report.error(format!("{path}.port"), message);
            }
            None => {}
            Some(port) => {
                let number = port.number.unwrap_or_default();
                let bind = if number == 0 { listener.bind.as_str() } else { "" };
                if !seen.insert((number, bind)) {
                    let message = "another listener has it, use another";
                    report.error(format!("{path}.port.number"), message);
                }
            }
        }
    }
    let Some(proxy) = policy.and_then(|policy| policy.egress_proxy.as_ref()) else { return };
    let path = "spec.outboundTrafficPolicy.egressProxy";
    let mode = policy.and_then(|policy| policy.mode).unwrap_or_default();
    if mode != OutboundTrafficPolicyMode::AllowAny {
        report.error(path, "it needs mode ALLOW_ANY, write that or remove it");
    }
    report.expect(format!("{path}.host"), names::fqdn(&proxy.host));
    let port = proxy.port.as_ref().and_then(|port| port.number).unwrap_or_default();
    report.expect(format!("{path}.port.number"), names::port(port));
}

/// A port and the address that a listener is bound to.
fn check_port(report: &mut Report, path: &str, port: &SidecarPort, bind: &str) {
    let number = port.number.unwrap_or_default();
    let socket = bind.strip_prefix("unix://");
    if !(socket.is_some() && number == 0) {
        report.expect(format!("{path}.port.number"), names::port(number));
    }
    if !port.protocol.is_empty() {
        report.expect(format!("{path}.port.protocol"), names::protocol(&port.protocol));
    }
    if !port.name.is_empty() {
        report.expect(format!("{path}.port.name"), names::label(&port.name.to_lowercase()));
    }
    if port.target_port.is_some_and(|port| port != 0) {
        report.error(format!("{path}.port.targetPort"), "a sidecar has none, remove it");
    }
    let fits = match socket {
        Some(socket) => number == 0 && names::is_socket(socket),
        None => bind.is_empty() || bind.parse::<IpAddr>().is_ok(),
    };
    if !fits {
        let message = "write an IP address, or with port 0 unix:///PATH";
        report.error(format!("{path}.bind"), message);
    }
}

fn check_ingress(report: &mut Report, path: &str, listener: &IstioIngressListener) {
    match &listener.port {
        None => report.error(format!("{path}.port"), "an ingress listener needs a port, add it"),
        Some(port) => check_port(report, path, port, &listener.bind),
    }
    let endpoint = listener.default_endpoint.as_str();
    let unix = endpoint.strip_prefix("unix://").is_some_and(names::is_socket);
    let local = endpoint.rsplit_once(':').is_some_and(|(host, port)| {
        let host = matches!(host, "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]" | "");
        host && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !endpoint.is_empty() && !unix && !local {
        let message = "write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH";
        report.error(format!("{path}.defaultEndpoint"), message);
    }
    if let Some(tls) = &listener.tls {
        let protocol = listener.port.as_ref().map_or("", |port| port.protocol.as_str());
        let path = format!("{path}.tls");
        if !["HTTPS", "TLS"].iter().any(|known| known.eq_ignore_ascii_case(protocol)) {
            report.error(&path, gateway::not_encrypted(protocol));
        }
        gateway::check_tls(report, &path, tls);
        let mode = tls.mode.unwrap_or_default();
        if matches!(mode, ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough) {
            report.error(format!("{path}.mode"), "a sidecar takes SIMPLE, MUTUAL or PASSTHROUGH");
        }
        for (name, set) in [
            ("subjectAltNames", !tls.subject_alt_names.is_empty()),
            ("httpsRedirect", tls.https_redirect == Some(true)),
            ("credentialName", !tls.credential_name.is_empty()),
            ("credentialNames", !tls.credential_names.is_empty()),
            ("tlsCertificates", !tls.tls_certificates.is_empty()),
        ] {
            if set {
                report.error(format!("{path}.{name}"), "a sidecar has none, remove it");
            }
        }
    }
    if let Some(pool) = &listener.connection_pool {
        destination_rule::check_pool(report, &format!("{path}.connectionPool"), pool);
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
        check_port(report, path, port, &listener.bind);
        let captures = listener.capture_mode == Some(CaptureMode::Iptables);
        if captures && listener.bind.starts_with("unix://") {
            report.error(format!("{path}.captureMode"), "a socket is not captured, write NONE");
        }
    }
}
