//! Turns the definitions into the dialect of one OpenAPI version. In: definitions as the `api` crate
//! has them. Out: the same with that version's references, list and patch extensions written beside
//! the fields they belong to, and no extension that is Lateen's alone.

use lateen_api::schema::{ListMerge, list_merge, patch_merge_key, patch_merges_scalars};
use serde_json::{Map, Value, json};

const V3_PREFIX: &str = "#/components/schemas/";
const V2_PREFIX: &str = "#/definitions/";

#[derive(Clone, Copy, PartialEq)]
enum Version {
    V2,
    V3,
}

/// All definitions for Swagger 2.
pub fn v2(definitions: &Map<String, Value>) -> Value {
    let rewritten = definitions
        .iter()
        .map(|(name, schema)| (name.clone(), rewrite(schema, name, Version::V2)))
        .collect();
    Value::Object(rewritten)
}

/// One definition for OpenAPI v3.
pub fn v3(name: &str, schema: &Value) -> Value {
    rewrite(schema, name, Version::V3)
}

/// The definition's name in a `$ref`.
pub fn referenced(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn rewrite(schema: &Value, definition: &str, version: Version) -> Value {
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    for (key, value) in map {
        let written = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => properties
                .iter()
                .map(|(name, field)| (name.clone(), property(field, definition, name, version)))
                .collect(),
            ("items" | "additionalProperties", value) => rewrite(value, "", version),
            ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => {
                list.iter().map(|member| rewrite(member, "", version)).collect()
            }
            ("$ref", Value::String(reference)) => {
                let prefix = if version == Version::V2 { V2_PREFIX } else { V3_PREFIX };
                Value::from(format!("{prefix}{}", referenced(reference)))
            }
            (own, _) if own.starts_with("x-lateen-") => continue,
            _ => value.clone(),
        };
        out.insert(key.clone(), written);
    }
    if version == Version::V2 && out.contains_key("x-kubernetes-int-or-string") {
        out.insert("type".to_owned(), Value::from("string"));
        out.insert("format".to_owned(), Value::from("int-or-string"));
    }
    Value::Object(out)
}

fn property(field: &Value, definition: &str, name: &str, version: Version) -> Value {
    let mut out = rewrite(field, "", version);
    if let Value::Object(map) = &mut out {
        annotate(map, definition, name);
        // OpenAPI v3.0 ignores what stands beside a reference.
        if version == Version::V3
            && map.len() > 1
            && let Some(reference) = map.shift_remove("$ref")
        {
            map.insert("allOf".to_owned(), json!([{"$ref": reference}]));
        }
    }
    out
}

/// Writes how patches merge the list, as kubectl reads it.
fn annotate(map: &mut Map<String, Value>, definition: &str, name: &str) {
    if map.get("type").and_then(Value::as_str) != Some("array") {
        return;
    }
    let mut put = |key: &str, value: Value| {
        map.entry(key).or_insert(value);
    };
    let merge_key = patch_merge_key(definition, name);
    match list_merge(definition, name) {
        ListMerge::Map(keys) => {
            put("x-kubernetes-list-type", json!("map"));
            put("x-kubernetes-list-map-keys", json!(keys));
        }
        ListMerge::Set => put("x-kubernetes-list-type", json!("set")),
        ListMerge::Atomic => {}
    }
    if let Some(key) = merge_key {
        put("x-kubernetes-patch-merge-key", json!(key));
    }
    if merge_key.is_some() || patch_merges_scalars(definition, name) {
        put("x-kubernetes-patch-strategy", json!("merge"));
    }
}
