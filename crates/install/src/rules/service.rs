//! Services. In: a Service's spec. Out: why it would be refused.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Rules;

impl Rules<'_> {
    pub(super) fn service(&mut self, spec: &Value) {
        self.service_ports(spec);
        let families: Vec<&Value> = items(&spec["ipFamilies"]).collect();
        let different: BTreeSet<String> = families.iter().map(ToString::to_string).collect();
        if different.len() < families.len() {
            self.tell("spec.ipFamilies", "a family is there twice");
        }
        let has_addresses = items(&spec["externalIPs"]).next().is_some();
        let policy = spec["externalTrafficPolicy"].as_str().unwrap_or_default();
        if !policy.is_empty() && !is_outside(spec) && !has_addresses {
            let message = "a Service of type ClusterIP without externalIPs has no traffic from \
                           outside: set type to LoadBalancer or NodePort, or leave it out";
            self.tell("spec.externalTrafficPolicy", message);
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
            } else if !name.is_empty() && !names.insert(name) {
                self.tell(&format!("{at}.name"), format!("there are two ports {name}"));
            }
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

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten().filter(|item| !item.is_null())
}
