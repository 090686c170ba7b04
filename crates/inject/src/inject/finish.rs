//! What cannot be merged. In: the pod with its injected parts. Out: the pod with probes and metrics led
//! through the agent, labels, annotations, its containers in order, and the status.

use std::collections::{HashMap, HashSet};

use lateen_api::issue::Issue;
use serde_json::{Value, json};

use super::{Context, Target, object};
use crate::annotation::{self as names, OVERRIDES, STATUS};
use crate::proxy::{app_containers, network};
use crate::template::{BuiltIn, Templates};
use crate::{
    IMAGE_AUTO, INIT_CONTAINER, INVALID_ANNOTATION, LIMITED, PROXY_CONTAINER, TEMPLATE,
    VALIDATION_CONTAINER,
};
use crate::{interception, pod, probes, prometheus, strip};

const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";
const REVISION: &str = "istio.io/rev";
/// What kubectl takes if no container is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
const DEFAULT_LOGS_CONTAINER: &str = "kubectl.kubernetes.io/default-logs-container";
/// The longest label value that Kubernetes takes.
const LABEL_LIMIT: usize = 63;

pub fn finish(
    pod: &mut Value,
    context: &Context,
    templates: &Templates,
    target: &Target,
    issues: &mut Vec<Issue>,
) {
    for (path, message) in pod::problems(pod) {
        let message = format!("{message}, once the templates are merged: correct them");
        issues.push(target.error(&path, TEMPLATE, message));
    }
    if issues.iter().any(Issue::is_error) {
        return;
    }
    if context.status_port != 0 && pod::container(pod, PROXY_CONTAINER).is_some() {
        lead_through_agent(pod, context, target, issues);
    }
    label(pod, context, templates);
    annotate(pod, context, templates);
    order(pod, context);
    status(pod, context);
    settle(pod, context);
    for field in ["volumes", "imagePullSecrets", "initContainers"] {
        pod::drop_empty(pod, field);
    }
    issues.extend(unfilled(pod, context, target));
    issues.extend(alone(pod, context, templates, target));
}

fn lead_through_agent(
    pod: &mut Value,
    context: &Context,
    target: &Target,
    issues: &mut Vec<Issue>,
) {
    let Context { settings, annotations, status_port, .. } = context;
    if annotations.flag(names::MERGE_METRICS).unwrap_or(settings.merge_metrics) {
        let merged = prometheus::merge(pod, *status_port);
        issues.extend(prometheus::over_tls(pod).map(|name| no_tls(target, name)));
        issues.extend(merged.wrong.map(|message| no_targets(target, &message)));
        if let Some(own) = merged.own
            && let Some(proxy) = pod::container_mut(pod, PROXY_CONTAINER)
        {
            pod::set_variable(proxy, prometheus::VARIABLE, own);
        }
    }
    if !annotations.flag(names::REWRITE_PROBES).unwrap_or(settings.rewrite_probes) {
        return;
    }
    let rewritten = probes::rewrite(pod, *status_port);
    if let Some(probers) = rewritten.probers
        && let Some(proxy) = pod::container_mut(pod, PROXY_CONTAINER)
    {
        pod::set_variable(proxy, probes::VARIABLE, probers);
    }
    let places = pod::Places::of(context.base);
    for probes::Problem { list, container, field, message } in rewritten.problems {
        let path = format!("{}.{field}", places.path(list, &container));
        issues.push(target.warning(&path, LIMITED, message));
    }
}

fn no_tls(target: &Target, name: &str) -> Issue {
    let message = format!(
        "merged metrics are served, and the application is asked for its own, over plain HTTP: remove this \
         annotation, or have Prometheus scrape the application itself with {}: \"false\"",
        names::MERGE_METRICS
    );
    target.warning(&target.annotation(name), LIMITED, message)
}

fn no_targets(target: &Target, message: &str) -> Issue {
    let message = format!(
        "{message}; no target is scraped but the one of prometheus.io/port, if that is set"
    );
    target.warning(&target.annotation(names::SCRAPE_TARGETS), INVALID_ANNOTATION, message)
}

fn label(pod: &mut Value, context: &Context, templates: &Templates) {
    let Some(built_in) = templates.built_in else { return };
    let of = |names: &[&str], last: &str| {
        let mut labels = names.iter().filter_map(|name| pod::label(context.base, name));
        labels.find(|value| !value.is_empty()).unwrap_or(last).to_owned()
    };
    let name = of(&[CANONICAL_NAME, "app.kubernetes.io/name", "app"], &context.owner.name);
    let revision = of(&[CANONICAL_REVISION, "app.kubernetes.io/version", "version"], "latest");
    let network = network(context).map(str::to_owned);
    let labels = pod::metadata_mut(pod, "labels");
    if built_in == BuiltIn::Sidecar {
        labels.entry("security.istio.io/tlsMode").or_insert(json!("istio"));
    }
    if built_in == BuiltIn::Gateway {
        // Whoever looks for the gateways of a control plane has labels to select by.
        labels.entry(REVISION).or_insert(json!(context.settings.revision_label()));
    }
    if !name.is_empty() {
        labels.insert(CANONICAL_NAME.to_owned(), json!(label_of(&name)));
    }
    labels.insert(CANONICAL_REVISION.to_owned(), json!(revision));
    if let Some(network) = network {
        labels.insert("topology.istio.io/network".to_owned(), json!(network));
    }
}

