//! The `paths` of the documents: for each kind the PATCH operation, in which kubectl looks up whether
//! the server knows `dryRun` and `fieldValidation`. In: the kinds table. Out: path items.

use lateen_api::kinds::{KINDS, Kind};
use serde_json::{Map, Value, json};

/// Query parameters of every PATCH.
pub const PARAMETERS: [&str; 4] = ["dryRun", "fieldManager", "fieldValidation", "force"];

/// `/apis/apps/v1/namespaces/{namespace}/deployments/{name}`.
pub fn object_path(kind: &Kind, version: &str) -> String {
    let scope = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
    format!("/{}/{scope}{}/{{name}}", group_path(kind.group, version), kind.plural)
}

/// `api/v1` or `apis/apps/v1`.
pub fn group_path(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

/// The paths of all kinds, for Swagger 2.
pub fn v2() -> Value {
    let mut paths = Map::new();
    for kind in KINDS {
        for version in kind.versions {
            let parameters = PARAMETERS.map(|name| {
                let kind = if name == "force" { "boolean" } else { "string" };
                json!({"name": name, "in": "query", "type": kind, "uniqueItems": true})
            });
            paths.insert(object_path(kind, version), item(kind, version, json!(parameters)));
        }
    }
    Value::Object(paths)
}

/// The path item of one kind, for OpenAPI v3.
pub fn v3(kind: &Kind, version: &str) -> Value {
    let parameters = PARAMETERS.map(|name| {
        let kind = if name == "force" { "boolean" } else { "string" };
        json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
    });
    item(kind, version, json!(parameters))
}

fn item(kind: &Kind, version: &str, parameters: Value) -> Value {
    json!({
        "patch": {
            "description": format!("partially update the specified {}", kind.kind),
            "operationId": format!("patch{}{}{}", kind.group, version, kind.kind),
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind":
                {"group": kind.group, "version": version, "kind": kind.kind},
        },
    })
}
