//! Fields that several kinds have: who sees an object, what it selects, labels.
//!
//! In: such a field and its path. Out: findings in the report.

use std::collections::{BTreeMap, HashSet};

use super::{Report, names};
use crate::istio::common::{PolicyTargetReference, WorkloadSelector};
use crate::labels::{is_annotation_key, is_label_value, no_label_key, no_label_value};

/// `nobody` is whether an object may be for no namespace at all, `~`.
pub(super) fn check_export_to(report: &mut Report, targets: &[String], nobody: bool) {
    let own = report.object.namespace.clone();
    let mut seen = HashSet::new();
    for (index, target) in targets.iter().enumerate() {
        let path = format!("spec.exportTo[{index}]");
        if !seen.insert(if target == "." { own.as_str() } else { target }) {
            report.error(path, format!("{target:?} is listed twice"));
        } else if matches!(target.as_str(), "*" | "~") && targets.len() > 1 {
            report.error(path, format!("{target:?} leaves no choice, write it alone"));
        } else if target == "~" && !nobody {
            report.error(path, "only a ServiceEntry can be for nobody, write . or *");
        } else if !matches!(target.as_str(), "." | "*" | "~") {
            report.expect(path, names::label(target));
        }
    }
}

pub(super) fn check_labels(report: &mut Report, path: &str, labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        // Istio takes capital letters in the domain before a key's slash, too.
        if !is_annotation_key(key) {
            report.error(path, no_label_key(key));
        }
        if !is_label_value(value) {
            report.error(format!("{path}.{key}"), no_label_value(value));
        }
    }
}

/// The labels that a selector asks for.
pub(super) fn check_selected(report: &mut Report, path: &str, labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        if key.is_empty() || key.contains('*') || value.contains('*') {
            let message = "a selector takes no wildcard and no empty key, write a whole label";
            report.error(format!("{path}.{key}"), message);
        }
    }
}

/// What a policy is for: at most one of the three.
pub(super) fn check_targets(
    report: &mut Report,
    selector: Option<&WorkloadSelector>,
    one: Option<&PolicyTargetReference>,
    several: &[PolicyTargetReference],
) {
    let set = [selector.is_some(), one.is_some(), !several.is_empty()];
    if set.iter().filter(|set| **set).count() > 1 {
        let message = "selector and targetRefs exclude each other, keep one of them";
        report.error("spec.selector", message);
    }
    if let Some(selector) = selector {
        check_selected(report, "spec.selector.matchLabels", &selector.match_labels);
    }
    if let Some(target) = one {
        check_target(report, "spec.targetRef", target);
    }
    for (index, target) in several.iter().enumerate() {
        check_target(report, &format!("spec.targetRefs[{index}]"), target);
    }
}

fn check_target(report: &mut Report, path: &str, target: &PolicyTargetReference) {
    if target.name.is_empty() {
        report.error(format!("{path}.name"), "it is missing, write the object's name");
    }
    if !target.namespace.is_empty() {
        let message = "a policy is for objects of its own namespace, leave it out";
        report.error(format!("{path}.namespace"), message);
    }
    let kind = (target.group.as_str(), target.kind.as_str());
    if !matches!(
        kind,
        ("" | "core", "Service")
            | ("networking.istio.io", "ServiceEntry")
            | ("gateway.networking.k8s.io", "Gateway" | "GatewayClass")
    ) {
        let message = "a policy is for a Service, a ServiceEntry of networking.istio.io, or a Gateway or GatewayClass of gateway.networking.k8s.io";
        report.error(format!("{path}.kind"), message);
    }
}
