//! Where a sidecar takes captured connections, which MeshConfig may move from 15001 and 15006
//! (`proxyListenPort`, `proxyInboundListenPort`). In: what its admin server says of its listeners. Out: rules
//! that agree with them.

use std::net::SocketAddr;

use lateen_netns::rules::Intercept;
use serde_json::Value;

const OUTBOUND: &str = "virtualOutbound";
const INBOUND: &str = "virtualInbound";

/// From `/config_dump` of Lateen's proxy, or `/listeners?format=json` of Envoy. A listener that is not there
/// leaves Istio's default.
pub(super) fn intercept(listeners: &Value) -> Intercept {
    let ours = listeners["listeners"].as_array();
    let envoys = listeners["listener_statuses"].as_array();
    let mut intercept = Intercept::default();
    for listener in ours.or(envoys).into_iter().flatten() {
        let place = match listener["name"].as_str() {
            Some(OUTBOUND) => &mut intercept.outbound_port,
            Some(INBOUND) => &mut intercept.inbound_port,
            _ => continue,
        };
        *place = port(listener).unwrap_or(*place);
    }
    intercept
}

fn port(listener: &Value) -> Option<u16> {
    match listener["address"].as_str() {
        Some(address) => Some(address.parse::<SocketAddr>().ok()?.port()),
        None => {
            let port = &listener["local_address"]["socket_address"]["port_value"];
            u16::try_from(port.as_u64()?).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::intercept;

    fn ports(listeners: &Value) -> (u16, u16) {
        let intercept = intercept(listeners);
        (intercept.outbound_port, intercept.inbound_port)
    }

    #[test]
    fn the_rules_follow_the_listeners_of_either_proxy() {
        let lateen = json!({ "listeners": [
            { "name": "virtualOutbound", "address": "0.0.0.0:16001" },
            { "name": "10.96.0.1_80", "address": "10.96.0.1:80" },
            { "name": "virtualInbound", "address": "0.0.0.0:16006" },
        ] });
        assert_eq!(ports(&lateen), (16001, 16006));
        let at =
            |port: u16| json!({ "socket_address": { "address": "0.0.0.0", "port_value": port } });
        let envoy = json!({ "listener_statuses": [
            { "name": "virtualInbound", "local_address": at(16006) },
            { "name": "virtualOutbound", "local_address": at(16001) },
        ] });
        assert_eq!(ports(&envoy), (16001, 16006));
    }

    #[test]
    fn without_an_answer_the_ports_are_istios() {
        assert_eq!(ports(&Value::Null), (15001, 15006));
    }
}
