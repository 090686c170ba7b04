//! Whether an object may be stored: in, the object as sent or as it would be stored; out, refusals
//! with the field's path, and warnings.

use lateen_api::issue::Issue;
use lateen_api::kinds::{Kind, Source};
use lateen_api::validate;
use serde_json::Value;

use super::{prepare, service, workload};
use crate::error::{ApiError, Cause};
use crate::object;
use crate::route::Query;
use crate::strict::{self, Problem, Severity};

/// Checks an object against its schema. Unknown and repeated fields are an error, a warning or
/// nothing, as `fieldValidation` says; unknown ones are dropped if they are not an error.
pub fn shape(
    kind: &Kind,
    version: &str,
    query: &Query,
    duplicates: &[String],
    value: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let problems = strict::check(kind, version, value);
    let (unknown, wrong): (Vec<Problem>, Vec<Problem>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Strict);
    match query.get("fieldValidation").unwrap_or("Warn") {
        "Strict" => {
            if let Some(message) = strict::strict_message(&unknown, duplicates) {
                return Err(ApiError::bad_request(handled_as(kind, version) + &message));
            }
        }
        "Ignore" => {}
        "Warn" => {
            warnings.extend(unknown.iter().map(Problem::text));
            warnings.extend(duplicates.iter().map(|path| format!("duplicate field {path:?}")));
        }
        other => {
            let message = format!("fieldValidation {other:?} is not one of Strict, Warn, Ignore");
            return Err(ApiError::bad_request(message));
        }
    }
    for problem in &unknown {
        remove(value, &problem.path);
    }
    refuse_wrong(kind, version, value, &wrong)
}

fn handled_as(kind: &Kind, version: &str) -> String {
    match kind.source {
        Source::Kubernetes => {
            format!("{0} in version \"{version}\" cannot be handled as a {0}: ", kind.kind)
        }
        Source::Istio | Source::GatewayApi => String::new(),
    }
}

/// What does not decode is a bad request; what decodes and cannot be is invalid.
fn refuse_wrong(
    kind: &Kind,
    version: &str,
    value: &Value,
    wrong: &[Problem],
) -> Result<(), ApiError> {
    if let Some(problem) = wrong.iter().find(|problem| problem.severity == Severity::Decode) {
        let message = problem.text();
        let prefix = handled_as(kind, version);
        let told = message.contains("cannot be handled as");
        return Err(ApiError::bad_request(if told { message } else { prefix + &message }));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let causes = wrong.iter().map(cause).collect();
    Err(ApiError::invalid(kind, object::meta(value, "name"), causes))
}

fn cause(problem: &Problem) -> Cause {
    Cause {
        reason: problem.reason.to_owned(),
        message: problem.message.clone(),
        field: problem.path.clone(),
    }
}

/// Removes the field at a path such as `spec.ports[0].foo`.
fn remove(value: &mut Value, path: &str) {
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let steps = parent.split(['.', '[']).filter(|step| !step.is_empty());
    let parent = steps.into_iter().try_fold(value, |value, step| match step.strip_suffix(']') {
        Some(index) => value.get_mut(index.parse::<usize>().ok()?),
        None => value.get_mut(step),
    });
    if let Some(Value::Object(fields)) = parent {
        fields.shift_remove(field);
    }
}

/// Checks names, labels and the meaning of the object as it would be stored in place of `old`. All
/// that is wrong is told at once; `found` is what was found before.
pub fn meaning(
    kind: &'static Kind,
    subresource: &str,
    old: Option<&Value>,
    value: &Value,
    found: Vec<Cause>,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let mut causes = prepare::metadata_causes(kind, value);
    causes.extend(old.and_then(|old| prepare::late_finalizers(old, value)));
    // A status is not held up by a spec that an earlier version took.
    if subresource.is_empty() {
        if (kind.group, kind.kind) == ("", "Service") {
            causes.extend(service::causes(&value["spec"]));
        }
        causes.extend(workload::causes(kind, old, value));
    }
    causes.extend(found);
    // What was stored before a bound or rule was there stays until its spec is changed.
    let is_new = old.is_none_or(|old| old.get("spec") != value.get("spec"));
    let problems = match kind.source == Source::Istio && subresource.is_empty() && is_new {
        true => strict::check_limits(kind, kind.storage_version(), value),
        false => Vec::new(),
    };
    causes.extend(problems.iter().map(cause));
    // The mesh's own settings are in a ConfigMap.
    if kind.source == Source::Istio || kind.kind == "ConfigMap" {
        for issue in validate::validate(kind, kind.storage_version(), value) {
            if problems.iter().any(|problem| is_told(problem, &issue)) {
                continue;
            }
            if issue.is_error() {
                causes.push(Cause {
                    reason: "FieldValueInvalid".to_owned(),
                    message: format!("Invalid value: {} ({})", issue.message, issue.code),
                    field: issue.path,
                });
            } else if issue.severity == lateen_api::issue::Severity::Warning {
                warnings.push(issue.to_string());
            }
        }
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(kind, object::meta(value, "name"), causes))
    }
}

/// Whether a problem with the schema is what a finding says: it is of the same field, or of what has the field
/// and names it.
fn is_told(problem: &Problem, issue: &Issue) -> bool {
    let place = |path: &str| path.replace('[', ".").replace(']', "");
    let path = place(&issue.path);
    let Some(rest) = path.strip_prefix(&place(&problem.path)) else { return false };
    let names = |field: &str| problem.message.to_lowercase().contains(&field.to_lowercase());
    rest.is_empty() || rest.strip_prefix('.').is_some_and(names)
}

#[cfg(test)]
mod tests {
    use lateen_api::kinds::by_kind;
    use serde_json::json;

    use super::{meaning, remove};

    #[test]
    fn what_the_schema_refuses_is_told_once() {
        let target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"});
        let cases = [
            (json!({"tracing": [{"randomSamplingPercentage": 101}]}), 1),
            (json!({"selector": {"matchLabels": {"a": "b"}}, "targetRefs": [target]}), 1),
            (
                json!({"metrics": [{"overrides": [{"tagOverrides": {"a": {"operation": "REMOVE", "value": "b"}}}]}]}),
                1,
            ),
            (
                json!({"tracing": [{"randomSamplingPercentage": 101}], "accessLogging": [{"filter": {"expression": "1 +"}}]}),
                2,
            ),
        ];
        let kind = by_kind("telemetry.istio.io", "Telemetry").unwrap();
        for (spec, faults) in cases {
            let object = json!({
                "apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
                "metadata": {"name": "t", "namespace": "default"}, "spec": spec,
            });
            let refused = meaning(kind, "", None, &object, Vec::new(), &mut Vec::new());
            let told = refused.unwrap_err().details.unwrap()["causes"].clone();
            assert_eq!(told.as_array().unwrap().len(), faults, "{told}");
        }
    }

    #[test]
    fn an_unknown_field_is_removed_at_its_path_and_nothing_else() {
        let mut value = json!({"spec": {"ports": [{"port": 1, "prot": 2}], "x": 1}, "y": 1});
        remove(&mut value, "spec.ports[0].prot");
        remove(&mut value, "y");
        remove(&mut value, "spec.none.x");
        assert_eq!(value, json!({"spec": {"ports": [{"port": 1}], "x": 1}}));
    }
}
