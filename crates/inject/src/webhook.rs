//! The MutatingWebhookConfiguration. In: the settings. Out: the object, and for a pod the webhook of it
//! that the API server would call: both from one table of selectors.

use std::fmt;

use serde_json::{Value, json};

use crate::decide::{INJECT, SYSTEM_NAMESPACES};
use crate::selector::{Operator, Requirement, Selector};
use crate::settings::{ObjectSelector, Settings};
use crate::{Subject, pod};

/// The label that names a revision or a tag, on namespaces and on pods.
const REVISION: &str = "istio.io/rev";
/// The label that the API server puts on every namespace.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The webhooks of a configuration; no pod matches two of one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The namespace names the revision.
    RevNamespace,
    /// The pod names the revision, the namespace says nothing.
    RevObject,
    /// The namespace has `istio-injection=enabled`.
    Namespace,
    /// The pod asks, and nothing else is said.
    Object,
    /// Nothing is said at all, and `enableNamespacesByDefault` is on.
    Auto,
}

impl Rule {
    fn prefix(self) -> &'static str {
        match self {
            Rule::RevNamespace => "rev.namespace.",
            Rule::RevObject => "rev.object.",
            Rule::Namespace => "namespace.",
            Rule::Object => "object.",
            Rule::Auto => "auto.",
        }
    }
}

/// One webhook of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The name of the MutatingWebhookConfiguration.
    pub configuration: String,
    pub rule: Rule,
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}sidecar-injector.istio.io of {}", self.rule.prefix(), self.configuration)
    }
}

/// Where the webhooks are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Service { name: String, namespace: String, path: String, port: u16 },
    Url(String),
}

impl Endpoint {
    /// The Service of the settings' revision.
    pub fn of(settings: &Settings) -> Self {
        Endpoint::Service {
            name: settings.service(),
            namespace: settings.istio_namespace.clone(),
            path: "/inject".to_owned(),
            port: 443,
        }
    }
}

/// How the webhooks are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub endpoint: Endpoint,
    /// Base64 of PEM; the control plane puts its own in where there is none.
    pub ca_bundle: Option<String>,
    /// Whether the webhook is asked again when a later one has changed the pod.
    pub reinvoke: bool,
}

impl Call {
    /// Calls the Service of the settings' revision, once.
    pub fn of(settings: &Settings) -> Self {
        Call { endpoint: Endpoint::of(settings), ca_bundle: None, reinvoke: false }
    }
}

struct Row {
    rule: Rule,
    namespace: Selector,
    object: Selector,
}

/// The webhook that the API server would call for this pod, of the revision's own configuration and
/// those of its tags.
pub fn selected(subject: &Subject, settings: &Settings) -> Option<Webhook> {
    let own = [(configuration(settings), settings.revision_label(), settings.is_default())];
    let tags = settings
        .tags
        .iter()
        .map(|tag| (tag_configuration(settings, tag), &**tag, tag == "default"));
    own.into_iter().chain(tags).find_map(|(configuration, revision, default)| {
        let row = rows(settings, revision, default)
            .into_iter()
            .find(|row| both_match(&row.namespace, &row.object, subject))?;
        Some(Webhook { configuration, rule: row.rule })
    })
}

/// Whether a MutatingWebhookConfiguration, as the API has it, is called for this pod: a tag may have been made, or the
/// selectors changed, since the settings were rendered.
pub fn is_called(configuration: &Value, subject: &Subject) -> bool {
    let selector = |value: &Value| match value {
        Value::Null => Some(Selector::default()),
        value => Selector::parse(value).ok(),
    };
    let matches = |hook: &Value| {
        let (namespace, object) =
            (selector(&hook["namespaceSelector"])?, selector(&hook["objectSelector"])?);
        Some(both_match(&namespace, &object, subject))
    };
    configuration["webhooks"].as_array().into_iter().flatten().any(|it| matches(it) == Some(true))
}

/// The revision's MutatingWebhookConfiguration.
pub fn webhooks(settings: &Settings, call: &Call) -> Value {
    let revision = settings.revision_label();
    let rows = rows(settings, revision, settings.is_default());
    let labels = json!({"app": "sidecar-injector", REVISION: revision});
    render(&configuration(settings), labels, &rows, call)
}

/// A tag's MutatingWebhookConfiguration: it selects by the tag and calls the revision's Service.
pub fn tag_webhooks(settings: &Settings, tag: &str, call: &Call) -> Value {
    let rows = rows(settings, tag, tag == "default");
    let revision = settings.revision_label();
    let labels = json!({"app": "sidecar-injector", REVISION: revision, "istio.io/tag": tag});
    render(&tag_configuration(settings, tag), labels, &rows, call)
}

