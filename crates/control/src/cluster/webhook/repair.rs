//! What a webhook configuration lacks to work. In: the object, and what it should hold. Out: a merge
//! patch, or nothing if it is right.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What the webhooks of this control plane should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The control plane's Service; other webhooks are not touched, nor those with a URL, whose trust is
    /// their author's matter.
    pub service: String,
    pub namespace: String,
    /// Base64 of PEM.
    bundle: String,
    /// Whether `/validate` is known to be asked: an object that it cannot be asked about is refused then.
    pub validating: bool,
}

impl Wanted {
    pub fn new(service: String, namespace: String, roots: &str, validating: bool) -> Self {
        Self { service, namespace, bundle: STANDARD.encode(roots), validating }
    }

    fn calls_us(&self, webhook: &Value) -> bool {
        let service = &webhook["clientConfig"]["service"];
        service["name"] == *self.service && service["namespace"] == *self.namespace
    }
}

/// Whether the control plane is asked by this configuration.
pub fn is_ours(configuration: &Value, wanted: &Wanted) -> bool {
    webhooks(configuration).iter().any(|webhook| wanted.calls_us(webhook))
}

/// The change, if it is still as it was read.
pub fn repair(configuration: &Value, wanted: &Wanted) -> Option<Value> {
    let validates = configuration["kind"] == "ValidatingWebhookConfiguration";
    let mut repaired = webhooks(configuration).to_vec();
    for webhook in repaired.iter_mut().filter(|webhook| wanted.calls_us(webhook)) {
        webhook["clientConfig"]["caBundle"] = json!(wanted.bundle);
        if validates && wanted.validating {
            webhook["failurePolicy"] = json!("Fail");
        }
    }
    if repaired == webhooks(configuration) {
        return None;
    }
    // A list is patched whole; the version keeps a change that came in between.
    let version = &configuration["metadata"]["resourceVersion"];
    Some(json!({"metadata": {"resourceVersion": version}, "webhooks": repaired}))
}

fn webhooks(configuration: &Value) -> &[Value] {
    configuration["webhooks"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
