//! What the control plane and gateways have in common: pod settings, autoscaler, disruption budget.
//! In: a component's Kubernetes settings. Out: pieces of a Deployment and the objects beside it.

use serde_json::{Map, Value, json};

use crate::facts::ACTIONS;
use crate::hpa;
use crate::merge::merge;
use crate::plan::{Plan, scalar};
use crate::render::rbac::metadata;

/// The user and group of every process that needs no privilege.
const USER: u32 = 1337;

/// Who a Deployment is and the settings that it has.
#[derive(Clone)]
pub struct Workload<'a> {
    pub plan: &'a Plan,
    pub name: &'a str,
    pub namespace: &'a str,
    /// Labels by which its pods are selected.
    pub selector: Value,
    /// Labels of its objects.
    pub labels: Value,
    pub pod_labels: Value,
    pub pod_annotations: Value,
    pub service_account: &'a str,
    /// The component's `k8s`.
    pub k8s: &'a Value,
    /// Where its older settings are: `values.pilot` or `values.gateways.NAME`.
    pub values: &'a str,
}

impl Workload<'_> {
    /// The Deployment around one container.
    pub fn deployment(&self, container: Value, mut pod: Value) -> Value {
        pod["serviceAccountName"] = json!(self.service_account);
        pod["securityContext"] = self.pod_security();
        pod["containers"] = json!([container]);
        self.scheduling(&mut pod);
        let mut spec = json!({
            "selector": { "matchLabels": self.selector },
            "strategy": self.strategy(),
            "template": {
                "metadata": { "labels": self.pod_labels, "annotations": self.pod_annotations },
                "spec": pod,
            },
        });
        if !self.autoscaled() {
            spec["replicas"] = self.replicas();
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(self.name, Some(self.namespace), &self.labels),
            "spec": spec,
        })
    }

    fn value(&self, field: &str) -> Option<&Value> {
        self.plan.get(&format!("{}.{field}", self.values))
    }

    /// A setting of the component, or its older form, or the whole installation's.
    fn setting(&self, field: &str, global: &str) -> Option<Value> {
        let own = self.k8s.get(field).or_else(|| self.value(field));
        let found = own.or_else(|| self.plan.get(&format!("values.global.{global}")));
        found.filter(|value| !crate::check::is_empty(value)).cloned()
    }

    fn replicas(&self) -> Value {
        self.setting("replicaCount", "").unwrap_or(json!(1))
    }

    /// Whether an autoscaler decides how many replicas there are.
    fn autoscaled(&self) -> bool {
        self.value("autoscaleEnabled") == Some(&json!(true))
    }

    fn strategy(&self) -> Value {
        let mut strategy = json!({
            "type": "RollingUpdate",
            "rollingUpdate": {
                "maxSurge": self.value("rollingMaxSurge").cloned().unwrap_or(json!("100%")),
                "maxUnavailable":
                    self.value("rollingMaxUnavailable").cloned().unwrap_or(json!("25%")),
            },
        });
        merge(&mut strategy, self.k8s.get("strategy").cloned().unwrap_or_else(|| json!({})));
        if strategy["type"] == json!("Recreate") {
            crate::path::take(&mut strategy, "rollingUpdate");
        }
        strategy
    }

    fn pod_security(&self) -> Value {
        let mut context = json!({
            "runAsUser": USER,
            "runAsGroup": USER,
            "runAsNonRoot": true,
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        merge(&mut context, self.k8s.get("securityContext").cloned().unwrap_or_else(|| json!({})));
        context
    }

    /// Which nodes its pods may run on, and the component's own volumes.
    pub fn scheduling(&self, pod: &mut Value) {
        let settings = [
            ("nodeSelector", "nodeSelector", "defaultNodeSelector"),
            ("tolerations", "tolerations", "defaultTolerations"),
            ("affinity", "affinity", ""),
            ("priorityClassName", "priorityClassName", "priorityClassName"),
            ("topologySpreadConstraints", "topologySpreadConstraints", ""),
            ("terminationGracePeriodSeconds", "terminationGracePeriodSeconds", ""),
        ];
        for (field, own, global) in settings {
            if let Some(value) = self.setting(own, global) {
                pod[field] = value;
            }
        }
        if pod.get("affinity").is_none()
            && let Some(affinity) = self.architectures()
        {
            pod["affinity"] = affinity;
        }
        if let Some(volumes) = self.k8s.get("volumes").and_then(Value::as_array) {
            push_all(pod, "volumes", volumes.iter().cloned());
        }
        let secrets = self.plan.list("values.global.imagePullSecrets");
        if !secrets.is_empty() {
            let named = secrets.iter().map(|name| json!({ "name": name }));
            pod["imagePullSecrets"] = named.collect();
        }
    }

    /// Keeps pods away from architectures of weight 0, an older setting.
    fn architectures(&self) -> Option<Value> {
        let weights = self.plan.object("values.global.arch");
        let never: Vec<&String> = weights
            .as_object()?
            .iter()
            .filter(|(_, weight)| weight.as_u64() == Some(0))
            .map(|(name, _)| name)
            .collect();
        (!never.is_empty()).then(|| {
            let rule = json!({ "key": "kubernetes.io/arch", "operator": "NotIn", "values": never });
            json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [rule] }],
            } } })
        })
    }

    /// Puts the component's own settings into its container.
    pub fn finish(&self, container: &mut Value) {
        let resources = [self.value("resources"), self.k8s.get("resources")];
        for own in resources.into_iter().flatten().filter(|own| !crate::check::is_empty(own)) {
            merge(&mut container["resources"], own.clone());
        }
        if let Some(own) = self.setting("readinessProbe", "") {
            lay_probe(&mut container["readinessProbe"], own);
        }
        let policy = self.k8s.get("imagePullPolicy").and_then(Value::as_str);
        let policy = policy.filter(|policy| !policy.is_empty());
        if let Some(policy) = policy.or_else(|| self.plan.text("values.global.imagePullPolicy")) {
            container["imagePullPolicy"] = json!(policy);
        }
        if let Some(mounts) = self.k8s.get("volumeMounts").and_then(Value::as_array) {
            push_all(container, "volumeMounts", mounts.iter().cloned());
        }
        let older = self.value("env").and_then(Value::as_object).into_iter().flatten();
        let older = older.map(|(name, value)| json!({ "name": name, "value": scalar(value) }));
        let own = self.k8s.get("env").and_then(Value::as_array).into_iter().flatten().cloned();
        let mut env = json!({ "env": container["env"].take() });
        merge(&mut env, json!({ "env": older.chain(own).collect::<Vec<_>>() }));
        for variable in env["env"].as_array_mut().into_iter().flatten() {
            // A variable has one source: the file's value takes the place of a reference.
            if variable.get("value").is_some() && variable.get("valueFrom").is_some() {
                crate::path::take(variable, "valueFrom");
            }
        }
        container["env"] = env["env"].take();
    }

    /// The autoscaler, if there is one.
    pub fn autoscaler(&self) -> Option<Value> {
        if !self.autoscaled() {
            return None;
        }
        let number = |field: &str, or: u64| self.value(field).cloned().unwrap_or(json!(or));
        let mut spec = json!({
            "minReplicas": number("autoscaleMin", 1),
            "maxReplicas": number("autoscaleMax", 5),
        });
        let share = |resource: &str| {
            let percent = self.value(&format!("{resource}.targetAverageUtilization"))?;
            Some(hpa::utilization(resource, percent.clone()))
        };
        let metrics: Vec<Value> = ["cpu", "memory"].into_iter().filter_map(share).collect();
        spec["metrics"] = json!(metrics);
        if let Some(behavior) = self.value("autoscaleBehavior") {
            spec["behavior"] = behavior.clone();
        }
        if let Some(own) = self.k8s.get("hpaSpec") {
            merge(&mut spec, hpa::modern(own));
        }
        // Whatever an older file calls it: this is the Deployment that it stands beside.
        spec["scaleTargetRef"] =
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": self.name });
        Some(json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata(self.name, Some(self.namespace), &self.labels),
            "spec": spec,
        }))
    }

    /// The disruption budget, if there is one.
    pub fn disruption_budget(&self) -> Option<Value> {
        let own = self.k8s.get("podDisruptionBudget").cloned();
        let by_default = self.plan.flag("values.global.defaultPodDisruptionBudget.enabled");
        let mut spec = json!({ "selector": { "matchLabels": self.selector } });
        match own {
            Some(own) => merge(&mut spec, own),
            None if by_default => spec["minAvailable"] = json!(1),
            None => return None,
        }
        Some(json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(self.name, Some(self.namespace), &self.labels),
            "spec": spec,
        }))
    }

    /// Its ServiceAccount, with the secrets for pulling images.
    pub fn account(&self, annotations: &Value) -> Value {
        let mut account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(self.service_account, Some(self.namespace), &self.labels),
        });
        if annotations.as_object().is_some_and(|all| !all.is_empty()) {
            account["metadata"]["annotations"] = annotations.clone();
        }
        let secrets = self.plan.list("values.global.imagePullSecrets");
        if !secrets.is_empty() {
            let named = secrets.iter().map(|name| json!({ "name": name }));
            account["imagePullSecrets"] = named.collect();
        }
        account
    }
}

