//! The two faces of an Event: in, one of core v1 or of events.k8s.io/v1; out, the other. Both are one
//! stored object, kept in the core form.

use serde_json::{Value, json};

/// Field of core v1, field of events.k8s.io/v1.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The core form of an events.k8s.io/v1 Event.
pub fn to_core(mut event: Value) -> Value {
    event["apiVersion"] = json!("v1");
    renamed(event, |(core, new)| (new, core))
}

/// The events.k8s.io/v1 form of a core Event.
pub fn from_core(mut event: Value) -> Value {
    event["apiVersion"] = json!("events.k8s.io/v1");
    renamed(event, |(core, new)| (core, new))
}

fn renamed<'a>(mut event: Value, pair: impl Fn((&'a str, &'a str)) -> (&'a str, &'a str)) -> Value {
    if let Some(fields) = event.as_object_mut() {
        for (from, to) in NAMES.map(pair) {
            if let Some(value) = fields.shift_remove(from) {
                fields.insert(to.to_owned(), value);
            }
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::{from_core, to_core};
    use serde_json::json;

    #[test]
    fn an_event_survives_both_ways() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "reason": "r", "message": "m",
            "involvedObject": {"name": "x"}, "reportingComponent": "c",
        });
        let new = from_core(core.clone());
        assert_eq!(new["note"], "m");
        assert_eq!(new["regarding"]["name"], "x");
        assert_eq!(to_core(new), core);
    }
}
