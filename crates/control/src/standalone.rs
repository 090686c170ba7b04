//! What a machine without a cluster needs and a cluster would bring: the objects that describe it, an
//! honest status for workloads that nothing here can start, and an end to the WorkloadEntries of
//! programs that have ended. In: a client and facts of the machine. Out: objects in the API.

mod reaper;
mod workloads;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lateen_api::kinds::{Kind, by_kind};
use lateen_kube::{Client, Error};
use lateen_runtime::tasks::Tasks;
use serde_json::{Value, json};

/// Pauses while the API does not answer yet.
const RETRY: Duration = Duration::from_millis(200);

/// Facts of this machine.
#[derive(Debug, Clone)]
pub struct Standalone {
    /// The home directory: which WorkloadEntries are this one's to end.
    pub home: PathBuf,
    pub node_name: String,
    /// The address under which local workloads reach this machine.
    pub node_address: Option<IpAddr>,
    /// Addresses of local workloads, such as `10.244.0.0/24`.
    pub pod_cidr: String,
}

pub fn start(standalone: Standalone, client: Client, tasks: &Tasks) {
    let reaper = reaper::run(client.clone(), standalone.home.clone());
    tasks.essential("workload entry reaper", reaper);
    tasks.essential("workload statuses", workloads::run(client.clone()));
    tasks.child("machine objects", async move { describe(&standalone, &client).await });
}

/// Creates the objects that describe the machine, once the API answers. What exists is left alone: it
/// is the user's by now.
async fn describe(standalone: &Standalone, client: &Client) {
    for (kind, object) in objects(standalone) {
        while let Err(error) = client.ensure(kind, object.clone()).await {
            if !error.is_transient() && !error.is_not_found() {
                tracing::error!(%error, "cannot describe this machine in the api");
                break;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
    if let Err(error) = node_status(standalone, client).await {
        tracing::warn!(%error, "cannot write the node's status");
    }
}

async fn node_status(standalone: &Standalone, client: &Client) -> Result<(), Error> {
    let now = lateen_kube::events::now();
    let hostname = json!({ "type": "Hostname", "address": standalone.node_name });
    let address = standalone.node_address.map(|ip| json!({ "type": "InternalIP", "address": ip }));
    let addresses: Vec<Value> = address.into_iter().chain([hostname]).collect();
    let status = json!({ "status": {
        "addresses": addresses,
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "LateenUp",
            "message": "local programs are started by lateen run",
            "lastTransitionTime": now,
            "lastHeartbeatTime": now,
        }],
    }});
    client.patch_status(kind("", "Node"), None, &standalone.node_name, &status).await
}

/// Namespaces first. MeshConfig holds Istio's documented defaults, written out so that a user sees
/// what can be changed.
fn objects(standalone: &Standalone) -> Vec<(&'static Kind, Value)> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "istio-system" },
    });
    let mesh = "accessLogFile: \"\"\n\
                outboundTrafficPolicy:\n  mode: ALLOW_ANY\n\
                rootNamespace: istio-system\n\
                trustDomain: cluster.local\n";
    let config = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "istio", "namespace": "istio-system" },
        "data": { "mesh": mesh },
    });
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": standalone.node_name,
            "labels": {
                "kubernetes.io/hostname": standalone.node_name,
                "kubernetes.io/os": "linux",
            },
        },
        "spec": { "podCIDR": standalone.pod_cidr, "podCIDRs": [standalone.pod_cidr] },
    });
    vec![
        (kind("", "Namespace"), namespace),
        (kind("", "ConfigMap"), config),
        (kind("", "Node"), node),
    ]
}

fn kind(group: &str, name: &str) -> &'static Kind {
    by_kind(group, name).expect("invariant: the table holds the kinds of Kubernetes")
}
