//! The control plane: istiod's Deployment, Service and what they need. In: a plan. Out: objects.

use serde_json::{Value, json};

use crate::check::is_empty;
use crate::plan::{Plan, scalar};
use crate::render::rbac::{self, metadata};
use crate::render::workload::{
    Workload, audience, from_field, token, token_mount, unprivileged, variable, with,
};
use crate::render::{config, labels, service, webhook};

/// xDS without TLS, which is opened only where a file asks for it.
const PLAINTEXT: u16 = 15010;
/// The live graph, on Kiali's port.
const GRAPH: u16 = 20001;

/// All objects of the control plane.
pub fn render(plan: &Plan) -> Vec<Value> {
    let name = plan.revised("istiod");
    let k8s = plan.object("components.pilot.k8s");
    let selector = selector(plan);
    let own = with(&selector, &plan.object("values.pilot.deploymentLabels"));
    let own = with(&own, &plan.object("components.pilot.label"));
    let workload = Workload {
        plan,
        name: &name,
        namespace: plan.namespace(),
        labels: with(&own, &json!({ "release": "istio" })),
        pod_labels: pod_labels(plan, &own),
        pod_annotations: pod_annotations(&k8s),
        selector,
        service_account: &name,
        k8s: &k8s,
        values: "values.pilot",
    };
    let mut container = container(plan, is_plaintext(plan, &k8s));
    workload.finish(&mut container);
    let seccomp = plan.object("values.pilot.seccompProfile");
    if !is_empty(&seccomp) {
        container["securityContext"]["seccompProfile"] = seccomp;
    }
    let mut objects =
        vec![workload.account(&plan.object("values.pilot.serviceAccountAnnotations"))];
    objects.extend(rbac::control_plane(plan));
    objects.extend(rbac::dashboard(plan));
    objects.extend(config::render(plan));
    objects.push(control_plane(plan, &workload));
    objects.push(workload.deployment(container, pod(plan)));
    objects.extend(workload.disruption_budget());
    objects.extend(workload.autoscaler());
    objects.extend(webhook::validators(plan));
    objects.push(webhook::injector(plan));
    objects.extend(webhook::revision_tags(plan));
    objects
}

/// What else is in the pod.
fn pod(plan: &Plan) -> Value {
    let mut pod = json!({ "volumes": [token(plan)] });
    let before = plan.list("values.pilot.initContainers");
    if !before.is_empty() {
        pod["initContainers"] = json!(before);
    }
    pod
}

/// A revision's pods are told apart by its name, the default ones by Istio's old label.
fn selector(plan: &Plan) -> Value {
    match plan.revision() {
        "" => json!({ "app": "istiod", "istio": "pilot" }),
        revision => json!({ "app": "istiod", labels::REVISION: revision }),
    }
}

fn pod_labels(plan: &Plan, own: &Value) -> Value {
    let fixed = json!({
        labels::REVISION: plan.revision_label(),
        labels::COMPONENT: "Pilot",
        "sidecar.istio.io/inject": "false",
    });
    with(&with(own, &plan.object("values.pilot.podLabels")), &fixed)
}

fn pod_annotations(k8s: &Value) -> Value {
    let fixed = json!({
        "prometheus.io/port": "15014",
        "prometheus.io/scrape": "true",
        "sidecar.istio.io/inject": "false",
    });
    with(&fixed, &k8s["podAnnotations"])
}

/// Opened by a Service that has the port, or by the old wish for a control plane without TLS.
fn is_plaintext(plan: &Plan, k8s: &Value) -> bool {
    let ports = k8s["service"]["ports"].as_array().into_iter().flatten();
    let named = ports.into_iter().any(|port| port["port"] == json!(PLAINTEXT));
    named || plan.get("values.global.controlPlaneSecurityEnabled") == Some(&json!(false))
}

