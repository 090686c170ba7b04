//! The control-plane process: watches into snapshots, snapshots into pushes, findings into statuses.
//!
//! In: a Kubernetes API and listening sockets. Out: ADS for the proxies, the log, the objects' status
//! and an admin socket. It keeps nothing of its own: whatever is lost with the process is in the API.

mod ads;
pub mod cluster;
pub mod debug;
mod findings;
pub mod owner;
mod published;
mod report;
mod selectors;
mod standalone;
mod writer;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use lateen_kube::{Client, Source};
use lateen_runtime::readiness::Guard;
use lateen_runtime::tasks::Tasks;
use lateen_xds::server::Limits;
use tokio::sync::{oneshot, watch};

pub use standalone::Standalone;
pub use writer::Debounce;

use ads::Door;
use debug::Proxies;
use findings::Findings;
use published::Published;
use selectors::Gateways;

/// What a control plane is given at its start.
pub struct Options {
    pub api: Source,
    /// The socket for the proxies of this machine, as inherited.
    pub ads: UnixListener,
    /// Where `/ready`, `/proxies`, `/issues` and `/snapshot` are served.
    pub admin: PathBuf,
    /// The controllers of a machine without a cluster.
    pub standalone: Option<Standalone>,
    pub debounce: Debounce,
}

/// Starts the control plane's tasks. The API need not answer yet: everything waits for it. `ready` is
/// dropped when the first whole snapshot is served.
///
/// # Errors
/// If the API's address or credentials cannot be read.
pub async fn start(
    options: Options,
    tasks: &Tasks,
    ready: Guard,
) -> Result<(), lateen_kube::Error> {
    let client = Client::connect(options.api).await?;
    let published = Arc::new(Published::default());
    let findings = Arc::new(Findings::default());
    let proxies = Arc::new(Proxies::default());
    let (synced, first_snapshot) = oneshot::channel();

    let watched = lateen_kube::watch::watch_all(&client, writer::kinds());
    let writer = writer::Writer::new(published.clone(), findings.clone(), options.debounce, synced);
    tasks.essential("snapshot writer", async move {
        writer.run(watched).await;
        Ok(())
    });

    let (statuses, status_worker) = lateen_kube::status::writer(client.clone());
    tasks.essential("status writer", async move {
        status_worker.run().await;
        Ok(())
    });
    tasks.essential("issue reporter", report::run(findings.clone(), statuses));

    let gateways = Arc::new(Gateways::default());
    let selectors = selectors::run(gateways.clone(), published.clone(), findings.clone());
    tasks.essential("gateway selectors", selectors);

    let door = Door::new(published.clone(), findings.clone(), proxies.clone(), gateways);
    tasks.essential("ads", ads(options.ads, door, first_snapshot, tasks.clone(), ready));

    let handler = debug::handler(proxies, findings, published);
    tasks.essential("control admin", async move {
        Ok(lateen_runtime::admin::serve_unix(&options.admin, handler).await?)
    });
    if let Some(standalone) = options.standalone {
        standalone::start(standalone, client, tasks);
    }
    Ok(())
}

/// Serves ADS once there is something to serve; until then the proxies wait in the socket's backlog.
async fn ads(
    listener: UnixListener,
    door: Door,
    first_snapshot: oneshot::Receiver<()>,
    tasks: Tasks,
    ready: Guard,
) -> anyhow::Result<()> {
    first_snapshot.await?;
    let (stop, stopping) = watch::channel(false);
    let serving = lateen_xds::server::serve::serve(
        listener,
        None,
        Arc::new(door),
        Limits::default(),
        stopping,
    );
    drop(ready);
    let until_stopped = async {
        tasks.stopping().await;
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = until_stopped => Ok(()),
    }
}
