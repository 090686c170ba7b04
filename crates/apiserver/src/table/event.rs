//! The printer of events of both API groups, which name the same fields differently. In: an Event.
//! Out: its cells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column::{Col, NAME, Printer, age, name, number, string, text, wide};

const COLUMNS: &[Col] = &[
    text("Last Seen", "lastTimestamp, or the series' last observation"),
    text("Type", "type"),
    text("Reason", "reason"),
    text("Object", "kind and name of the object it is about"),
    wide("Subobject", "the field of the object it is about"),
    wide("Source", "the component that reported it"),
    text("Message", "what happened"),
    wide("First Seen", "firstTimestamp"),
    wide("Count", "how often it happened"),
    NAME.widened(),
];

pub static PRINTERS: &[Printer] = &[
    Printer { group: "", kind: "Event", columns: COLUMNS, cells: event },
    Printer { group: "events.k8s.io", kind: "Event", columns: COLUMNS, cells: event },
];

fn either<'a>(object: &'a Value, core: &str, newer: &str) -> &'a Value {
    match &object[core] {
        Value::Null => &object[newer],
        found => found,
    }
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let first = either(object, "firstTimestamp", "deprecatedFirstTimestamp");
    let first = if first.is_null() { &object["eventTime"] } else { first };
    let last = either(object, "lastTimestamp", "deprecatedLastTimestamp");
    let last = if last.is_null() { first } else { last };
    let series = &object["series"];
    let count = number(either(object, "count", "deprecatedCount")).max(1);
    let (last, count) = match series.is_object() {
        true => (&series["lastObservedTime"], number(&series["count"])),
        false => (last, count),
    };
    let target = either(object, "involvedObject", "regarding");
    vec![
        age(last, now).into(),
        string(&object["type"]).into(),
        string(&object["reason"]).into(),
        target_text(target).into(),
        string(&target["fieldPath"]).into(),
        source(object).into(),
        string(either(object, "message", "note")).trim().into(),
        age(first, now).into(),
        json!(count),
        name(object),
    ]
}

fn target_text(target: &Value) -> String {
    let kind = string(&target["kind"]).to_lowercase();
    match string(&target["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(object: &Value) -> String {
    let source = either(object, "source", "deprecatedSource");
    let pair = |component: &Value, instance: &Value| match string(instance) {
        "" => string(component).to_owned(),
        instance => format!("{}, {instance}", string(component)),
    };
    let reported = pair(&source["component"], &source["host"]);
    if !reported.is_empty() {
        return reported;
    }
    let controller = either(object, "reportingComponent", "reportingController");
    pair(controller, &object["reportingInstance"])
}
