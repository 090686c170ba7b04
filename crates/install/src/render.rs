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
mod trial;
pub mod webhook;
mod workload;

use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::read::clipped;
use crate::shape::{MISSING, UNKNOWN};
use crate::{origins, path, rules};
use overlay::Applied;

pub use gateway::enabled as enabled_gateways;

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

/// Why an API would refuse a rendered object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    kind: String,
    name: String,
    /// Below the object; empty for the whole of it.
    path: String,
    message: String,
    /// What is there, unless it has parts.
    value: Value,
}

impl Refusal {
    /// Whether a setting may be what is rendered there.
    pub fn is_of(&self, setting: &Value) -> bool {
        !self.value.is_null() && self.value == *setting
    }

    /// What it says but for the places of items.
    pub fn without_places(&self) -> String {
        let path = self.path.replace(|c: char| c.is_ascii_digit(), "");
        [&self.kind, &self.name, &path, &self.message, &self.value.to_string()]
            .map(String::as_str)
            .join("\n")
    }

    /// The name of the field that it is about.
    pub fn field(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    pub fn is_of_unknown_field(&self) -> bool {
        self.message.starts_with(UNKNOWN)
    }

    /// The issue, at the setting that it comes from where that is known.
    fn issue(self, plan: &Plan, origin: Option<String>) -> Issue {
        let Refusal { kind, name, path, message, value: _ } = self;
        let error = |at: String, message: String| {
            Issue::error(plan.operator.clone(), at, Code::SCHEMA_VALIDATION_ERROR, message)
        };
        let Some(mut origin) = origin else {
            let message = match path.as_str() {
                "" => message,
                path => format!("{kind} {name} would be refused: {path}: {message}"),
            };
            return error("spec".to_owned(), message);
        };
        let field = path.rsplit('.').next().unwrap_or_default();
        if message.starts_with(MISSING) && !origin.ends_with(&format!(".{field}")) {
            origin = format!("{origin}.{field}");
        }
        match path.is_empty() || origins::is_same_field(&origin, &path) {
            true => error(origin, message),
            false => error(origin, format!("{message} ({path} of {kind} {name})")),
        }
    }
}

/// The objects of one component.
type Render = fn(&Plan) -> Vec<Value>;

/// All objects of a plan, and what its author should know.
pub fn render(plan: &Plan) -> (Vec<Value>, Vec<Issue>) {
    let mut issues = plan.issues.clone();
    if plan.flag("components.pilot.enabled") {
        issues.extend(webhook::issues(plan));
    }
    let (objects, mut overlays) = objects(plan, |_| true);
    issues.append(&mut overlays.issues);
    issues.extend(refusal_issues(plan, refused(&objects), &overlays.blamed));
    issues.sort_by_key(|issue| issue.severity);
    (objects, issues.into_iter().map(clipped).collect())
}

/// Refusals at the settings that they come from; what several objects would be refused for is told once.
fn refusal_issues(plan: &Plan, refusals: Vec<Refusal>, blamed: &[(Refusal, String)]) -> Vec<Issue> {
    let patch = |refusal: &Refusal| {
        let found = blamed.iter().rev().find(|(known, _)| known == refusal);
        found.map(|(_, path)| path.clone())
    };
    let patches: Vec<Option<String>> = refusals.iter().map(patch).collect();
    let of_settings = refusals.iter().zip(&patches).filter(|(_, patch)| patch.is_none());
    let of_settings: Vec<Refusal> = of_settings.map(|(refusal, _)| refusal.clone()).collect();
    let mut origins = origins::find(plan, &of_settings).into_iter();
    let mut told = BTreeSet::new();
    let mut issues = Vec::new();
    for (refusal, patch) in refusals.into_iter().zip(patches) {
        let origin = patch.or_else(|| origins.next().flatten());
        let is_new = match &origin {
            Some(origin) => told.insert((origin.clone(), refusal.message.clone())),
            None => true,
        };
        if is_new {
            issues.push(refusal.issue(plan, origin));
        }
    }
    issues
}

/// The refusals of a plan's objects, of kinds that these are about.
pub(crate) fn refusals(plan: &Plan, about: &[Refusal]) -> Vec<Refusal> {
    let definitions = about.iter().any(|refusal| refusal.kind == "CustomResourceDefinition");
    refused(&objects(plan, |component| component != Component::Base || definitions).0)
}

/// The objects of some components, and what came of the overlays.
fn objects(plan: &Plan, wanted: impl Fn(Component) -> bool) -> (Vec<Value>, Applied) {
    let (mut objects, mut overlays) = (Vec::new(), Applied::default());
    let mut add = |component: Component, at: &str, settings: &Value, mut found: Vec<Value>| {
        found.iter_mut().for_each(|object| mark(plan, component, object));
        let mut applied = overlay::apply(plan, at, &settings["overlays"], &mut found);
        overlays.issues.append(&mut applied.issues);
        overlays.blamed.append(&mut applied.blamed);
        objects.extend(found);
    };
    let parts: [(Component, &str, Render); 3] = [
        (Component::Base, "components.base", crd::render),
        (Component::Pilot, "components.pilot", pilot::render),
        (Component::Cni, "components.cni", cni::render),
    ];
    for (component, at, render) in parts {
        if plan.flag(&format!("{at}.enabled")) && wanted(component) {
            let settings = plan.object(&format!("{at}.k8s"));
            add(component, &format!("spec.{at}"), &settings, render(plan));
        }
    }
    for gateway in gateway::enabled(plan) {
        let found = gateway::render(plan, &gateway);
        add(gateway.component(), gateway.place(), gateway.settings(), found);
    }
    objects.sort_by_key(rank);
    (objects, overlays)
}

/// What an API would refuse objects for. A file of settings need not be whole, what comes of it must.
fn refused(objects: &[Value]) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = objects.iter().flat_map(refusals_of).collect();
    found.extend(twins(objects));
    found.extend(trial::refusals(objects));
    found
}

