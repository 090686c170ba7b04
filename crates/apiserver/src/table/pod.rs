//! The printer of pods. In: a Pod. Out: its cells; the Status and Restarts columns follow the
//! containers' states the way `kubectl get pods` users know.

use jiff::Timestamp;
use serde_json::Value;

use super::column::{
    AGE, NAME, Printer, age, created, items, name, number, parse_time, string, string_or, text,
    wide,
};
use super::text::NONE;

pub static PRINTERS: &[Printer] = &[Printer {
    group: "",
    kind: "Pod",
    columns: &[
        NAME,
        text("Ready", "how many of the containers are ready"),
        text("Status", "the phase, or why containers are not running"),
        text("Restarts", "how often containers restarted, and when last"),
        AGE,
        wide("IP", "status.podIP"),
        wide("Node", "spec.nodeName"),
        wide("Nominated Node", "status.nominatedNodeName"),
        wide("Readiness Gates", "how many of the readiness gates are true"),
    ],
    cells: pod,
}];

fn pod(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let summary = summarise(object);
    let ip = match items(&status["podIPs"]).first() {
        Some(first) => string_or(&first["ip"], NONE),
        None => string_or(&status["podIP"], NONE),
    };
    vec![
        name(object),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.clone().into(),
        summary.restarts_text(now).into(),
        created(object, now),
        ip.into(),
        string_or(&spec["nodeName"], NONE).into(),
        string_or(&status["nominatedNodeName"], NONE).into(),
        gates(object).into(),
    ]
}

struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Value,
}

impl Summary {
    fn restarts_text(&self, now: Timestamp) -> String {
        match self.restarts > 0 && !self.last_restart.is_null() {
            true => format!("{} ({} ago)", self.restarts, age(&self.last_restart, now)),
            false => self.restarts.to_string(),
        }
    }

    fn restarted(&mut self, container: &Value) {
        self.restarts += number(&container["restartCount"]);
        let at = &container["lastState"]["terminated"]["finishedAt"];
        if parse_time(at) > parse_time(&self.last_restart) {
            self.last_restart = at.clone();
        }
    }
}

fn summarise(object: &Value) -> Summary {
    let (spec, status) = (&object["spec"], &object["status"]);
    let reason = string_or(&status["reason"], string(&status["phase"])).to_owned();
    let mut summary = Summary {
        ready: 0,
        total: items(&spec["containers"]).len(),
        reason,
        restarts: 0,
        last_restart: Value::Null,
    };
    let gated = items(&status["conditions"])
        .iter()
        .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
    if gated {
        summary.reason = "SchedulingGated".to_owned();
    }
    if !initializing(object, &mut summary) {
        running(object, &mut summary);
    }
    if object["metadata"]["deletionTimestamp"].is_string() {
        let lost = string(&status["reason"]) == "NodeLost";
        let over = matches!(string(&status["phase"]), "Succeeded" | "Failed");
        if lost {
            summary.reason = "Unknown".to_owned();
        } else if !over {
            summary.reason = "Terminating".to_owned();
        }
    }
    summary
}

/// Counts init containers; true when one of them still keeps the pod from starting.
fn initializing(object: &Value, summary: &mut Summary) -> bool {
    let declared = items(&object["spec"]["initContainers"]);
    let sidecar = |container: &Value| {
        let spec = declared.iter().find(|spec| spec["name"] == container["name"]);
        spec.is_some_and(|spec| spec["restartPolicy"] == "Always")
    };
    summary.total += declared.iter().filter(|c| c["restartPolicy"] == "Always").count();
    let statuses = items(&object["status"]["initContainerStatuses"]);
    for (at, container) in statuses.iter().enumerate() {
        summary.restarted(container);
        let terminated = &container["state"]["terminated"];
        let waiting = string(&container["state"]["waiting"]["reason"]);
        if terminated.is_object() && number(&terminated["exitCode"]) == 0 {
            continue;
        }
        if sidecar(container) && container["started"] == true {
            summary.ready += usize::from(container["ready"] == true);
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", termination(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{at}/{}", declared.len())
        };
        return true;
    }
    false
}

fn termination(terminated: &Value) -> String {
    match (string(&terminated["reason"]), number(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn running(object: &Value, summary: &mut Summary) {
    let mut any_running = false;
    for container in items(&object["status"]["containerStatuses"]).iter().rev() {
        summary.restarted(container);
        let state = &container["state"];
        let waiting = string(&state["waiting"]["reason"]);
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if state["terminated"].is_object() {
            summary.reason = termination(&state["terminated"]);
        } else if container["ready"] == true && state["running"].is_object() {
            any_running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && any_running {
        let ready = items(&object["status"]["conditions"])
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        summary.reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn gates(object: &Value) -> String {
    let gates = items(&object["spec"]["readinessGates"]);
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let conditions = items(&object["status"]["conditions"]);
    let passed = gates.iter().filter(|gate| {
        conditions.iter().any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
    });
    format!("{}/{}", passed.count(), gates.len())
}
