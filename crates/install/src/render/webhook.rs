//! Webhook configurations. In: where the control plane answers and which pods it is asked about. Out:
//! Istio's MutatingWebhookConfiguration and ValidatingWebhookConfigurations.

use serde_json::{Value, json};

use crate::plan::Plan;
use crate::render::rbac::metadata;

const INJECT: &str = "sidecar.istio.io/inject";
const REVISION: &str = "istio.io/rev";
/// Namespaces of the cluster itself, into which nothing is injected because of a default.
const SYSTEM: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Whom an injector's webhooks call and for which namespaces and pods.
#[derive(Debug, Clone)]
pub struct Injector {
    pub name: String,
    /// What `istio.io/rev` must be: a revision, `default` or a tag.
    pub selected_by: String,
    /// Whether `istio-injection=enabled` selects it too.
    pub is_default: bool,
    pub inject_label: String,
    pub namespaces_by_default: bool,
    pub reinvocation: String,
    pub client: Value,
    pub labels: Value,
}

impl Injector {
    /// The injector of an installation.
    pub fn of(plan: &Plan) -> Self {
        let hook = "values.sidecarInjectorWebhook";
        let text =
            |field: &str, or: &str| plan.text(&format!("{hook}.{field}")).unwrap_or(or).to_owned();
        let path = text("injectionPath", "/inject");
        let url = plan.text(&format!("{hook}.injectionURL"));
        Self {
            name: match plan.namespace() {
                "istio-system" => plan.revised("istio-sidecar-injector"),
                other => format!("{}-{other}", plan.revised("istio-sidecar-injector")),
            },
            selected_by: plan.revision_label().to_owned(),
            is_default: plan.revision().is_empty(),
            inject_label: text("injectLabel", "istio-injection"),
            namespaces_by_default: plan.flag(&format!("{hook}.enableNamespacesByDefault")),
            reinvocation: text("reinvocationPolicy", "Never"),
            client: client(plan, url, &path, plan.text(&format!("{hook}.caBundle"))),
            labels: json!({ "app": "sidecar-injector", "release": "istio" }),
        }
    }
}

fn client(plan: &Plan, url: Option<&str>, path: &str, bundle: Option<&str>) -> Value {
    let mut client = match url {
        Some(url) => json!({ "url": url }),
        None => service(&plan.revised("istiod"), plan.namespace(), path),
    };
    if let Some(bundle) = bundle {
        client["caBundle"] = json!(bundle);
    }
    client
}

/// The control plane's Service as a webhook's server.
pub fn service(name: &str, namespace: &str, path: &str) -> Value {
    json!({ "service": { "name": name, "namespace": namespace, "path": path, "port": 443 } })
}

/// The MutatingWebhookConfiguration that asks for injection.
pub fn injector(of: &Injector) -> Value {
    let revision = [of.selected_by.as_str()];
    let not_false = || rule(INJECT, "NotIn", &["false"]);
    let unlabelled = || vec![absent(&of.inject_label), absent(REVISION)];
    let mut webhooks = vec![
        webhook(
            of,
            "rev.namespace",
            vec![rule(REVISION, "In", &revision), absent(&of.inject_label)],
            vec![not_false()],
        ),
        webhook(of, "rev.object", unlabelled(), vec![not_false(), rule(REVISION, "In", &revision)]),
    ];
    if of.is_default {
        let enabled = rule(&of.inject_label, "In", &["enabled"]);
        webhooks.push(webhook(of, "namespace", vec![enabled], vec![not_false()]));
        let asked = vec![rule(INJECT, "In", &["true"]), absent(REVISION)];
        webhooks.push(webhook(of, "object", unlabelled(), asked));
    }
    if of.is_default && of.namespaces_by_default {
        let mut namespaces = unlabelled();
        namespaces.push(rule("kubernetes.io/metadata.name", "NotIn", SYSTEM));
        webhooks.push(webhook(of, "auto", namespaces, vec![absent(INJECT), absent(REVISION)]));
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": metadata(&of.name, None, &of.labels),
        "webhooks": webhooks,
    })
}

fn webhook(of: &Injector, name: &str, namespaces: Vec<Value>, pods: Vec<Value>) -> Value {
    json!({
        "name": format!("{name}.sidecar-injector.istio.io"),
        "clientConfig": of.client,
        "sideEffects": "None",
        "rules": [{
            "operations": ["CREATE"],
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["pods"],
            "scope": "*",
        }],
        "failurePolicy": "Fail",
        "reinvocationPolicy": of.reinvocation,
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": { "matchExpressions": namespaces },
        "objectSelector": { "matchExpressions": pods },
    })
}

fn rule(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": operator, "values": values })
}

fn absent(key: &str) -> Value {
    json!({ "key": key, "operator": "DoesNotExist" })
}

/// The ValidatingWebhookConfigurations: the revision's, and the default one's for objects without a
/// revision. They ignore failures until the control plane answers and says otherwise.
pub fn validators(plan: &Plan) -> Vec<Value> {
    if !plan.flag("values.global.configValidation") {
        return Vec::new();
    }
    let namespace = plan.namespace();
    let labels = json!({ "app": "istiod", "istio": "istiod", "release": "istio" });
    let revision = rule(REVISION, "In", &[plan.revision_label()]);
    let own = format!("{}-{namespace}", plan.revised("istio-validator"));
    let mut all = vec![validator(plan, &own, &labels, "rev.validation.istio.io", revision)];
    if plan.revision().is_empty() {
        let name = "istiod-default-validator";
        all.push(validator(plan, name, &labels, "validation.istio.io", absent(REVISION)));
    }
    all
}

fn validator(plan: &Plan, name: &str, labels: &Value, webhook: &str, selected: Value) -> Value {
    let url = plan.text("values.base.validationURL");
    let bundle = plan.text("values.base.validationCABundle");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata(name, None, labels),
        "webhooks": [{
            "name": webhook,
            "clientConfig": client(plan, url, "/validate", bundle),
            "sideEffects": "None",
            "rules": [{
                "operations": ["CREATE", "UPDATE"],
                "apiGroups": [
                    "security.istio.io", "networking.istio.io",
                    "telemetry.istio.io", "extensions.istio.io",
                ],
                "apiVersions": ["*"],
                "resources": ["*"],
                "scope": "*",
            }],
            "failurePolicy": "Ignore",
            "admissionReviewVersions": ["v1"],
            "objectSelector": { "matchExpressions": [selected] },
        }],
    })
}
