//! Fields that do not go together. In: a type and the fields of an object, each of which may stand by itself. Out:
//! what its API would refuse, by field.

use serde_json::{Map, Value, json};

use super::Found;
use crate::quantity;
use crate::shape::Required;

type Fields = Map<String, Value>;
type Together = fn(&Fields) -> Option<(&'static str, String)>;

const RULES: &[(&str, Together)] = &[
    ("meta.v1.LabelSelectorRequirement", requirement),
    ("core.v1.NodeSelectorRequirement", requirement),
    ("core.v1.Toleration", toleration),
    ("core.v1.EnvVar", variable),
    ("core.v1.EnvVarSource", one_source),
    ("core.v1.Probe", one_action),
    ("core.v1.LifecycleHandler", one_action),
    ("core.v1.Volume", one_volume),
    ("core.v1.SeccompProfile", profile),
    ("core.v1.AppArmorProfile", profile),
    ("autoscaling.v2.MetricSpec", metric),
    ("policy.v1.PodDisruptionBudgetSpec", budget),
];

const ACTORS: [&str; 2] = ["core.v1.Probe", "core.v1.LifecycleHandler"];
/// What a probe or a handler can do.
pub const ACTIONS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// Probes of a file of settings may leave to the default ones what they do.
pub fn check(name: &str, fields: &Fields, required: Required, found: &mut Vec<Found>) {
    if required == Required::Check && ACTORS.contains(&name) && actions(fields).is_empty() {
        let message = "it does nothing: write httpGet, tcpSocket, grpc or exec";
        found.push((String::new(), message.to_owned()));
    }
    if name == "autoscaling.v2.HorizontalPodAutoscalerSpec" {
        found.extend(to_zero(fields, required));
    }
    let wrong =
        RULES.iter().filter(|(known, _)| *known == name).filter_map(|(_, rule)| rule(fields));
    found.extend(wrong.map(|(field, message)| (field.to_owned(), message)));
    if name == "core.v1.ResourceRequirements" {
        amounts(fields, found);
    }
}

fn text<'a>(fields: &'a Fields, field: &str) -> &'a str {
    fields.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn is_set(fields: &Fields, field: &str) -> bool {
    fields.get(field).is_some_and(|value| !value.is_null())
}

/// Those of a type's fields that are set.
fn set<'a>(fields: &'a Fields, but: &[&str]) -> Vec<&'a str> {
    let names = fields.keys().map(String::as_str);
    names.filter(|name| !but.contains(name) && is_set(fields, name)).collect()
}

fn requirement(fields: &Fields) -> Option<(&'static str, String)> {
    let values = fields.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match (text(fields, "operator"), values) {
        (operator @ ("In" | "NotIn"), []) => Some((
            "values",
            format!("{operator} needs values: write them, or use Exists or DoesNotExist"),
        )),
        (operator @ ("Exists" | "DoesNotExist"), [_, ..]) => {
            Some(("values", format!("{operator} takes no values: remove them, or use In or NotIn")))
        }
        // Whether it is a number is asked by the scheduler alone, for which another one fits no node.
        (operator @ ("Gt" | "Lt"), values) if values.len() != 1 => {
            Some(("values", format!("{operator} needs one value, a whole number in quotes")))
        }
        _ => None,
    }
}

fn toleration(fields: &Fields) -> Option<(&'static str, String)> {
    let (key, operator, effect) =
        (text(fields, "key"), text(fields, "operator"), text(fields, "effect"));
    if key.is_empty() && operator != "Exists" {
        return Some(("operator", "without a key it must be Exists".to_owned()));
    }
    if operator == "Exists" && !text(fields, "value").is_empty() {
        return Some(("value", "Exists takes no value: remove it, or use Equal".to_owned()));
    }
    let is_timed = is_set(fields, "tolerationSeconds") && effect != "NoExecute";
    is_timed.then(|| ("tolerationSeconds", "it goes with the effect NoExecute only".to_owned()))
}

