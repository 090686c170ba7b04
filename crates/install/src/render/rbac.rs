//! What the parts may do, and why. In: a plan. Out: roles and their bindings, made from one table.

use serde_json::{Value, json};

use crate::plan::Plan;

/// A permission: API groups, resources, verbs, the objects that it is confined to (all if none is named), and
/// what it is used for.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub groups: &'static [&'static str],
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
    pub names: &'static [&'static str],
    pub why: &'static str,
}

const FOLLOW: &[&str] = &["list", "watch"];
const LOOK: &[&str] = &["get", "list"];
const ALL: &[&str] = &[];
const SECRETS: &[&str] = &["cacerts", "istio-ca-secret"];

/// The control plane, in every namespace: exactly what it uses.
pub const CONTROL_PLANE: &[Rule] = &[
    Rule {
        groups: &[""],
        resources: &["namespaces", "pods", "services"],
        verbs: FOLLOW,
        names: ALL,
        why: "the model is made of them",
    },
    Rule {
        groups: &[""],
        resources: &["nodes"],
        verbs: FOLLOW,
        names: ALL,
        why: "sidecars are native where every node's version has them",
    },
    Rule {
        groups: &["discovery.k8s.io"],
        resources: &["endpointslices"],
        verbs: FOLLOW,
        names: ALL,
        why: "the endpoints of Services",
    },
    Rule {
        groups: ISTIO,
        resources: &["*"],
        verbs: FOLLOW,
        names: ALL,
        why: "the mesh's configuration",
    },
    Rule {
        groups: &["gateway.networking.k8s.io"],
        resources: &["*"],
        verbs: FOLLOW,
        names: ALL,
        why: "what has no effect yet is told",
    },
    Rule {
        groups: ISTIO,
        resources: &["*/status"],
        verbs: &["patch"],
        names: ALL,
        why: "what is wrong with an object is told on its status",
    },
    Rule {
        groups: &[""],
        resources: &["configmaps"],
        verbs: &["list", "patch", "watch"],
        names: &["istio-ca-root-cert"],
        why: "the root certificate in every namespace",
    },
    Rule {
        groups: &[""],
        resources: &["configmaps"],
        verbs: &["create"],
        names: ALL,
        why: "the same, where it is not there yet",
    },
    Rule {
        groups: &["authentication.k8s.io"],
        resources: &["tokenreviews"],
        verbs: &["create"],
        names: ALL,
        why: "proxies and readers of the live graph prove who they are by tokens",
    },
    Rule {
        groups: &["authorization.k8s.io"],
        resources: &["subjectaccessreviews"],
        verbs: &["create"],
        names: ALL,
        why: "readers of the live graph see the namespaces whose Services they may list",
    },
    Rule {
        groups: &["admissionregistration.k8s.io"],
        resources: &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        verbs: &["list", "patch", "watch"],
        names: ALL,
        why: "the webhooks' CA bundle is kept up to date",
    },
];

/// The control plane, in its own namespace.
pub const CONTROL_PLANE_HOME: &[Rule] = &[
    Rule {
        groups: &[""],
        resources: &["configmaps"],
        verbs: FOLLOW,
        names: ALL,
        why: "the settings of the mesh and of injection",
    },
    Rule {
        groups: &[""],
        resources: &["secrets"],
        verbs: &["get", "list", "watch"],
        names: SECRETS,
        why: "the CA's key",
    },
    Rule {
        groups: &[""],
        resources: &["secrets"],
        verbs: &["create"],
        names: ALL,
        why: "the CA's key is made once",
    },
    Rule {
        groups: &["networking.istio.io"],
        resources: &["gateways"],
        verbs: &["create"],
        names: ALL,
        why: "a dry run that is refused shows that the validation webhook is asked",
    },
    Rule {
        groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: &["create", "get", "update"],
        names: ALL,
        why: "one replica writes statuses, root certificates and the webhooks' CA bundle",
    },
];

/// Whoever looks at the live graph without a token of their own: what is shown there, and no changes.
pub const DASHBOARD: &[Rule] = &[
    Rule {
        groups: &[""],
        resources: &["services"],
        verbs: LOOK,
        names: ALL,
        why: "the live graph shows the namespaces whose Services may be listed",
    },
    Rule {
        groups: ISTIO,
        resources: &["*"],
        verbs: LOOK,
        names: ALL,
        why: "the mesh's configuration is shown beside the graph",
    },
    Rule {
        groups: &["gateway.networking.k8s.io"],
        resources: &["*"],
        verbs: LOOK,
        names: ALL,
        why: "the same",
    },
];

/// What a gateway may do with the API: it asks the control plane alone. The role is there all the same, for overlays
/// that name it.
const GATEWAY: &[Rule] = &[];
const GATEWAY_WHY: &str = "none: a gateway asks the control plane, and reads no Secrets";

