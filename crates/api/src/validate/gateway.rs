//! Gateways: servers, their ports, hosts and TLS settings.
//!
//! In: a spec. Out: findings in the report.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{Report, names};
use crate::istio::networking::{GatewaySpec, Port, Server, ServerTlsMode, ServerTlsSettings};

pub(super) fn check(report: &mut Report, spec: &GatewaySpec) {
    if spec.servers.is_empty() {
        report.error("spec.servers", "a gateway needs at least one server, add it");
    }
    let mut port_names = HashSet::new();
    for (index, server) in spec.servers.iter().enumerate() {
        let path = format!("spec.servers[{index}]");
        check_server(report, &path, server);
        if let Some(port) = &server.port
            && !port.name.is_empty()
            && !port_names.insert(port.name.as_str())
        {
            let message = format!("the port name {:?} is taken by another server", port.name);
            report.error(format!("{path}.port.name"), message);
        }
    }
}

fn check_server(report: &mut Report, path: &str, server: &Server) {
    check_hosts(report, path, server);
    let unix = names::is_socket(server.bind.strip_prefix("unix://").unwrap_or(&server.bind));
    if !server.bind.is_empty() && !unix && server.bind.parse::<IpAddr>().is_err() {
        let message = format!("{:?} is not an IP address or a socket path", server.bind);
        report.error(format!("{path}.bind"), message);
    }
    if !server.default_endpoint.is_empty() {
        let message = "a gateway server has no default endpoint, remove it";
        report.error(format!("{path}.defaultEndpoint"), message);
    }
    let Some(port) = &server.port else {
        report.error(format!("{path}.port"), "a server needs a port, add it");
        return;
    };
    check_port(report, &format!("{path}.port"), port, unix);
    check_tls_presence(report, path, server, port);
}

fn check_hosts(report: &mut Report, path: &str, server: &Server) {
    if server.hosts.is_empty() {
        report
            .error(format!("{path}.hosts"), "a server needs at least one host, for example \"*\"");
    }
    for (index, host) in server.hosts.iter().enumerate() {
        let result = names::namespaced_host(host, false);
        report.expect(format!("{path}.hosts[{index}]"), result);
    }
}

fn check_port(report: &mut Report, path: &str, port: &Port, unix: bool) {
    let number = port.number.unwrap_or_default();
    if unix && number != 0 {
        report.error(format!("{path}.number"), "a socket has no port, write 0");
    } else if !unix {
        report.expect(format!("{path}.number"), names::port(number));
    }
    report.expect(format!("{path}.protocol"), names::protocol(&port.protocol));
    if port.name.is_empty() {
        report.error(format!("{path}.name"), "the port has no name, give it one that is unique");
    }
    if port.target_port.is_some_and(|port| port != 0) {
        report.error(format!("{path}.targetPort"), "it has no effect on a gateway, remove it");
    }
}

fn check_tls_presence(report: &mut Report, path: &str, server: &Server, port: &Port) {
    let encrypted = ["HTTPS", "TLS"].iter().any(|p| p.eq_ignore_ascii_case(&port.protocol));
    let tls_path = format!("{path}.tls");
    match &server.tls {
        None if encrypted => {
            let message = format!("protocol {} needs tls settings, add them", port.protocol);
            report.error(tls_path, message);
        }
        None => {}
        Some(tls) => {
            let redirect = tls.https_redirect.unwrap_or_default();
            if encrypted && redirect {
                let message = "only a server of protocol HTTP can redirect to HTTPS, remove it";
                report.warning(format!("{tls_path}.httpsRedirect"), message);
            }
            if encrypted {
                check_tls(report, &tls_path, tls);
            } else if !is_plain(&port.protocol, tls) {
                report.error(tls_path, not_encrypted(&port.protocol));
            } else if tls.mode.is_some() && !redirect {
                let message = format!("ignored, as protocol {} is not encrypted", port.protocol);
                report.warning(tls_path, message);
            }
        }
    }
}

/// Whether settings without certificates are on a protocol that can redirect to HTTPS.
fn is_plain(protocol: &str, tls: &ServerTlsSettings) -> bool {
    let http = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"];
    let passes = matches!(
        tls.mode.unwrap_or_default(),
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough
    );
    let files = [&tls.ca_certificates, &tls.private_key, &tls.server_certificate];
    http.iter().any(|known| known.eq_ignore_ascii_case(protocol))
        && passes
        && files.iter().all(|file| file.is_empty())
}

/// What to do about TLS settings on a protocol without TLS.
pub(super) fn not_encrypted(protocol: &str) -> String {
    format!("protocol {protocol:?} is not encrypted, write HTTPS or TLS, or remove the settings")
}

/// What each TLS mode needs.
pub(super) fn check_tls(report: &mut Report, path: &str, tls: &ServerTlsSettings) {
    let by_secret = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    let by_files = !tls.server_certificate.is_empty() && !tls.private_key.is_empty();
    let sources = [by_secret, by_files, !tls.tls_certificates.is_empty()];
    if sources.iter().filter(|set| **set).count() > 1 {
        let message = "there are certificates from several sources, keep one of them";
        report.error(path, message);
    }
    match tls.mode.unwrap_or_default() {
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            if !by_secret && !by_files && tls.tls_certificates.is_empty() {
                let message =
                    "no certificate, set credentialName or serverCertificate and privateKey";
                report.error(path, message);
            }
            let mutual = tls.mode != Some(ServerTlsMode::Simple);
            let authority =
                !tls.ca_certificates.is_empty() || !tls.ca_cert_credential_name.is_empty();
            if mutual && !by_secret && !authority {
                let message = "mutual TLS needs a CA to check clients by, set it";
                report.error(format!("{path}.caCertificates"), message);
            }
        }
        ServerTlsMode::IstioMutual => {
            if by_secret || !tls.server_certificate.is_empty() || !tls.private_key.is_empty() {
                report.error(path, "ISTIO_MUTUAL uses the mesh's certificates, remove your own");
            }
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            if by_secret || by_files {
                report.warning(path, "certificates have no effect in a passthrough mode");
            }
        }
    }
    if let (Some(min), Some(max)) = (tls.min_protocol_version, tls.max_protocol_version)
        && min > max
        && max != crate::istio::networking::TlsProtocol::TlsAuto
    {
        report.error(format!("{path}.minProtocolVersion"), "it is above maxProtocolVersion");
    }
}
