//! Which workload a pod belongs to, as Istio derives it from a pod's controller. In: what the pod's metadata
//! say. Out: kind, API version and name.

/// A name for the workload in place of its object's.
pub const WORKLOAD_NAME: &str = "service.istio.io/workload-name";
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

/// A reference to the controller of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Controller<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
}

impl Owner {
    pub fn new(api_version: &str, kind: &str, name: &str) -> Self {
        Owner { api_version: api_version.into(), kind: kind.into(), name: name.into() }
    }

    /// The workload of the pod `name`: the Deployment or Rollout behind a ReplicaSet, the CronJob behind a Job;
    /// the pod itself if nothing owns it. The controller counts only for a pod whose name was generated.
    pub fn of_pod<'a>(
        name: &str,
        controller: Option<Controller<'a>>,
        label: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let owner = match controller {
            Some(controller) => Owner::behind(controller, &label),
            None => Owner::new("v1", "Pod", name),
        };
        owner.named(label(WORKLOAD_NAME))
    }

    /// The same workload by the name that its label gives it, if it does.
    pub fn named(self, label: Option<&str>) -> Self {
        match label.filter(|name| !name.is_empty()) {
            Some(name) => Owner { name: name.to_owned(), ..self },
            None => self,
        }
    }

    fn behind<'a>(controller: Controller<'a>, label: &impl Fn(&str) -> Option<&'a str>) -> Self {
        let Controller { api_version, kind, name } = controller;
        for (hash, api_version, above) in REPLICA_SETS {
            if kind == "ReplicaSet"
                && let Some(hash) = label(hash)
                && let Some(name) = name.strip_suffix(hash).and_then(|one| one.strip_suffix('-'))
            {
                return Owner::new(api_version, above, name);
            }
        }
        if kind == "ReplicationController"
            && let Some(config) = label("deploymentconfig")
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
mod tests {
    use super::{Controller, Owner};

    fn owner(kind: &str, name: &str, labels: &[(&str, &'static str)]) -> Owner {
        let api_version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let label =
            |key: &str| labels.iter().find(|(have, _)| *have == key).map(|(_, value)| *value);
        Owner::of_pod("pod-x", Some(Controller { api_version, kind, name }), label)
    }

    #[test]
    fn the_workload_is_found_behind_its_controller() {
        let hash = [("pod-template-hash", "7d4")];
        let web = Owner::new("apps/v1", "Deployment", "web");
        assert_eq!(owner("ReplicaSet", "web-7d4", &hash), web);
        let other = Owner::new("apps/v1", "ReplicaSet", "web-9");
        assert_eq!(owner("ReplicaSet", "web-9", &hash), other);
        let nightly = Owner::new("batch/v1", "CronJob", "nightly");
        assert_eq!(owner("Job", "nightly-28391234", &[]), nightly);
        let once = Owner::new("batch/v1", "Job", "once-1234");
        assert_eq!(owner("Job", "once-1234", &[]), once);
        let config = Owner::new("apps.openshift.io/v1", "DeploymentConfig", "web");
        assert_eq!(owner("ReplicationController", "web-3", &[("deploymentconfig", "web")]), config);
        let rollout = Owner::new("argoproj.io/v1alpha1", "Rollout", "web");
        let hash = [("rollouts-pod-template-hash", "7d4")];
        assert_eq!(owner("ReplicaSet", "web-7d4", &hash), rollout);
        let set = Owner::new("apps/v1", "StatefulSet", "db");
        assert_eq!(owner("StatefulSet", "db", &[]), set);
    }

    #[test]
    fn a_pod_without_a_controller_is_its_own_workload() {
        let itself = Owner::of_pod("web", None, |_| None);
        assert_eq!(itself, Owner::new("v1", "Pod", "web"));
        assert_eq!(itself.uri("default"), "kubernetes://apis/v1/namespaces/default/pods/web");
    }

    #[test]
    fn the_label_names_the_workload() {
        let label = "service.istio.io/workload-name";
        let named = [("pod-template-hash", "7d4"), (label, "shop")];
        let shop = Owner::new("apps/v1", "Deployment", "shop");
        assert_eq!(owner("ReplicaSet", "web-7d4", &named), shop);
        let empty = [(label, "")];
        assert_eq!(owner("StatefulSet", "db", &empty), Owner::new("apps/v1", "StatefulSet", "db"));
    }
}
