//! The workload of a pod that is about to be created. In: the pod as JSON. Out: what owns it.

use lateen_api::owner::{Controller, Owner, WORKLOAD_NAME};
use serde_json::Value;

use crate::pod;

/// A pod that a controller makes has a generated name.
pub fn of_pod(pod: &Value) -> Owner {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let generated = pod["metadata"]["generateName"].as_str().is_some_and(|name| !name.is_empty());
    Owner::of_pod(name, controller(pod).filter(|_| generated), |label| pod::label(pod, label))
}

/// The workload whose template the pod is.
pub fn of_template(api_version: &str, kind: &str, name: &str, pod: &Value) -> Owner {
    Owner::new(api_version, kind, name).named(pod::label(pod, WORKLOAD_NAME))
}

fn controller(pod: &Value) -> Option<Controller<'_>> {
    let references = pod["metadata"]["ownerReferences"].as_array()?;
    let controller = references.iter().find(|one| one["controller"] == true)?;
    let text = |field: &str| controller[field].as_str().unwrap_or_default();
    Some(Controller { api_version: text("apiVersion"), kind: text("kind"), name: text("name") })
}

#[cfg(test)]
mod tests {
    use lateen_api::owner::Owner;
    use serde_json::json;

    use super::of_pod;

    #[test]
    fn a_controller_counts_for_pods_with_generated_names() {
        let controller = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4", "controller": true});
        let mut pod = json!({"metadata": {
            "name": "pod-x",
            "labels": {"pod-template-hash": "7d4"},
            "ownerReferences": [controller],
        }});
        assert_eq!(of_pod(&pod), Owner::new("v1", "Pod", "pod-x"));
        pod["metadata"]["generateName"] = json!("pod-");
        assert_eq!(of_pod(&pod), Owner::new("apps/v1", "Deployment", "web"));
    }
}
