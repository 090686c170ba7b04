//! From a plan to Kubernetes objects. In: a plan. Out: every object, in the order in which they are
//! installed, the same every time.

mod cni;
pub(crate) mod config;
mod crd;
mod gateway;
mod overlay;
mod pilot;
mod rbac;
mod service;
pub mod tags;
pub mod webhook;
mod workload;

use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::rules;

/// Labels by which the objects of an installation are found again.
pub mod labels {
    /// The IstioOperator's name, with the revision behind it.
    pub const OWNER: &str = "install.operator.istio.io/owning-resource";
    /// The owner of what no installation owns.
    pub const NOBODY: &str = "none";
    pub const OWNER_NAMESPACE: &str = "install.operator.istio.io/owning-resource-namespace";
    pub const COMPONENT: &str = "operator.istio.io/component";
    pub const MANAGED: &str = "operator.istio.io/managed";
    pub const VERSION: &str = "operator.istio.io/version";
    pub const REVISION: &str = "istio.io/rev";
    pub const TAG: &str = "istio.io/tag";
}

/// Kinds in the order of their installation: what others need comes first, and what would hold up
/// the cluster while the control plane starts comes last.
const ORDER: &[&str] = &[
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Service",
    "DaemonSet",
    "Deployment",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
];

/// A kind's place in the order of installation; unknown ones come before webhooks.
pub fn rank(object: &Value) -> usize {
    let kind = object["kind"].as_str().unwrap_or_default();
    let webhooks = ORDER.len() - 2;
    ORDER.iter().position(|known| *known == kind).unwrap_or(webhooks)
}

/// Which part of the installation an object belongs to, as its label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Base,
    Pilot,
    Cni,
    IngressGateways,
    EgressGateways,
}

impl Component {
    fn name(self) -> &'static str {
        match self {
            Component::Base => "Base",
            Component::Pilot => "Pilot",
            Component::Cni => "Cni",
            Component::IngressGateways => "IngressGateways",
            Component::EgressGateways => "EgressGateways",
        }
    }
}

/// All objects of a plan, and what its author should know.
pub fn render(plan: &Plan) -> (Vec<Value>, Vec<Issue>) {
    let mut objects = Vec::new();
    let mut issues = plan.issues.clone();
    if plan.flag("components.pilot.enabled") {
        issues.extend(webhook::issues(plan));
    }
    let mut add = |component: Component, settings: &Value, mut found: Vec<Value>| {
        found.iter_mut().for_each(|object| mark(plan, component, object));
        issues.extend(overlay::apply(plan, component, &settings["overlays"], &mut found));
        objects.extend(found);
    };
    if plan.flag("components.base.enabled") {
        let found = crd::render(plan);
        add(Component::Base, &plan.object("components.base.k8s"), found);
    }
    if plan.flag("components.pilot.enabled") {
        let found = pilot::render(plan);
        add(Component::Pilot, &plan.object("components.pilot.k8s"), found);
    }
    if plan.flag("components.cni.enabled") {
        let found = cni::render(plan);
        add(Component::Cni, &plan.object("components.cni.k8s"), found);
    }
    for gateway in gateway::enabled(plan) {
        let found = gateway::render(plan, &gateway);
        add(gateway.component(), gateway.settings(), found);
    }
    objects.sort_by_key(rank);
    issues.extend(objects.iter().flat_map(|object| refused(plan, object)));
    issues.extend(twins(plan, &objects));
    issues.sort_by_key(|issue| issue.severity);
    (objects, issues)
}

/// What an API would refuse an object for. A file of settings need not be whole, what comes of it must.
fn refused(plan: &Plan, object: &Value) -> Vec<Issue> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let issue = |misfit: crate::Misfit| {
        let below = misfit.path.strip_prefix(kind).and_then(|path| path.strip_prefix('.'));
        let path = below.unwrap_or(&misfit.path);
        let message = format!("{kind} {name} would be refused: {path}: {}", misfit.message);
        Issue::error(plan.operator.clone(), "spec", Code::SCHEMA_VALIDATION_ERROR, message)
    };
    let mut found = crate::misfits(object);
    if found.is_empty() {
        found = rules::check(object);
    }
    found.into_iter().map(issue).collect()
}

/// Objects that have one name.
fn twins(plan: &Plan, objects: &[Value]) -> Vec<Issue> {
    let mut seen = BTreeSet::new();
    let mut issues = Vec::new();
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let (kind, name) = (text(&object["kind"]), text(&metadata["name"]));
        let namespace = text(&metadata["namespace"]);
        let message = format!("there are two objects {kind} {name}: rename a gateway");
        if !seen.insert((kind, namespace, name)) {
            let code = Code::SCHEMA_VALIDATION_ERROR;
            issues.push(Issue::error(plan.operator.clone(), "spec", code, message));
        }
    }
    issues
}

/// Puts the installation's labels on an object.
fn mark(plan: &Plan, component: Component, object: &mut Value) {
    let mut marks = json!({
        labels::OWNER: plan.owner(),
        labels::OWNER_NAMESPACE: plan.namespace(),
        labels::COMPONENT: component.name(),
        labels::MANAGED: "Reconcile",
        labels::VERSION: env!("CARGO_PKG_VERSION"),
    });
    if component != Component::Base {
        marks[labels::REVISION] = json!(plan.revision_label());
    }
    let own = object["metadata"]["labels"].take();
    if own.is_object() {
        crate::merge::merge(&mut marks, own);
    }
    object["metadata"]["labels"] = marks;
}
