//! What stands in a workload's own metadata and counts in that of its pods. In: a workload. Out: warnings.
//! Only who reads files sees this: the webhook is asked about pods.

use lateen_api::issue::Issue;
use serde_json::Value;

use crate::MISPLACED;
use crate::annotation;
use crate::decide::INJECT;
use crate::workload::{Manual, places};

/// Annotations that injection reads, and the label that asks for it, where neither has an effect; not those
/// that are in the pod's template as well.
pub fn misplaced(object: &Value, manual: &Manual) -> Vec<Issue> {
    let Some((target, path)) = places(object, manual) else { return Vec::new() };
    let at = |length: usize| path[..length].iter().fold(object, |at, part| &at[*part]);
    let template = &at(path.len())["metadata"];
    let mut issues = Vec::new();
    // The metadata of a CronJob, of the Jobs that it makes, and of their pods.
    let holders = (0..path.len()).filter(|length| *length == 0 || path[length - 1] != "spec");
    for length in holders {
        let prefix: String = path[..length].iter().map(|part| format!("{part}.")).collect();
        let metadata = &at(length)["metadata"];
        for (field, name) in names(metadata) {
            if template[field].get(name).is_none() {
                let path = format!("{prefix}metadata.{field}[{name:?}]");
                let message = format!(
                    "has no effect here, it counts on pods: move it to {}metadata.{field}",
                    target.prefix
                );
                issues.push(Issue::warning(target.object.clone(), path, MISPLACED, message));
            }
        }
    }
    issues
}

fn names(metadata: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    let of =
        |field: &str| metadata[field].as_object().into_iter().flatten().map(|(name, _)| &**name);
    let annotations = of("annotations").filter(|name| annotation::is_known(name));
    let labels = of("labels").filter(|name| *name == INJECT);
    annotations.map(|name| ("annotations", name)).chain(labels.map(|name| ("labels", name)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::misplaced;
    use crate::workload::Manual;

    fn told(object: &Value) -> Vec<String> {
        let issues = misplaced(object, &Manual { namespace: "shop", namespace_labels: None });
        issues.iter().map(|issue| format!("{} {}", issue.code, issue.path)).collect()
    }

    #[test]
    fn what_counts_on_pods_is_told_where_it_does_not() {
        let wish = json!({"sidecar.istio.io/inject": "false", "app": "web"});
        let metadata = json!({"name": "web", "labels": wish, "annotations": wish});
        let mut deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"template": {"metadata": {}, "spec": {}}},
        });
        let annotation = "IST0107 metadata.annotations[\"sidecar.istio.io/inject\"]";
        let label = "IST0107 metadata.labels[\"sidecar.istio.io/inject\"]";
        assert_eq!(told(&deployment), [annotation, label]);
        deployment["spec"]["template"]["metadata"]["labels"] = wish.clone();
        assert_eq!(told(&deployment), [annotation], "the label is where it counts, too");
    }

    #[test]
    fn a_cron_job_has_two_places_that_do_not_count() {
        let metadata = json!({"annotations": {"sidecar.istio.io/proxyCPU": "1"}});
        let cron_job = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata,
            "spec": {"jobTemplate": {"metadata": metadata, "spec": {"template": {"spec": {}}}}},
        });
        let end = "metadata.annotations[\"sidecar.istio.io/proxyCPU\"]";
        let expected = ["", "spec.jobTemplate."].map(|place| format!("IST0107 {place}{end}"));
        assert_eq!(told(&cron_job), expected);
    }

    #[test]
    fn pods_and_what_is_no_workload_have_no_such_place() {
        let metadata = json!({"labels": {"sidecar.istio.io/inject": "true"}});
        for (api_version, kind) in [("v1", "Pod"), ("v1", "Service")] {
            let object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
            assert_eq!(told(&object), [""; 0], "{kind}");
        }
    }
}
