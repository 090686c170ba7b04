//! The node agent that lays interception rules: DaemonSet `istio-cni-node` and what it needs. In: a plan. Out:
//! objects. Its settings are variables of its pods, so that a change of one replaces them.

use serde_json::{Value, json};

use crate::plan::Plan;
use crate::render::labels;
use crate::render::rbac::{self, Repair, metadata};
use crate::render::workload::{Workload, from_field, push_all, variable, with};

pub const DAEMON_SET: &str = "istio-cni-node";
const NAME: &str = "istio-cni";
/// A node where it cannot run has no pods of the mesh.
const PRIORITY: &str = "system-node-critical";

/// All objects of the node agent.
pub fn render(plan: &Plan) -> Vec<Value> {
    let k8s = plan.object("components.cni.k8s");
    let selector = json!({ "k8s-app": DAEMON_SET });
    let own = with(&selector, &json!({ "app.kubernetes.io/name": NAME }));
    let namespace = plan.cni_namespace();
    let workload = Workload {
        plan,
        name: DAEMON_SET,
        namespace,
        labels: with(
            &own,
            &with(&plan.object("values.cni.daemonSetLabels"), &json!({ "release": "istio" })),
        ),
        pod_labels: pod_labels(plan, &own),
        pod_annotations: pod_annotations(&k8s),
        selector,
        service_account: NAME,
        k8s: &k8s,
        values: "values.cni",
    };
    let labels = json!({ "app": NAME, "app.kubernetes.io/name": NAME, "release": "istio" });
    let account = Workload { labels: labels.clone(), ..workload.clone() };
    let mut objects = vec![account.account(&json!({}))];
    objects.extend(rbac::node_agent(NAME, namespace, DAEMON_SET, &labels, repair(plan)));
    objects.push(daemon_set(plan, &workload));
    objects
}

/// The first of the wishes counts, as in Istio.
fn repair(plan: &Plan) -> Repair {
    let flag = |field: &str, default: bool| is_on(plan, &format!("repair.{field}"), default);
    match () {
        () if !flag("enabled", true) => Repair::Nothing,
        () if flag("repairPods", true) => Repair::Lay,
        () if flag("deletePods", false) => Repair::Delete,
        () if flag("labelPods", false) => Repair::Label,
        () => Repair::Nothing,
    }
}

fn is_on(plan: &Plan, field: &str, default: bool) -> bool {
    plan.get(&format!("values.cni.{field}")).and_then(Value::as_bool).unwrap_or(default)
}

fn pod_labels(plan: &Plan, own: &Value) -> Value {
    let fixed = json!({
        labels::COMPONENT: "Cni",
        "istio.io/dataplane-mode": "none",
        "sidecar.istio.io/inject": "false",
    });
    with(&with(own, &plan.object("values.cni.podLabels")), &fixed)
}

fn pod_annotations(k8s: &Value) -> Value {
    let fixed = json!({
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": "15014",
        "prometheus.io/scrape": "true",
        "sidecar.istio.io/inject": "false",
    });
    with(&fixed, &k8s["podAnnotations"])
}

fn daemon_set(plan: &Plan, workload: &Workload<'_>) -> Value {
    let mut container = container(plan);
    workload.finish(&mut container);
    let mut pod = json!({
        "serviceAccountName": workload.service_account,
        // It is replaced faster than pods start.
        "terminationGracePeriodSeconds": 5,
        "volumes": volumes(plan),
        "containers": [container],
    });
    if let Some(own) = workload.k8s.get("securityContext") {
        pod["securityContext"] = own.clone();
    }
    workload.scheduling(&mut pod);
    pod["nodeSelector"] = with(&json!({ "kubernetes.io/os": "linux" }), &pod["nodeSelector"]);
    if pod.get("priorityClassName").is_none() {
        pod["priorityClassName"] = json!(PRIORITY);
    }
    if pod.get("tolerations").is_none() {
        pod["tolerations"] = json!([
            { "effect": "NoSchedule", "operator": "Exists" },
            { "key": "CriticalAddonsOnly", "operator": "Exists" },
            { "effect": "NoExecute", "operator": "Exists" },
        ]);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(workload.name, Some(workload.namespace), &workload.labels),
        "spec": {
            "selector": { "matchLabels": workload.selector },
            "updateStrategy": strategy(plan),
            "template": {
                "metadata": {
                    "labels": workload.pod_labels,
                    "annotations": workload.pod_annotations,
                },
                "spec": pod,
            },
        },
    })
}

fn strategy(plan: &Plan) -> Value {
    let unavailable = plan.get("values.cni.rollingMaxUnavailable").cloned().unwrap_or(json!(1));
    let rolling =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": unavailable } });
    plan.get("values.cni.updateStrategy").cloned().unwrap_or(rolling)
}

