//! What an API refuses of an object as a whole: names, labels, parts that do not go together. In: a rendered object. Out: what is wrong, by path.

mod service;
mod workload;

use lateen_api::labels::{
    is_annotation_key, is_label, is_label_key, is_label_value, is_subdomain, no_label,
    no_label_key, no_label_value, no_name,
};
use serde_json::{Map, Value};

use crate::Misfit;
use crate::form::Form;

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
        self.found.push(Misfit::new(path, message));
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
                            let wrong = annotations.keys().filter(|key| !is_annotation_key(key));
                            wrong.for_each(|key| self.tell(&at, no_label_key(key)));
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
            if !is_label_key(key) {
                self.tell(path, no_label_key(key));
            }
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

    fn label_value(&mut self, value: &Value, path: &str) {
        if let Some(text) = value.as_str().filter(|text| !is_label_value(text)) {
            self.tell(path, no_label_value(text));
        }
    }

    fn webhooks(&mut self, webhooks: &Value) {
        for (index, webhook) in webhooks.as_array().into_iter().flatten().enumerate() {
            let client = &webhook["clientConfig"];
            let at = format!("webhooks[{index}].clientConfig");
            let mut told = |field: &str, form: Form, value: &Value| {
                if let Some(Err(message)) = value.as_str().map(|text| form.check_item(text)) {
                    self.tell(&format!("{at}.{field}"), message);
                }
            };
            told("url", Form::Https, &client["url"]);
            told("service.path", Form::CallPath, &client["service"]["path"]);
            told("caBundle", Form::Base64, &client["caBundle"]);
        }
    }
}
