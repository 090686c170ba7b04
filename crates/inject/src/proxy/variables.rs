//! The proxy's environment: what the agent learns of its pod. In: the pod's context. Out: Istio's
//! variables, in Istio's order.

use serde_json::{Value, json};

use crate::inject::Context;
use crate::settings::Settings;
use crate::template::BuiltIn;
use crate::{END_WITH, PROXY_CONTAINER, pod};

pub fn variables(context: &Context, built_in: BuiltIn) -> Vec<Value> {
    let settings = context.settings;
    let mut all = vec![
        text("PILOT_CERT_PROVIDER", "istiod"),
        text("CA_ADDR", &ca_address(settings)),
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        field("HOST_IP", "status.hostIP"),
        json!({
            "name": "ISTIO_CPU_LIMIT",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}},
        }),
        text("PROXY_CONFIG", &context.config.to_string()),
        text("ISTIO_META_POD_PORTS", &pod_ports(context)),
        text("ISTIO_META_APP_CONTAINERS", &app_containers(context).join(",")),
        text("ISTIO_META_CLUSTER_ID", &settings.cluster_id),
        field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        text("ISTIO_META_INTERCEPTION_MODE", &context.mode),
    ];
    if let Some(network) = network(context) {
        all.push(text("ISTIO_META_NETWORK", network));
    }
    let owner = context.owner;
    if !owner.name.is_empty() {
        all.push(text("ISTIO_META_WORKLOAD_NAME", &owner.name));
        all.push(text("ISTIO_META_OWNER", &owner.uri(context.namespace)));
    }
    all.push(text("ISTIO_META_MESH_ID", mesh_id(context)));
    all.push(text("TRUST_DOMAIN", &settings.trust_domain));
    if let Some(when) = context.ends_with.filter(|_| built_in == BuiltIn::Sidecar) {
        all.push(text(END_WITH, when));
    }
    all.extend(metadata_variables(context));
    all
}

/// The entries of ProxyConfig's `proxyMetadata`.
pub fn metadata_variables(context: &Context) -> Vec<Value> {
    let metadata = context.config["proxyMetadata"].as_object();
    metadata
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some(text(name, value.as_str()?)))
        .collect()
}

/// The network of the pod: its own label first.
pub fn network<'a>(context: &'a Context) -> Option<&'a str> {
    let label = pod::label(context.base, "topology.istio.io/network");
    label.or(Some(&*context.settings.network)).filter(|network| !network.is_empty())
}

/// The application's containers.
pub fn app_containers<'a>(context: &Context<'a>) -> Vec<&'a str> {
    let mut names = pod::names(pod::list(context.base, "containers"));
    names.retain(|name| *name != PROXY_CONTAINER);
    names
}

fn ca_address(settings: &Settings) -> String {
    match settings.ca_address.as_str() {
        "" => settings.control_plane(),
        address => address.to_owned(),
    }
}

fn mesh_id<'a>(context: &'a Context) -> &'a str {
    let settings = context.settings;
    let configured = context.config["meshId"].as_str().unwrap_or_default();
    [configured, &*settings.mesh_id]
        .into_iter()
        .find(|id| !id.is_empty())
        .unwrap_or(&settings.trust_domain)
}

/// The proxy's own last, wherever the pod had it: an injection that is taken out leaves it at the end.
fn pod_ports(context: &Context) -> String {
    let is_application = |container: &&Value| pod::name(container) != PROXY_CONTAINER;
    let (application, own): (Vec<&Value>, Vec<&Value>) =
        pod::list(context.base, "containers").iter().partition(is_application);
    let containers = application.into_iter().chain(own);
    let ports = containers.filter_map(|one| one["ports"].as_array()).flatten();
    Value::Array(ports.cloned().collect()).to_string()
}

fn text(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}
