//! Gateways: Deployment, Service and what they need. In: a plan. Out: every enabled gateway's objects.
//!
//! The container is written out and not left to the injector: a gateway then starts while the control
//! plane's webhook does not answer yet, and one apply installs everything.

mod pod;

use serde_json::{Value, json};

use super::Component;
use crate::check::is_empty;
use crate::plan::Plan;
use crate::render::rbac::{self, metadata};
use crate::render::workload::{Workload, with};
use crate::render::{labels, service};

/// One enabled gateway.
pub struct Gateway {
    component: Component,
    /// Its path in the file.
    place: String,
    name: String,
    namespace: String,
    settings: Value,
    values: &'static str,
    own: Value,
}

impl Gateway {
    pub fn component(&self) -> Component {
        self.component
    }

    /// Its path in the file.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The component's `k8s`.
    pub fn settings(&self) -> &Value {
        &self.settings
    }

    /// The path of its values.
    pub fn values(&self) -> &'static str {
        self.values
    }

    fn is_ingress(&self) -> bool {
        self.component == Component::IngressGateways
    }

    /// The labels by which Gateway objects and Services find it. A gateway of an own name is told from
    /// the usual one by `app`, and is still chosen by `istio: ingressgateway`.
    fn labels(&self, plan: &Plan) -> Value {
        let role = if self.is_ingress() { "ingressgateway" } else { "egressgateway" };
        let base = json!({ "app": self.name, "istio": role });
        let usual = self.name == format!("istio-{role}");
        let values = plan.object(&format!("{}.labels", self.values));
        let base = if usual { with(&base, &values) } else { base };
        with(&base, &self.own["label"])
    }
}

/// The enabled gateways, ingress first, in the file's order.
pub fn enabled(plan: &Plan) -> Vec<Gateway> {
    let lists = [
        ("ingressGateways", Component::IngressGateways, "values.gateways.istio-ingressgateway"),
        ("egressGateways", Component::EgressGateways, "values.gateways.istio-egressgateway"),
    ];
    let mut found = Vec::new();
    for (list, component, values) in lists {
        let all = plan.list(&format!("components.{list}"));
        let all = all.iter().enumerate();
        for (at, gateway) in all.filter(|(_, gateway)| gateway["enabled"] == json!(true)) {
            let text = |field: &str| gateway[field].as_str().map(str::to_owned);
            found.push(Gateway {
                component,
                place: plan.input.gateway(list, at, gateway),
                name: text("name").unwrap_or_default(),
                namespace: text("namespace").unwrap_or_else(|| plan.namespace().to_owned()),
                settings: gateway.get("k8s").cloned().unwrap_or_else(|| json!({})),
                values,
                own: gateway.clone(),
            });
        }
    }
    found
}

/// All objects of one gateway.
pub fn render(plan: &Plan, gateway: &Gateway) -> Vec<Value> {
    let selector = gateway.labels(plan);
    let account = format!("{}-service-account", gateway.name);
    let workload = Workload {
        plan,
        name: &gateway.name,
        namespace: &gateway.namespace,
        labels: with(&selector, &json!({ "release": "istio" })),
        pod_labels: pod_labels(plan, gateway, &selector),
        pod_annotations: pod_annotations(plan, gateway),
        selector: selector.clone(),
        service_account: &account,
        k8s: &gateway.settings,
        values: gateway.values,
    };
    let ports = ports(plan, gateway);
    let deployment = pod::deployment(plan, gateway, &workload, &ports);
    let annotations = plan.object(&format!("{}.serviceAccount.annotations", gateway.values));
    let mut objects = vec![workload.account(&annotations)];
    objects.extend(rbac::gateway(&gateway.name, &gateway.namespace, &account, &workload.labels));
    if !plan.flag(&format!("{}.customService", gateway.values)) {
        objects.push(exposed(plan, gateway, &workload, ports));
    }
    objects.push(deployment);
    objects.extend(workload.disruption_budget());
    objects.extend(workload.autoscaler());
    objects
}

fn pod_labels(plan: &Plan, gateway: &Gateway, selector: &Value) -> Value {
    let fixed = json!({
        labels::COMPONENT: gateway.component.name(),
        labels::REVISION: plan.revision_label(),
        "service.istio.io/canonical-name": gateway.name,
        "service.istio.io/canonical-revision": "latest",
        "sidecar.istio.io/inject": "false",
    });
    with(selector, &fixed)
}

fn pod_annotations(plan: &Plan, gateway: &Gateway) -> Value {
    let fixed = json!({
        "prometheus.io/path": "/stats/prometheus",
        "prometheus.io/port": "15020",
        "prometheus.io/scrape": "true",
        "sidecar.istio.io/inject": "false",
    });
    let older = plan.object(&format!("{}.podAnnotations", gateway.values));
    with(&with(&fixed, &older), &gateway.settings["podAnnotations"])
}

/// The Service's ports: the component's, or those of the values if it has none, as in Istio: a gateway opens no
/// port beside those that its owner writes.
fn ports(plan: &Plan, gateway: &Gateway) -> Vec<Value> {
    let older = |field: &str| json!({ "ports": plan.list(&format!("{}.{field}", gateway.values)) });
    let own = &gateway.settings["service"]["ports"];
    let mut spec = json!({});
    if own.as_array().is_none_or(|ports| ports.iter().all(Value::is_null)) {
        spec = older("ports");
        service::overlay(&mut spec, &older("ingressPorts"));
    }
    service::overlay(&mut spec, &json!({ "ports": own }));
    let mut ports = spec["ports"].as_array().cloned().unwrap_or_default();
    for port in &mut ports {
        if port["protocol"].as_str().is_none_or(str::is_empty) {
            port["protocol"] = json!("TCP");
        }
    }
    ports
}

fn exposed(plan: &Plan, gateway: &Gateway, workload: &Workload<'_>, ports: Vec<Value>) -> Value {
    let mut spec = json!({ "selector": workload.selector });
    let fields = [
        "type",
        "externalIPs",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "externalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
    ];
    for field in fields {
        let older = plan.get(&format!("{}.{field}", gateway.values));
        let global = || plan.get(&format!("values.global.{field}"));
        if let Some(value) = older.or_else(global).filter(|value| !is_empty(value)) {
            spec[field] = value.clone();
        }
    }
    service::overlay(&mut spec, &gateway.settings["service"]);
    spec["ports"] = json!(ports);
    let mut metadata = metadata(&gateway.name, Some(&gateway.namespace), &workload.labels);
    let older = plan.object(&format!("{}.serviceAnnotations", gateway.values));
    let annotations = with(&older, &gateway.settings["serviceAnnotations"]);
    if !is_empty(&annotations) {
        metadata["annotations"] = annotations;
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })
}
