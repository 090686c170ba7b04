//! What the parts may do, and why. In: a plan. Out: roles and their bindings, made from one table.

use serde_json::{Value, json};

use crate::plan::Plan;

/// A permission: API groups, resources, verbs, and what they are used for.
pub struct Rule {
    pub groups: &'static [&'static str],
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
    pub why: &'static str,
}

const WATCH: &[&str] = &["get", "list", "watch"];

/// The control plane, in every namespace.
pub const CONTROL_PLANE: &[Rule] = &[
    Rule {
        groups: &[""],
        resources: &["namespaces", "pods", "services"],
        verbs: WATCH,
        why: "the model is made of them",
    },
    Rule {
        groups: &[""],
        resources: &["nodes"],
        verbs: WATCH,
        why: "sidecars are native where every node's version has them",
    },
    Rule {
        groups: &["discovery.k8s.io"],
        resources: &["endpointslices"],
        verbs: WATCH,
        why: "the endpoints of Services",
    },
    Rule { groups: ISTIO, resources: &["*"], verbs: WATCH, why: "the mesh's configuration" },
    Rule {
        groups: ISTIO,
        resources: &["*/status"],
        verbs: &["patch"],
        why: "what is wrong with an object is told on its status",
    },
    Rule {
        groups: &[""],
        resources: &["configmaps"],
        verbs: &["create", "get", "list", "patch", "update", "watch"],
        why: "the mesh's settings, and the root certificate in every namespace",
    },
    Rule {
        groups: &[""],
        resources: &["events"],
        verbs: &["create", "patch"],
        why: "what happens to an object is told beside it",
    },
    Rule {
        groups: &["authentication.k8s.io"],
        resources: &["tokenreviews"],
        verbs: &["create"],
        why: "proxies prove who they are by their ServiceAccounts' tokens",
    },
    Rule {
        groups: &["admissionregistration.k8s.io"],
        resources: &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        verbs: &["get", "list", "patch", "update", "watch"],
        why: "the webhooks' CA bundle is kept up to date",
    },
];

/// The control plane, in its own namespace.
pub const CONTROL_PLANE_HOME: &[Rule] = &[
    Rule {
        groups: &[""],
        resources: &["secrets"],
        verbs: &["create", "get", "list", "patch", "update", "watch"],
        why: "the CA's key lives in the Secret istio-ca-secret",
    },
    Rule {
        groups: &["networking.istio.io"],
        resources: &["gateways"],
        verbs: &["create"],
        why: "a dry run that is refused shows that the validation webhook is asked",
    },
    Rule {
        groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: &["create", "get", "patch", "update"],
        why: "one replica writes statuses and the webhooks' CA bundle",
    },
];

/// A gateway, in its own namespace.
pub const GATEWAY: &[Rule] = &[Rule {
    groups: &[""],
    resources: &["secrets"],
    verbs: WATCH,
    why: "the certificates that Gateway objects name in credentialName",
}];

const ISTIO: &[&str] =
    &["extensions.istio.io", "networking.istio.io", "security.istio.io", "telemetry.istio.io"];

/// The control plane's roles and bindings.
pub fn control_plane(plan: &Plan) -> Vec<Value> {
    let (namespace, account) = (plan.namespace(), plan.revised("istiod"));
    let cluster = format!("{}-{namespace}", plan.revised("istiod-clusterrole"));
    let home = plan.revised("istiod");
    let labels = json!({ "app": "istiod", "release": "istio" });
    let subjects = subjects(&account, namespace);
    vec![
        role("ClusterRole", &cluster, None, &labels, CONTROL_PLANE),
        binding("ClusterRole", &cluster, None, &labels, &subjects),
        role("Role", &home, Some(namespace), &labels, CONTROL_PLANE_HOME),
        binding("Role", &home, Some(namespace), &labels, &subjects),
    ]
}

/// A gateway's role and binding.
pub fn gateway(name: &str, namespace: &str, account: &str, labels: &Value) -> Vec<Value> {
    let role_name = format!("{name}-sds");
    vec![
        role("Role", &role_name, Some(namespace), labels, GATEWAY),
        binding("Role", &role_name, Some(namespace), labels, &subjects(account, namespace)),
    ]
}

fn subjects(account: &str, namespace: &str) -> Value {
    json!([{ "kind": "ServiceAccount", "name": account, "namespace": namespace }])
}

/// A role; why it needs what it may do stands in its description.
fn role(kind: &str, name: &str, namespace: Option<&str>, labels: &Value, rules: &[Rule]) -> Value {
    let reasons: Vec<String> =
        rules.iter().map(|rule| format!("{}: {}", rule.resources.join(", "), rule.why)).collect();
    let reasons = reasons.join("; ");
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({ "apiGroups": rule.groups, "resources": rule.resources, "verbs": rule.verbs })
        })
        .collect();
    let mut metadata = metadata(name, namespace, labels);
    metadata["annotations"] = json!({ "kubernetes.io/description": reasons });
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": rules,
    })
}

fn binding(
    role_kind: &str,
    name: &str,
    namespace: Option<&str>,
    labels: &Value,
    subjects: &Value,
) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{role_kind}Binding"),
        "metadata": metadata(name, namespace, labels),
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": name },
        "subjects": subjects,
    })
}

/// A name, a namespace if there is one, and labels.
pub fn metadata(name: &str, namespace: Option<&str>, labels: &Value) -> Value {
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata["labels"] = labels.clone();
    metadata
}
