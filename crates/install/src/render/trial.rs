//! Whether the injector's settings make pods that an API takes. In: rendered objects, the injector's among them. Out:
//! what the plainest of all pods would be refused for once it is injected.

use std::collections::BTreeMap;

use lateen_api::issue::Issue;
use lateen_inject::{Settings, Subject, inject};
use serde_json::{Value, json};

use super::{Refusal, refusals_of};

const INJECTOR: &str = "istio-sidecar-injector";
const MESH: &str = "istio";

/// None without an injector.
pub fn refusals(objects: &[Value]) -> Vec<Refusal> {
    let Some(settings) = settings(objects) else { return Vec::new() };
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "injected", "namespace": "default" },
        "spec": { "containers": [{ "name": "app", "image": "app" }] },
    });
    let subject = Subject { namespace: "default", namespace_labels: &BTreeMap::new(), pod: &pod };
    match inject(&subject, &settings) {
        Ok(injected) => refusals_of(&injected.pod),
        Err(issues) => issues.into_iter().filter(Issue::is_error).map(refusal).collect(),
    }
}

/// `None` too if they cannot be read, which is told elsewhere.
fn settings(objects: &[Value]) -> Option<Settings> {
    let named = |name: &dyn Fn(&str) -> bool| {
        let maps = objects.iter().filter(|object| object["kind"] == "ConfigMap");
        maps.into_iter().find(|map| map["metadata"]["name"].as_str().is_some_and(name))
    };
    let injector = named(&|name| name.starts_with(INJECTOR))?;
    let suffix = injector["metadata"]["name"].as_str()?.strip_prefix(INJECTOR)?;
    let mesh = named(&|name| name.strip_prefix(MESH) == Some(suffix))?;
    let text = |map: &Value, key: &str| map["data"][key].as_str().unwrap_or_default().to_owned();
    let revision = suffix.strip_prefix('-').unwrap_or("default");
    let (config, values) = (text(injector, "config"), text(injector, "values"));
    let (settings, issues) =
        Settings::from_config_map(&config, &values, &text(mesh, "mesh"), revision);
    (!issues.iter().any(Issue::is_error)).then_some(settings)
}

fn refusal(issue: Issue) -> Refusal {
    let Issue { path, message, .. } = issue;
    Refusal {
        kind: "Pod".to_owned(),
        name: "injected".to_owned(),
        path,
        message,
        value: Value::Null,
    }
}
