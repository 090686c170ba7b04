//! CustomResourceDefinitions of Istio's kinds, from the same types that read them. In: the kinds
//! table and its OpenAPI definitions. Out: structural schemas, with Istio's columns, names and rules.

use lateen_api::kinds::{Column, ColumnType, KINDS, Kind, Source};
use lateen_api::schema::{definition_name, definitions};
use serde_json::{Map, Value, json};

use crate::plan::Plan;

/// Lists with a bound, as Istio's definitions have them: the API adds up what rules may cost, and takes
/// a list without a bound for as long as a request.
const BOUNDS: &[(&str, u32)] = &[("portLevelSettings", 4096)];
/// A list of whole traffic policies, in which the rules would cost more than the API allows.
const COSTLY: &str = "subsets";
const PREFIX: &str = "#/components/schemas/";

/// Rules over several fields of a spec, which Istio's definitions have too: kind, rule, message.
const RULES: &[(&str, &str, &str)] = &[
    (
        "PeerAuthentication",
        "(has(self.selector) && has(self.selector.matchLabels) && \
         self.selector.matchLabels.size() > 0) || !has(self.portLevelMtls)",
        "portLevelMtls requires selector",
    ),
    (
        "ServiceEntry",
        "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1",
        "only one of WorkloadSelector or Endpoints can be set",
    ),
    ("WorkloadEntry", "has(self.address) || has(self.network)", "Address is required"),
    ("AuthorizationPolicy", ONE_TARGET, ONE_TARGET_MESSAGE),
    ("RequestAuthentication", ONE_TARGET, ONE_TARGET_MESSAGE),
    ("Telemetry", ONE_TARGET, ONE_TARGET_MESSAGE),
    ("WasmPlugin", ONE_TARGET, ONE_TARGET_MESSAGE),
];
const ONE_TARGET: &str = "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + \
                          (has(self.targetRefs) ? 1 : 0) <= 1";
const ONE_TARGET_MESSAGE: &str = "only one of targetRefs or selector can be set";

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
    let mut spec = structural(&definition["properties"]["spec"]);
    let rules: Vec<Value> = RULES
        .iter()
        .filter(|(of, rule, _)| *of == kind.kind && mentions_known(rule, &spec))
        .map(|(_, rule, message)| json!({ "rule": known_terms(rule, &spec), "message": message }))
        .collect();
    if !rules.is_empty() {
        spec["x-kubernetes-validations"] = json!(rules);
    }
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

/// A rule may not speak of a field that the schema does not have: such a term of a sum is left out.
fn known_terms(rule: &str, spec: &Value) -> String {
    let Some((sum, limit)) = rule.rsplit_once(" <= ") else { return rule.to_owned() };
    let terms: Vec<&str> = sum.split(" + ").filter(|term| mentions_known(term, spec)).collect();
    format!("{} <= {limit}", terms.join(" + "))
}

fn mentions_known(rule: &str, spec: &Value) -> bool {
    let sum = rule.contains(" + ");
    let mut fields = rule.split("has(self.").skip(1).map(|rest| {
        rest.split([')', '.']).next().is_some_and(|field| spec["properties"].get(field).is_some())
    });
    if sum { fields.any(|known| known) } else { fields.all(|known| known) }
}

/// A schema without references, in the words that a CustomResourceDefinition may use.
fn structural(schema: &Value) -> Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix(PREFIX).unwrap_or(reference);
        return structural(definitions().get(name).unwrap_or(&Value::Null));
    }
    let Some(map) = schema.as_object() else { return open() };
    let mut out = Map::new();
    for key in ["type", "format", "enum", "required", "x-kubernetes-preserve-unknown-fields"] {
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
        let inner = properties.iter().map(|(name, inner)| (name.clone(), bounded(name, inner)));
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

fn bounded(name: &str, schema: &Value) -> Value {
    let mut schema = structural(schema);
    if let Some((_, bound)) = BOUNDS.iter().find(|(list, _)| *list == name) {
        schema["maxItems"] = json!(bound);
    }
    if name == COSTLY {
        without_rules(&mut schema);
    }
    schema
}

/// Takes the rules out of a schema; durations are checked by their format there.
fn without_rules(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if map.shift_remove("x-kubernetes-validations").is_some() {
        map.insert("format".into(), json!("duration"));
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(without_rules);
    }
    for inner in ["items", "additionalProperties"] {
        map.get_mut(inner).into_iter().for_each(without_rules);
    }
}

/// Durations must be some; what says nothing of itself takes anything.
fn finish(map: &Map<String, Value>, mut out: Map<String, Value>) -> Value {
    if map.get("x-lateen-format") == Some(&json!("duration")) {
        let message = "must be a duration such as 1.5s";
        out.insert(
            "x-kubernetes-validations".into(),
            json!([{ "rule": "duration(self) >= duration('0s')", "message": message }]),
        );
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
    matches!(format, "int32" | "int64" | "float" | "double" | "byte" | "date-time")
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