/// What an API would refuse one object for.
pub(crate) fn refusals_of(object: &Value) -> Vec<Refusal> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let refusal = |misfit: crate::Misfit| {
        let below = misfit.path.strip_prefix(kind).and_then(|path| path.strip_prefix('.'));
        let path = below.unwrap_or(&misfit.path).to_owned();
        let value = path::at(object, &path).filter(|value| !value.is_object() && !value.is_array());
        let value = value.cloned().unwrap_or(Value::Null);
        Refusal {
            kind: kind.to_owned(),
            name: name.to_owned(),
            path,
            message: misfit.message,
            value,
        }
    };
    let mut found = crate::misfits(object);
    // Of a field of the wrong type, or of none, no more is to be told.
    let told: Vec<String> = found.iter().map(|misfit| misfit.path.clone()).collect();
    let is_told = |path: &str| told.iter().any(|told| is_below(path, told));
    found.extend(rules::check(object).into_iter().filter(|misfit| !is_told(&misfit.path)));
    found.into_iter().map(refusal).collect()
}

/// Whether a path is another one or leads into it.
pub(crate) fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Objects that have one name.
fn twins(objects: &[Value]) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let (kind, name) = (text(&object["kind"]), text(&metadata["name"]));
        let namespace = text(&metadata["namespace"]);
        if !seen.insert((kind.clone(), namespace, name.clone())) {
            let remedy = match kind.as_str() {
                "MutatingWebhookConfiguration" => "a tag is there twice, remove one",
                _ => "rename a gateway",
            };
            let message = format!("there are two objects {kind} {name}: {remedy}");
            found.push(Refusal { kind, name, path: String::new(), message, value: Value::Null });
        }
    }
    found
}

/// Puts the installation's labels on an object.
fn mark(plan: &Plan, component: Component, object: &mut Value) {
    // Definitions are of all revisions, which would take them from each other.
    let is_shared = object["kind"] == "CustomResourceDefinition";
    let owner = if is_shared { plan.operator.name.clone() } else { plan.owner() };
    let mut marks = json!({
        labels::OWNER: owner,
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
