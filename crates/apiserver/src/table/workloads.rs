//! Printers of the `apps` kinds and their like. In: an object. Out: its cells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column::{AGE, Col, NAME, Printer, created, int, name, number, text, wide};
use super::text::{joined, labels, selector};

pub const CONTAINERS: Col = wide("Containers", "names of the template's containers");
pub const IMAGES: Col = wide("Images", "images of the template's containers");
pub const SELECTOR: Col = wide("Selector", "spec.selector");

const REPLICAS: &[Col] = &[
    NAME,
    int("Desired", "spec.replicas"),
    int("Current", "status.replicas"),
    int("Ready", "status.readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

pub static PRINTERS: &[Printer] = &[
    Printer {
        group: "apps",
        kind: "Deployment",
        columns: &[
            NAME,
            text("Ready", "status.readyReplicas of spec.replicas"),
            text("Up-to-date", "status.updatedReplicas"),
            text("Available", "status.availableReplicas"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: deployment,
    },
    Printer { group: "apps", kind: "ReplicaSet", columns: REPLICAS, cells: replica_set },
    Printer {
        group: "",
        kind: "ReplicationController",
        columns: REPLICAS,
        cells: replication_controller,
    },
    Printer {
        group: "apps",
        kind: "StatefulSet",
        columns: &[
            NAME,
            text("Ready", "status.readyReplicas of spec.replicas"),
            AGE,
            CONTAINERS,
            IMAGES,
        ],
        cells: stateful_set,
    },
    Printer {
        group: "apps",
        kind: "DaemonSet",
        columns: &[
            NAME,
            int("Desired", "status.desiredNumberScheduled"),
            int("Current", "status.currentNumberScheduled"),
            int("Ready", "status.numberReady"),
            int("Up-to-date", "status.updatedNumberScheduled"),
            int("Available", "status.numberAvailable"),
            text("Node Selector", "spec.template.spec.nodeSelector"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: daemon_set,
    },
];

/// Names and images of a template's containers.
pub fn containers(object: &Value) -> [Value; 2] {
    let list = &object["spec"]["template"]["spec"]["containers"];
    [joined(list, "name").into(), joined(list, "image").into()]
}

fn ready(object: &Value) -> String {
    let (ready, wanted) = (&object["status"]["readyReplicas"], &object["spec"]["replicas"]);
    format!("{}/{}", number(ready), number(wanted))
}

fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = containers(object);
    vec![
        name(object),
        ready(object).into(),
        json!(number(&status["updatedReplicas"])),
        json!(number(&status["availableReplicas"])),
        created(object, now),
        names,
        images,
        selector(&object["spec"]["selector"]).into(),
    ]
}

fn replicas(object: &Value, now: Timestamp, selector: String) -> Vec<Value> {
    let [names, images] = containers(object);
    vec![
        name(object),
        json!(number(&object["spec"]["replicas"])),
        json!(number(&object["status"]["replicas"])),
        json!(number(&object["status"]["readyReplicas"])),
        created(object, now),
        names,
        images,
        selector.into(),
    ]
}

fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, selector(&object["spec"]["selector"]))
}

fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, labels(&object["spec"]["selector"]))
}

fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object);
    vec![name(object), ready(object).into(), created(object, now), names, images]
}

fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = containers(object);
    vec![
        name(object),
        json!(number(&status["desiredNumberScheduled"])),
        json!(number(&status["currentNumberScheduled"])),
        json!(number(&status["numberReady"])),
        json!(number(&status["updatedNumberScheduled"])),
        json!(number(&status["numberAvailable"])),
        labels(&object["spec"]["template"]["spec"]["nodeSelector"]).into(),
        created(object, now),
        names,
        images,
        selector(&object["spec"]["selector"]).into(),
    ]
}
