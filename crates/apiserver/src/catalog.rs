//! What is served: in, names out of a URL or an object; out, the kind from the one table of kinds.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use lateen_api::kinds::{self, KINDS, Kind, by_kind, priority};

use crate::store::Key;

/// The resource id of namespaces, which the store itself looks at.
pub const NAMESPACES: &str = "/namespaces";

fn by_id() -> &'static BTreeMap<String, &'static Kind> {
    static TABLE: OnceLock<BTreeMap<String, &'static Kind>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let own = KINDS.iter().filter(|kind| kind.stored_as.is_none());
        own.map(|kind| (format!("{}/{}", kind.group, kind.plural), kind)).collect()
    })
}

/// `group/plural`: how the store names a resource.
pub fn resource_id(kind: &Kind) -> &'static str {
    let (group, plural) = kind.stored_as.unwrap_or((kind.group, kind.plural));
    known_resource(&format!("{group}/{plural}")).expect("every kind is stored as one of the table")
}

/// The id as the table holds it, if such a resource is served.
pub fn known_resource(id: &str) -> Option<&'static str> {
    by_id().get_key_value(id).map(|(id, _)| id.as_str())
}

/// The kind of a stored object.
pub fn kind_of(key: &Key) -> &'static Kind {
    by_id().get(key.resource).copied().expect("keys hold only ids of the table")
}

/// The store's key of an object.
pub fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
    let namespace = if kind.namespaced { namespace } else { "" };
    Key { resource: resource_id(kind), namespace: namespace.to_owned(), name: name.to_owned() }
}

/// The `apiVersion` in which objects of a kind are stored.
pub fn storage_version(kind: &Kind) -> String {
    kind.api_version(kind.storage_version())
}

/// The kind served at `/apis/GROUP/VERSION/PLURAL`, and the version as the table has it.
pub fn find(group: &str, version: &str, plural: &str) -> Option<(&'static Kind, &'static str)> {
    let kind = kinds::find(group, version, plural)?;
    let version = kind.versions.iter().find(|served| **served == version)?;
    Some((kind, version))
}

/// The kind that an object's own `apiVersion` and `kind` name.
pub fn find_object(api_version: &str, name: &str) -> Option<&'static Kind> {
    let (group, version) = kinds::split_api_version(api_version);
    by_kind(group, name).filter(|kind| kind.serves(version))
}

/// Namespaces, which every other namespaced object needs.
pub fn namespace_kind() -> &'static Kind {
    by_kind("", "Namespace").expect("the table of kinds has namespaces")
}

/// Resources of one version.
pub type Version = (&'static str, Vec<&'static Kind>);

/// Every group, in the table's order, with its versions and their resources: the version that Kubernetes prefers is first.
pub fn groups() -> Vec<(&'static str, Vec<Version>)> {
    let mut groups: Vec<(&'static str, Vec<Version>)> = Vec::new();
    for kind in KINDS {
        let index = groups.iter().position(|(name, _)| *name == kind.group).unwrap_or_else(|| {
            groups.push((kind.group, Vec::new()));
            groups.len() - 1
        });
        let served = &mut groups[index].1;
        for version in kind.versions {
            match served.iter_mut().find(|(name, _)| name == version) {
                Some((_, kinds)) => kinds.push(kind),
                None => served.push((version, vec![kind])),
            }
        }
    }
    for (_, versions) in &mut groups {
        versions.sort_by_key(|(version, _)| Reverse(priority(version)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn stable_versions_come_before_others() {
        let versions = |group: &str| -> Vec<&str> {
            let all = groups();
            let (_, versions) = all.iter().find(|(name, _)| *name == group).unwrap();
            versions.iter().map(|(version, _)| *version).collect()
        };
        assert_eq!(versions("telemetry.istio.io"), ["v1", "v1alpha1"]);
        assert_eq!(versions("networking.istio.io"), ["v1", "v1beta1", "v1alpha3"]);
    }
}
