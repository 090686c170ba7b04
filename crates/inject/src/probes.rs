//! Application probes and lifecycle hooks go through the agent, which the kubelet reaches past
//! interception and mTLS. In: a pod and the agent's port. Out: probes to
//! `/app-health/CONTAINER/{readyz,livez,startupz}`, hooks to
//! `/app-lifecycle/CONTAINER/{prestopz,poststartz}`, and the JSON by which the agent knows what to ask in
//! turn; and the way back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{PROXY_CONTAINER, pod};

/// The proxy's variable that holds the original probes.
pub const VARIABLE: &str = "ISTIO_KUBE_APP_PROBERS";

/// Where a container has what the kubelet calls, and the agent's path for it.
const CALLS: [Call; 5] = [
    Call { field: &["readinessProbe"], family: "app-health", last: READINESS },
    Call { field: &["livenessProbe"], family: "app-health", last: "livez" },
    Call { field: &["startupProbe"], family: "app-health", last: "startupz" },
    Call { field: &["lifecycle", "preStop"], family: "app-lifecycle", last: "prestopz" },
    Call { field: &["lifecycle", "postStart"], family: "app-lifecycle", last: "poststartz" },
];

const READINESS: &str = "readyz";

const ACTIONS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];

struct Call {
    field: &'static [&'static str],
    family: &'static str,
    last: &'static str,
}

impl Call {
    fn of<'a>(&self, container: &'a Value) -> &'a Value {
        self.field.iter().fold(container, |at, part| &at[*part])
    }

    fn of_mut<'a>(&self, container: &'a mut Value) -> Option<&'a mut Value> {
        self.field.iter().try_fold(container, |at, part| at.get_mut(*part))
    }
}

/// What became of a pod's probes and hooks.
pub struct Rewritten {
    /// The value of [`VARIABLE`], unless nothing was rewritten.
    pub probers: Option<String>,
    /// Those that had to stay as they were.
    pub problems: Vec<Problem>,
}

/// A call that is not rewritten: the list and the name of its container, its field, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub list: &'static str,
    pub container: String,
    pub field: String,
    pub message: String,
}

/// Rewrites HTTP, TCP and gRPC calls. Commands stay as they are; so do those of an init container that begins before the
/// proxy does and ends after it: but for its readiness, the kubelet waits for none that nobody could answer.
pub fn rewrite(pod: &mut Value, port: u16) -> Rewritten {
    let mut probers = BTreeMap::new();
    let mut problems = Vec::new();
    for list in ["initContainers", "containers"] {
        let mut is_before = list == "initContainers";
        for container in pod::items_mut(pod, list) {
            if pod::name(container) == PROXY_CONTAINER {
                is_before = false;
                continue;
            }
            for call in CALLS.iter().filter(|call| !is_before || call.last == READINESS) {
                match prober(container, call.of(container)) {
                    Ok(Some(prober)) => {
                        let name = pod::name(container);
                        let path = format!("/{}/{name}/{}", call.family, call.last);
                        if let Some(handler) = call.of_mut(container) {
                            to_agent(handler, &path, port);
                        }
                        probers.insert(path, prober);
                    }
                    Ok(None) => {}
                    Err(message) => {
                        let container = pod::name(container).to_owned();
                        let field = call.field.join(".");
                        problems.push(Problem { list, container, field, message });
                    }
                }
            }
        }
    }
    let probers = (!probers.is_empty()).then(|| json!(probers).to_string());
    Rewritten { probers, problems }
}

/// What the agent asks in the kubelet's place; `None` for commands and what is not there.
fn prober(container: &Value, probe: &Value) -> Result<Option<Value>, String> {
    let Some(action) = ACTIONS.into_iter().find(|one| probe[one].is_object()) else {
        return Ok(None);
    };
    let path = probe[action]["path"].as_str().unwrap_or_default();
    if CALLS.iter().any(|call| path.starts_with(&format!("/{}/", call.family))) {
        return Ok(None);
    }
    let mut call = probe[action].clone();
    call["port"] = json!(port_number(container, &call["port"])?);
    let mut prober = json!({action: call});
    if let Some(seconds) = probe["timeoutSeconds"].as_i64().filter(|seconds| *seconds != 0) {
        prober["timeoutSeconds"] = json!(seconds);
    }
    Ok(Some(prober))
}

fn port_number(container: &Value, port: &Value) -> Result<u64, String> {
    let stays = "this is not rewritten and meets the proxy";
    if port.is_number() {
        let number = port.as_u64().filter(|number| (1..=65535).contains(number));
        return number.ok_or_else(|| format!("{port} is not a port: {stays}"));
    }
    let text = port.as_str().unwrap_or_default();
    if let Ok(number) = text.parse::<u16>() {
        return Ok(number.into());
    }
    let ports = container["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let number = pod::find(ports, text).and_then(|one| one["containerPort"].as_u64());
    number.ok_or_else(|| format!("the container has no port named {text:?}: {stays}"))
}

/// Headers stay, for they are the application's; the host goes to the agent, which is at the pod's
/// address whatever the probe's is.
fn to_agent(probe: &mut Value, path: &str, port: u16) {
    let mut call = json!({"path": path, "port": port});
    let old = &probe["httpGet"];
    if old["httpHeaders"].is_array() {
        call["httpHeaders"] = old["httpHeaders"].clone();
    }
    if old["scheme"].is_string() {
        call["scheme"] = json!("HTTP");
    }
    if let Some(probe) = probe.as_object_mut() {
        ACTIONS.into_iter().for_each(|action| drop(probe.shift_remove(action)));
        // First, as in a probe that is put back: injected again, it is the same text.
        probe.shift_insert(0, "httpGet".to_owned(), call);
    }
}

/// Puts the originals back, from the JSON that the proxy was given.
pub fn restore(pod: &mut Value, probers: &str) {
    let Ok(probers) = serde_json::from_str::<BTreeMap<String, Value>>(probers) else { return };
    for field in ["initContainers", "containers"] {
        for container in pod::items_mut(pod, field) {
            for call in CALLS {
                restore_handler(call.of_mut(container), &probers);
            }
        }
    }
}

fn restore_handler(handler: Option<&mut Value>, probers: &BTreeMap<String, Value>) {
    let Some(handler) = handler else { return };
    let Some(prober) = handler["httpGet"]["path"].as_str().and_then(|path| probers.get(path))
    else {
        return;
    };
    let calls: Vec<(String, Value)> = ACTIONS
        .into_iter()
        .filter(|action| prober[action].is_object())
        .map(|action| (action.to_owned(), prober[action].clone()))
        .collect();
    if let Some(handler) = handler.as_object_mut() {
        handler.shift_remove("httpGet");
        for (action, call) in calls.into_iter().rev() {
            handler.shift_insert(0, action, call);
        }
    }
}

#[cfg(test)]
mod tests;
