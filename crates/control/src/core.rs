//! What every control plane does, wherever it runs: watches into snapshots, snapshots into pushes,
//! findings into statuses. In: a client, where the mesh's settings are, and who may write. Out: the ADS
//! server's source and the pages about it.

use std::sync::Arc;
use std::time::Instant;

use lateen_api::issue::Issue;
use lateen_kube::Client;
use lateen_kube::watch::{Scope, watch_each};
use lateen_model::World;
use lateen_model::host::Domain;
use lateen_runtime::admin::Handler;
use lateen_runtime::pages::Pages;
use lateen_runtime::readiness::Guard;
use lateen_runtime::tasks::Tasks;
use lateen_xds::server::serve::{self, Door};
use lateen_xds::server::{Collection, Limits};
use tokio::sync::{oneshot, watch};

use crate::debug::{self, Proxies};
use crate::findings::Findings;
use crate::inventory::Inventory;
use crate::metrics::Sources;
use crate::objects::{Objects, Rights};
use crate::published::Published;
use crate::replicas::{OwnAccount, Replicas};
use crate::selectors::{self, Gateways};
use crate::whatif::WhatIf;
use crate::writer::Meters;
use crate::{Debounce, Foresee, ads, report, writer};

/// How the mesh is read.
pub struct Settings {
    pub debounce: Debounce,
    /// Namespace and name of the ConfigMap with MeshConfig.
    pub mesh_config: (String, String),
    /// The cluster's DNS domain.
    pub domain: Domain,
    /// Whether no other ConfigMap is watched, as on a cluster, where there may be many and large ones.
    pub only_mesh_config: bool,
}

impl Settings {
    /// Those of one machine without a cluster.
    pub fn local(debounce: Debounce) -> Self {
        let mesh_config = ("istio-system".to_owned(), "istio".to_owned());
        Self { debounce, mesh_config, domain: Domain::default(), only_mesh_config: false }
    }

    fn world(&self) -> World {
        World::with_mesh_config(&self.mesh_config.0, &self.mesh_config.1)
            .with_domain(self.domain.clone())
    }

    fn scope(&self, kind: &lateen_api::kinds::Kind) -> Scope {
        match (kind.group, kind.kind) {
            ("", "ConfigMap") if self.only_mesh_config => {
                Scope::one(&self.mesh_config.0, &self.mesh_config.1)
            }
            _ => Scope::default(),
        }
    }
}

/// The parts that run.
pub struct Core {
    pub published: Arc<Published>,
    proxies: Arc<Proxies>,
    meters: Meters,
    started: Instant,
    findings: Arc<Findings>,
    gateways: Arc<Gateways>,
    whatif: WhatIf,
    pub replicas: Arc<Replicas>,
    own: Option<OwnAccount>,
    first_snapshot: oneshot::Receiver<()>,
    traffic: Option<Arc<dyn Collection>>,
}

impl Core {
    /// Starts the tasks. Statuses are written only while `writes` is true.
    pub fn start(
        client: &Client,
        settings: Settings,
        writes: watch::Receiver<bool>,
        tasks: &Tasks,
    ) -> Self {
        let published = Arc::new(Published::default());
        let findings = Arc::new(Findings::default());
        let meters = Meters::default();
        let (synced, first_snapshot) = oneshot::channel();
        let mut first = published.changes();
        let kinds = writer::kinds().into_iter().map(|kind| (kind, settings.scope(kind)));
        let watched = watch_each(client, kinds);
        let writer = writer::Writer::new(
            settings.world(),
            published.clone(),
            findings.clone(),
            meters.clone(),
            settings.debounce,
            synced,
        );
        let gateways = Arc::new(Gateways::default());
        let (whatif, questions) = WhatIf::new(gateways.clone());
        tasks.essential("snapshot writer", async move {
            writer.run(watched, questions).await;
            Ok(())
        });
        let (statuses, worker) = lateen_kube::status::writer(client.clone(), writes);
        tasks.essential("status writer", async move {
            worker.run().await;
            Ok(())
        });
        let reporter = report::run(findings.clone(), statuses);
        tasks.essential("issue reporter", async move {
            // Before the first snapshot nobody knows which objects the mesh sees.
            first.changed().await?;
            reporter.await
        });
        let selectors = selectors::run(gateways.clone(), published.clone(), findings.clone());
        tasks.essential("gateway selectors", selectors);
        Self {
            published,
            proxies: Arc::default(),
            meters,
            started: Instant::now(),
            findings,
            gateways,
            whatif,
            replicas: Arc::default(),
            own: None,
            first_snapshot,
            traffic: None,
        }
    }

    /// As one of several replicas, which are known by this account.
    pub fn replicated(self, own: OwnAccount) -> Self {
        Self { own: Some(own), ..self }
    }

    /// With a place for the traffic that proxies tell of.
    pub fn collecting(self, traffic: Option<Arc<dyn Collection>>) -> Self {
        Self { traffic, ..self }
    }

    /// Single objects, for whoever has the rights.
    pub fn objects(&self, rights: Arc<dyn Rights>) -> Arc<dyn Pages> {
        let (findings, whatif) = (self.findings.clone(), self.whatif.clone());
        Arc::new(Objects::new(self.inventory(), findings, rights, whatif))
    }

    /// What would be wrong, for whoever is about to store or remove an object.
    pub fn foresee(&self) -> Foresee {
        let whatif = self.whatif.clone();
        Arc::new(move |kind, intent| {
            let whatif = whatif.clone();
            Box::pin(async move {
                // Without an answer it is stored all the same, and findings are told later.
                let outlook = whatif.ask_for_api(kind, intent).await.unwrap_or_default();
                let said = |issue: Issue| (issue.object.clone(), issue.to_string());
                outlook.own.into_iter().chain(outlook.others).map(said).collect()
            })
        })
    }

    /// What the control plane shows of itself.
    pub fn pages(&self) -> Handler {
        debug::handler(self.proxies.clone(), self.findings.clone(), self.published.clone())
    }

    /// What the control plane counts of itself.
    pub fn metrics(&self, version: &'static str) -> Sources {
        let Meters { pushes, events } = self.meters.clone();
        Sources {
            version,
            started: self.started,
            published: self.published.clone(),
            findings: self.findings.clone(),
            proxies: self.proxies.clone(),
            pushes,
            events,
        }
    }

    /// What there is in the mesh, for the graph's pages.
    pub fn inventory(&self) -> Inventory {
        let (published, findings) = (self.published.clone(), self.findings.clone());
        Inventory::new(published, findings, self.proxies.clone(), self.replicas.clone())
    }

    /// Serves ADS once there is something to serve; until then the proxies wait in the sockets' backlogs.
    /// `ready` is dropped then.
    pub fn serve(
        self,
        doors: Vec<Door>,
        tasks: Tasks,
        ready: Guard,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let parts = ads::Parts {
            published: self.published,
            findings: self.findings,
            proxies: self.proxies,
            pushes: self.meters.pushes,
            gateways: self.gateways,
            replicas: self.replicas,
            traffic: self.traffic,
            own: self.own,
        };
        let source = Arc::new(ads::Door::new(parts));
        let first_snapshot = self.first_snapshot;
        async move {
            first_snapshot.await?;
            let (stop, stopping) = watch::channel(false);
            let serving = serve::serve(doors, source, Limits::default(), stopping);
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
    }
}
