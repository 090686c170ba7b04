//! Gateways that would be taken for one, and ports. In: specs. Out: what is wrong.

use std::collections::BTreeSet;

use lateen_api::labels::{is_label, no_label};
use serde_json::{Value, json};

use super::Reader;
use crate::input::Input;
use crate::path;

impl Reader {
    /// Two gateways of one name in one list would be taken for one.
    pub fn twins(&mut self, spec: &Value) {
        for list in ["ingressGateways", "egressGateways"] {
            let gateways = spec["components"][list].as_array().cloned().unwrap_or_default();
            let mut seen = BTreeSet::new();
            // What is no object is told with all other wrong types.
            for (at, gateway) in gateways.iter().enumerate().filter(|(_, one)| one.is_object()) {
                let path = format!("spec.components.{list}[{at}]");
                let text = |field: &str| gateway[field].as_str().unwrap_or_default();
                for field in ["name", "namespace"] {
                    if !text(field).is_empty() && !is_label(text(field)) {
                        self.error(&format!("{path}.{field}"), no_label(text(field)));
                    }
                }
                if text("name").is_empty() {
                    let message = "it is missing, every gateway has a name".to_owned();
                    self.error(&format!("{path}.name"), message);
                } else if !seen.insert((text("name").to_owned(), text("namespace").to_owned())) {
                    let name = text("name");
                    let message =
                        format!("there are two gateways {name} in one namespace, rename one");
                    self.error(&path, message);
                }
            }
        }
    }

    /// Ports are laid over the profile's by their numbers: of two with one number one would be lost.
    pub fn same_ports(&mut self, spec: &Value) {
        let mut lists = vec![(
            "spec.components.pilot.k8s.service.ports".to_owned(),
            &spec["components"]["pilot"]["k8s"]["service"]["ports"],
        )];
        for list in ["ingressGateways", "egressGateways"] {
            let gateways = spec["components"][list].as_array().into_iter().flatten();
            lists.extend(gateways.enumerate().map(|(at, gateway)| {
                let path = format!("spec.components.{list}[{at}].k8s.service.ports");
                (path, &gateway["k8s"]["service"]["ports"])
            }));
        }
        for (path, ports) in lists {
            let mut seen = BTreeSet::new();
            for (at, port) in ports.as_array().into_iter().flatten().enumerate() {
                let Some(number) = port["port"].as_i64() else { continue };
                let protocol = port["protocol"].as_str().filter(|protocol| !protocol.is_empty());
                let protocol = protocol.unwrap_or("TCP");
                if !seen.insert((number, protocol)) {
                    let message = format!("there are two ports {number} of {protocol}, remove one");
                    self.error(&format!("{path}[{at}].port"), message);
                }
            }
        }
    }

    /// An ingress and an egress gateway have their names in common.
    pub fn gateways(&mut self, input: &Input, spec: &Value) {
        let home = path::get(spec, "namespace").and_then(Value::as_str);
        let home = home.or_else(|| path::get(spec, "values.global.istioNamespace")?.as_str());
        let mut seen: Vec<(String, String)> = Vec::new();
        for list in ["ingressGateways", "egressGateways"] {
            let gateways = spec["components"][list].as_array().into_iter().flatten();
            for (at, gateway) in gateways.enumerate() {
                if gateway["enabled"] != json!(true) {
                    continue;
                }
                let text = |field: &str| gateway[field].as_str().map(str::to_owned);
                let namespace = text("namespace").or_else(|| home.map(str::to_owned));
                let key = (text("name").unwrap_or_default(), namespace.unwrap_or_default());
                if seen.contains(&key) {
                    let message = format!(
                        "there are two gateways {} in namespace {}, rename one",
                        key.0, key.1
                    );
                    self.error(&input.gateway(list, at, gateway), message);
                }
                seen.push(key);
            }
        }
    }
}
