//! What a machine without a cluster needs and a cluster would bring: the objects that describe it, an
//! honest status for workloads that nothing here can start, and an end to the WorkloadEntries of
//! programs that have ended. In: a client and facts of the machine. Out: objects in the API.

mod reaper;
mod workloads;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lateen_api::kinds::{Kind, by_kind};
use lateen_kube::{Client, Error};
use lateen_runtime::tasks::Tasks;
use serde_json::{Value, json};

/// Pauses while the API does not answer yet.
const RETRY: Duration = Duration::from_millis(200);

/// Whose fields they are in the API.
const MANAGER: &str = "lateen";

/// Facts of this machine.
#[derive(Debug, Clone)]
pub struct Standalone {
    /// The home directory: which WorkloadEntries are this one's to end.
    pub home: PathBuf,
    pub node_name: String,
    /// The address under which local workloads reach this machine.
    pub node_address: Option<IpAddr>,
    /// The one from which the ingress gateway reaches them.
    pub gateway_address: Option<IpAddr>,
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
        let done = persist(|| client.ensure(kind, object.clone())).await;
        if let Err(error) = done {
            tracing::error!(%error, "cannot describe this machine in the api");
        }
    }
    if let Some(gateway) = standalone.gateway_address.map(gateway) {
        // Its address is a fact of this machine, whatever an earlier run has written.
        if let Err(error) = persist(|| client.apply(&gateway, MANAGER)).await {
            tracing::error!(%error, "cannot write the gateway's entry");
        }
    }
    if let Err(error) = persist(|| node_status(standalone, client)).await {
        tracing::error!(%error, "cannot write the node's status");
    }
}

/// Repeats an attempt until the API takes it, or refuses it in a way that will not change.
async fn persist<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match attempt().await {
            Err(error) if error.is_transient() || error.is_not_found() => {
                tokio::time::sleep(RETRY).await;
            }
            done => return done,
        }
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

/// The ingress gateway as workloads see it: its connections come from that address.
fn gateway(address: IpAddr) -> Value {
    let labels = json!({ "app": "istio-ingressgateway", "istio": "ingressgateway" });
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": "istio-ingressgateway",
            "namespace": "istio-system",
            "labels": { "app.kubernetes.io/managed-by": MANAGER },
        },
        "spec": {
            "address": address,
            "labels": labels,
            "serviceAccount": "istio-ingressgateway-service-account",
        },
    })
}

fn kind(group: &str, name: &str) -> &'static Kind {
    by_kind(group, name).expect("invariant: the table holds the kinds of Kubernetes")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{Error, persist};

    fn refusal(code: u16) -> Error {
        let (reason, message) = ("r".to_owned(), "m".to_owned());
        Error::Refused { action: "patch".to_owned(), code, reason, message }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_api_does_not_take_yet_is_tried_again_and_a_refusal_is_not() {
        let attempts = AtomicU32::new(0);
        let answers = [Err(404), Err(503), Ok(()), Err(403)];
        let attempt = || {
            let turn = attempts.fetch_add(1, Ordering::Relaxed);
            std::future::ready(answers[turn as usize].map_err(refusal))
        };
        persist(attempt).await.unwrap();
        assert_eq!(attempts.load(Ordering::Relaxed), 3);
        assert_eq!(persist(attempt).await.unwrap_err().code(), Some(403));
    }
}
