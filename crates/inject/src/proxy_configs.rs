//! ProxyConfig objects. In: the objects of the mesh. Out: what of them a pod's proxy is configured with, in
//! Istio's order: the root namespace's, the pod's namespace's, the pod's own annotation, and that of the
//! object which selects the pod.

use std::collections::BTreeMap;

use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::istio::networking::ProxyConfigSpec;
use lateen_api::kinds::{Kind, by_kind};
use lateen_api::resource::{self, Object, Resource};
use serde_json::{Value, json};

use crate::inject::overlay;
use crate::pod;

/// Two objects for the same pods, of which one counts.
const CONFLICT: Code = Code("LTN0204");

/// All ProxyConfig objects, by namespace, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyConfigs(BTreeMap<String, Vec<Entry>>);

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    object: ObjectRef,
    created: i64,
    /// `None` is the whole namespace; an empty one selects nothing, as in Istio.
    selector: Option<BTreeMap<String, String>>,
    /// The fields of MeshConfig's ProxyConfig that the object sets.
    config: Value,
}

/// The kind of the objects.
pub fn kind() -> &'static Kind {
    by_kind("networking.istio.io", "ProxyConfig").expect("invariant: the table has Istio's kinds")
}

impl ProxyConfigs {
    /// Reads the objects; one that cannot be read has no effect.
    pub fn read(objects: impl IntoIterator<Item = Value>) -> (Self, Vec<Issue>) {
        let (mut configs, mut issues) = (Self::default(), Vec::new());
        for object in objects {
            let (resource, found) = resource::parse(kind(), kind().storage_version(), object);
            issues.extend(found);
            let Some(Resource::ProxyConfig(object)) = resource else { continue };
            configs.0.entry(object.namespace().to_owned()).or_default().push(entry(object));
        }
        for entries in configs.0.values_mut() {
            let age = |entry: &Entry| (entry.created, entry.object.name.clone());
            entries.sort_by_key(age);
            issues.extend(conflict(entries));
        }
        (configs, issues)
    }

    /// Lays the namespaces' settings over the mesh's.
    pub(crate) fn of_namespaces(&self, root: &str, namespace: &str, config: &mut Value) {
        let mut namespaces = vec![root];
        namespaces.extend(Some(namespace).filter(|namespace| *namespace != root));
        for namespace in namespaces {
            let entries = self.0.get(namespace).map(Vec::as_slice).unwrap_or_default();
            if let Some(entry) = entries.iter().find(|entry| entry.selector.is_none()) {
                overlay(config, &entry.config);
            }
        }
    }

    /// Lays the settings for this pod over all others.
    pub(crate) fn of_pod(&self, namespace: &str, of: &Value, config: &mut Value) {
        let entries = self.0.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let selects = |entry: &&Entry| {
            let labels = entry.selector.as_ref().filter(|labels| !labels.is_empty());
            labels.is_some_and(|labels| {
                labels.iter().all(|(name, value)| pod::label(of, name) == Some(value))
            })
        };
        if let Some(entry) = entries.iter().find(selects) {
            overlay(config, &entry.config);
        }
    }
}

fn entry(object: Object<ProxyConfigSpec>) -> Entry {
    let reference = ObjectRef::new(kind().group, kind().kind, object.namespace(), object.name());
    let Object { metadata, spec } = object;
    let mut config = json!({});
    if let Some(threads) = spec.concurrency {
        config["concurrency"] = json!(threads);
    }
    if !spec.environment_variables.is_empty() {
        config["proxyMetadata"] = json!(spec.environment_variables);
    }
    Entry {
        object: reference,
        created: metadata.creation_timestamp.map_or(0, |time| time.0.as_second()),
        selector: spec.selector.map(|selector| selector.match_labels),
        config,
    }
}

/// Istio allows one object for the whole of a namespace.
fn conflict(entries: &[Entry]) -> Vec<Issue> {
    let mut whole = entries.iter().filter(|entry| entry.selector.is_none());
    let Some(first) = whole.next() else { return Vec::new() };
    let told = whole.map(|entry| {
        let message = format!(
            "{} is older and is for the whole namespace too, so this one has no effect: put both in one",
            first.object
        );
        Issue::warning(entry.object.clone(), "spec", CONFLICT, message)
    });
    told.collect()
}

#[cfg(test)]
mod tests;
