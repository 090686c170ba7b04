//! The objects of a precheck. In: Lateen's image and further ones. Out: a namespace and a DaemonSet whose pods
//! lay the rules of interception and pull the images.

use serde_json::{Value, json};

pub const NAMESPACE: &str = "lateen-precheck";
pub const NAME: &str = "lateen-precheck";
/// By which its pods are found.
pub const LABEL: &str = "app=lateen-precheck";
/// The init container that lays the rules.
pub const INTERCEPTION: &str = "interception";

/// Rules that capture all, as an injected pod has them.
pub const RULES: [&str; 17] = [
    "interception",
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-x",
    "",
    "-b",
    "*",
    "-d",
    "15090,15021,15020",
];

/// The image of the control plane among the objects of an installation.
pub fn image(wanted: &[Value]) -> Option<String> {
    let images = wanted
        .iter()
        .filter(|object| object["kind"] == "Deployment")
        .filter_map(|object| object["spec"]["template"]["spec"]["containers"][0]["image"].as_str());
    images.filter(|image| *image != "auto").map(str::to_owned).next()
}

pub fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": NAMESPACE, "labels": {
            "istio-injection": "disabled",
            // The init container needs NET_ADMIN, as every injected pod's does.
            "pod-security.kubernetes.io/enforce": "privileged",
        } },
    })
}

/// A pod on every node, whatever its taints.
pub fn daemon_set(image: &str, pull: &[String]) -> Value {
    let labels = json!({ "app": NAME });
    let small = json!({ "requests": { "cpu": "1m", "memory": "8Mi" } });
    let container = |name: String, image: &str| json!({ "name": name, "image": image, "imagePullPolicy": "Always", "resources": small });
    let mut rules = container(INTERCEPTION.to_owned(), image);
    rules["args"] = json!(RULES);
    rules["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    rules["securityContext"] = json!({
        "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "allowPrivilegeEscalation": false,
        "capabilities": { "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] },
    });
    let mut lateen = container("lateen".to_owned(), image);
    lateen["args"] = json!(["--version"]);
    let others = pull.iter().enumerate().map(|(at, image)| container(format!("pull-{at}"), image));
    let containers: Vec<Value> = [lateen].into_iter().chain(others).collect();
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": labels },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": { "app": NAME, "sidecar.istio.io/inject": "false" } },
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 0,
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "tolerations": [{ "operator": "Exists" }],
                    "initContainers": [rules],
                    "containers": containers,
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{daemon_set, image, namespace};

    #[test]
    fn the_objects_are_of_kubernetes_schema() {
        for object in [namespace(), daemon_set("hub/lateen:1", &["r:5000/a:1".to_owned()])] {
            let misfits = lateen_install::misfits(&object);
            assert!(misfits.is_empty(), "{misfits:?}");
        }
    }

    #[test]
    fn the_image_is_the_control_planes() {
        let deployment = json!({
            "kind": "Deployment", "spec": { "template": { "spec": { "containers": [{ "image": "i" }] } } },
        });
        assert_eq!(image(&[json!({ "kind": "Service" }), deployment]).as_deref(), Some("i"));
        assert_eq!(image(&[]), None);
    }
}
