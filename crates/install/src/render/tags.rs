//! Revision tags: other names by which namespaces choose a control plane. In: a tag and the revision
//! that it points at. Out: the webhook configuration that makes it so.

use lateen_inject::{Call, Settings, tag_webhooks};
use serde_json::{Value, json};

use crate::render::labels;
use crate::render::webhook::{DEFAULT_VALIDATION, DEFAULT_VALIDATOR, REVISION, absent};

/// A name for a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// Empty or `default` for the installation without a revision's name.
    pub revision: String,
    /// The control plane's namespace.
    pub namespace: String,
    /// Whether the control plane injects where a namespace says nothing.
    pub namespaces_by_default: bool,
    /// The label that asks for injection in place of `istio-injection`, if the installation has one.
    pub inject_label: Option<String>,
}

/// The MutatingWebhookConfiguration of a tag. The tag `default` is chosen by `istio-injection=enabled`
/// too, as the default revision is.
pub fn tag(tag: &Tag) -> Value {
    let mut settings = Settings {
        revision: tag.revision.clone(),
        istio_namespace: tag.namespace.clone(),
        namespaces_by_default: tag.namespaces_by_default,
        ..Settings::default()
    };
    if let Some(label) = &tag.inject_label {
        settings.inject_label.clone_from(label);
    }
    let mut object = render(&settings, &tag.name, &Call::of(&settings));
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