/// The node agent, in every namespace.
const NODE_AGENT: &[Rule] = &[
    Rule {
        groups: &[""],
        resources: &["pods"],
        verbs: &["get"],
        names: ALL,
        why: "whether a pod whose network is set up is one of the mesh",
    },
    Rule {
        groups: &[""],
        resources: &["nodes"],
        verbs: &["get"],
        names: ALL,
        why: "whether its DaemonSet still wants an agent there",
    },
];

/// The node agent, where it runs.
const NODE_AGENT_HOME: &[Rule] = &[
    Rule {
        groups: &["apps"],
        resources: &["daemonsets"],
        verbs: &["get"],
        names: &[super::cni::DAEMON_SET],
        why: "whether the plugin stays on the node for the next agent",
    },
    // A Role reaches no namespace but its own.
    Rule {
        groups: &[""],
        resources: &["namespaces"],
        verbs: &["get"],
        names: ALL,
        why: "whether all of it goes",
    },
];

/// Pods that started without rules are found, and told of.
const REPAIR: [Rule; 2] = [
    Rule {
        groups: &[""],
        resources: &["pods"],
        verbs: FOLLOW,
        names: ALL,
        why: "pods that started without interception rules",
    },
    Rule {
        groups: &[""],
        resources: &["events"],
        verbs: &["create"],
        names: ALL,
        why: "what was done with them",
    },
];
const REPAIR_BY_DELETING: Rule = Rule {
    groups: &[""],
    resources: &["pods"],
    verbs: &["delete"],
    names: ALL,
    why: "values.cni.repair.deletePods",
};
const REPAIR_BY_LABELLING: Rule = Rule {
    groups: &[""],
    resources: &["pods/status"],
    verbs: &["patch"],
    names: ALL,
    why: "values.cni.repair.labelPods",
};

/// What is done with pods that started without rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    Nothing,
    Lay,
    Delete,
    Label,
}

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

/// The account that `lateen dashboard` takes a token of for whoever has none, and its rights.
pub fn dashboard(plan: &Plan) -> Vec<Value> {
    let (namespace, account) = (plan.namespace(), plan.revised("istio-dashboard"));
    let role_name = format!("{account}-{namespace}");
    let labels = json!({ "app": "istio-dashboard", "release": "istio" });
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(&account, Some(namespace), &labels),
            "automountServiceAccountToken": false,
        }),
        role("ClusterRole", &role_name, None, &labels, DASHBOARD),
        binding("ClusterRole", &role_name, None, &labels, &subjects(&account, namespace)),
    ]
}

/// A gateway's role and binding.
pub fn gateway(name: &str, namespace: &str, account: &str, labels: &Value) -> Vec<Value> {
    let role_name = format!("{name}-sds");
    let mut role = role("Role", &role_name, Some(namespace), labels, GATEWAY);
    role["metadata"]["annotations"][DESCRIPTION] = json!(GATEWAY_WHY);
    vec![role, binding("Role", &role_name, Some(namespace), labels, &subjects(account, namespace))]
}

/// The node agent's roles and bindings.
pub fn node_agent(
    account: &str,
    namespace: &str,
    daemon_set: &str,
    labels: &Value,
    repair: Repair,
) -> Vec<Value> {
    let subjects = subjects(account, namespace);
    let mut objects = vec![
        role("ClusterRole", account, None, labels, NODE_AGENT),
        binding("ClusterRole", account, None, labels, &subjects),
        role("Role", daemon_set, Some(namespace), labels, NODE_AGENT_HOME),
        binding("Role", daemon_set, Some(namespace), labels, &subjects),
    ];
    let mut rules = REPAIR.to_vec();
    match repair {
        Repair::Nothing => return objects,
        Repair::Lay => {}
        Repair::Delete => rules.push(REPAIR_BY_DELETING),
        Repair::Label => rules.push(REPAIR_BY_LABELLING),
    }
    let name = format!("{account}-repair-role");
    objects.push(role("ClusterRole", &name, None, labels, &rules));
    let mut bound = binding("ClusterRole", &name, None, labels, &subjects);
    bound["metadata"]["name"] = json!(format!("{account}-repair-rolebinding"));
    objects.push(bound);
    objects
}

fn subjects(account: &str, namespace: &str) -> Value {
    json!([{ "kind": "ServiceAccount", "name": account, "namespace": namespace }])
}

const DESCRIPTION: &str = "kubernetes.io/description";

/// A role; why it needs what it may do stands in its description.
fn role(kind: &str, name: &str, namespace: Option<&str>, labels: &Value, rules: &[Rule]) -> Value {
    let reasons: Vec<String> =
        rules.iter().map(|rule| format!("{}: {}", rule.resources.join(", "), rule.why)).collect();
    let reasons = reasons.join("; ");
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            let Rule { groups, resources, verbs, names, .. } = rule;
            let mut rule = json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        })
        .collect();
    let mut metadata = metadata(name, namespace, labels);
    metadata["annotations"] = json!({ DESCRIPTION: reasons });
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