fn variable(fields: &Fields) -> Option<(&'static str, String)> {
    let both = !text(fields, "value").is_empty() && is_set(fields, "valueFrom");
    both.then(|| ("valueFrom", "there is a value too, only one of them may be".to_owned()))
}

fn one_of(found: &[&str], field: &'static str) -> Option<(&'static str, String)> {
    let [_, _, ..] = found else { return None };
    Some((field, format!("{} exclude each other, keep one of them", found.join(" and "))))
}

fn one_source(fields: &Fields) -> Option<(&'static str, String)> {
    one_of(&set(fields, &[]), "")
}

fn one_action(fields: &Fields) -> Option<(&'static str, String)> {
    one_of(&actions(fields), "")
}

/// What a probe or a handler does.
fn actions(fields: &Fields) -> Vec<&str> {
    let mut names = set(fields, &[]);
    names.retain(|name| ACTIONS.contains(name));
    names
}

/// Without a source it is an empty folder.
fn one_volume(fields: &Fields) -> Option<(&'static str, String)> {
    one_of(&set(fields, &["name"]), "")
}

fn profile(fields: &Fields) -> Option<(&'static str, String)> {
    let named = !text(fields, "localhostProfile").is_empty();
    match (text(fields, "type"), named) {
        ("Localhost", false) => {
            Some(("localhostProfile", "it is missing, and the type is Localhost".to_owned()))
        }
        ("RuntimeDefault" | "Unconfined", true) => {
            Some(("localhostProfile", "it goes with the type Localhost only".to_owned()))
        }
        _ => None,
    }
}

fn metric(fields: &Fields) -> Option<(&'static str, String)> {
    let kind = text(fields, "type");
    let (source, others) = match kind {
        "Resource" => ("resource", set(fields, &["type", "resource"])),
        "ContainerResource" => ("containerResource", set(fields, &["type", "containerResource"])),
        "Pods" => ("pods", set(fields, &["type", "pods"])),
        "Object" => ("object", set(fields, &["type", "object"])),
        "External" => ("external", set(fields, &["type", "external"])),
        _ => return None,
    };
    if !is_set(fields, source) {
        return Some(("", format!("a metric of type {kind} needs {source}, which is missing")));
    }
    let other = others.first()?;
    Some(("", format!("a metric of type {kind} has {source} and no {other}: remove it")))
}

/// An autoscaler of a file of settings may leave its metrics to the default ones.
fn to_zero(fields: &Fields, required: Required) -> Option<Found> {
    let metrics = fields.get("metrics").and_then(Value::as_array);
    let is_known = required == Required::Check || metrics.is_some();
    let counts = |metric: &Value| metric["type"] == "Object" || metric["type"] == "External";
    let zero = fields.get("minReplicas").and_then(Value::as_i64) == Some(0);
    (zero && is_known && !metrics.is_some_and(|all| all.iter().any(counts))).then(|| {
        let message = "minReplicas is 0, and none is of type Object or External, which alone can tell when pods are \
                       needed again: add one, or set minReplicas to 1";
        ("metrics".to_owned(), message.to_owned())
    })
}

fn budget(fields: &Fields) -> Option<(&'static str, String)> {
    let both = is_set(fields, "minAvailable") && is_set(fields, "maxUnavailable");
    both.then(|| {
        ("maxUnavailable", "there is minAvailable too, only one of them may be".to_owned())
    })
}

fn amounts(fields: &Fields, found: &mut Vec<Found>) {
    let of = |part: &str, name: &str| fields.get(part).and_then(|part| part.get(name));
    let requests = fields.get("requests").and_then(Value::as_object);
    for (name, request) in requests.into_iter().flatten() {
        let Some(limit) = of("limits", name) else { continue };
        if let (Some(amount), Some(most)) = (quantity::of(request), quantity::of(limit))
            && quantity::is_more(amount, most)
        {
            let message = format!("{request} is more than the limit, {limit}");
            found.push((format!("requests.{name}"), message));
        }
    }
}

/// Whether a share is nothing.
pub fn is_nothing(share: &Value) -> bool {
    *share == json!(0) || *share == json!("0%")
}