fn container(plan: &Plan, plaintext: bool) -> Value {
    // Istio's names: a name that another port of a control plane in place has could not be applied.
    let mut ports = vec![(8080, "http-debug"), (15012, "tls-xds"), (15014, "http-monitoring")];
    ports.extend([(15017, "https-webhooks"), (GRAPH, "https-graph")]);
    if plaintext {
        ports.insert(1, (PLAINTEXT, "grpc-xds"));
    }
    let ports: Vec<Value> = ports
        .into_iter()
        .map(|(port, name)| json!({ "containerPort": port, "name": name, "protocol": "TCP" }))
        .collect();
    json!({
        "name": "discovery",
        "image": plan.image("values.pilot"),
        "args": args(plan, plaintext),
        "env": environment(plan),
        "ports": ports,
        "readinessProbe": {
            "httpGet": { "path": "/ready", "port": 8080 },
            "initialDelaySeconds": 1,
            "periodSeconds": 3,
            "timeoutSeconds": 5,
        },
        "securityContext": unprivileged(),
        // By which another replica knows this one.
        "volumeMounts": [token_mount()],
    })
}

fn args(plan: &Plan, plaintext: bool) -> Vec<String> {
    let domain = plan.text("values.global.proxy.clusterDomain").unwrap_or("cluster.local");
    let level = plan.text("values.global.logging.level").unwrap_or("default:info");
    let age = plan.text("values.pilot.keepaliveMaxServerConnectionAge").unwrap_or("30m");
    // An address of nothing is how istiod is told not to listen.
    let plain = if plaintext { format!(":{PLAINTEXT}") } else { String::new() };
    let mut args = vec![
        "discovery".to_owned(),
        "--monitoringAddr=:15014".to_owned(),
        format!("--grpcAddr={plain}"),
        format!("--log_output_level={level}"),
        "--domain".to_owned(),
        domain.to_owned(),
        "--keepaliveMaxServerConnectionAge".to_owned(),
        age.to_owned(),
    ];
    if plan.flag("values.global.logAsJson") {
        args.push("--log_as_json".to_owned());
    }
    args.extend(plan.list("values.pilot.extraContainerArgs").iter().map(scalar));
    args
}

fn environment(plan: &Plan) -> Vec<Value> {
    let cluster = plan.text("values.global.multiCluster.clusterName").unwrap_or("Kubernetes");
    let mut env = vec![
        variable("REVISION", plan.revision_label()),
        variable("PILOT_CERT_PROVIDER", "istiod"),
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_NAMESPACE", "metadata.namespace"),
        from_field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        variable("CLUSTER_ID", cluster),
        variable("TOKEN_AUDIENCES", audience(plan)),
    ];
    let from = plan.list("values.pilot.envVarFrom");
    env.retain(|variable| from.iter().all(|own| own["name"] != variable["name"]));
    env.extend(from.iter().cloned());
    env
}

fn control_plane(plan: &Plan, workload: &Workload<'_>) -> Value {
    let plaintext = is_plaintext(plan, workload.k8s);
    let mut ports = vec![
        json!({ "name": "https-dns", "port": 15012, "protocol": "TCP" }),
        json!({ "name": "https-webhook", "port": 443, "targetPort": 15017, "protocol": "TCP" }),
        json!({ "name": "http-monitoring", "port": 15014, "protocol": "TCP" }),
        json!({ "name": "https-graph", "port": GRAPH, "protocol": "TCP" }),
    ];
    if plaintext {
        ports.insert(0, json!({ "name": "grpc-xds", "port": PLAINTEXT, "protocol": "TCP" }));
    }
    let mut spec = json!({ "ports": ports, "selector": workload.selector });
    for (field, name) in [("ipFamilies", "ipFamilies"), ("ipFamilyPolicy", "ipFamilyPolicy")] {
        let own = plan.get(&format!("values.pilot.{name}"));
        let own = own.filter(|value| !is_empty(value));
        let global = plan.get(&format!("values.global.{name}"));
        if let Some(value) = own.or(global).filter(|value| !is_empty(value)) {
            spec[field] = value.clone();
        }
    }
    service::overlay(&mut spec, &workload.k8s["service"]);
    let mut metadata = metadata(workload.name, Some(workload.namespace), &workload.labels);
    if workload.k8s["serviceAnnotations"].is_object() {
        metadata["annotations"] = workload.k8s["serviceAnnotations"].clone();
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })
}