fn configuration(settings: &Settings) -> String {
    let mut name = "istio-sidecar-injector".to_owned();
    if !settings.is_default() {
        name.push_str(&format!("-{}", settings.revision));
    }
    of_namespace(name, settings)
}

fn tag_configuration(settings: &Settings, tag: &str) -> String {
    of_namespace(format!("istio-revision-tag-{tag}"), settings)
}

/// Configurations have no namespace: those of a control plane elsewhere have it in their names.
fn of_namespace(name: String, settings: &Settings) -> String {
    match settings.istio_namespace.as_str() {
        "istio-system" => name,
        namespace => format!("{name}-{namespace}"),
    }
}

fn both_match(namespace: &Selector, object: &Selector, subject: &Subject) -> bool {
    let namespace_label = |key: &str| match key {
        // A file's namespace lacks it until the API server has seen it.
        NAMESPACE_NAME => Some(subject.namespace),
        key => subject.namespace_labels.get(key).map(String::as_str),
    };
    namespace.matches(namespace_label) && object.matches(|key| pod::label(subject.pod, key))
}

/// The one table. `default` rows also belong to the label `istio-injection`.
fn rows(settings: &Settings, revision: &str, default: bool) -> Vec<Row> {
    let label = &*settings.inject_label;
    let unlabelled = || Selector(vec![Requirement::absent(label), Requirement::absent(REVISION)]);
    let row = |rule, namespace, object| Row { rule, namespace, object: Selector(object) };
    let named = Selector(vec![Requirement::is(REVISION, revision), Requirement::absent(label)]);
    let enabled = Selector(vec![Requirement::is(label, "enabled")]);
    let by_namespace = match settings.object_selector {
        ObjectSelector::UnlessDeclined => vec![Requirement::is_not(INJECT, "false")],
        ObjectSelector::WhenAsked => vec![Requirement::is(INJECT, "true")],
        ObjectSelector::Ignored => Vec::new(),
    };
    let objects = settings.object_selector != ObjectSelector::Ignored;
    let mut rows = vec![row(Rule::RevNamespace, named, by_namespace.clone())];
    if objects {
        let object =
            vec![Requirement::is_not(INJECT, "false"), Requirement::is(REVISION, revision)];
        rows.push(row(Rule::RevObject, unlabelled(), object));
    }
    if !default {
        return rows;
    }
    rows.push(row(Rule::Namespace, enabled, by_namespace));
    if objects {
        let object = vec![Requirement::is(INJECT, "true"), Requirement::absent(REVISION)];
        rows.push(row(Rule::Object, unlabelled(), object));
    }
    let unsaid = match settings.object_selector {
        ObjectSelector::UnlessDeclined => {
            Some(vec![Requirement::absent(INJECT), Requirement::absent(REVISION)])
        }
        ObjectSelector::Ignored => Some(Vec::new()),
        ObjectSelector::WhenAsked => None,
    };
    if let Some(object) = unsaid.filter(|_| settings.namespaces_by_default) {
        let mut namespace = unlabelled();
        let mut excluded = SYSTEM_NAMESPACES.to_vec();
        if !objects {
            // The control plane's pods say that they decline, which is not looked at here: it could
            // not start without asking itself.
            excluded.push(&settings.istio_namespace);
        }
        namespace.0.push(Requirement::new(NAMESPACE_NAME, Operator::NotIn, &excluded));
        rows.push(row(Rule::Auto, namespace, object));
    }
    rows
}

fn render(name: &str, labels: Value, rows: &[Row], call: &Call) -> Value {
    let mut client = match &call.endpoint {
        Endpoint::Service { name, namespace, path, port } => json!({
            "service": {"name": name, "namespace": namespace, "path": path, "port": port},
        }),
        Endpoint::Url(url) => json!({"url": url}),
    };
    if let Some(bundle) = &call.ca_bundle {
        client["caBundle"] = json!(bundle);
    }
    let webhooks: Vec<Value> = rows.iter().map(|row| row.render(&client, call.reinvoke)).collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": labels},
        "webhooks": webhooks,
    })
}

impl Row {
    fn render(&self, client: &Value, reinvoke: bool) -> Value {
        json!({
            "name": format!("{}sidecar-injector.istio.io", self.rule.prefix()),
            "clientConfig": client,
            "sideEffects": "None",
            "rules": [{
                "operations": ["CREATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "scope": "*",
            }],
            "failurePolicy": "Fail",
            "reinvocationPolicy": if reinvoke { "IfNeeded" } else { "Never" },
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": self.namespace.render(),
            "objectSelector": self.object.render(),
        })
    }
}

#[cfg(test)]
mod tests;
