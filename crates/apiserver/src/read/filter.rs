//! Which objects a list or watch is about: in, a target and selectors; out, yes or no per object.

use serde_json::Value;

use crate::catalog;
use crate::error::ApiError;
use crate::object;
use crate::route::{Query, Target};
use crate::selector::{FieldSelector, LabelSelector};
use crate::store::Key;

/// Place, name and selectors.
pub struct Filter {
    resource: &'static str,
    namespace: Option<String>,
    name: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// From a target and its query.
    pub fn new(target: &Target, query: &Query) -> Result<Self, ApiError> {
        let bad = |name: &str, error: &dyn std::fmt::Display| {
            ApiError::bad_request(format!("unable to parse {name}: {error}"))
        };
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default())
            .map_err(|error| bad("labelSelector", &error))?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())
            .map_err(|error| bad("fieldSelector", &error))?;
        fields
            .restrict(supported(target))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Self {
            resource: catalog::resource_id(target.kind),
            namespace: some(&target.namespace),
            name: some(&target.name),
            labels,
            fields,
        })
    }

    /// The resource's id.
    pub fn resource(&self) -> &'static str {
        self.resource
    }

    /// The one namespace, if it is only one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether an object has to be parsed to be judged.
    pub fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    /// Whether the key is in scope.
    pub fn covers(&self, key: &Key) -> bool {
        key.resource == self.resource
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
            && self.fields.pinned("metadata.name").is_none_or(|name| name == key.name)
    }

    /// Whether the stored object of a key in scope satisfies the selectors.
    pub fn matches(&self, stored: &[u8]) -> bool {
        !self.selects() || self.matches_value(&object::parse_stored(stored))
    }

    fn matches_value(&self, value: &Value) -> bool {
        self.labels.matches(value) && self.fields.matches(value)
    }
}

/// The fields that each kind can be selected by, as in Kubernetes.
fn supported(target: &Target) -> &'static [&'static str] {
    match (target.kind.group, target.kind.kind) {
        ("", "Pod") => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "Event") => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.resourceVersion",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "source.component",
            "type",
        ],
        ("", "Namespace") => &["metadata.name", "status.phase"],
        ("", "Node") => &["metadata.name", "spec.unschedulable"],
        ("", "Secret") => &["metadata.name", "metadata.namespace", "type"],
        ("", "Service") => &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"],
        _ => &["metadata.name", "metadata.namespace"],
    }
}
