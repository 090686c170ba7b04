//! Gateways that outlive their control plane. In: a cluster and what is to be removed of it. Out: a line for each
//! gateway, whoever made it, that stays and has nobody to tell it of changes; its new pods have nobody to start with.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use lateen_api::kinds::by_kind;
use lateen_inject::{Settings, Subject, decide, is_called};
use lateen_install::labels;
use lateen_kube::Client;
use serde_json::Value;

use super::cluster::{place, title};

/// The annotations of pods that say as what they are injected, and that they were.
const TEMPLATES: &str = "inject.istio.io/templates";
const STATUS: &str = "sidecar.istio.io/status";

type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// What decides which control plane injects a pod.
struct Injection {
    /// The webhooks of revisions and of tags.
    hooks: Vec<Value>,
    /// The labels of each.
    namespaces: Namespaces,
}

pub async fn left(
    client: &Client,
    found: &[Value],
    control_planes: &[&Value],
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if control_planes.is_empty() {
        return Ok(lines);
    }
    let removed: BTreeSet<String> = found.iter().map(title).collect();
    let injection = Injection::of(client).await?;
    for (group, name) in
        [("apps", "Deployment"), ("apps", "DaemonSet"), ("apps", "StatefulSet"), ("", "Pod")]
    {
        let mut gateways = list(client, group, name, "").await?;
        gateways.retain(|gateway| !removed.contains(&title(gateway)) && !is_made(gateway));
        for gateway in &gateways {
            lines.extend(control_planes.iter().filter_map(|it| injection.line(gateway, it)));
        }
    }
    Ok(lines)
}

async fn list(client: &Client, group: &str, name: &str, selector: &str) -> Result<Vec<Value>> {
    let kind = by_kind(group, name).with_context(|| format!("the table of kinds has {name}"))?;
    Ok(client.list(kind, selector, None).await?)
}

/// Of a pod that something else makes anew.
fn is_made(object: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| owner["controller"] == true)
}

pub fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["labels"][name].as_str().unwrap_or_default()
}

/// The revision that injected a pod, whose label may name a tag of it.
fn injector(pod: &Value) -> &str {
    let told = pod["metadata"]["annotations"][labels::REVISION].as_str();
    told.unwrap_or_else(|| label(pod, labels::REVISION))
}

impl Injection {
    async fn of(client: &Client) -> Result<Injection> {
        let (group, kind) = ("admissionregistration.k8s.io", "MutatingWebhookConfiguration");
        let hooks = list(client, group, kind, labels::REVISION).await?;
        let namespaces = list(client, "", "Namespace", "").await?;
        let row = |object: &Value| {
            let labels = serde_json::from_value(object["metadata"]["labels"].clone());
            (place(object).1.to_owned(), labels.unwrap_or_default())
        };
        Ok(Injection { hooks, namespaces: namespaces.iter().map(row).collect() })
    }

    fn line(&self, gateway: &Value, control_plane: &Value) -> Option<String> {
        let whose =
            owned(gateway, control_plane).or_else(|| self.injected(gateway, control_plane))?;
        let (gateway, control_plane) = (title(gateway), title(control_plane));
        Some(format!("{gateway}, {whose}, stays and has no control plane without {control_plane}"))
    }

    /// Of a gateway whose pods a webhook of the control plane's revision, or of a tag of it, makes ones.
    fn injected(&self, gateway: &Value, control_plane: &Value) -> Option<String> {
        let is_pod = gateway["kind"] == "Pod";
        let template = if is_pod { gateway } else { &gateway["spec"]["template"] };
        let templates = template["metadata"]["annotations"][TEMPLATES].as_str()?;
        if !templates.split(',').any(|name| name.trim() == "gateway") {
            return None;
        }
        let (revision, home) = (label(control_plane, labels::REVISION), place(control_plane).0);
        if is_pod {
            let is_one = gateway["metadata"]["annotations"][STATUS].is_string()
                && injector(gateway) == revision;
            return is_one.then(|| format!("a gateway of revision {revision}"));
        }
        let is_own = |hook: &&Value| {
            let service = &hook["webhooks"][0]["clientConfig"]["service"]["namespace"];
            label(hook, labels::REVISION) == revision
                && service.as_str().is_none_or(|namespace| Some(namespace) == home)
        };
        let namespace = place(gateway).0.unwrap_or_default();
        let unlabelled = BTreeMap::new();
        let namespace_labels = self.namespaces.get(namespace).unwrap_or(&unlabelled);
        let subject = Subject { namespace, namespace_labels, pod: template };
        let is_injected = decide(&subject, &Settings::default()).is_inject()
            && self.hooks.iter().filter(is_own).any(|hook| is_called(hook, &subject));
        is_injected.then(|| format!("whose pods are injected as a gateway of revision {revision}"))
    }
}

