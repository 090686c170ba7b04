//! The printer of nodes. In: a Node. Out: its cells.

use jiff::Timestamp;
use serde_json::Value;

use super::column::{AGE, NAME, Printer, created, items, name, string, string_or, text, wide};
use super::text::{NONE, or_none};

pub static PRINTERS: &[Printer] = &[Printer {
    group: "",
    kind: "Node",
    columns: &[
        NAME,
        text("Status", "the Ready condition and spec.unschedulable"),
        text("Roles", "labels node-role.kubernetes.io/…"),
        AGE,
        text("Version", "status.nodeInfo.kubeletVersion"),
        wide("Internal-IP", "status.addresses"),
        wide("External-IP", "status.addresses"),
        wide("OS-Image", "status.nodeInfo.osImage"),
        wide("Kernel-Version", "status.nodeInfo.kernelVersion"),
        wide("Container-Runtime", "status.nodeInfo.containerRuntimeVersion"),
    ],
    cells: node,
}];

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let info = &object["status"]["nodeInfo"];
    let known = |field: &str| Value::from(string_or(&info[field], "<unknown>"));
    vec![
        name(object),
        status(object).into(),
        roles(object).into(),
        created(object, now),
        string(&info["kubeletVersion"]).into(),
        address(object, "InternalIP").into(),
        address(object, "ExternalIP").into(),
        known("osImage"),
        known("kernelVersion"),
        known("containerRuntimeVersion"),
    ]
}

fn status(object: &Value) -> String {
    let conditions = items(&object["status"]["conditions"]);
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| string(&condition["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(object: &Value) -> String {
    let labels = object["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    or_none(roles.join(","))
}

fn address<'a>(object: &'a Value, wanted: &str) -> &'a str {
    items(&object["status"]["addresses"])
        .iter()
        .find(|address| address["type"] == wanted)
        .map_or(NONE, |address| string(&address["address"]))
}
