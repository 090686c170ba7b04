//! Printers of the remaining Kubernetes kinds, and the columns of kinds that have none of their own.
//! In: an object. Out: its cells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column::{
    AGE, CREATED_AT, NAME, Printer, created, int, items, name, number, string, string_or, text,
};
use super::text::{NONE, UNSET, int_or_string, shortened};

/// For every kind without a printer.
pub static FALLBACK: Printer =
    Printer { group: "", kind: "", columns: &[NAME, CREATED_AT], cells: created_at };

pub static PRINTERS: &[Printer] = &[
    Printer {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        columns: &[NAME, CREATED_AT],
        cells: created_at,
    },
    Printer {
        group: "policy",
        kind: "PodDisruptionBudget",
        columns: &[
            NAME,
            text("Min Available", "spec.minAvailable"),
            text("Max Unavailable", "spec.maxUnavailable"),
            int("Allowed Disruptions", "status.disruptionsAllowed"),
            AGE,
        ],
        cells: disruption_budget,
    },
    Printer {
        group: "autoscaling",
        kind: "HorizontalPodAutoscaler",
        columns: &[
            NAME,
            text("Reference", "spec.scaleTargetRef"),
            text("Targets", "current and wanted value of each metric"),
            text("MinPods", "spec.minReplicas"),
            text("MaxPods", "spec.maxReplicas"),
            text("Replicas", "status.currentReplicas"),
            AGE,
        ],
        cells: autoscaler,
    },
    Printer {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        columns: &[
            NAME,
            int("Value", "value"),
            text("Global-Default", "globalDefault"),
            AGE,
            text("PreemptionPolicy", "preemptionPolicy"),
        ],
        cells: priority_class,
    },
    Printer {
        group: "storage.k8s.io",
        kind: "StorageClass",
        columns: &[
            NAME,
            text("Provisioner", "provisioner"),
            text("ReclaimPolicy", "reclaimPolicy"),
            text("VolumeBindingMode", "volumeBindingMode"),
            text("AllowVolumeExpansion", "allowVolumeExpansion"),
            AGE,
        ],
        cells: storage_class,
    },
];

fn created_at(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), string(&object["metadata"]["creationTimestamp"]).into()]
}

fn disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        name(object),
        int_or_string(&spec["minAvailable"], "N/A").into(),
        int_or_string(&spec["maxUnavailable"], "N/A").into(),
        json!(number(&object["status"]["disruptionsAllowed"])),
        created(object, now),
    ]
}

fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    vec![
        name(object),
        format!("{}/{}", string(&target["kind"]), string(&target["name"])).into(),
        metrics(object).into(),
        int_or_string(&spec["minReplicas"], UNSET).into(),
        json!(number(&spec["maxReplicas"])),
        json!(number(&status["currentReplicas"])),
        created(object, now),
    ]
}

fn metrics(object: &Value) -> String {
    let current = items(&object["status"]["currentMetrics"]);
    let texts: Vec<String> = items(&object["spec"]["metrics"])
        .iter()
        .enumerate()
        .map(|(at, wanted)| metric(wanted, current.get(at).unwrap_or(&Value::Null)))
        .collect();
    if texts.is_empty() { NONE.to_owned() } else { shortened(&texts, 2).replace(',', ", ") }
}

/// One metric: `cpu: 10%/50%`, `100m/1 (avg)`, `<unknown>/20`.
fn metric(wanted: &Value, current: &Value) -> String {
    let source = match string(&wanted["type"]) {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let (target, now) = (&wanted[source]["target"], &current[source]["current"]);
    let value = |field: &str| string_or(&now[field], "<unknown>").to_owned();
    let text = if let Some(percent) = target["averageUtilization"].as_i64() {
        let seen = now["averageUtilization"].as_i64();
        let seen = seen.map_or("<unknown>".to_owned(), |seen| format!("{seen}%"));
        format!("{seen}/{percent}%")
    } else if let Some(average) = target["averageValue"].as_str() {
        let note = if matches!(source, "object" | "external") { " (avg)" } else { "" };
        format!("{}/{average}{note}", value("averageValue"))
    } else {
        format!("{}/{}", value("value"), string(&target["value"]))
    };
    match wanted[source]["name"].as_str() {
        Some(resource) => format!("{resource}: {text}"),
        None => text,
    }
}

fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        json!(number(&object["value"])),
        json!(object["globalDefault"] == true),
        created(object, now),
        string_or(&object["preemptionPolicy"], "PreemptLowerPriority").into(),
    ]
}

fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = "storageclass.kubernetes.io/is-default-class";
    let own = string(&object["metadata"]["name"]);
    let shown = match object["metadata"]["annotations"][default] == "true" {
        true => format!("{own} (default)"),
        false => own.to_owned(),
    };
    vec![
        shown.into(),
        string(&object["provisioner"]).into(),
        string_or(&object["reclaimPolicy"], "Delete").into(),
        string_or(&object["volumeBindingMode"], "Immediate").into(),
        json!(object["allowVolumeExpansion"] == true),
        created(object, now),
    ]
}
