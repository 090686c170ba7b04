//! The container `istio-proxy` of a sidecar or a gateway, and its volumes. In: the pod's context. Out:
//! JSON with Istio's names of variables, volumes and ports.

mod variables;

use serde_json::{Value, json};

use crate::PROXY_CONTAINER;
use crate::annotation::{self as names, syntax};
use crate::inject::Context;
use crate::settings::Settings;
use crate::template::BuiltIn;

pub use variables::{app_containers, metadata_variables, network};

/// Where the agent answers whether the proxy is ready.
const HEALTH_PORT: u16 = 15021;

/// The proxy's container.
pub fn container(context: &Context, built_in: BuiltIn) -> Value {
    let settings = context.settings;
    let mut container = json!({"name": PROXY_CONTAINER, "image": context.image});
    let mut put = |field: &str, value: Value| container[field] = value;
    if !settings.image.pull_policy.is_empty() {
        put("imagePullPolicy", json!(settings.image.pull_policy));
    }
    put("args", json!(arguments(context, built_in)));
    put("ports", json!([{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}]));
    put("env", Value::Array(variables::variables(context, built_in)));
    if let Some(lifecycle) = lifecycle(context, built_in) {
        put("lifecycle", lifecycle);
    }
    if context.status_port != 0 {
        put("readinessProbe", readiness(context));
        if let Some(startup) = settings.startup.filter(|_| built_in == BuiltIn::Sidecar) {
            let mut probe = health(1);
            probe["failureThreshold"] = json!(startup.failures);
            put("startupProbe", probe);
        }
    }
    put("resources", resources(context));
    put("securityContext", security_context(context, built_in));
    put("volumeMounts", Value::Array(mounts(context)));
    if context.native && built_in == BuiltIn::Sidecar {
        put("restartPolicy", json!("Always"));
    }
    container
}

fn arguments(context: &Context, built_in: BuiltIn) -> Vec<String> {
    let Context { settings, annotations, .. } = context;
    let role = match built_in {
        BuiltIn::Sidecar => "sidecar",
        BuiltIn::Gateway => "router",
    };
    let logging = &settings.logging;
    let level = annotations.or(names::LOG_LEVEL, &logging.proxy);
    let component = annotations.or(names::COMPONENT_LOG_LEVEL, &logging.component);
    let mut arguments = vec![
        "proxy".to_owned(),
        role.to_owned(),
        "--domain".to_owned(),
        format!("$(POD_NAMESPACE).svc.{}", settings.cluster_domain),
        format!("--proxyLogLevel={level}"),
        format!("--proxyComponentLogLevel={component}"),
        agent_log_argument(context),
    ];
    if logging.json {
        arguments.push("--log_as_json".to_owned());
    }
    arguments
}

pub fn agent_log_argument(context: &Context) -> String {
    let level = context.annotations.or(names::AGENT_LOG_LEVEL, &context.settings.logging.agent);
    format!("--log_output_level={level}")
}

/// A native sidecar holds the application by its startup probe; a plain one by a hook that ends when
/// the proxy is ready, because the kubelet starts containers in order.
fn lifecycle(context: &Context, built_in: BuiltIn) -> Option<Value> {
    if let Some(lifecycle) = &context.settings.lifecycle {
        return Some(lifecycle.clone());
    }
    let hook = context.hold && built_in == BuiltIn::Sidecar && !context.native;
    hook.then(|| json!({"postStart": {"exec": {"command": ["lateen", "proxy", "wait"]}}}))
}

fn health(period: u32) -> Value {
    json!({
        "httpGet": {"path": "/healthz/ready", "port": HEALTH_PORT},
        "periodSeconds": period,
        "timeoutSeconds": 3,
    })
}

fn readiness(context: &Context) -> Value {
    let Context { settings, annotations, .. } = context;
    let number = |name, setting| annotations.number(name).unwrap_or(setting);
    let mut probe = health(number(names::PERIOD, settings.readiness.period));
    let delay = number(names::INITIAL_DELAY, settings.readiness.initial_delay);
    if delay != 0 {
        probe["initialDelaySeconds"] = json!(delay);
    }
    probe["failureThreshold"] = json!(number(names::FAILURES, settings.readiness.failures));
    probe
}

/// One annotation about resources takes the place of all settings, as in Istio.
pub fn resources(context: &Context) -> Value {
    let groups = [
        ("requests", [("cpu", names::CPU), ("memory", names::MEMORY)]),
        ("limits", [("cpu", names::CPU_LIMIT), ("memory", names::MEMORY_LIMIT)]),
    ];
    let mut resources = json!({});
    for (group, entries) in groups {
        for (resource, name) in entries {
            if let Some(quantity) = context.annotations.get(name) {
                resources[group][resource] = json!(quantity);
            }
        }
    }
    if resources == json!({}) { context.settings.resources.clone() } else { resources }
}

/// Transparent interception needs the right to bind foreign addresses. A gateway intercepts nothing.
fn security_context(context: &Context, built_in: BuiltIn) -> Value {
    let Settings { privileged, seccomp, .. } = context.settings;
    let tproxy = context.mode == "TPROXY" && built_in == BuiltIn::Sidecar;
    let mut capabilities = json!({"drop": ["ALL"]});
    if tproxy {
        capabilities["add"] = json!(["NET_ADMIN"]);
    }
    let mut security = json!({
        "allowPrivilegeEscalation": privileged,
        "privileged": privileged,
        "capabilities": capabilities,
        "readOnlyRootFilesystem": true,
        "runAsGroup": 1337,
        "runAsNonRoot": !tproxy,
        "runAsUser": if tproxy { 0 } else { 1337 },
    });
    // A gateway's is its pod's.
    if let Some(profile) = seccomp.as_ref().filter(|_| built_in == BuiltIn::Sidecar) {
        security["seccompProfile"] = profile.clone();
    }
    security
}

fn mounts(context: &Context) -> Vec<Value> {
    let mut mounts = vec![
        json!({"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds"}),
        json!({"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"}),
        json!({"name": "istio-data", "mountPath": "/var/lib/istio/data"}),
        json!({"name": "istio-token", "mountPath": "/var/run/secrets/tokens"}),
        json!({"name": "istio-podinfo", "mountPath": "/etc/istio/pod"}),
    ];
    mounts.extend(user_objects(context, names::USER_VOLUME_MOUNT));
    mounts
}

/// The volumes of the proxy.
pub fn volumes(context: &Context) -> Vec<Value> {
    let field = |path: &str, field: &str| json!({"path": path, "fieldRef": {"fieldPath": field}});
    let token = json!({
        "path": "istio-token",
        "expirationSeconds": 43200,
        "audience": context.settings.token_audience,
    });
    let mut volumes = vec![
        json!({"name": "workload-socket", "emptyDir": {}}),
        json!({"name": "istio-data", "emptyDir": {}}),
        json!({
            "name": "istio-podinfo",
            "downwardAPI": {"items": [
                field("labels", "metadata.labels"),
                field("annotations", "metadata.annotations"),
            ]},
        }),
        json!({"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}}),
        json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}),
    ];
    volumes.extend(user_objects(context, names::USER_VOLUME));
    volumes
}

/// What was refused already if it does not parse.
pub fn user_objects(context: &Context, name: &str) -> Vec<Value> {
    context.annotations.get(name).and_then(|text| syntax::objects(text).ok()).unwrap_or_default()
}
