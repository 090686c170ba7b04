//! Gateway -> [`Gateway`]: servers with checked ports, bind addresses and hosts.

use std::sync::Arc;

use lateen_api::istio::networking as api;

use crate::convert::{Notes, namespaced_host};
use crate::meta::Meta;
use crate::routing::{Gateway, Server, TlsMode};
use crate::service::Protocol;

/// Compiles a Gateway; servers that cannot be used are left out.
pub fn gateway(meta: &Arc<Meta>, spec: &api::GatewaySpec, notes: &mut Notes<'_>) -> Gateway {
    let servers = spec.servers.iter().enumerate();
    let servers = servers
        .filter_map(|(i, item)| server(item, &meta.namespace, &format!("spec.servers[{i}]"), notes))
        .collect();
    Gateway { meta: Arc::clone(meta), selector: spec.selector.clone(), servers }
}

fn server(
    spec: &api::Server,
    namespace: &str,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<Server> {
    let port = spec.port.clone().unwrap_or_default();
    let number = notes.port(port.number.unwrap_or(0), &format!("{path}.port.number"))?;
    let Some(protocol) = Protocol::from_word(&port.protocol) else {
        notes.bad(
            &format!("{path}.port.protocol"),
            &format!(
                "unknown protocol {:?}: use TCP, TLS, HTTP, HTTPS, GRPC or HTTP2",
                port.protocol
            ),
        );
        return None;
    };
    let bind = match spec.bind.as_str() {
        "" => None,
        text => match text.parse() {
            Ok(ip) => Some(ip),
            Err(_) => {
                notes.bad(&format!("{path}.bind"), "not an IP address");
                return None;
            }
        },
    };
    if spec.hosts.is_empty() {
        notes.bad(&format!("{path}.hosts"), "a server needs at least one host");
        return None;
    }
    let tls = spec.tls.as_ref().filter(|tls| **tls != api::ServerTlsSettings::default());
    let explicit = tls.and_then(|tls| tls.mode);
    let mode = match (tls, explicit.unwrap_or_default()) {
        (None, _) => TlsMode::None,
        (Some(tls), _) if explicit.is_none() && tls.https_redirect == Some(true) => TlsMode::None,
        (Some(_), api::ServerTlsMode::Passthrough) => TlsMode::Passthrough,
        (Some(_), api::ServerTlsMode::AutoPassthrough) => TlsMode::AutoPassthrough,
        (Some(_), _) => TlsMode::Terminate,
    };
    let hosts = spec.hosts.iter().map(|host| namespaced_host(host, namespace)).collect();
    Some(Server { port: number, port_name: port.name, protocol, bind, hosts, tls: mode })
}
