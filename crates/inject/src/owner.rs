//! Which workload a pod belongs to, as Istio derives it from a pod's controller. In: the pod. Out: kind,
//! API version and name.

use serde_json::Value;

use crate::pod;

/// A name for the workload in place of its object's.
const WORKLOAD_NAME: &str = "service.istio.io/workload-name";
/// What makes ReplicaSets, with the label that holds the end of their names.
const REPLICA_SETS: [(&str, &str, &str); 2] = [
    ("pod-template-hash", "apps/v1", "Deployment"),
    ("rollouts-pod-template-hash", "argoproj.io/v1alpha1", "Rollout"),
];

/// The workload of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

impl Owner {
    pub fn new(api_version: &str, kind: &str, name: &str) -> Self {
        Owner { api_version: api_version.into(), kind: kind.into(), name: name.into() }
    }

    /// The Deployment or Rollout behind a ReplicaSet, the CronJob behind a Job; the pod itself if
    /// nothing owns it.
    pub fn of_pod(pod: &Value) -> Self {
        Owner::behind(pod).named_by(pod)
    }

    /// The same workload by the name that the pod's label gives it, if it does.
    pub fn named_by(self, pod: &Value) -> Self {
        match pod::label(pod, WORKLOAD_NAME).filter(|name| !name.is_empty()) {
            Some(name) => Owner { name: name.to_owned(), ..self },
            None => self,
        }
    }

    fn behind(pod: &Value) -> Self {
        let itself =
            || Owner::new("v1", "Pod", pod["metadata"]["name"].as_str().unwrap_or_default());
        if pod["metadata"]["generateName"].as_str().is_none_or(str::is_empty) {
            return itself();
        }
        let references =
            pod["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(controller) = references.iter().find(|one| one["controller"] == true) else {
            return itself();
        };
        let text = |field: &str| controller[field].as_str().unwrap_or_default();
        let (api_version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
        for (label, api_version, above) in REPLICA_SETS {
            if kind == "ReplicaSet"
                && let Some(hash) = pod::label(pod, label)
                && let Some(name) = name.strip_suffix(hash).and_then(|one| one.strip_suffix('-'))
            {
                return Owner::new(api_version, above, name);
            }
        }
        if kind == "ReplicationController"
            && let Some(config) = pod::label(pod, "deploymentconfig")
            && name.strip_prefix(config).is_some_and(|rest| rest.starts_with('-'))
        {
            return Owner::new("apps.openshift.io/v1", "DeploymentConfig", config);
        }
        if kind == "Job"
            && let Some((cron_job, time)) = name.rsplit_once('-')
            && (8..=10).contains(&time.len())
            && time.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Owner::new("batch/v1", "CronJob", cron_job);
        }
        Owner::new(api_version, kind, name)
    }

    /// Whether its pods end by themselves.
    pub fn ends(&self) -> bool {
        matches!(self.kind.as_str(), "Job" | "CronJob")
    }

    /// `kubernetes://apis/apps/v1/namespaces/default/deployments/web`.
    pub fn uri(&self, namespace: &str) -> String {
        let Owner { api_version, kind, name } = self;
        let plural = kind.to_lowercase();
        format!("kubernetes://apis/{api_version}/namespaces/{namespace}/{plural}s/{name}")
    }
}

#[cfg(test)]
mod tests;
