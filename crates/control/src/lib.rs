//! The control-plane process: watches into snapshots, snapshots into pushes, findings into statuses.
//!
//! In: a Kubernetes API and listening sockets. Out: ADS for the proxies, the log, the objects' status
//! and an admin socket. It keeps no configuration of its own: that is in the API.

pub mod acts;
mod ads;
pub mod cluster;
mod condition;
mod core;
pub mod debug;
mod dropped;
mod events;
pub mod findings;
mod inventory;
pub mod known;
mod metrics;
pub mod objects;
pub mod owner;
mod published;
mod pushes;
pub mod query;
mod reading;
mod replicas;
mod report;
mod selectors;
mod standalone;
mod whatif;
mod witness;
mod writer;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use lateen_api::intent::Intent;
use lateen_api::issue::ObjectRef;
use lateen_api::kinds::Kind;
use lateen_kube::{Client, Source};
use lateen_runtime::pages::{Pages, all, reading};
use lateen_runtime::readiness::Guard;
use lateen_runtime::tasks::Tasks;
use lateen_xds::server::Collection;
use lateen_xds::server::serve::Door;
use tokio::sync::watch;

pub use inventory::Inventory;
pub use lateen_model::host::Domain;
pub use standalone::Standalone;
pub use writer::Debounce;

use core::Core;
use objects::Owner;

/// What a control plane is given at its start.
pub struct Options {
    pub api: Source,
    /// The socket for the proxies of this machine, as inherited.
    pub ads: UnixListener,
    /// Where `/ready`, `/proxies`, `/issues`, `/snapshot` and `/metrics` are served, and the graph's API, with which
    /// whoever may open the socket changes objects.
    pub admin: PathBuf,
    pub version: &'static str,
    /// The controllers of a machine without a cluster.
    pub standalone: Option<Standalone>,
    pub debounce: Debounce,
    /// Where the proxies' traffic goes, if anybody wants it.
    pub traffic: Option<Arc<dyn Collection>>,
    /// Makes the pages of the graph API.
    pub pages: MakePages,
    /// Where an API of this process is told what would come of an object.
    pub foresight: Option<Arc<OnceLock<Foresee>>>,
}

/// Tells what would be wrong with an object if it were stored, and what newly with others if it were stored or went, of
/// each with its name; nothing if that is not known.
pub type Foresee = Arc<
    dyn Fn(&'static Kind, Intent) -> BoxFuture<'static, Vec<(ObjectRef, String)>> + Send + Sync,
>;

/// Makes pages of what the control plane knows.
pub type MakePages = Box<dyn FnOnce(Inventory) -> Arc<dyn Pages> + Send>;

/// Starts the control plane's tasks. The API need not answer yet: everything waits for it. `ready` is
/// dropped when the first whole snapshot is served. Answers the pages of the graph API, for whoever serves them.
///
/// # Errors
/// If the API's address or credentials cannot be read.
pub async fn start(
    options: Options,
    tasks: &Tasks,
    ready: Guard,
) -> Result<Arc<dyn Pages>, lateen_kube::Error> {
    let client = Client::connect(options.api).await?;
    // On one machine there is one control plane, which writes whatever is to be written.
    let (_, writes) = watch::channel(true);
    let core = Core::start(&client, core::Settings::local(options.debounce), writes, tasks)
        .collecting(options.traffic);
    let metrics = core.metrics(options.version);
    let scraped =
        metrics::pages(["/metrics", "/api/v1/metrics"], move |accept| metrics.page(None, accept));
    let pages = (options.pages)(core.inventory());
    if let Some(place) = options.foresight {
        // It is empty: there is one control plane.
        let _ = place.set(core.foresee());
    }
    let objects = core.objects(Arc::new(Owner(client.clone())));
    let api = all(vec![pages, scraped, objects]);
    let pages = all(vec![reading(core.pages()), api.clone()]);
    tasks.essential("control admin", async move {
        Ok(lateen_runtime::admin::serve_unix(&options.admin, pages).await?)
    });
    let doors = vec![Door::Unix(options.ads)];
    tasks.essential("ads", core.serve(doors, tasks.clone(), ready));
    if let Some(standalone) = options.standalone {
        standalone::start(standalone, client, tasks);
    }
    Ok(api)
}
