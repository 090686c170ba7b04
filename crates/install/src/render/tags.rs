//! Revision tags: other names by which namespaces choose a control plane. In: a tag and the revision
//! that it points at. Out: the webhook configuration that makes it so.

use lateen_inject::{Call, Settings, tag_webhooks};
use serde_json::{Value, json};

use crate::render::labels;
use crate::render::webhook::{DEFAULT_VALIDATION, DEFAULT_VALIDATOR, REVISION, absent};

/// The MutatingWebhookConfiguration of a tag that points at the revision of the settings. The tag `default` is chosen by
/// `istio-injection=enabled` too, as the default revision is.
pub fn tag(settings: &Settings, name: &str) -> Value {
    let mut object = render(settings, name, &Call::of(settings));
    object["metadata"]["labels"][labels::OWNER] = json!(labels::NOBODY);
    object
}

/// The validator of objects without a revision, from a revision's own: the same control plane is asked, and
/// fails as open or closed.
pub fn default_validator(own: &Value) -> Value {
    let mut labels = own["metadata"]["labels"].clone();
    labels[labels::OWNER] = json!(labels::NOBODY);
    let mut webhooks = own["webhooks"].clone();
    for webhook in webhooks.as_array_mut().into_iter().flatten() {
        webhook["name"] = json!(DEFAULT_VALIDATION);
        webhook["objectSelector"] = json!({ "matchExpressions": [absent(REVISION)] });
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": DEFAULT_VALIDATOR, "labels": labels },
        "webhooks": webhooks,
    })
}

/// A tag that points at the revision of the settings.
pub fn render(settings: &Settings, name: &str, call: &Call) -> Value {
    let mut object = tag_webhooks(settings, name, call);
    let own = &mut object["metadata"]["labels"];
    own[labels::COMPONENT] = json!("Pilot");
    own[labels::MANAGED] = json!("Reconcile");
    object
}
