//! A gateway's pod. In: a plan and a gateway. Out: its Deployment.

use serde_json::{Value, json};

use super::Gateway;
use crate::check::is_empty;
use crate::merge::merge;
use crate::plan::Plan;
use crate::render::workload::{
    Workload, from_field, push_all, token, token_mount, unprivileged, variable,
};

/// Ports below this need a privilege, or a kernel setting of the pod.
const PRIVILEGED: u64 = 1024;

/// The Deployment of a gateway whose Service has these ports.
pub fn deployment(
    plan: &Plan,
    gateway: &Gateway,
    workload: &Workload<'_>,
    ports: &[Value],
) -> Value {
    let mut container = container(plan, gateway, ports);
    workload.finish(&mut container);
    mount_volumes(plan, gateway, &mut container);
    let mut deployment = workload.deployment(container, pod(plan, gateway, ports));
    let more = plan.list(&format!("{}.additionalContainers", gateway.values));
    push_all(&mut deployment["spec"]["template"]["spec"], "containers", more.iter().cloned());
    privileges(plan, gateway, &mut deployment);
    deployment
}

/// The port of the pod behind a Service's port, if it is a number.
fn target(port: &Value) -> Option<u64> {
    port["targetPort"].as_u64().or_else(|| match port.get("targetPort") {
        None | Some(Value::Null) => port["port"].as_u64(),
        Some(_) => None,
    })
}

fn container(plan: &Plan, gateway: &Gateway, ports: &[Value]) -> Value {
    let listed = ports.iter().filter_map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        target(port).map(|number| json!({ "containerPort": number, "protocol": protocol }))
    });
    let metrics = json!({ "containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP" });
    let mut listed: Vec<Value> = listed.chain([metrics]).collect();
    let mut seen: Vec<(Value, Value)> = Vec::new();
    listed.retain(|port| {
        let key = (port["containerPort"].clone(), port["protocol"].clone());
        let new = !seen.contains(&key);
        seen.push(key);
        new
    });
    json!({
        "name": "istio-proxy",
        "image": image(plan, gateway),
        "args": args(plan),
        "env": environment(plan, gateway),
        "ports": listed,
        "readinessProbe": {
            "failureThreshold": 30,
            "httpGet": { "path": "/healthz/ready", "port": 15021, "scheme": "HTTP" },
            "initialDelaySeconds": 1,
            "periodSeconds": 2,
            "timeoutSeconds": 1,
        },
        "securityContext": unprivileged(),
        "volumeMounts": [
            { "name": "istio-envoy", "mountPath": "/etc/istio/proxy" },
            { "name": "istio-data", "mountPath": "/var/lib/istio/data" },
            { "name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio" },
            token_mount(),
            { "name": "podinfo", "mountPath": "/etc/istio/pod" },
        ],
    })
}

fn image(plan: &Plan, gateway: &Gateway) -> String {
    match (gateway.own.get("hub"), gateway.own.get("tag")) {
        (None, None) => plan.image("values.global.proxy"),
        (hub, tag) => plan.image_of(hub, tag),
    }
}

fn args(plan: &Plan) -> Vec<String> {
    let text = |path: &str, or: &str| plan.text(path).unwrap_or(or).to_owned();
    let domain = text("values.global.proxy.clusterDomain", "cluster.local");
    let mut args = vec![
        "proxy".to_owned(),
        "router".to_owned(),
        "--domain".to_owned(),
        format!("$(POD_NAMESPACE).svc.{domain}"),
        format!("--proxyLogLevel={}", text("values.global.proxy.logLevel", "warning")),
        format!(
            "--proxyComponentLogLevel={}",
            text("values.global.proxy.componentLogLevel", "misc:error")
        ),
        format!("--log_output_level={}", text("values.global.logging.level", "default:info")),
    ];
    if plan.flag("values.global.logAsJson") {
        args.push("--log_as_json".to_owned());
    }
    args
}

