//! Revision tags: other names by which namespaces choose a control plane. In: a tag and the revision
//! that it points at. Out: the webhook configuration that makes it so.

use serde_json::{Value, json};

use crate::render::labels;
use crate::render::webhook::{Injector, injector, service};

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
    let (revision, control_plane) = match tag.revision.as_str() {
        "" | "default" => ("default", "istiod".to_owned()),
        revision => (revision, format!("istiod-{revision}")),
    };
    injector(&Injector {
        name: format!("istio-revision-tag-{}", tag.name),
        selected_by: tag.name.clone(),
        is_default: tag.name == "default",
        inject_label: tag.inject_label.clone().unwrap_or_else(|| "istio-injection".to_owned()),
        namespaces_by_default: tag.namespaces_by_default,
        reinvocation: "Never".to_owned(),
        client: service(&control_plane, &tag.namespace, "/inject"),
        labels: json!({
            "app": "sidecar-injector",
            labels::TAG: tag.name,
            labels::REVISION: revision,
            labels::COMPONENT: "Pilot",
            labels::MANAGED: "Reconcile",
            labels::OWNER: "none",
        }),
    })
}
