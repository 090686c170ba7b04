//! OpenAPI v3: the index of group versions and one document for each. In: the kinds table and the
//! definitions. Out: JSON. A document is built for each request and not kept: clients cache it by the
//! hash in the index.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use bytes::Bytes;
use lateen_api::kinds::{KINDS, Kind};
use lateen_api::schema::{definition_name, definitions};
use serde_json::{Map, Value, json};

use super::{info, paths, rewrite};

static INDEX: LazyLock<Bytes> = LazyLock::new(|| {
    let groups: BTreeSet<String> = KINDS
        .iter()
        .flat_map(|kind| kind.versions.iter().map(|v| paths::group_path(kind.group, v)))
        .collect();
    let mut entries = BTreeMap::new();
    for group in groups {
        let body = v3_group(&group).expect("invariant: the group is one of the table's");
        let url = format!("/openapi/v3/{group}?hash={:016X}", content_hash(&body));
        entries.insert(group, json!({"serverRelativeURL": url}));
    }
    Bytes::from(json!({"paths": entries}).to_string())
});

/// `/openapi/v3`: where each group version's document is.
pub fn v3_index() -> Bytes {
    INDEX.clone()
}

/// `/openapi/v3/{path}`, such as `apis/networking.istio.io/v1`; `None` for a group version that is
/// not served.
pub fn v3_group(path: &str) -> Option<Bytes> {
    let served: Vec<(&Kind, &str)> = KINDS
        .iter()
        .flat_map(|kind| kind.versions.iter().map(move |version| (kind, *version)))
        .filter(|(kind, version)| paths::group_path(kind.group, version) == path)
        .collect();
    if served.is_empty() {
        return None;
    }
    let mut items = Map::new();
    let mut names = BTreeSet::new();
    for (kind, version) in served {
        items.insert(paths::object_path(kind, version), paths::v3(kind, version));
        collect(&definition_name(kind, version), &mut names);
    }
    let schemas: Map<String, Value> = names
        .into_iter()
        .filter_map(|name| {
            let schema = rewrite::v3(&name, definitions().get(&name)?);
            Some((name, schema))
        })
        .collect();
    let document = json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": items,
        "components": {"schemas": schemas},
    });
    Some(Bytes::from(document.to_string()))
}

/// Adds a definition and all that it refers to.
fn collect(name: &str, names: &mut BTreeSet<String>) {
    let Some(schema) = definitions().get(name) else { return };
    if names.insert(name.to_owned()) {
        references(schema, names);
    }
}

fn references(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => {
                        collect(rewrite::referenced(reference), names);
                    }
                    _ => references(value, names),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

fn content_hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}
