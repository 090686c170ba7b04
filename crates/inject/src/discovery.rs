//! Namespaces that `discoverySelectors` leave out. In: the settings, a namespace, the pod as injected. Out: a
//! warning: such a pod mounts a ConfigMap that nobody writes there, and the kubelet does not start it without.

use std::collections::BTreeMap;

use lateen_api::issue::Issue;
use serde_json::Value;

use crate::inject::Target;
use crate::selector::Selector;
use crate::settings::Settings;
use crate::webhook::NAMESPACE_NAME;
use crate::{LIMITED, Subject, pod};

/// The ConfigMap with the root certificates.
const ROOTS: &str = "istio-ca-root-cert";

/// What is known of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    Seen,
    LeftOut,
    /// Its labels would have to be known.
    Unknown,
}

/// Whether the mesh sees a namespace.
pub fn sight(
    settings: &Settings,
    namespace: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Sight {
    let label = |key: &str| match key {
        NAMESPACE_NAME => Some(namespace),
        key => labels?.get(key).map(String::as_str),
    };
    // Without labels, a namespace is seen for certain only if its name is enough.
    let told = |selector: &&Selector| {
        labels.is_some() || selector.0.iter().all(|requirement| requirement.key == NAMESPACE_NAME)
    };
    let selectors = &settings.discovery;
    let seen = selectors.iter().filter(told).any(|selector| selector.matches(label));
    match (seen || selectors.is_empty(), labels) {
        (true, _) => Sight::Seen,
        (false, Some(_)) => Sight::LeftOut,
        (false, None) => Sight::Unknown,
    }
}

/// What to say of a pod that was injected in a namespace that the mesh does not see.
pub fn left_out(subject: &Subject, injected: &Value, settings: &Settings) -> Option<Issue> {
    warning(&Target::of_pod(subject), subject.namespace, injected, settings, Sight::LeftOut)
}

/// The same, of a pod of this target.
pub fn warning(
    target: &Target,
    namespace: &str,
    injected: &Value,
    settings: &Settings,
    sight: Sight,
) -> Option<Issue> {
    let mounts = |volume: &Value| volume["configMap"]["name"] == ROOTS;
    if sight == Sight::Seen || !pod::list(injected, "volumes").iter().any(mounts) {
        return None;
    }
    let selectors: Vec<String> = settings.discovery.iter().map(ToString::to_string).collect();
    let selectors = selectors.join(" or ");
    let message = match sight {
        Sight::LeftOut => format!(
            "meshConfig.discoverySelectors leave namespace {namespace} out, so it has no ConfigMap {ROOTS} and \
             the pod waits for it for ever: give the namespace labels that are selected ({selectors}), or \
             select it"
        ),
        _ => format!(
            "meshConfig.discoverySelectors choose namespaces by labels, and those of {namespace} are not known \
             here: without ({selectors}) it has no ConfigMap {ROOTS} and the pod waits for it for ever"
        ),
    };
    Some(target.warning("metadata.namespace", LIMITED, message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Sight, left_out, sight};
    use crate::{Manual, Outcome, Settings, Subject, inject, workload};

    fn settings(selectors: &str) -> Settings {
        Settings::from_texts("", &format!("discoverySelectors: {selectors}"), "").0
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn pod() -> Value {
        let spec = json!({"containers": [{"name": "a", "image": "a"}]});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn a_namespace_is_seen_by_its_labels_or_by_its_name_alone() {
        let mesh = labels(&[("mesh", "yes")]);
        let by_name = "[{matchLabels: {kubernetes.io/metadata.name: shop}}]";
        for (selectors, labels, expected) in [
            ("[]", None, Sight::Seen),
            ("[{}]", None, Sight::Seen),
            ("[{matchLabels: {mesh: 'yes'}}]", Some(&mesh), Sight::Seen),
            ("[{matchLabels: {mesh: 'no'}}]", Some(&mesh), Sight::LeftOut),
            ("[{matchLabels: {mesh: 'yes'}}]", None, Sight::Unknown),
            ("[{matchExpressions: [{key: x, operator: DoesNotExist}]}]", None, Sight::Unknown),
            (by_name, None, Sight::Seen),
            (by_name, Some(&mesh), Sight::Seen),
            // Wrong ones do not count, as where the mesh reads them.
            ("[{matchExpressions: [{key: x, operator: Near}]}]", Some(&mesh), Sight::Seen),
        ] {
            assert_eq!(sight(&settings(selectors), "shop", labels), expected, "{selectors}");
        }
    }

    #[test]
    fn a_pod_that_would_wait_for_ever_is_told_of_with_namespace_and_remedy() {
        let settings = settings(
            "[{matchLabels: {mesh: 'yes'}}, {matchExpressions: [{key: x, operator: Exists}]}]",
        );
        let (pod, none) = (pod(), BTreeMap::new());
        let subject = Subject { namespace: "shop", namespace_labels: &none, pod: &pod };
        let injected = inject(&subject, &settings).unwrap().pod;
        let told = left_out(&subject, &injected, &settings).unwrap().to_string();
        for words in ["leave namespace shop out", "istio-ca-root-cert", "(mesh=yes or x)"] {
            assert!(told.contains(words), "{told}");
        }
        assert_eq!(left_out(&subject, &pod, &settings), None, "it mounts nothing");
    }

    #[test]
    fn workloads_are_told_of_too_as_far_as_labels_are_known() {
        let settings = settings("[{matchLabels: {mesh: 'yes'}}]");
        let told = |namespace_labels: Option<&BTreeMap<String, String>>| {
            let manual = Manual { namespace: "shop", namespace_labels };
            match workload(&pod(), &manual, &settings) {
                Outcome::Injected { issues, .. } => {
                    issues.iter().map(ToString::to_string).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let mut enabled = labels(&[("istio-injection", "enabled")]);
        assert!(told(Some(&enabled))[0].contains("leave namespace shop out"));
        assert!(told(None)[0].contains("those of shop are not known here"));
        enabled.extend(labels(&[("mesh", "yes")]));
        assert_eq!(told(Some(&enabled)), [] as [String; 0]);
    }
}
