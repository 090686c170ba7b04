//! What is wrong with Pods and with what makes Pods: in, the object as it would be stored and the one
//! before; out, causes in Kubernetes' words and order. Nothing here runs containers, so only what a
//! user is likely to get wrong is looked at.

#[cfg(test)]
mod tests;

use lateen_api::kinds::Kind;
use serde_json::{Value, json};

use super::names;
use crate::error::Cause;
use crate::object;
use crate::selector::LabelSelector;

/// What a kind that makes Pods wants.
struct Rules {
    /// Where its pod template is.
    template: &'static str,
    /// Whether it selects its Pods itself, and for which kind Kubernetes says that it does.
    selects: Option<&'static str>,
    /// Whether its selector may change.
    reselects: bool,
    /// The only restart policies; all if empty.
    restarts: &'static [&'static str],
    /// Counts below `spec`, none of which is negative.
    counts: &'static [&'static str],
}

const ALWAYS: &[&str] = &["Always"];
const ONCE: &[&str] = &["OnFailure", "Never"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

const fn lasting(selects: &'static str, counts: &'static [&'static str]) -> Rules {
    let template = "spec.template";
    Rules { template, selects: Some(selects), reselects: false, restarts: ALWAYS, counts }
}

const fn ending(template: &'static str, counts: &'static [&'static str]) -> Rules {
    Rules { template, selects: None, reselects: true, restarts: ONCE, counts }
}

fn rules(kind: &Kind) -> Option<Rules> {
    Some(match (kind.group, kind.kind) {
        ("apps", "Deployment") => lasting(
            "deployment",
            &["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
        ),
        ("apps", "ReplicaSet") => lasting("deployment", &["replicas", "minReadySeconds"]),
        ("apps", "DaemonSet") => lasting("daemonset", &["minReadySeconds", "revisionHistoryLimit"]),
        ("apps", "StatefulSet") => Rules {
            // Changes of its selector are refused with all others that it does not take.
            reselects: true,
            ..lasting("statefulset", &["replicas", "minReadySeconds", "revisionHistoryLimit"])
        },
        ("batch", "Job") => {
            ending("spec.template", &["parallelism", "completions", "backoffLimit"])
        }
        ("batch", "CronJob") => ending(
            "spec.jobTemplate.spec.template",
            &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"],
        ),
        _ => return None,
    })
}

/// All that is wrong with an object of these kinds.
pub fn causes(kind: &Kind, old: Option<&Value>, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if (kind.group, kind.kind) == ("", "Pod") {
        pod_spec("spec", &value["spec"], &mut causes);
    }
    let Some(rules) = rules(kind) else { return causes };
    for count in rules.counts {
        let number = &value["spec"][*count];
        if number.as_i64().is_some_and(|number| number < 0) {
            let problem = "must be greater than or equal to 0";
            causes.push(Cause::invalid(&format!("spec.{count}"), number, problem));
        }
    }
    let steps: Vec<&str> = rules.template.split('.').collect();
    let template = object::at(value, &steps).unwrap_or(&Value::Null);
    if let Some(name) = rules.selects {
        selector(name, &value["spec"]["selector"], template, &mut causes);
    }
    let path = format!("{}.spec", rules.template);
    pod_spec(&path, &template["spec"], &mut causes);
    let policy = &template["spec"]["restartPolicy"];
    if !policy.is_null() && !rules.restarts.iter().any(|one| policy == one) {
        let field = format!("{path}.restartPolicy");
        causes.push(match (rules.restarts, policy.as_str()) {
            (ONCE, Some("Always")) => {
                Cause::required(&field, "valid values: \"OnFailure\", \"Never\"")
            }
            (supported, _) => Cause::not_supported(&field, policy, supported),
        });
    }
    if let Some(old) = old {
        unchanged(kind, &rules, old, value, &mut causes);
    }
    causes
}

/// What may not change.
fn unchanged(kind: &Kind, rules: &Rules, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let (old, new) = (&old["spec"], &new["spec"]);
    if !rules.reselects && old["selector"] != new["selector"] {
        let problem = "field is immutable";
        causes.push(Cause::invalid("spec.selector", &new["selector"], problem));
    }
    if kind.kind == "StatefulSet" {
        let fixed = |spec: &Value| {
            let mut fields = spec.as_object().cloned().unwrap_or_default();
            fields.retain(|name, _| !FREE.contains(&name.as_str()));
            Value::from(fields)
        };
        if fixed(old) != fixed(new) {
            let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                       'template', 'updateStrategy', 'revisionHistoryLimit', \
                       'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            causes.push(Cause::forbidden("spec", why));
        }
    }
}

fn selector(name: &str, selector: &Value, template: &Value, causes: &mut Vec<Cause>) {
    let labels = &template["metadata"]["labels"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    }
    let matched = match LabelSelector::from_object(selector) {
        Ok(parsed) if parsed.is_empty() && !selector.is_null() => {
            let problem = format!("empty selector is invalid for {name}");
            causes.push(Cause::invalid("spec.selector", selector, &problem));
            true
        }
        Ok(parsed) => !selector.is_null() && parsed.matches_labels(labels.as_object()),
        Err(error) => {
            causes.push(Cause::invalid("spec.selector", selector, &error.to_string()));
            true
        }
    };
    if !matched {
        let problem = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, problem));
    }
}

fn pod_spec(path: &str, spec: &Value, causes: &mut Vec<Cause>) {
    let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
    if list("containers").is_empty() {
        causes.push(Cause::required(&format!("{path}.containers"), ""));
    }
    let mut names = Vec::new();
    for kind in ["initContainers", "containers"] {
        for (index, one) in list(kind).iter().enumerate() {
            container(&format!("{path}.{kind}[{index}]"), one, &mut names, causes);
        }
    }
}

fn container<'a>(path: &str, value: &'a Value, seen: &mut Vec<&'a str>, causes: &mut Vec<Cause>) {
    let field = format!("{path}.name");
    match value["name"].as_str().unwrap_or_default() {
        "" => causes.push(Cause::required(&field, "")),
        name => {
            let problems = names::label(name).into_iter();
            causes.extend(problems.map(|one| Cause::invalid(&field, &json!(name), one)));
            if seen.contains(&name) {
                causes.push(Cause::duplicate(&field, &json!(name)));
            }
            seen.push(name);
        }
    }
    if value["image"].as_str().unwrap_or_default().is_empty() {
        causes.push(Cause::required(&format!("{path}.image"), ""));
    }
    let mut ports = Vec::new();
    for (index, port) in value["ports"].as_array().into_iter().flatten().enumerate() {
        container_port(&format!("{path}.ports[{index}]"), port, &mut ports, causes);
    }
    for (index, variable) in value["env"].as_array().into_iter().flatten().enumerate() {
        if variable["name"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(&format!("{path}.env[{index}].name"), ""));
        }
    }
}

fn container_port<'a>(
    path: &str,
    port: &'a Value,
    seen: &mut Vec<&'a str>,
    causes: &mut Vec<Cause>,
) {
    if let Some(name) = port["name"].as_str().filter(|name| !name.is_empty()) {
        let field = format!("{path}.name");
        let problems = names::port(name).into_iter();
        causes.extend(problems.map(|one| Cause::invalid(&field, &json!(name), one)));
        if seen.contains(&name) {
            causes.push(Cause::duplicate(&field, &json!(name)));
        }
        seen.push(name);
    }
    let field = format!("{path}.containerPort");
    match port["containerPort"].as_i64().unwrap_or_default() {
        0 => causes.push(Cause::required(&field, "")),
        number => {
            let problem = names::port_number(number).into_iter();
            causes.extend(problem.map(|one| Cause::invalid(&field, &json!(number), one)));
        }
    }
    let protocol = &port["protocol"];
    if !PROTOCOLS.iter().any(|one| protocol == one) {
        causes.push(Cause::not_supported(&format!("{path}.protocol"), protocol, &PROTOCOLS));
    }
}
