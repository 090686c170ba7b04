//! What the agent of a node does for a pod. In: a pod as the API has it. Out: whether its rules are the
//! agent's to lay, and as the pod's init container would be told of them; whether it waits for a repair.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use lateen_api::issue::ObjectRef;
use serde_json::Value;

use crate::annotation::{self as names, Annotations};
use crate::decide::INJECT;
use crate::interception::{self, Asked, VALIDATION};
use crate::settings::Settings;
use crate::{INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER, pod};

/// By which `istio-validation` says that rules are missing.
const NOT_VALID: i64 = 126;
/// What stands in front of the flags in an injected pod, Lateen's or Istio's.
const SUBCOMMANDS: [&str; 2] = ["interception", "istio-iptables"];

/// What is to be done for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing; the reason.
    Leave(&'static str),
    Lay(Rules),
}

/// Flags of `lateen interception`, and the environment that stands for flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub arguments: Vec<String>,
    pub variables: BTreeMap<String, String>,
}

/// The node agent's part in a pod. The error is what is wrong with its annotations.
pub fn part(pod: &Value) -> Result<Part, String> {
    if let Some(reason) = outside(pod) {
        return Ok(Part::Leave(reason));
    }
    // The injector told it all to the container that checks the rules.
    if let Some(validation) = container(pod, VALIDATION_CONTAINER) {
        return Ok(Part::Lay(of_validation(validation)));
    }
    of_annotations(pod)
}

/// Why a pod is none whose rules a node agent lays.
fn outside(pod: &Value) -> Option<&'static str> {
    let wish = pod::label(pod, INJECT).or_else(|| pod::annotation(pod, INJECT));
    let Some(proxy) = container(pod, PROXY_CONTAINER) else {
        return Some("it has no container istio-proxy");
    };
    match () {
        () if pod["spec"]["hostNetwork"] == true => Some("it is in the node's network"),
        () if container(pod, INIT_CONTAINER).is_some() => Some("its container istio-init does it"),
        () if is_false(wish) => Some("it declines injection"),
        () if pod::annotation(pod, names::STATUS).is_none() => Some("it was not injected"),
        () if !is_sidecar(proxy) => Some("its proxy is a gateway"),
        () if pod::annotation(pod, names::MODE) == Some("NONE") => Some("its mode is NONE"),
        () => None,
    }
}

/// As Go's `strconv.ParseBool`.
fn is_false(wish: Option<&str>) -> bool {
    matches!(wish, Some("0" | "f" | "F" | "false" | "FALSE" | "False"))
}

/// The proxy's arguments begin with what it is: `proxy sidecar` or `proxy router`.
fn is_sidecar(proxy: &Value) -> bool {
    let mut arguments = proxy["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let what = arguments.find(|word| *word != "proxy").unwrap_or("sidecar");
    what.starts_with('-') || what == "sidecar"
}

fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let mut all = ["initContainers", "containers"].into_iter().flat_map(|at| pod::list(pod, at));
    all.find(|one| pod::name(one) == name)
}

fn of_validation(validation: &Value) -> Rules {
    let words = validation["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut words = words.peekable();
    words.next_if(|word| SUBCOMMANDS.contains(word));
    let arguments = words.filter(|word| !VALIDATION.contains(word)).map(str::to_owned).collect();
    Rules { arguments, variables: variables(validation) }
}

/// What a container is told by plain values.
fn variables(container: &Value) -> BTreeMap<String, String> {
    let all = container["env"].as_array().into_iter().flatten();
    let text = |one: &Value| {
        let (name, value) = (one["name"].as_str()?, one["value"].as_str()?);
        Some((name.to_owned(), value.to_owned()))
    };
    all.filter_map(text).collect()
}

/// A pod without the container that checks: its annotations and the mesh's defaults tell.
fn of_annotations(pod: &Value) -> Result<Part, String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let object = ObjectRef::new("", "Pod", namespace, name);
    let mut issues = Vec::new();
    let annotations = Annotations::read(pod, &object, "metadata.annotations", &mut issues);
    if let Some(issue) = issues.iter().find(|issue| issue.is_error()) {
        return Err(format!("{}: {}", issue.path, issue.message));
    }
    let settings = Settings::default();
    let mode = annotations.or(names::MODE, "REDIRECT");
    let status_port = annotations.number(names::STATUS_PORT).and_then(|port| port.try_into().ok());
    let asked = Asked {
        settings: &settings,
        annotations: &annotations,
        mode,
        status_port: status_port.unwrap_or(settings.status_port),
    };
    let mut arguments = interception::flags(&asked);
    let Some(proxy) = container(pod, PROXY_CONTAINER) else {
        return Ok(Part::Leave("it has no container istio-proxy"));
    };
    if let Some(user) = interception::changed_user(proxy, mode == "TPROXY")
        && let Some(at) = arguments.iter().position(|flag| flag == "-u")
        && let Some(value) = arguments.get_mut(at + 1)
    {
        *value = user.to_string();
    }
    Ok(Part::Lay(Rules { arguments, variables: variables(proxy) }))
}

/// How often the container that checks the rules has failed for want of them, in a pod that still waits for
/// it; `None` in a pod that needs no repair.
pub fn failed_validations(pod: &Value, container: &str) -> Option<i64> {
    pod::annotation(pod, names::STATUS)?;
    let status = &pod["status"];
    if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let of_it = |one: &&Value| one["name"] == container;
    let found = status["initContainerStatuses"].as_array()?.iter().find(of_it)?;
    let code = |state: &str| found[state]["terminated"]["exitCode"].as_i64();
    let failed = code("state").or_else(|| code("lastState")) == Some(NOT_VALID);
    failed.then(|| found["restartCount"].as_i64().unwrap_or_default())
}

/// The pod's name servers as its resolv.conf will have them, where they can be told: `agent` is the text of
/// a pod's resolv.conf that has the cluster's servers.
pub fn resolv_conf(pod: &Value, agent: &str) -> Option<String> {
    let spec = &pod["spec"];
    let own = spec["dnsConfig"]["nameservers"].as_array().into_iter().flatten();
    let own: Vec<String> =
        own.filter_map(Value::as_str).map(|server| format!("nameserver {server}")).collect();
    let mut lines: Vec<String> = match spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst") {
        "None" => Vec::new(),
        "ClusterFirst" | "ClusterFirstWithHostNet" => {
            let of_cluster = agent.lines().map(str::trim);
            of_cluster.filter(|line| line.starts_with("nameserver")).map(str::to_owned).collect()
        }
        _ => return None,
    };
    lines.extend(own);
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}
