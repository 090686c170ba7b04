//! Providers that a Telemetry object names.
//!
//! In: the object and the mesh's ConfigMap. Out: warnings about those that are not there. It is no error: whoever
//! writes both may write them in any order.

use serde_json::Value;

use super::MESH_CONFIG;
use crate::issue::{Code, Issue, ObjectRef};
use crate::istio::mesh::parse_mesh_config;

/// They are there without being written, as in Istio.
const BUILT_IN: [&str; 3] = ["prometheus", "stackdriver", "envoy"];

/// Warnings about providers that MeshConfig does not have.
pub fn unknown_providers(
    telemetry: &Value,
    object: ObjectRef,
    config: Option<&Value>,
) -> Vec<Issue> {
    let config = config.and_then(|map| map["data"][MESH_CONFIG.2].as_str());
    let providers = config.map(|text| parse_mesh_config(text, &object).0);
    let written = providers.flatten().unwrap_or_default().extension_providers;
    let mut known: Vec<&str> = written.iter().map(|provider| provider.name.as_str()).collect();
    known.extend(BUILT_IN);
    let mut found = Vec::new();
    for field in ["tracing", "metrics", "accessLogging"] {
        let items = telemetry["spec"][field].as_array();
        for (at, item) in items.into_iter().flatten().enumerate() {
            for (index, provider) in item["providers"].as_array().into_iter().flatten().enumerate()
            {
                let name = provider["name"].as_str().unwrap_or_default();
                if name.is_empty() || known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    continue;
                }
                let message = format!(
                    "meshConfig.extensionProviders has no {name:?}: use one of {}, or add it",
                    known.join(", ")
                );
                let path = format!("spec.{field}[{at}].providers[{index}].name");
                let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
                found.push(Issue::warning(object.clone(), path, code, message));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::unknown_providers;
    use crate::issue::ObjectRef;

    #[test]
    fn a_provider_that_is_nowhere_is_warned_of() {
        let telemetry = json!({"spec": {
            "tracing": [{"providers": [{"name": "zipkin"}]}, {}],
            "metrics": [{"providers": [{"name": "Prometheus"}, {"name": "own"}, {"name": ""}]}],
            "accessLogging": [{"providers": [{"name": "envoy"}, {"name": "nowhere"}]}],
        }});
        let mesh = "extensionProviders: [{name: own, prometheus: {}}]";
        let config = json!({"data": {"mesh": mesh}});
        let object = || ObjectRef::new("telemetry.istio.io", "Telemetry", "default", "a");
        let paths = |config| -> Vec<String> {
            let found = unknown_providers(&telemetry, object(), config);
            assert!(found.iter().all(|issue| !issue.is_error()));
            found.into_iter().map(|issue| issue.path).collect()
        };
        let (tracing, logging) =
            ("spec.tracing[0].providers[0].name", "spec.accessLogging[0].providers[1].name");
        assert_eq!(paths(Some(&config)), [tracing, logging]);
        assert_eq!(paths(None), [tracing, "spec.metrics[0].providers[1].name", logging]);
        let found = unknown_providers(&telemetry, object(), Some(&config));
        let message = "meshConfig.extensionProviders has no \"zipkin\": use one of own, prometheus, stackdriver, envoy, or add it";
        assert_eq!(found[0].message, message);
    }
}
