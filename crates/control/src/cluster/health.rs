//! What is served over plain HTTP: `/ready` for probes, `/metrics` and `/version` for everybody, and the
//! control plane's own pages under `/debug` for this machine alone. In: the parts. Out: two servers.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use lateen_runtime::admin::{Handler, Page, serve_tcp};
use lateen_runtime::pages::{Pages, all, reading, unchanging};
use lateen_runtime::readiness::Readiness;
use lateen_runtime::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::leads::Leads;
use super::unix_seconds;
use super::webhook::Counters;
use crate::core::Core;
use crate::metrics::{self, OnCluster, Sources};
use crate::replicas::Replicas;

/// What the pages are made of.
pub struct Health {
    readiness: Readiness,
    version: &'static str,
    metrics: Sources,
    replicas: Arc<Replicas>,
    leads: Leads,
    /// When the authority ends; 1970 while there is none.
    authority_ends: watch::Receiver<SystemTime>,
    /// Of the webhooks, once they are served.
    counters: Arc<OnceLock<Arc<Counters>>>,
}

impl Health {
    pub fn new(
        core: &Core,
        readiness: Readiness,
        version: &'static str,
        leads: Leads,
        authority_ends: watch::Receiver<SystemTime>,
    ) -> Self {
        Self {
            readiness,
            version,
            metrics: core.metrics(version),
            replicas: core.replicas.clone(),
            leads,
            authority_ends,
            counters: Arc::default(),
        }
    }

    /// With the webhooks' counters, when there are any.
    pub fn counting(self, counters: Arc<OnceLock<Arc<Counters>>>) -> Self {
        Self { counters, ..self }
    }

    /// Starts both servers. `debug` is shown under `/debug`. Nothing can be changed here: who reaches the loopback
    /// would do so with the control plane's rights.
    pub fn serve(
        self,
        health: TcpListener,
        monitoring: TcpListener,
        debug: Handler,
        more: Arc<dyn Pages>,
        tasks: &Tasks,
    ) {
        let ours = Arc::new(self);
        let own = ours.clone();
        let scraped = metrics::pages(["/metrics"], move |accept| {
            own.metrics.page(Some(&own.on_cluster()), accept)
        });
        let open = all(vec![scraped, reading(Arc::new(move |path, _| ours.page(path)))]);
        let debug = reading(Arc::new(move |path, query| {
            debug(path.strip_prefix("/debug").filter(|path| path.starts_with('/'))?, query)
        }));
        let local = unchanging(all(vec![debug, more]));
        for (name, listener) in [("health", health), ("monitoring", monitoring)] {
            let (open, local) = (open.clone(), local.clone());
            tasks.essential(name, async move {
                serve_tcp(listener, open, local).await;
                Ok(())
            });
        }
    }

    fn page(&self, path: &str) -> Option<Page> {
        match path {
            "/ready" => Some(self.ready()),
            "/version" => Some(Page::text(self.version)),
            _ => None,
        }
    }

    fn ready(&self) -> Page {
        let waiting = self.readiness.pending();
        match waiting.is_empty() {
            true => Page::text("ready\n"),
            false => Page::text(format!("waiting for: {}\n", waiting.join(", "))).with_status(503),
        }
    }

    fn on_cluster(&self) -> OnCluster {
        let ends = *self.authority_ends.borrow();
        let lasts = ends.duration_since(SystemTime::now());
        OnCluster {
            root_ends: unix_seconds(ends),
            root_lasts: lasts.map_or(0.0, |lasts| lasts.as_secs_f64()),
            leads_mesh: *self.leads.mesh.borrow(),
            leads_revision: *self.leads.revision.borrow(),
            replicas: self.replicas.counts(),
            webhooks: self.counters.get().map(|counters| counters.counts()),
        }
    }
}
