//! Which replica writes. In: Leases. Out: whether this one holds them.

use lateen_kube::Client;
use lateen_kube::lease::{self, Candidate, Times};
use lateen_runtime::tasks::Tasks;
use tokio::sync::watch;

use super::context::Place;

/// The Lease of the replica that writes for the whole mesh, and that of each revision; Istio names its
/// elections so.
const MESH_LEASE: &str = "istio-leader";

/// What this replica may write at the moment.
#[derive(Clone)]
pub struct Leads {
    /// For the whole mesh: statuses and the root's ConfigMaps.
    pub mesh: watch::Receiver<bool>,
    /// For its revision: its webhooks' CA bundles.
    pub revision: watch::Receiver<bool>,
}

impl Leads {
    /// Runs for both.
    pub fn run(client: &Client, place: &Place, times: Times, tasks: &Tasks) -> Self {
        let own = format!("{MESH_LEASE}-{}", place.revision_label());
        Self {
            mesh: elect(MESH_LEASE.to_owned(), client, place, times, tasks),
            revision: elect(own, client, place, times, tasks),
        }
    }
}

/// Runs for a Lease; the answer is whether this replica holds it. One that drains gives it up first, so that the next
/// one leads when this one has gone.
fn elect(
    name: String,
    client: &Client,
    place: &Place,
    times: Times,
    tasks: &Tasks,
) -> watch::Receiver<bool> {
    let candidate = Candidate {
        namespace: place.namespace.clone(),
        lease: name,
        identity: place.pod.clone(),
        times,
    };
    let (leading, leads) = watch::channel(false);
    let (client, stopping) = (client.clone(), tasks.clone());
    tasks.child("election", async move {
        let kept = leading.clone();
        lease::run(client, candidate, leading, stopping.draining()).await;
        // Those who watch it go on as long as this replica does.
        stopping.stopping().await;
        drop(kept);
    });
    leads
}
