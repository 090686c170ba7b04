//! Pods as the API has them. In: pods and Deployments. Out: why a Deployment's pods do not run, and which
//! pods have a proxy of a revision.

use serde_json::Value;

/// The annotation of injected pods.
const REVISION: &str = "istio.io/rev";
/// What every container goes through.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether a Deployment selects a pod. Lateen's own Deployments select by `matchLabels` alone.
pub fn selects(deployment: &Value, pod: &Value) -> bool {
    let (of, pod) = (&deployment["metadata"], &pod["metadata"]);
    let wanted = deployment["spec"]["selector"]["matchLabels"].as_object();
    of["namespace"] == pod["namespace"]
        && wanted.is_some_and(|all| all.iter().all(|(key, value)| pod["labels"][key] == *value))
}

/// By which the API lists a Deployment's pods.
pub fn selector(deployment: &Value) -> String {
    let wanted = deployment["spec"]["selector"]["matchLabels"].as_object();
    let labels = wanted.into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value)));
    labels.collect::<Vec<_>>().join(",")
}

/// Why the pods of a Deployment do not run, if one of them says so.
pub fn trouble(deployment: &Value, pods: &[Value]) -> Option<String> {
    let refused = items(&deployment["status"]["conditions"])
        .find(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True");
    if let Some(refused) = refused {
        return Some(text(&refused["message"]).to_owned());
    }
    let alive = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    let own = pods.iter().filter(|pod| selects(deployment, pod)).filter(alive);
    own.filter_map(|pod| {
        let name = text(&pod["metadata"]["name"]);
        of_pod(pod).map(|trouble| format!("pod {name}: {trouble}"))
    })
    .next()
}

/// Why a pod does not run, if it says so.
pub fn of_pod(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let unscheduled = items(&status["conditions"])
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
    if let Some(unscheduled) = unscheduled {
        return Some(text(&unscheduled["message"]).to_owned());
    }
    let containers = ["initContainerStatuses", "containerStatuses"];
    containers.iter().flat_map(|list| items(&status[*list])).find_map(of_container)
}

/// What a container waits for. Messages of the kubelet's about how long it will wait are left out: they
/// change, and say nothing of the cause.
fn of_container(container: &Value) -> Option<String> {
    let (name, waiting) = (text(&container["name"]), &container["state"]["waiting"]);
    let reason = text(&waiting["reason"]);
    if reason.is_empty() || STARTING.contains(&reason) {
        return None;
    }
    let ended = &container["lastState"]["terminated"];
    match ended["exitCode"].as_i64() {
        Some(code) => Some(format!("{name} ended with exit code {code}: see kubectl logs -p")),
        None => Some(format!("{name}: {reason}: {}", text(&waiting["message"]))),
    }
}

/// The pods, as `namespace/name`, whose proxy is one of `revision`'s and that `removed` Deployments leave.
pub fn of_revision(pods: &[Value], revision: &str, removed: &[&Value]) -> Vec<String> {
    let stays = |pod: &&Value| {
        let metadata = &pod["metadata"];
        let runs = !matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed");
        metadata["annotations"][REVISION] == revision
            && metadata["deletionTimestamp"].is_null()
            && runs
            && !removed.iter().any(|deployment| selects(deployment, pod))
    };
    let title = |pod: &Value| {
        format!("{}/{}", text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]))
    };
    pods.iter().filter(stays).map(title).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{of_revision, trouble};

    fn deployment() -> Value {
        json!({
            "metadata": { "name": "istiod", "namespace": "istio-system" },
            "spec": { "selector": { "matchLabels": { "app": "istiod" } } },
        })
    }

    fn pod(name: &str, app: &str, status: &Value) -> Value {
        json!({
            "metadata": { "name": name, "namespace": "istio-system", "labels": { "app": app },
                          "annotations": { "istio.io/rev": "1-0" } },
            "status": status,
        })
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "containerStatuses": [
            { "name": "discovery", "state": { "waiting": { "reason": reason, "message": message } } },
        ] })
    }

    #[test]
    fn a_pod_that_cannot_run_says_why() {
        let told = |status: &Value| trouble(&deployment(), &[pod("a", "istiod", status)]);
        assert_eq!(
            told(&waiting("ImagePullBackOff", "no such host")).as_deref(),
            Some("pod a: discovery: ImagePullBackOff: no such host")
        );
        let mut ended = waiting("CrashLoopBackOff", "back-off 40s restarting");
        ended["containerStatuses"][0]["lastState"] = json!({ "terminated": { "exitCode": 1 } });
        assert_eq!(
            told(&ended).as_deref(),
            Some("pod a: discovery ended with exit code 1: see kubectl logs -p")
        );
        let unscheduled = json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "message": "Insufficient cpu." },
        ] });
        assert_eq!(told(&unscheduled).as_deref(), Some("pod a: Insufficient cpu."));
    }

    #[test]
    fn a_pod_that_starts_or_ends_or_is_anothers_is_no_trouble() {
        let crashes = waiting("CrashLoopBackOff", "");
        let mut ends = pod("a", "istiod", &crashes);
        ends["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let starts = pod("b", "istiod", &waiting("ContainerCreating", ""));
        let other = pod("c", "other", &crashes);
        assert_eq!(trouble(&deployment(), &[ends, starts, other]), None);
    }

    #[test]
    fn pods_that_cannot_be_made_are_told_too() {
        let mut refused = deployment();
        refused["status"]["conditions"] =
            json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }]);
        assert_eq!(trouble(&refused, &[]).as_deref(), Some("exceeded quota"));
    }

    #[test]
    fn pods_of_a_revision_are_those_that_stay_and_run() {
        let runs = json!({ "phase": "Running" });
        let mut newer = pod("newer", "shop", &runs);
        newer["metadata"]["annotations"]["istio.io/rev"] = json!("1-1");
        let pods = [
            pod("removed", "istiod", &runs),
            pod("stays", "shop", &runs),
            pod("done", "shop", &json!({ "phase": "Succeeded" })),
            newer,
        ];
        assert_eq!(of_revision(&pods, "1-0", &[&deployment()]), ["istio-system/stays"]);
    }
}
