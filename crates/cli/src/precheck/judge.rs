//! What is wrong with nodes. In: nodes and the pods of a precheck, as the API has them, and versions. Out: findings, each with
//! its place.

use serde_json::Value;

use super::objects::INTERCEPTION;

/// The first Kubernetes in which the definitions' CEL rules are on.
const KUBERNETES: (u32, u32) = (1, 25);
/// The first one with native sidecars.
const SIDECARS: (u32, u32) = (1, 29);
/// The first Linux whose nf_tables have NAT in the family inet.
const LINUX: (u32, u32) = (5, 2);
/// The first containerd with files of registries that `lateen node registry` can write anew.
const CONTAINERD: (u32, u32) = (1, 5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub place: String,
    pub text: String,
    /// Whether an installation does not work with it.
    pub fatal: bool,
}

/// What a node's pod has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// Not yet, and what for.
    Waiting(String),
    Failed(Vec<String>),
}

/// What keeps a node from having a pod: the scheduler tells of pods without a node, and the controller of the
/// DaemonSet, whose namespace goes with the events at the end.
pub fn no_pod(set: Option<&Value>, pods: &[Value], events: &[Value]) -> Verdict {
    let unbound = pods.iter().filter(|pod| text(&pod["spec"], "nodeName").is_empty());
    let reason = unbound.chain(set).find_map(|object| warning(object, events));
    let reason = reason.as_deref().unwrap_or("no controller made one, see kube-controller-manager");
    Verdict::Waiting(format!("it has no pod: {reason}"))
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

pub fn is_linux(node: &Value) -> bool {
    text(&node["status"]["nodeInfo"], "operatingSystem") != "windows"
}

/// What the API tells of a node.
pub fn node(node: &Value) -> Vec<Finding> {
    if !is_linux(node) {
        return Vec::new();
    }
    let info = &node["status"]["nodeInfo"];
    let (kubelet, kernel) = (text(info, "kubeletVersion"), text(info, "kernelVersion"));
    let mut found = Vec::new();
    let mut add = |text: String, fatal: bool| {
        let place = format!("node {}", node["metadata"]["name"].as_str().unwrap_or_default());
        found.push(Finding { place, text, fatal });
    };
    if !items(&node["status"], "conditions").iter().any(is_ready) {
        add("it is not ready: see kubectl describe node".to_owned(), true);
    }
    if let Some((problem, fatal)) = kubernetes("kubelet", kubelet) {
        add(problem, fatal);
    }
    let runtime = text(info, "containerRuntimeVersion").strip_prefix("containerd://");
    if let Some(problem) = runtime.and_then(containerd) {
        add(problem, false);
    }
    if let Some(problem) = self::kernel(kernel) {
        add(problem, true);
    }
    found
}

/// What a kubelet, or what has one in it, lacks, and whether an installation does not work with it.
pub fn kubernetes(program: &str, version: &str) -> Option<(String, bool)> {
    if is_older(version, KUBERNETES) {
        return Some((format!("its {program} is {version}: 1.25 or newer is needed"), true));
    }
    let hint = "has no native sidecars: Jobs end and init containers have the mesh from 1.29 on";
    is_older(version, SIDECARS).then(|| (format!("its {program} {version} {hint}"), false))
}

/// What a containerd lacks, which the mesh itself does without.
pub fn containerd(version: &str) -> Option<String> {
    let hint = "lateen node registry add needs 1.5 or newer, which reads hosts.toml";
    is_older(version, CONTAINERD).then(|| format!("its containerd is {version}: {hint}"))
}

fn is_older(version: &str, than: (u32, u32)) -> bool {
    version_of(version).is_some_and(|it| it < than)
}

/// What a kernel lacks.
pub fn kernel(version: &str) -> Option<String> {
    is_older(version, LINUX)
        .then(|| format!("its kernel is {version}: interception needs Linux 5.2 or newer"))
}

fn is_ready(condition: &Value) -> bool {
    text(condition, "type") == "Ready" && text(condition, "status") == "True"
}

/// The first two numbers, as in `v1.31.2` and `5.10.0-8-amd64`.
fn version_of(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What a pod's containers tell of its node.
pub fn pod(pod: &Value) -> Verdict {
    let status = &pod["status"];
    let mut problems = Vec::new();
    let mut waiting = None;
    for container in items(status, "initContainerStatuses") {
        match of_rules(container) {
            Verdict::Fine => {}
            Verdict::Waiting(what) => drop(waiting.get_or_insert(what)),
            Verdict::Failed(reasons) => problems.extend(reasons),
        }
    }
    let containers = items(status, "containerStatuses");
    for container in containers {
        match of_pull(container) {
            Verdict::Fine => {}
            Verdict::Waiting(what) => drop(waiting.get_or_insert(what)),
            Verdict::Failed(reasons) => problems.extend(reasons),
        }
    }
    if containers.is_empty() {
        waiting.get_or_insert_with(|| "its pod has not started".to_owned());
    }
    match (problems.is_empty(), waiting) {
        (false, _) => Verdict::Failed(problems),
        (true, Some(what)) => Verdict::Waiting(what),
        (true, None) => Verdict::Fine,
    }
}

fn of_rules(container: &Value) -> Verdict {
    if text(container, "name") != INTERCEPTION {
        return Verdict::Fine;
    }
    if let Some(problem) = pull_problem(container) {
        return Verdict::Failed(vec![problem]);
    }
    let ended = [&container["state"]["terminated"], &container["lastState"]["terminated"]];
    match ended.iter().find_map(|ended| ended["exitCode"].as_i64().map(|code| (code, ended))) {
        Some((0, _)) => Verdict::Fine,
        Some((code, ended)) => {
            let reason =
                ended["message"].as_str().or(ended["reason"].as_str()).unwrap_or("no message");
            Verdict::Failed(vec![format!("interception ends with {code}: {}", reason.trim())])
        }
        None => Verdict::Waiting("the rules of interception are not laid yet".to_owned()),
    }
}

/// A container that was made has its image, whatever becomes of it.
fn of_pull(container: &Value) -> Verdict {
    if let Some(problem) = pull_problem(container) {
        return Verdict::Failed(vec![problem]);
    }
    let pulled = !text(container, "imageID").is_empty();
    match text(&container["state"]["waiting"], "reason") {
        "" | "CrashLoopBackOff" | "RunContainerError" | "CreateContainerError" => Verdict::Fine,
        _ if pulled => Verdict::Fine,
        _ => Verdict::Waiting(format!("{} is not pulled yet", text(container, "image"))),
    }
}

fn pull_problem(container: &Value) -> Option<String> {
    let waiting = &container["state"]["waiting"];
    let failed = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable"];
    let image = text(container, "image");
    if text(waiting, "reason") == "ErrImageNeverPull" {
        return Some(format!(
            "it does not have {image} and must not pull it (imagePullPolicy: Never): bring the image to the node, or change \
             values.global.imagePullPolicy"
        ));
    }
    failed.contains(&text(waiting, "reason")).then(|| {
        let reason = text(waiting, "message");
        format!("it cannot pull {image}: {reason} (lateen node registry add lets a node pull)")
    })
}

/// Why a pod's containers are not even made, as its node says it: in a warning, and nowhere else.
pub fn warning(object: &Value, events: &[Value]) -> Option<String> {
    let uid = &object["metadata"]["uid"];
    let is_its =
        |event: &&Value| event["involvedObject"]["uid"] == *uid && event["type"] == "Warning";
    events.iter().rfind(is_its).map(|event| text(event, "message").to_owned())
}

/// A node's findings at the end.
pub fn findings(node: &str, verdict: Verdict) -> Vec<Finding> {
    let finding = |text: String| Finding { place: format!("node {node}"), text, fatal: true };
    match verdict {
        Verdict::Fine => Vec::new(),
        Verdict::Waiting(what) => vec![finding(format!("no answer in time: {what}"))],
        Verdict::Failed(reasons) => reasons.into_iter().map(finding).collect(),
    }
}

#[cfg(test)]
mod tests;
