//! Gateways that would be taken for one, and ports. In: specs. Out: what is wrong.

use std::collections::BTreeSet;

use lateen_api::labels::{is_label, no_label};
use serde_json::{Value, json};

use super::Reader;
use crate::input::Input;
use crate::path;

const NAMELESS: &str = "it is missing, every gateway has a name";

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
                    self.error(&format!("{path}.name"), NAMELESS.to_owned());
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
        let lists = components(spec)
            .map(|(path, k8s)| (format!("{path}.service.ports"), &k8s["service"]["ports"]));
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

    /// Of two variables of one name one would be lost, too.
    pub fn same_variables(&mut self, spec: &Value) {
        for (path, k8s) in components(spec) {
            let mut seen = BTreeSet::new();
            for (at, variable) in k8s["env"].as_array().into_iter().flatten().enumerate() {
                let name = variable["name"].as_str();
                if let Some(name) = name.filter(|name| !seen.insert(*name)) {
                    let message = format!("there are two variables {name}, remove one");
                    self.error(&format!("{path}.env[{at}].name"), message);
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
                self.nameless(input, list, at, gateway);
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

    /// A setting may have made one: those of files are told of already.
    fn nameless(&mut self, input: &Input, list: &str, at: usize, gateway: &Value) {
        let is_nameless = |gateway: &Value| gateway["name"].as_str().is_none_or(str::is_empty);
        let mut own = input.user["components"][list].as_array().into_iter().flatten();
        if is_nameless(gateway) && !own.any(is_nameless) {
            let path = format!("spec.components.{list}[{at}].name");
            self.error(&path, NAMELESS.to_owned());
            // What else would be said of it has no name to it.
            self.is_whole = false;
        }
    }
}

/// The Kubernetes settings of what a spec has, with their paths.
fn components(spec: &Value) -> impl Iterator<Item = (String, &Value)> {
    let components = &spec["components"];
    let single = ["pilot", "cni"]
        .map(|name| (format!("spec.components.{name}.k8s"), &components[name]["k8s"]));
    let lists = ["ingressGateways", "egressGateways"].into_iter().flat_map(move |list| {
        let gateways = components[list].as_array().into_iter().flatten().enumerate();
        gateways.map(move |(at, gateway)| {
            (format!("spec.components.{list}[{at}].k8s"), &gateway["k8s"])
        })
    });
    single.into_iter().chain(lists)
}
