//! The objects of a precheck. In: Lateen's image, as an installation pulls it, and further ones. Out: a namespace of
//! its own and a DaemonSet whose pods lay the rules of interception and pull the images.

use serde_json::{Value, json};

pub const NAME: &str = "lateen-precheck";
/// By which its namespaces and pods are found.
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

/// An image and how a node pulls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub name: String,
    /// When, if that is said: otherwise Kubernetes goes by its tag.
    pub policy: Option<String>,
    /// With which Secrets of the namespace.
    pub secrets: Vec<String>,
    pub namespace: String,
}

/// The image of the control plane among the objects of an installation.
pub fn image(wanted: &[Value]) -> Option<Image> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let deployments = wanted.iter().filter(|object| object["kind"] == "Deployment");
    deployments
        .map(|object| (object, &object["spec"]["template"]["spec"]))
        .filter(|(_, pod)| pod["containers"][0]["image"] != "auto")
        .find_map(|(object, pod)| {
            let container = &pod["containers"][0];
            let secrets = pod["imagePullSecrets"].as_array().into_iter().flatten();
            Some(Image {
                name: text(&container["image"])?,
                policy: text(&container["imagePullPolicy"]),
                secrets: secrets.filter_map(|secret| text(&secret["name"])).collect(),
                namespace: text(&object["metadata"]["namespace"])?,
            })
        })
}

/// The API gives it a name that no other precheck has, not even one whose objects are being deleted.
pub fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "generateName": format!("{NAME}-"), "labels": {
            "app": NAME,
            "istio-injection": "disabled",
            // The init container needs NET_ADMIN, as every injected pod's does.
            "pod-security.kubernetes.io/enforce": "privileged",
        } },
    })
}

/// A pod on every node, whatever its taints. Lateen's image may be there already, where an installation would be
/// content with that; the other ones tell whether the node reaches their registries.
pub fn daemon_set(namespace: &str, own: &Image, pull: &[String]) -> Value {
    let labels = json!({ "app": NAME });
    let small = json!({ "requests": { "cpu": "1m", "memory": "8Mi" } });
    let container = |name: &str, image: &str, policy: Option<&str>| {
        let mut container = json!({ "name": name, "image": image, "resources": small });
        if let Some(policy) = policy {
            container["imagePullPolicy"] = policy.into();
        }
        container
    };
    let of_own = |name: &str| container(name, &own.name, own.policy.as_deref());
    let mut rules = of_own(INTERCEPTION);
    rules["args"] = json!(RULES);
    rules["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    rules["securityContext"] = json!({
        "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "allowPrivilegeEscalation": false,
        "capabilities": { "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] },
    });
    let mut lateen = of_own("lateen");
    lateen["args"] = json!(["--version"]);
    let others = pull.iter().enumerate();
    let others = others.map(|(at, image)| container(&format!("pull-{at}"), image, Some("Always")));
    let containers: Vec<Value> = [lateen].into_iter().chain(others).collect();
    let secrets: Vec<Value> = own.secrets.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": NAME, "namespace": namespace, "labels": labels },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": { "app": NAME, "sidecar.istio.io/inject": "false" } },
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 0,
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "tolerations": [{ "operator": "Exists" }],
                    "imagePullSecrets": secrets,
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

    use super::{Image, daemon_set, image, namespace};

    fn own(policy: Option<&str>) -> Image {
        Image {
            name: "hub/lateen:1".to_owned(),
            policy: policy.map(str::to_owned),
            secrets: vec!["pull".to_owned()],
            namespace: "istio-system".to_owned(),
        }
    }

    #[test]
    fn the_objects_are_of_kubernetes_schema() {
        let set = daemon_set("n", &own(Some("Never")), &["r:5000/a:1".to_owned()]);
        for object in [namespace(), set] {
            let misfits = lateen_install::misfits(&object);
            assert!(misfits.is_empty(), "{misfits:?}");
        }
    }

    #[test]
    fn the_image_is_the_control_planes_with_its_policy_and_secrets() {
        let deployment = |container| {
            json!({
                "kind": "Deployment", "metadata": { "namespace": "istio-system" },
                "spec": { "template": { "spec": {
                    "containers": [container], "imagePullSecrets": [{ "name": "pull" }],
                } } },
            })
        };
        let control_plane =
            deployment(json!({ "image": "hub/lateen:1", "imagePullPolicy": "Never" }));
        let gateway = deployment(json!({ "image": "auto" }));
        let found = image(&[json!({ "kind": "Service" }), gateway.clone(), control_plane]);
        assert_eq!(found, Some(own(Some("Never"))));
        assert_eq!(image(&[gateway]), None);
    }

    #[test]
    fn own_images_are_pulled_as_by_an_installation_and_others_always() {
        let policies = |policy| {
            let set = daemon_set("n", &own(policy), &["r:5000/a:1".to_owned()]);
            let spec = set["spec"]["template"]["spec"].clone();
            let all = [&spec["initContainers"][0], &spec["containers"][0], &spec["containers"][1]];
            all.map(|container| container["imagePullPolicy"].as_str().map(str::to_owned))
        };
        let always = Some("Always".to_owned());
        let never = Some("Never".to_owned());
        assert_eq!(policies(None), [None, None, always.clone()]);
        assert_eq!(policies(Some("Never")), [never.clone(), never, always]);
    }
}
