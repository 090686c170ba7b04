//! Providers that a Telemetry object names.
//!
//! In: the object, and which there are. Out: warnings about those that are not there. It is no error: whoever
//! writes both may write them in any order.

use serde_json::Value;

use super::MESH_CONFIG;
use crate::issue::{Code, Issue, ObjectRef};
use crate::istio::mesh::parse_mesh_config;

/// They are there without being written, as in Istio.
const BUILT_IN: [&str; 3] = ["prometheus", "stackdriver", "envoy"];

/// The names of MeshConfig's providers, in its ConfigMap, and the built-in ones.
pub fn known_providers(config: Option<&Value>) -> Vec<String> {
    let object = ObjectRef::default();
    let text = config.and_then(|map| map["data"][MESH_CONFIG.2].as_str());
    let written = text.and_then(|text| parse_mesh_config(text, &object).0).unwrap_or_default();
    let written = written.extension_providers.into_iter().map(|provider| provider.name);
    written.chain(BUILT_IN.map(str::to_owned)).collect()
}

/// Warnings about those that a Telemetry object names and that are not known.
pub fn unknown_providers(telemetry: &Value, object: &ObjectRef, known: &[String]) -> Vec<Issue> {
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

    use super::{known_providers, unknown_providers};
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
        let object = ObjectRef::new("telemetry.istio.io", "Telemetry", "default", "a");
        let paths = |config| -> Vec<String> {
            let found = unknown_providers(&telemetry, &object, &known_providers(config));
            assert!(found.iter().all(|issue| !issue.is_error()));
            found.into_iter().map(|issue| issue.path).collect()
        };
        let (tracing, logging) =
            ("spec.tracing[0].providers[0].name", "spec.accessLogging[0].providers[1].name");
        assert_eq!(paths(Some(&config)), [tracing, logging]);
        assert_eq!(paths(None), [tracing, "spec.metrics[0].providers[1].name", logging]);
        let found = unknown_providers(&telemetry, &object, &known_providers(Some(&config)));
        let message = "meshConfig.extensionProviders has no \"zipkin\": use one of own, prometheus, stackdriver, envoy, or add it";
        assert_eq!(found[0].message, message);
    }
}