fn environment(plan: &Plan, gateway: &Gateway) -> Vec<Value> {
    let discovery = format!("{}.{}.svc:15012", plan.revised("istiod"), plan.namespace());
    let mesh = plan.mesh_config();
    let proxy_config = serde_json::to_string(&mesh["defaultConfig"])
        .expect("invariant: a JSON value can be written");
    let (name, namespace) = (&gateway.name, &gateway.namespace);
    let owner = format!("kubernetes://apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let text = |path: &str| plan.text(path).unwrap_or_default();
    let cluster = plan.text("values.global.multiCluster.clusterName").unwrap_or("Kubernetes");
    let ca = plan.text("values.global.caAddress").unwrap_or(&discovery);
    let mut env = vec![
        variable("PILOT_CERT_PROVIDER", "istiod"),
        variable("CA_ADDR", ca),
        from_field("NODE_NAME", "spec.nodeName"),
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_NAMESPACE", "metadata.namespace"),
        from_field("INSTANCE_IP", "status.podIP"),
        from_field("HOST_IP", "status.hostIP"),
        from_field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        variable("PROXY_CONFIG", &proxy_config),
        variable("ISTIO_META_WORKLOAD_NAME", name),
        variable("ISTIO_META_OWNER", &owner),
        variable("ISTIO_META_CLUSTER_ID", cluster),
        variable("TRUST_DOMAIN", mesh["trustDomain"].as_str().unwrap_or("cluster.local")),
    ];
    for (name, value) in [
        ("ISTIO_META_MESH_ID", text("values.global.meshID")),
        ("ISTIO_META_NETWORK", text("values.global.network")),
    ] {
        if !value.is_empty() {
            env.push(variable(name, value));
        }
    }
    env
}

fn pod(plan: &Plan, gateway: &Gateway, ports: &[Value]) -> Value {
    let label = |path: &str, field: &str| json!({ "path": path, "fieldRef": { "apiVersion": "v1", "fieldPath": field } });
    let mut volumes = vec![
        json!({ "name": "istio-envoy", "emptyDir": {} }),
        json!({ "name": "istio-data", "emptyDir": {} }),
        // The kubelet waits for it, and would look for one that may be missing a minute later only.
        json!({ "name": "istiod-ca-cert", "configMap": { "name": "istio-ca-root-cert" } }),
        token(plan),
        json!({ "name": "podinfo", "downwardAPI": { "items": [
            label("labels", "metadata.labels"),
            label("annotations", "metadata.annotations"),
        ] } }),
    ];
    for (list, field, source) in
        [("secretVolumes", "secretName", "secret"), ("configVolumes", "configMapName", "configMap")]
    {
        for volume in plan.list(&format!("{}.{list}", gateway.values)) {
            let key = if source == "secret" { "secretName" } else { "name" };
            let name = volume.get(field).unwrap_or(&volume["name"]);
            let reference = json!({ key: name, "optional": true });
            volumes.push(json!({ "name": volume["name"], source: reference }));
        }
    }
    let mut pod = json!({ "volumes": volumes });
    if ports.iter().filter_map(target).any(|port| port < PRIVILEGED) {
        pod["sysctls"] = json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }]);
    }
    pod
}

/// The mounts of the Secrets and ConfigMaps that older files name.
fn mount_volumes(plan: &Plan, gateway: &Gateway, container: &mut Value) {
    for list in ["secretVolumes", "configVolumes"] {
        let volumes = plan.list(&format!("{}.{list}", gateway.values));
        let mounts = volumes.iter().map(|volume| {
            json!({
                "name": volume["name"],
                "mountPath": volume["mountPath"],
                "readOnly": true,
            })
        });
        push_all(container, "volumeMounts", mounts.collect::<Vec<_>>());
    }
}

/// Puts the kernel setting beside what the file says of the pod's security, and follows `runAsRoot`.
fn privileges(plan: &Plan, gateway: &Gateway, deployment: &mut Value) {
    let pod = &mut deployment["spec"]["template"]["spec"];
    let sysctls = crate::path::take(pod, "sysctls");
    let mut context = pod["securityContext"].take();
    merge(&mut context, plan.object("values.gateways.securityContext"));
    let seccomp = plan.object("values.gateways.seccompProfile");
    if !is_empty(&seccomp) {
        context["seccompProfile"] = seccomp;
    }
    if let Some(sysctls) = sysctls
        && context.get("sysctls").is_none()
    {
        context["sysctls"] = sysctls;
    }
    if plan.flag(&format!("{}.runAsRoot", gateway.values)) {
        let root = json!({ "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false });
        merge(&mut context, root.clone());
        merge(&mut pod["containers"][0]["securityContext"], root);
    }
    pod["securityContext"] = context;
}