/// Of a gateway that another file or a chart installed.
fn owned(gateway: &Value, control_plane: &Value) -> Option<String> {
    let is_one = matches!(label(gateway, labels::COMPONENT), "IngressGateways" | "EgressGateways")
        && label(gateway, labels::REVISION) == label(control_plane, labels::REVISION);
    let (owner, of) = (label(gateway, labels::OWNER), label(gateway, labels::OWNER_NAMESPACE));
    // A chart has no control plane's namespace to write there.
    let is_charts = owner.starts_with("unknown");
    let owner = if is_charts { "a chart" } else { owner };
    (is_one && (is_charts || of == label(control_plane, labels::OWNER_NAMESPACE)))
        .then(|| format!("which {owner} owns"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lateen_inject::{Call, Settings, Subject, inject, tag_webhooks, webhooks};
    use serde_json::{Value, json};

    use super::{Injection, is_made};

    const REVISION: &str = "istio.io/rev";

    fn control_plane(revision: &str, namespace: &str) -> Value {
        json!({"kind": "Deployment", "metadata": {
            "namespace": namespace, "name": "istiod", "labels": {
                REVISION: revision, "install.operator.istio.io/owning-resource-namespace": namespace,
            },
        }})
    }

    /// Revisions `default` and `canary` and the tag `prod` of `canary`; what they say of a gateway.
    fn lost(namespace_labels: Value, gateway: &Value) -> Vec<&'static str> {
        let of = |revision: &str| Settings { revision: revision.to_owned(), ..Settings::default() };
        let (default, canary) = (of(""), of("canary"));
        let call = Call::of(&canary);
        let injection = Injection {
            hooks: vec![
                webhooks(&default, &Call::of(&default)),
                webhooks(&canary, &call),
                tag_webhooks(&canary, "prod", &call),
            ],
            namespaces: BTreeMap::from([(
                "edge".to_owned(),
                serde_json::from_value(namespace_labels).unwrap(),
            )]),
        };
        let told = |revision: &&str| {
            let elsewhere = control_plane(revision, "elsewhere");
            assert_eq!(injection.line(gateway, &elsewhere), None);
            injection.line(gateway, &control_plane(revision, "istio-system")).is_some()
        };
        ["default", "canary"].into_iter().filter(told).collect()
    }

    fn gateway(templates: &str, labels: Value) -> Value {
        json!({
            "kind": "Deployment", "metadata": {"namespace": "edge", "name": "gw"},
            "spec": {"template": {"metadata": {
                "labels": labels, "annotations": {"inject.istio.io/templates": templates},
            }}},
        })
    }

    #[test]
    fn a_gateway_that_somebody_wrote_is_its_webhooks() {
        let asks = json!({"sidecar.istio.io/inject": "true"});
        let prod = json!({"istio.io/rev": "prod"});
        let canary = json!({"istio.io/rev": "canary"});
        let enabled = json!({"istio-injection": "enabled"});
        let gw = |labels: &Value| gateway("extra, gateway", labels.clone());
        for (namespace, gateway, expected) in [
            (json!({}), gw(&asks), &["default"][..]),
            (canary.clone(), gw(&asks), &["canary"]),
            (json!({}), gw(&prod), &["canary"]),
            (prod.clone(), gw(&json!({})), &["canary"]),
            // The webhook of the namespace is asked, whatever the pod says.
            (enabled, gw(&canary), &["default"]),
            (json!({}), gw(&json!({})), &[]),
            (canary.clone(), gw(&json!({"sidecar.istio.io/inject": "false"})), &[]),
            (canary, gateway("sidecar", asks.clone()), &[]),
        ] {
            assert_eq!(lost(namespace.clone(), &gateway), expected, "{namespace} {gateway}");
        }
    }

    /// A gateway's pod as a webhook leaves it.
    fn injected(labels: Value, settings: &Settings) -> Value {
        let mut pod = gateway("gateway", labels)["spec"]["template"].clone();
        pod["spec"] = json!({"containers": [{"name": "istio-proxy", "image": "auto"}]});
        let namespace_labels = BTreeMap::new();
        let subject = Subject { namespace: "edge", namespace_labels: &namespace_labels, pod: &pod };
        let mut pod = inject(&subject, settings).unwrap().pod;
        pod["kind"] = json!("Pod");
        pod
    }

    #[test]
    fn a_gateway_that_is_a_pod_alone_is_what_it_was_injected_as() {
        let injection = Injection { hooks: Vec::new(), namespaces: BTreeMap::new() };
        let of =
            |pod: &Value, revision: &str| injection.injected(pod, &control_plane(revision, "a"));
        let asked = gateway("gateway", json!({"istio.io/rev": "canary"}));
        let mut pod = asked["spec"]["template"].clone();
        pod["kind"] = json!("Pod");
        assert_eq!(of(&pod, "canary"), None, "it was not injected");
        let canary = Settings { revision: "canary".to_owned(), ..Settings::default() };
        for labels in [json!({}), json!({REVISION: "prod"})] {
            pod = injected(labels.clone(), &canary);
            assert_eq!(of(&pod, "canary").as_deref(), Some("a gateway of revision canary"));
            assert_eq!(of(&pod, "default"), None);
            assert_eq!(
                pod["metadata"]["labels"][REVISION],
                *labels.get(REVISION).unwrap_or(&json!("canary"))
            );
        }
        assert!(!is_made(&pod));
        pod["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "controller": true}]);
        assert!(is_made(&pod));
        pod["metadata"]["annotations"] = json!({});
        assert_eq!(of(&pod, "canary"), None);
    }

    #[test]
    fn a_gateway_that_another_file_installed_is_its_revisions() {
        let mut gateway = gateway("", json!({}));
        let mut owned = |owner: &str, home: &str| {
            gateway["metadata"]["labels"] = json!({
                REVISION: "canary", "operator.istio.io/component": "EgressGateways",
                "install.operator.istio.io/owning-resource": owner,
                "install.operator.istio.io/owning-resource-namespace": home,
            });
            super::owned(&gateway, &control_plane("canary", "istio-system"))
        };
        assert_eq!(owned("other", "istio-system").as_deref(), Some("which other owns"));
        assert_eq!(owned("unknown", "").as_deref(), Some("which a chart owns"));
        assert_eq!(owned("other", "elsewhere"), None);
    }
}
