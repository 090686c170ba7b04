//! What an API refuses of an object as a whole: names, labels, parts that do not go together. In: a rendered object. Out: what is wrong, by path.

mod service;
mod workload;

use lateen_api::labels::{
    is_label, is_label_key, is_label_value, is_subdomain, no_label, no_label_key, no_label_value,
    no_name,
};
use serde_json::{Map, Value};

use crate::Misfit;

/// Every reason for which an object would be refused that its definition does not tell.
pub fn check(object: &Value) -> Vec<Misfit> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let mut rules = Rules { kind, found: Vec::new() };
    rules.name(object);
    if kind != "CustomResourceDefinition" {
        rules.labels(object, String::new());
    }
    match kind {
        "ConfigMap" => rules.config_map(&object["data"]),
        "Service" => rules.service(&object["spec"]),
        "Deployment" => rules.deployment(&object["spec"]),
        "DaemonSet" => rules.daemon_set(&object["spec"]),
        "HorizontalPodAutoscaler" => rules.autoscaler(&object["spec"]),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            rules.webhooks(&object["webhooks"]);
        }
        _ => {}
    }
    rules.found
}

struct Rules<'a> {
    kind: &'a str,
    found: Vec<Misfit>,
}

impl Rules<'_> {
    /// `path` is below the object.
    fn tell(&mut self, path: &str, message: impl Into<String>) {
        let path = format!("{}.{path}", self.kind);
        self.found.push(Misfit { path, message: message.into() });
    }

    fn name(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let fits = match self.kind {
            "Service" => is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
            "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => {
                !name.is_empty() && !name.contains(['/', '%', ' '])
            }
            _ => is_subdomain(name),
        };
        if !fits {
            self.tell("metadata.name", no_name(self.kind, name));
        }
        if let Some(namespace) = metadata["namespace"].as_str().filter(|name| !is_label(name)) {
            self.tell("metadata.namespace", no_label(namespace));
        }
    }

    /// Labels and annotations wherever they are.
    fn labels(&mut self, value: &Value, path: String) {
        match value {
            Value::Object(fields) => {
                for (key, inner) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    let at = format!("{path}{dot}{key}");
                    match (key.as_str(), inner) {
                        ("labels", Value::Object(labels)) => self.label_map(labels, &at),
                        ("annotations", Value::Object(annotations)) => {
                            annotations.keys().for_each(|key| self.label_key(key, &at));
                        }
                        // Texts that are objects in another language.
                        ("data", _) if self.kind == "ConfigMap" => {}
                        _ => self.labels(inner, at),
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.labels(item, format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn label_map(&mut self, labels: &Map<String, Value>, path: &str) {
        for (key, value) in labels {
            self.label_key(key, path);
            self.label_value(value, &format!("{path}.{key}"));
        }
    }

    /// Kubernetes keeps no more than a mebibyte in one.
    fn config_map(&mut self, data: &Value) {
        const MOST: usize = 1 << 20;
        let texts = data.as_object().into_iter().flatten();
        let sizes = texts.map(|(key, text)| key.len() + text.as_str().map_or(0, str::len));
        let size: usize = sizes.sum();
        if size > MOST {
            self.tell(
                "data",
                format!("it has {size} bytes, and a ConfigMap has at most {MOST}: write less"),
            );
        }
    }

    fn label_key(&mut self, key: &str, path: &str) {
        if !is_label_key(key) {
            self.tell(path, no_label_key(key));
        }
    }

    fn label_value(&mut self, value: &Value, path: &str) {
        if let Some(text) = value.as_str().filter(|text| !is_label_value(text)) {
            self.tell(path, no_label_value(text));
        }
    }

    fn webhooks(&mut self, webhooks: &Value) {
        for (index, webhook) in webhooks.as_array().into_iter().flatten().enumerate() {
            let client = &webhook["clientConfig"];
            let at = format!("webhooks[{index}].clientConfig");
            if let Some(url) = client["url"].as_str().filter(|url| !url.starts_with("https://")) {
                self.tell(&format!("{at}.url"), format!("{url:?} does not begin with https://"));
            }
            let path = client["service"]["path"].as_str();
            if let Some(path) = path.filter(|path| !path.starts_with('/')) {
                self.tell(&format!("{at}.service.path"), format!("{path:?} does not begin with /"));
            }
            if let Some(bundle) = client["caBundle"].as_str().filter(|text| !is_base64(text)) {
                let shown: String = bundle.chars().take(20).collect();
                let message = format!("{shown:?} is not base64: encode the PEM text");
                self.tell(&format!("{at}.caBundle"), message);
            }
        }
    }
}

/// As Go reads it: line breaks do not count.
fn is_base64(text: &str) -> bool {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let inner = text.trim_end_matches('=');
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.len().is_multiple_of(4) && text.len() - inner.len() <= 2 && inner.bytes().all(known)
}
