//! Webhook configurations. In: where the control plane answers and which pods it is asked about. Out:
//! Istio's MutatingWebhookConfigurations, whose selectors are those by which [`lateen_inject`] decides,
//! and ValidatingWebhookConfigurations.

use lateen_api::issue::Issue;
use lateen_api::istio::mesh::parse_mesh_config;
use lateen_inject::{Call, Endpoint, Settings, injector_config, webhooks};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::render::rbac::metadata;
use crate::render::{config, tags};
use crate::yaml;

pub const REVISION: &str = "istio.io/rev";
/// What validates objects without a revision, and its webhook.
pub const DEFAULT_VALIDATOR: &str = "istiod-default-validator";
pub const DEFAULT_VALIDATION: &str = "validation.istio.io";
const HOOK: &str = "values.sidecarInjectorWebhook";

/// The injector's settings, and what in them has no effect.
fn settings(plan: &Plan) -> (Settings, Vec<Issue>) {
    let mesh = yaml::text(&plan.mesh_config());
    // Its errors are told where the file is read.
    let (mesh, _) = parse_mesh_config(&mesh, &plan.operator);
    Settings::from_config(&config::values(plan), &mesh.unwrap_or_default(), plan.revision())
}

/// What the injector would say of its values at run time, for those who install them.
pub fn issues(plan: &Plan) -> Vec<Issue> {
    let told = |issue: Issue| {
        let part = if issue.object == injector_config() { "values" } else { "meshConfig" };
        let path = format!("spec.{part}.{}", issue.path);
        Issue { object: plan.operator.clone(), path, ..issue }
    };
    settings(plan).1.into_iter().map(told).collect()
}

/// The MutatingWebhookConfiguration that asks for injection.
pub fn injector(plan: &Plan) -> Value {
    let mut object = webhooks(&settings(plan).0, &call(plan));
    object["metadata"]["labels"]["release"] = json!("istio");
    annotate(plan, &mut object);
    object
}

/// The configurations of the tags that the file names.
pub fn revision_tags(plan: &Plan) -> Vec<Value> {
    let (settings, call) = (settings(plan).0, call(plan));
    let names = plan.list("values.revisionTags").iter().filter_map(Value::as_str);
    let mut tags: Vec<Value> = names.map(|name| tags::render(&settings, name, &call)).collect();
    tags.iter_mut().for_each(|object| annotate(plan, object));
    tags
}

/// Puts the annotations of a file on what asks for injection.
fn annotate(plan: &Plan, object: &mut Value) {
    let own = plan.object("values.pilot.sidecarInjectorWebhookAnnotations");
    if !crate::check::is_empty(&own) {
        object["metadata"]["annotations"] = own;
    }
}

fn call(plan: &Plan) -> Call {
    let text = |field: &str| plan.text(&format!("{HOOK}.{field}")).map(str::to_owned);
    let service = |path: String| Endpoint::Service {
        name: plan.revised("istiod"),
        namespace: plan.namespace().to_owned(),
        path,
        port: 443,
    };
    let path = text("injectionPath").unwrap_or_else(|| "/inject".to_owned());
    Call {
        endpoint: text("injectionURL").map_or_else(|| service(path), Endpoint::Url),
        ca_bundle: text("caBundle"),
        reinvoke: text("reinvocationPolicy").as_deref() == Some("IfNeeded"),
    }
}

fn client(plan: &Plan, url: Option<&str>, path: &str, bundle: Option<&str>) -> Value {
    let mut client = match url {
        Some(url) => json!({ "url": url }),
        None => json!({ "service": {
            "name": plan.revised("istiod"),
            "namespace": plan.namespace(),
            "path": path,
            "port": 443,
        } }),
    };
    if let Some(bundle) = bundle {
        client["caBundle"] = json!(bundle);
    }
    client
}

fn rule(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": operator, "values": values })
}

pub fn absent(key: &str) -> Value {
    json!({ "key": key, "operator": "DoesNotExist" })
}

/// The ValidatingWebhookConfigurations: the revision's, and the default one's for objects without a
/// revision, which are those of the tag `default` too. They ignore failures until the control plane answers and says otherwise.
pub fn validators(plan: &Plan) -> Vec<Value> {
    if !plan.flag("values.global.configValidation") {
        return Vec::new();
    }
    let namespace = plan.namespace();
    let labels = json!({ "app": "istiod", "istio": "istiod", "release": "istio" });
    let revision = rule(REVISION, "In", &[plan.revision_label()]);
    let own = format!("{}-{namespace}", plan.revised("istio-validator"));
    let mut all = vec![validator(plan, &own, &labels, "rev.validation.istio.io", revision)];
    let is_tagged = plan.list("values.revisionTags").contains(&json!("default"));
    if plan.revision().is_empty() || is_tagged {
        let without = absent(REVISION);
        all.push(validator(plan, DEFAULT_VALIDATOR, &labels, DEFAULT_VALIDATION, without));
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