/// As much of a name as a label may have, which must not end with a sign.
fn label_of(name: &str) -> &str {
    let end = name.floor_char_boundary(LABEL_LIMIT);
    name[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
}

fn annotate(pod: &mut Value, context: &Context, templates: &Templates) {
    let Some(built_in) = templates.built_in else { return };
    let settings = context.settings;
    let first = app_containers(context).first().copied();
    let annotations = pod::metadata_mut(pod, "annotations");
    annotations.insert(REVISION.to_owned(), json!(settings.revision_label()));
    if let Some(first) = first.filter(|_| built_in == BuiltIn::Sidecar) {
        for name in [DEFAULT_CONTAINER, DEFAULT_LOGS_CONTAINER] {
            annotations.entry(name).or_insert(json!(first));
        }
    }
    if built_in == BuiltIn::Sidecar {
        for (name, value) in interception::node_agent_annotations(context) {
            annotations.insert(name.to_owned(), json!(value));
        }
    }
    for (name, value) in &settings.injected_annotations {
        annotations.insert(name.clone(), json!(value));
    }
}

/// With a native sidecar: validation, then what must run before the proxy, the rules, the proxy, and the
/// other init containers, which have the network through it. With a plain one the rules come last, so
/// that init containers have the network without them.
fn order(pod: &mut Value, context: &Context) {
    let mut before = HashMap::new();
    let names = context.annotations.get(names::BEFORE_PROXY).unwrap_or_default();
    for (at, name) in names.split(',').map(str::trim).enumerate() {
        before.entry(name).or_insert(at);
    }
    let native = pod::find(pod::list(pod, "initContainers"), PROXY_CONTAINER).is_some();
    let place = |container: &Value| match pod::name(container) {
        VALIDATION_CONTAINER => (0, 0),
        INIT_CONTAINER if native => (2, 0),
        PROXY_CONTAINER => (3, 0),
        INIT_CONTAINER => (5, 0),
        name => match before.get(name) {
            Some(at) if native => (1, *at),
            _ => (4, 0),
        },
    };
    if !pod::list(pod, "initContainers").is_empty() {
        pod::list_mut(pod, "initContainers").sort_by_cached_key(place);
    }
    let last = !context.hold;
    pod::list_mut(pod, "containers")
        .sort_by_key(|container| (pod::name(container) == PROXY_CONTAINER) == last);
}

/// Names everything that the pod did not have, or that took the place of something of the pod's.
fn status(pod: &mut Value, context: &Context) {
    let overrides = pod::annotation(pod, OVERRIDES).unwrap_or_default();
    let overrides: Value = serde_json::from_str(overrides).unwrap_or_default();
    let fields = ["containers", "initContainers"].into_iter();
    let overridden = fields.flat_map(|field| overrides[field].as_array().into_iter().flatten());
    let overridden: HashSet<&str> = overridden.map(pod::name).collect();
    let mut entries = Vec::new();
    for field in strip::LISTS {
        let base = pod::by_name(pod::list(context.base, field));
        let injected = |item: &&Value| match (base.get(pod::name(item)), field) {
            (None, _) => true,
            (Some(_), "containers" | "initContainers") => overridden.contains(pod::name(item)),
            (Some(old), "volumes") => *old != *item,
            (Some(_), _) => false,
        };
        let added: Vec<&str> =
            pod::list(pod, field).iter().filter(injected).map(pod::name).collect();
        let list = if added.is_empty() { Value::Null } else { json!(added) };
        entries.push((field.to_owned(), list));
    }
    entries.push(("revision".to_owned(), json!(context.settings.revision_label())));
    let status = object(entries).to_string();
    pod::metadata_mut(pod, "annotations").insert(STATUS.to_owned(), json!(status));
}

/// What is injected comes after the pod's own annotations and in one order, so that a pod that is injected
/// again is the same text.
fn settle(pod: &mut Value, context: &Context) {
    let annotations = pod::metadata_mut(pod, "annotations");
    let mut entries: Vec<(String, Value)> = std::mem::take(annotations).into_iter().collect();
    entries.sort_by_cached_key(|(name, _)| match name.as_str() {
        OVERRIDES => 1,
        name if prometheus::tells_scraping(name) => 2,
        REVISION => 3,
        DEFAULT_CONTAINER | DEFAULT_LOGS_CONTAINER => 4,
        name if context.settings.injected_annotations.contains_key(name) => 5,
        STATUS => 6,
        _ => 0,
    });
    annotations.extend(entries);
}

/// `image: auto` that nothing filled in would be pulled as an image of that name.
fn unfilled(pod: &Value, context: &Context, target: &Target) -> Vec<Issue> {
    let mut issues = Vec::new();
    let places = pod::Places::of(context.base);
    for field in ["initContainers", "containers"] {
        let unfilled = pod::list(pod, field).iter().filter(|one| one["image"] == "auto");
        for name in unfilled.map(pod::name) {
            let path = format!("{}.image", places.path(field, name));
            let message = "no template fills this in: the container has to be named istio-proxy, and \
                           the pod to have a template for it in inject.istio.io/templates";
            issues.push(target.error(&path, IMAGE_AUTO, message));
        }
    }
    issues
}

/// The API takes no pod without containers, and a native sidecar is none: who writes the proxy alone has meant
/// a gateway.
fn alone(pod: &Value, context: &Context, templates: &Templates, target: &Target) -> Option<Issue> {
    let own = pod::list(context.base, "containers");
    let index = own.iter().position(|one| pod::name(one) == PROXY_CONTAINER)?;
    if templates.built_in != Some(BuiltIn::Sidecar) || !pod::list(pod, "containers").is_empty() {
        return None;
    }
    let message = "the proxy is the only container and would be a sidecar, of nothing: for a gateway, set the \
                   annotation inject.istio.io/templates to gateway";
    Some(target.error(&format!("spec.containers[{index}]"), IMAGE_AUTO, message))
}
