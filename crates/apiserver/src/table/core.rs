//! Printers of the small core kinds. In: an object. Out: its cells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column::{
    AGE, CREATED_AT, NAME, Printer, created, int, items, name, string, string_or, text, wide,
};
use super::text::UNSET;

pub static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Namespace",
        columns: &[NAME, text("Status", "status.phase"), AGE],
        cells: namespace,
    },
    Printer {
        group: "",
        kind: "ConfigMap",
        columns: &[NAME, text("Data", "number of entries in data and binaryData"), AGE],
        cells: config_map,
    },
    Printer {
        group: "",
        kind: "Secret",
        columns: &[NAME, text("Type", "type"), text("Data", "number of entries in data"), AGE],
        cells: secret,
    },
    Printer {
        group: "",
        kind: "ServiceAccount",
        columns: &[NAME, text("Secrets", "number of entries in secrets"), AGE],
        cells: service_account,
    },
    Printer {
        group: "",
        kind: "PersistentVolume",
        columns: &[
            NAME,
            text("Capacity", "spec.capacity.storage"),
            text("Access Modes", "spec.accessModes"),
            text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
            text("Status", "status.phase"),
            text("Claim", "spec.claimRef"),
            text("StorageClass", "spec.storageClassName"),
            text("VolumeAttributesClass", "spec.volumeAttributesClassName"),
            text("Reason", "status.reason"),
            AGE,
            wide("VolumeMode", "spec.volumeMode"),
        ],
        cells: persistent_volume,
    },
    Printer {
        group: "",
        kind: "PersistentVolumeClaim",
        columns: &[
            NAME,
            text("Status", "status.phase"),
            text("Volume", "spec.volumeName"),
            text("Capacity", "status.capacity.storage"),
            text("Access Modes", "status.accessModes"),
            text("StorageClass", "spec.storageClassName"),
            text("VolumeAttributesClass", "spec.volumeAttributesClassName"),
            AGE,
            wide("VolumeMode", "spec.volumeMode"),
        ],
        cells: claim,
    },
    Printer { group: "", kind: "LimitRange", columns: &[NAME, CREATED_AT], cells: limit_range },
    Printer {
        group: "",
        kind: "ResourceQuota",
        columns: &[
            NAME,
            text("Request", "used and hard amounts"),
            text("Limit", "used and hard amounts of limits"),
            AGE,
        ],
        cells: quota,
    },
    Printer {
        group: "coordination.k8s.io",
        kind: "Lease",
        columns: &[NAME, text("Holder", "spec.holderIdentity"), AGE],
        cells: lease,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "MutatingWebhookConfiguration",
        columns: &[NAME, int("Webhooks", "number of webhooks"), AGE],
        cells: webhooks,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingWebhookConfiguration",
        columns: &[NAME, int("Webhooks", "number of webhooks"), AGE],
        cells: webhooks,
    },
];

fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), string(&object["status"]["phase"]).into(), created(object, now)]
}

fn count(map: &Value) -> usize {
    map.as_object().map_or(0, |map| map.len())
}

fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let entries = count(&object["data"]) + count(&object["binaryData"]);
    vec![name(object), json!(entries), created(object, now)]
}

fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = string(&object["type"]);
    vec![name(object), kind.into(), json!(count(&object["data"])), created(object, now)]
}

fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), json!(items(&object["secrets"]).len()), created(object, now)]
}

fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), string(&object["spec"]["holderIdentity"]).into(), created(object, now)]
}

fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), json!(items(&object["webhooks"]).len()), created(object, now)]
}

fn limit_range(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), string(&object["metadata"]["creationTimestamp"]).into()]
}

fn quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in object["status"]["hard"].as_object().into_iter().flatten() {
        let used = string_or(&object["status"]["used"][resource], "0");
        let list = if resource.starts_with("limits") { &mut limits } else { &mut requests };
        list.push(format!("{resource}: {used}/{}", string(hard)));
    }
    requests.sort_unstable();
    limits.sort_unstable();
    vec![name(object), requests.join(", ").into(), limits.join(", ").into(), created(object, now)]
}

fn access_modes(modes: &Value) -> String {
    let short = |mode: &Value| match string(mode) {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    items(modes).iter().map(short).filter(|mode| !mode.is_empty()).collect::<Vec<_>>().join(",")
}

/// What a terminating volume or claim shows instead of its phase.
fn phase(object: &Value) -> &str {
    match object["metadata"]["deletionTimestamp"].is_string() {
        true => "Terminating",
        false => string(&object["status"]["phase"]),
    }
}

fn persistent_volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let claim = match spec["claimRef"]["name"].as_str() {
        Some(name) => format!("{}/{name}", string(&spec["claimRef"]["namespace"])),
        None => String::new(),
    };
    vec![
        name(object),
        string(&spec["capacity"]["storage"]).into(),
        access_modes(&spec["accessModes"]).into(),
        string(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase(object).into(),
        claim.into(),
        string(&spec["storageClassName"]).into(),
        string_or(&spec["volumeAttributesClassName"], UNSET).into(),
        string(&object["status"]["reason"]).into(),
        created(object, now),
        string_or(&spec["volumeMode"], UNSET).into(),
    ]
}

fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = spec["volumeName"].as_str().is_some_and(|volume| !volume.is_empty());
    let capacity = if bound { string(&status["capacity"]["storage"]) } else { "" };
    let modes = if bound { access_modes(&status["accessModes"]) } else { String::new() };
    vec![
        name(object),
        phase(object).into(),
        string(&spec["volumeName"]).into(),
        capacity.into(),
        modes.into(),
        string(&spec["storageClassName"]).into(),
        string_or(&spec["volumeAttributesClassName"], UNSET).into(),
        created(object, now),
        string_or(&spec["volumeMode"], UNSET).into(),
    ]
}
