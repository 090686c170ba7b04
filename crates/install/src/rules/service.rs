//! Services. In: a Service's spec. Out: why it would be refused.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lateen_api::labels::{is_label, no_label};
use serde_json::{Value, json};

use super::Rules;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const TYPES: [&str; 4] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const POLICIES: [&str; 3] = ["SingleStack", "PreferDualStack", "RequireDualStack"];

impl Rules<'_> {
    pub(super) fn service(&mut self, spec: &Value) {
        self.service_ports(spec);
        let external = items(&spec["externalIPs"]);
        for address in &external {
            if let Some(reason) = no_external_address(address) {
                self.tell("spec.externalIPs", format!("{address:?} {reason}"));
            }
        }
        self.one_of(&spec["type"], &TYPES, "spec.type");
        for range in items(&spec["loadBalancerSourceRanges"]) {
            if !is_range(range) {
                let message = format!("{range:?} is no range: write it as in 10.0.0.0/8");
                self.tell("spec.loadBalancerSourceRanges", message);
            }
        }
        self.families(spec);
        let outside = is_outside(spec) || !external.is_empty();
        let policy = spec["externalTrafficPolicy"].as_str().unwrap_or_default();
        if !policy.is_empty() && !outside {
            let message = "a Service of type ClusterIP without externalIPs has no traffic from \
                           outside: set type to LoadBalancer or NodePort, or leave it out";
            self.tell("spec.externalTrafficPolicy", message);
        }
    }

    fn families(&mut self, spec: &Value) {
        let families = items(&spec["ipFamilies"]);
        for family in families.iter().filter(|family| !FAMILIES.contains(family)) {
            self.tell("spec.ipFamilies", format!("{family:?} is none of IPv4, IPv6"));
        }
        let different: BTreeSet<&&str> = families.iter().collect();
        if different.len() < families.len() {
            self.tell("spec.ipFamilies", "a family is there twice");
        }
        self.one_of(&spec["ipFamilyPolicy"], &POLICIES, "spec.ipFamilyPolicy");
    }

    /// A word that may be left out.
    fn one_of(&mut self, value: &Value, words: &[&str], path: &str) {
        let word = value.as_str().unwrap_or_default();
        if !word.is_empty() && !words.contains(&word) {
            self.tell(path, format!("{word:?} is none of {}", words.join(", ")));
        }
    }

    fn service_ports(&mut self, spec: &Value) {
        let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
        if ports.is_empty() {
            self.tell("spec.ports", "there is none");
        }
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for (index, port) in ports.iter().enumerate().filter(|(_, port)| !port.is_null()) {
            let at = format!("spec.ports[{index}]");
            let name = port["name"].as_str().unwrap_or_default();
            if name.is_empty() && ports.len() > 1 {
                self.tell(&format!("{at}.name"), "it is missing: with several ports each has one");
            } else if !name.is_empty() && !is_label(name) {
                self.tell(&format!("{at}.name"), no_label(name));
            } else if !name.is_empty() && !names.insert(name) {
                self.tell(&format!("{at}.name"), format!("there are two ports {name}"));
            }
            // Those that may be left out may be 0, too.
            for (field, least) in [("port", 1), ("targetPort", 0), ("nodePort", 0)] {
                let number = port[field].as_i64();
                if let Some(number) = number.filter(|number| !(least..=65535).contains(number)) {
                    let message = format!("{number} is no port: from 1 to 65535");
                    self.tell(&format!("{at}.{field}"), message);
                }
            }
            self.one_of(&port["protocol"], &PROTOCOLS, &format!("{at}.protocol"));
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            if !numbers.insert((port["port"].as_i64(), protocol)) && port["port"].is_i64() {
                let message = format!("there are two ports {} of {protocol}", port["port"]);
                self.tell(&format!("{at}.port"), message);
            }
            if port["nodePort"].as_i64().is_some_and(|port| port != 0) && !is_outside(spec) {
                self.tell(&format!("{at}.nodePort"), "a Service of type ClusterIP has none");
            }
        }
    }
}

/// Whether nodes or a load balancer take its traffic.
fn is_outside(spec: &Value) -> bool {
    spec["type"] == json!("NodePort") || spec["type"] == json!("LoadBalancer")
}

/// Why nodes cannot take traffic to an address.
fn no_external_address(text: &str) -> Option<&'static str> {
    let Ok(address) = text.parse::<IpAddr>() else { return Some("is no IP address") };
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
        }
    };
    match address.is_loopback() || address.is_unspecified() || is_link_local {
        true => Some("is no address that others reach a node by"),
        false => None,
    }
}

fn items(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.trim().split_once('/') else { return false };
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u8>()) else {
        return false;
    };
    length <= if address.is_ipv4() { 32 } else { 128 }
}
