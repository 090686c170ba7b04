//! Whether a DaemonSet puts a pod on a node. In: both as the API has them. Out: yes or no, by what its
//! controller goes by: <https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/>.

use serde_json::Value;

/// Taints that every pod of a DaemonSet tolerates.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Whether a new pod of the DaemonSet would come to the node.
pub fn wants(daemon_set: &Value, node: &Value) -> bool {
    let pod = &daemon_set["spec"]["template"]["spec"];
    is_selected(&pod["nodeSelector"], node) && has_affinity(pod, node) && is_tolerant(pod, node)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_selected(selector: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    selector.as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value)
}

/// One of the terms has to match, if there are any.
fn has_affinity(pod: &Value, node: &Value) -> bool {
    let required =
        &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    required.is_null() || list(&required["nodeSelectorTerms"]).any(|term| matches(term, node))
}

fn matches(term: &Value, node: &Value) -> bool {
    let metadata = &node["metadata"];
    let (expressions, fields) = (&term["matchExpressions"], &term["matchFields"]);
    let label =
        |rule: &Value| metadata["labels"][rule["key"].as_str().unwrap_or_default()].as_str();
    // There is no other field than the name.
    let is_empty = list(expressions).chain(list(fields)).next().is_none();
    !is_empty
        && list(expressions).all(|rule| holds(rule, label(rule)))
        && list(fields).all(|rule| holds(rule, metadata["name"].as_str()))
}

fn holds(rule: &Value, value: Option<&str>) -> bool {
    let is_listed = || list(&rule["values"]).any(|one| one.as_str() == value);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let numbers = || Some((number(value)?, number(rule["values"][0].as_str())?));
    match rule["operator"].as_str() {
        Some("In") => value.is_some() && is_listed(),
        Some("NotIn") => value.is_none() || !is_listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => numbers().is_some_and(|(own, bound)| own > bound),
        Some("Lt") => numbers().is_some_and(|(own, bound)| own < bound),
        _ => false,
    }
}

fn is_tolerant(pod: &Value, node: &Value) -> bool {
    let keeps_out = |taint: &&Value| taint["effect"] != "PreferNoSchedule";
    list(&node["spec"]["taints"]).filter(keeps_out).all(|taint| {
        let is_usual =
            |(key, effect): &(&str, &str)| taint["key"] == *key && taint["effect"] == *effect;
        TOLERATED.iter().any(is_usual)
            || (pod["hostNetwork"] == true
                && is_usual(&("node.kubernetes.io/network-unavailable", "NoSchedule")))
            || list(&pod["tolerations"]).any(|one| tolerates(one, taint))
    })
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (key, effect) = (text(&toleration["key"]), text(&toleration["effect"]));
    let exists = toleration["operator"] == "Exists";
    let value = text(&toleration["value"]);
    (effect.is_empty() || taint["effect"] == effect.as_str())
        && (if key.is_empty() { exists } else { taint["key"] == key.as_str() })
        && (exists || text(&taint["value"]) == value)
}

#[cfg(test)]
mod tests;
