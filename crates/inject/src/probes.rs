//! Application probes go through the agent, which the kubelet reaches past interception and mTLS. In: a
//! pod and the agent's port. Out: probes to `/app-health/CONTAINER/{readyz,livez,startupz}`, and the
//! JSON by which the agent knows what to ask in turn; and the way back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{PROXY_CONTAINER, pod};

/// The proxy's variable that holds the original probes.
pub const VARIABLE: &str = "ISTIO_KUBE_APP_PROBERS";

const KINDS: [(&str, &str); 3] =
    [("readinessProbe", "readyz"), ("livenessProbe", "livez"), ("startupProbe", "startupz")];

/// What became of a pod's probes.
pub struct Rewritten {
    /// The value of [`VARIABLE`], unless no probe was rewritten.
    pub probers: Option<String>,
    /// Path and message of each probe that had to stay as it was.
    pub problems: Vec<(String, String)>,
}

/// Rewrites HTTP, TCP and gRPC probes. Commands and lifecycle hooks stay as they are.
pub fn rewrite(pod: &mut Value, port: u16) -> Rewritten {
    let mut probers = BTreeMap::new();
    let mut problems = Vec::new();
    for field in ["initContainers", "containers"] {
        for (index, container) in pod::items_mut(pod, field).iter_mut().enumerate() {
            if pod::name(container) == PROXY_CONTAINER {
                continue;
            }
            for (kind, last) in KINDS {
                let path = format!("/app-health/{}/{last}", pod::name(container));
                match prober(container, kind) {
                    Ok(Some(prober)) => {
                        to_agent(&mut container[kind], &path, port);
                        probers.insert(path, prober);
                    }
                    Ok(None) => {}
                    Err(message) => {
                        problems.push((format!("spec.{field}[{index}].{kind}"), message));
                    }
                }
            }
        }
    }
    let probers = (!probers.is_empty()).then(|| json!(probers).to_string());
    Rewritten { probers, problems }
}

/// What the agent asks in the kubelet's place; `None` for commands and missing probes.
fn prober(container: &Value, kind: &str) -> Result<Option<Value>, String> {
    let probe = &container[kind];
    let Some(action) =
        ["httpGet", "tcpSocket", "grpc"].into_iter().find(|one| probe[one].is_object())
    else {
        return Ok(None);
    };
    if probe[action]["path"].as_str().is_some_and(|path| path.starts_with("/app-health/")) {
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
    if let Some(number) = port.as_u64() {
        return Ok(number);
    }
    let text = port.as_str().unwrap_or_default();
    if let Ok(number) = text.parse::<u16>() {
        return Ok(number.into());
    }
    let ports = container["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let number = pod::find(ports, text).and_then(|one| one["containerPort"].as_u64());
    number.ok_or_else(|| {
        format!("the container has no port named {text:?}: the probe is not rewritten and meets the proxy")
    })
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
        probe.shift_remove("tcpSocket");
        probe.shift_remove("grpc");
        probe.insert("httpGet".to_owned(), call);
    }
}

/// Puts the original probes back (and lifecycle hooks, which Istio's injector rewrites too), from the
/// JSON that the proxy was given.
pub fn restore(pod: &mut Value, probers: &str) {
    let Ok(probers) = serde_json::from_str::<BTreeMap<String, Value>>(probers) else { return };
    for field in ["initContainers", "containers"] {
        for container in pod::items_mut(pod, field) {
            for (kind, _) in KINDS {
                restore_handler(container.get_mut(kind), &probers);
            }
            for hook in ["postStart", "preStop"] {
                let handler = container.get_mut("lifecycle").and_then(|one| one.get_mut(hook));
                restore_handler(handler, &probers);
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
    let calls: Vec<(String, Value)> = ["httpGet", "tcpSocket", "grpc"]
        .into_iter()
        .filter(|action| prober[action].is_object())
        .map(|action| (action.to_owned(), prober[action].clone()))
        .collect();
    if let Some(handler) = handler.as_object_mut() {
        handler.shift_remove("httpGet");
        handler.extend(calls);
    }
}

#[cfg(test)]
mod tests;