/// Lays a file's probe over the usual one, as Istio does; it asks in one way.
fn lay_probe(probe: &mut Value, own: Value) {
    let asks = |probe: &Value| ACTIONS.iter().any(|action| probe[*action].is_object());
    if asks(&own)
        && let Value::Object(fields) = probe
    {
        fields.retain(|field, _| !ACTIONS.contains(&field.as_str()));
    }
    merge(probe, own);
}

/// What a container without any privilege says of itself; its user is the pod's.
pub fn unprivileged() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
    })
}

/// Whom the tokens are for by which the control plane knows pods.
pub fn audience(plan: &Plan) -> &str {
    plan.text("values.global.sds.token.aud").unwrap_or("istio-ca")
}

/// A volume with a token of the pod's account by which the control plane knows it.
pub fn token(plan: &Plan) -> Value {
    let token = json!({ "serviceAccountToken": {
        "path": "istio-token", "expirationSeconds": 43200, "audience": audience(plan),
    } });
    json!({ "name": "istio-token", "projected": { "sources": [token] } })
}

pub fn token_mount() -> Value {
    json!({ "name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": true })
}

/// An environment variable from a field of the pod.
pub fn from_field(name: &str, field: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": field } } })
}

pub fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// Appends to a list that may not be there yet.
pub fn push_all(object: &mut Value, field: &str, items: impl IntoIterator<Item = Value>) {
    let list = object.as_object_mut().map(|map| map.entry(field).or_insert_with(|| json!([])));
    if let Some(Value::Array(list)) = list {
        list.extend(items);
    }
}

/// Labels on labels; those on the right win.
pub fn with(labels: &Value, more: &Value) -> Value {
    let mut all = labels.clone();
    if more.is_object() {
        merge(&mut all, more.clone());
    }
    Value::Object(all.as_object().cloned().unwrap_or_else(Map::new))
}
