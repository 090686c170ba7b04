//! CustomResourceDefinitions of Istio's kinds, from the same types that read them. In: the kinds
//! table and its OpenAPI definitions, which have Istio's bounds and rules. Out: structural schemas, with
//! Istio's columns and names.

use lateen_api::kinds::{Column, ColumnType, KINDS, Kind, Source};
use lateen_api::schema::{definition_name, definitions};
use serde_json::{Map, Value, json};

use crate::plan::Plan;

const PREFIX: &str = "#/components/schemas/";
/// What a structural schema says in the same words.
const KEYWORDS: [&str; 16] = [
    "type",
    "format",
    "enum",
    "required",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
];

/// The definitions of all of Istio's kinds but those that the file leaves out.
pub fn render(plan: &Plan) -> Vec<Value> {
    if plan.get("values.base.enableIstioConfigCRDs") == Some(&json!(false)) {
        return Vec::new();
    }
    let excluded = plan.list("values.base.excludedCRDs");
    KINDS
        .iter()
        .filter(|kind| kind.source == Source::Istio)
        .filter(|kind| !excluded.contains(&json!(kind.full_name())))
        .map(definition)
        .collect()
}

fn definition(kind: &Kind) -> Value {
    let versions: Vec<Value> = kind.versions.iter().map(|name| version(kind, name)).collect();
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.singular,
        "categories": kind.categories,
    });
    if !kind.short_names.is_empty() {
        names["shortNames"] = json!(kind.short_names);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": kind.full_name(),
            "labels": { "app": "istio-pilot", "chart": "istio", "release": "istio" },
            // With a definition all objects of its kind would go.
            "annotations": { "helm.sh/resource-policy": "keep" },
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "versions": versions,
        },
    })
}

fn version(kind: &Kind, name: &str) -> Value {
    let definition = &definitions()[&definition_name(kind, name)];
    let spec = structural(&definition["properties"]["spec"]);
    let mut version = json!({
        "name": name,
        "served": true,
        "storage": name == kind.storage_version(),
        "additionalPrinterColumns": kind.columns.iter().map(column).collect::<Vec<_>>(),
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": spec,
                    "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                },
            },
        },
    });
    if let Some(required) = definition.get("required") {
        version["schema"]["openAPIV3Schema"]["required"] = required.clone();
    }
    if kind.status {
        version["subresources"] = json!({ "status": {} });
    }
    version
}

fn column(column: &Column) -> Value {
    let kind = match column.column_type {
        ColumnType::String => "string",
        ColumnType::Date => "date",
    };
    let mut out = json!({
        "name": column.name,
        "type": kind,
        "jsonPath": column.path,
        "description": column.description,
    });
    if column.priority != 0 {
        out["priority"] = json!(column.priority);
    }
    out
}

/// A schema without references, in the words that a CustomResourceDefinition may use.
fn structural(schema: &Value) -> Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix(PREFIX).unwrap_or(reference);
        return structural(definitions().get(name).unwrap_or(&Value::Null));
    }
    let Some(map) = schema.as_object() else { return open() };
    let mut out = Map::new();
    for key in KEYWORDS {
        if let Some(value) = map.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    if map.get("format") == Some(&json!("int-or-string")) {
        return json!({
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "x-kubernetes-int-or-string": true,
        });
    }
    if let Some(Value::Object(properties)) = map.get("properties") {
        let inner = properties.iter().map(|(name, inner)| (name.clone(), structural(inner)));
        out.insert("properties".into(), Value::Object(inner.collect()));
    } else if let Some(inner) = map.get("additionalProperties").filter(|inner| inner.is_object()) {
        out.insert("additionalProperties".into(), structural(inner));
    }
    if let Some(items) = map.get("items") {
        out.insert("items".into(), structural(items));
    }
    one_of(map, &mut out);
    finish(map, out)
}

/// What says nothing of itself takes anything.
fn finish(map: &Map<String, Value>, mut out: Map<String, Value>) -> Value {
    if map.contains_key("x-lateen-nullable") {
        out.insert("nullable".into(), json!(true));
    }
    match map.get("x-kubernetes-validations") {
        Some(rules) => drop(out.insert("x-kubernetes-validations".into(), rules.clone())),
        None if map.contains_key("x-lateen-format") => {
            out.insert("format".into(), json!("duration"));
        }
        None => {}
    }
    if matches!(out.get("format").and_then(Value::as_str), Some(other) if !is_known_format(other)) {
        out.shift_remove("format");
    }
    let bare = out.get("type") == Some(&json!("object"))
        && !out.contains_key("properties")
        && !out.contains_key("additionalProperties");
    if !out.contains_key("type") || bare {
        out.entry("type").or_insert_with(|| json!("object"));
        out.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
        if !bare {
            // A value of any type has no type to name.
            out.shift_remove("type");
        }
    }
    Value::Object(out)
}

fn is_known_format(format: &str) -> bool {
    matches!(format, "int32" | "int64" | "float" | "double" | "byte" | "date-time" | "duration")
}

fn open() -> Value {
    json!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// Members of which at most one may be set, as Istio's definitions say it.
fn one_of(map: &Map<String, Value>, out: &mut Map<String, Value>) {
    let groups = map.get("x-lateen-one-of").and_then(Value::as_array);
    let mut said: Vec<Value> = groups
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .map(|members| {
            let each = || members.iter().map(|name| json!({ "required": [name] }));
            let mut choices = vec![json!({ "not": { "anyOf": each().collect::<Vec<_>>() } })];
            choices.extend(each());
            json!(choices)
        })
        .collect();
    match said.len() {
        0 => {}
        1 => drop(out.insert("oneOf".into(), said.remove(0))),
        _ => {
            let all: Vec<Value> = said.into_iter().map(|one| json!({ "oneOf": one })).collect();
            out.insert("allOf".into(), json!(all));
        }
    }
}
