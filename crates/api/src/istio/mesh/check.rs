//! Settings that nobody could use although every field has its type: selectors, ports, addresses, durations, and
//! what proxies are told by variables. In: MeshConfig or ProxyConfig as JSON, in the form of their definitions.
//! Out: what is wrong and how to write it, by path.

mod formats;
mod providers;
mod variables;

use serde_json::Value;

use super::config::{LabelSelector, LabelSelectorRequirement};
use crate::labels::{is_label_key, is_label_value, no_label_key, no_label_value};
use crate::schema::definitions;
use crate::words::{self, Check};
use formats::unusable_formats;
pub use providers::SERVICES;
use providers::unusable_providers;
pub use variables::{FLAGS, OF_POD};

const PREFIX: &str = "#/components/schemas/";

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Below the settings.
    pub path: String,
    pub message: String,
}

impl Fault {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { path: path.into(), message: message.into() }
    }
}

/// Fields of a ProxyConfig with whose wrong values a pod could not start, or would have no traffic.
const OF_PROXY: [(&str, Check); 4] = [
    ("statusPort", words::status_port),
    ("proxyAdminPort", words::admin_port),
    ("discoveryAddress", words::address),
    ("concurrency", words::threads),
];

/// Fields of MeshConfig whose wrong values would keep all of a mesh's proxies from working.
const OF_MESH: [(&str, Check); 4] = [
    ("proxyListenPort", words::port),
    ("proxyInboundListenPort", words::port),
    ("trustDomain", words::trust_domain),
    ("rootNamespace", words::namespace),
];

/// What is wrong with MeshConfig.
pub fn unusable_mesh_config(config: &Value) -> Vec<Fault> {
    let mut faults = unfit_durations("io.istio.mesh.MeshConfig", config);
    faults.extend(OF_MESH.iter().filter_map(|(field, check)| unfit(config, field, *check)));
    let selectors = serde_json::from_value(config["discoverySelectors"].clone());
    let selectors: Vec<LabelSelector> = selectors.unwrap_or_default();
    faults.extend(unusable_selectors("discoverySelectors", &selectors));
    faults.extend(unusable_providers("extensionProviders", &config["extensionProviders"]));
    faults.extend(unusable_formats(config));
    let inner = fields_of_proxy(&config["defaultConfig"]).into_iter();
    faults.extend(
        inner.map(|fault| Fault::new(format!("defaultConfig.{}", fault.path), fault.message)),
    );
    faults
}

/// What is wrong with a ProxyConfig.
pub fn unusable_proxy_config(config: &Value) -> Vec<Fault> {
    let mut faults = unfit_durations("io.istio.mesh.ProxyConfig", config);
    faults.extend(fields_of_proxy(config));
    faults
}

fn fields_of_proxy(config: &Value) -> Vec<Fault> {
    let mut faults: Vec<Fault> =
        OF_PROXY.iter().filter_map(|(field, check)| unfit(config, field, *check)).collect();
    for (name, value) in config["proxyMetadata"].as_object().into_iter().flatten() {
        if let Err(message) = variables::check(name, value.as_str().unwrap_or_default()) {
            faults.push(Fault::new(format!("proxyMetadata.{name}"), message));
        }
    }
    faults
}

fn unfit(config: &Value, field: &str, check: Check) -> Option<Fault> {
    let text = match config.get(field)? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(Fault::new(field, check(&text).err()?))
}

/// What is wrong with label selectors, as Kubernetes reads them.
pub fn unusable_selectors(path: &str, selectors: &[LabelSelector]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, selector) in selectors.iter().enumerate() {
        let at = format!("{path}[{index}]");
        for (key, value) in &selector.match_labels {
            let at = format!("{at}.matchLabels.{key}");
            if !is_label_key(key) {
                faults.push(Fault::new(&at, no_label_key(key)));
            }
            if !is_label_value(value) {
                faults.push(Fault::new(&at, no_label_value(value)));
            }
        }
        for (index, expression) in selector.match_expressions.iter().enumerate() {
            expression_faults(expression, &format!("{at}.matchExpressions[{index}]"), &mut faults);
        }
    }
    faults
}

fn expression_faults(expression: &LabelSelectorRequirement, at: &str, faults: &mut Vec<Fault>) {
    let LabelSelectorRequirement { key, operator, values } = expression;
    if !is_label_key(key) {
        faults.push(Fault::new(format!("{at}.key"), no_label_key(key)));
    }
    let message = match (operator.as_str(), values.is_empty()) {
        ("In" | "NotIn", false) | ("Exists" | "DoesNotExist", true) => None,
        ("In" | "NotIn", true) => Some((
            "values",
            format!("{operator} needs values: write them, or use Exists or DoesNotExist"),
        )),
        ("Exists" | "DoesNotExist", false) => {
            Some(("values", format!("{operator} takes no values: remove them, or use In or NotIn")))
        }
        _ => Some((
            "operator",
            format!("{operator:?} is no operator: use In, NotIn, Exists or DoesNotExist"),
        )),
    };
    faults.extend(message.map(|(field, message)| Fault::new(format!("{at}.{field}"), message)));
    for value in values.iter().filter(|value| !is_label_value(value)) {
        faults.push(Fault::new(format!("{at}.values"), no_label_value(value)));
    }
}

/// Durations that are none or less than nothing, wherever the definition has durations.
fn unfit_durations(definition: &str, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(schema) = definitions().get(definition) {
        durations(schema, value, String::new(), &mut faults);
    }
    faults
}

fn durations(schema: &Value, value: &Value, path: String, faults: &mut Vec<Fault>) {
    let named = schema.get("$ref").and_then(Value::as_str);
    let named = named.map(|name| name.strip_prefix(PREFIX).unwrap_or(name));
    let schema = named.and_then(|name| definitions().get(name)).unwrap_or(schema);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let of_key = schema.get("properties").and_then(|known| known.get(key));
                let dot = if path.is_empty() { "" } else { "." };
                if let Some(schema) = of_key.or_else(|| schema.get("additionalProperties")) {
                    durations(schema, value, format!("{path}{dot}{key}"), faults);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                durations(schema, item, format!("{path}[{index}]"), faults);
            }
        }
        Value::String(text) if schema.get("x-lateen-format") == Some(&"duration".into()) => {
            faults.extend(words::duration(text).err().map(|message| Fault::new(path, message)));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