fn container(plan: &Plan) -> Value {
    let mut args = vec!["cni".to_owned()];
    let own = plan.text("values.cni.logging.level");
    let level = own.or_else(|| plan.text("values.global.logging.level")).unwrap_or("default:info");
    args.push(format!("--log_output_level={level}"));
    if plan.flag("values.global.logAsJson") {
        args.push("--log_as_json".to_owned());
    }
    let mut container = json!({
        "name": "install-cni",
        "image": plan.image("values.cni"),
        "args": args,
        "env": environment(plan),
        "ports": [{ "containerPort": 15014, "name": "metrics", "protocol": "TCP" }],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 8000 }, "periodSeconds": 2 },
        "resources": { "requests": { "cpu": "20m", "memory": "32Mi" } },
        "securityContext": security(plan),
        "volumeMounts": [
            { "name": "cni-bin-dir", "mountPath": "/host/opt/cni/bin" },
            { "name": "cni-net-dir", "mountPath": "/host/etc/cni/net.d" },
            { "name": "cni-socket-dir", "mountPath": "/var/run/istio-cni" },
        ],
    });
    if repair(plan) == Repair::Lay {
        let processes =
            json!({ "name": "cni-host-procfs", "mountPath": "/host/proc", "readOnly": true });
        push_all(&mut container, "volumeMounts", [processes]);
    }
    container
}

/// Files of the node belong to whoever put them there. Rules in the network of a pod that runs already are
/// laid from here: that network is found among the node's processes and entered.
fn security(plan: &Plan) -> Value {
    let capabilities: &[&str] = match repair(plan) {
        Repair::Lay => &["DAC_OVERRIDE", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"],
        Repair::Delete | Repair::Label | Repair::Nothing => &["DAC_OVERRIDE"],
    };
    let mut security = json!({
        "appArmorProfile": { "type": "Unconfined" },
        "capabilities": { "add": capabilities, "drop": ["ALL"] },
        "privileged": plan.flag("values.cni.privileged"),
        "readOnlyRootFilesystem": true,
        "runAsGroup": 0,
        "runAsNonRoot": false,
        "runAsUser": 0,
    });
    for field in ["seccompProfile", "seLinuxOptions"] {
        let own = plan.object(&format!("values.cni.{field}"));
        if !crate::check::is_empty(&own) {
            security[field] = own;
        }
    }
    security
}

fn environment(plan: &Plan) -> Vec<Value> {
    let text = |field: &str| plan.text(&format!("values.cni.{field}"));
    let excluded = match plan.get("values.cni.excludeNamespaces").and_then(Value::as_array) {
        Some(own) => own.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        None => format!("{},kube-system", plan.namespace()),
    };
    let mut env = vec![variable("EXCLUDED_NAMESPACES", &excluded)];
    if let Some(name) = text("cniConfFileName") {
        env.push(variable("CNI_CONF_NAME", name));
    }
    let means = [
        ("REPAIR_REPAIR_PODS", Repair::Lay),
        ("REPAIR_DELETE_PODS", Repair::Delete),
        ("REPAIR_LABEL_PODS", Repair::Label),
    ];
    for (name, means) in means {
        env.push(variable(name, &(repair(plan) == means).to_string()));
    }
    let names = [
        ("REPAIR_INIT_CONTAINER_NAME", "repair.initContainerName"),
        ("REPAIR_BROKEN_POD_LABEL_KEY", "repair.brokenPodLabelKey"),
        ("REPAIR_BROKEN_POD_LABEL_VALUE", "repair.brokenPodLabelValue"),
    ];
    for (name, field) in names {
        env.extend(text(field).map(|value| variable(name, value)));
    }
    env.push(from_field("NODE_NAME", "spec.nodeName"));
    env.push(from_field("POD_NAMESPACE", "metadata.namespace"));
    env
}

fn volumes(plan: &Plan) -> Vec<Value> {
    let text =
        |field: &str, or: &str| plan.text(&format!("values.cni.{field}")).unwrap_or(or).to_owned();
    let volume = |name: &str, path: &str| json!({ "name": name, "hostPath": { "path": path } });
    let mut volumes = vec![
        volume("cni-bin-dir", &text("cniBinDir", "/opt/cni/bin")),
        volume("cni-net-dir", &text("cniConfDir", "/etc/cni/net.d")),
        json!({
            "name": "cni-socket-dir",
            "hostPath": { "path": "/var/run/istio-cni", "type": "DirectoryOrCreate" },
        }),
    ];
    if repair(plan) == Repair::Lay {
        let processes = json!({ "path": "/proc", "type": "Directory" });
        volumes.push(json!({ "name": "cni-host-procfs", "hostPath": processes }));
    }
    volumes
}
