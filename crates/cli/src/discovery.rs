//! `lateen discovery`: the control plane on a cluster, in istiod's Deployment. In: istiod's flags and its
//! pod's environment. It keeps nothing that is not in the API.

pub mod flags;

use std::time::Duration;

use anyhow::{Context, Result};
use lateen_control::Debounce;
use lateen_control::cluster::context::Place;
use lateen_control::cluster::webhook::NativeSidecars;
use lateen_control::cluster::{self, Graph, Listeners, Options, bind};
use lateen_graph::api::About;
use lateen_kube::Source;
use lateen_kube::lease::Times;
use lateen_runtime::descriptors;
use lateen_runtime::readiness::Readiness;
use lateen_runtime::tasks::{Supervisor, Tasks};
use lateen_runtime::tls::Http1;
use tokio::net::TcpListener;

use crate::control_plane::traffic;
use crate::process::until_drained;
pub use flags::DiscoveryCommand;

/// Threads for watches and pushes; traffic is not the control plane's.
const THREADS: usize = 2;
/// A pod that ends is still asked until every node's kube-proxy has heard of it; a webhook that does not answer then
/// would refuse pods.
const DRAIN: Duration = Duration::from_secs(5);
/// Streams are told to end; whoever does not listen by then is cut off.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Istio's times: a cluster changes in bursts, and many proxies are told.
const DEBOUNCE: Debounce =
    Debounce { quiet: Duration::from_millis(100), longest: Duration::from_secs(10) };

pub fn execute(command: DiscoveryCommand) -> Result<()> {
    descriptors::raise();
    if let Some(flag) = command.mesh_flag() {
        tracing::warn!("{flag} has no effect: the mesh's settings are read from ConfigMap istio");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(run(command));
    runtime.shutdown_timeout(STOP_WITHIN);
    ended
}

async fn run(command: DiscoveryCommand) -> Result<()> {
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    let readiness = Readiness::new();
    let options = options(&command, &tasks).await?;
    let page = page_listener(&command.graph).await;
    let starting = readiness.guard("control plane");
    let (starter, ready) = (tasks.clone(), readiness.clone());
    tasks.essential("control plane", async move {
        let graph = cluster::start(options, &starter, &ready).await?;
        if let Some(listener) = page {
            serve_graph(listener, graph, &starter);
        }
        drop(starting);
        starter.stopping().await;
        Ok(())
    });
    let ready = readiness.clone();
    tasks.child("memory", async move {
        ready.ready().await;
        tracing::info!("ready");
        lateen_runtime::memory::release_startup_pages();
        lateen_runtime::memory::give_back().await;
    });
    until_drained(supervisor, &readiness, DRAIN, STOP_WITHIN).await
}

/// The mesh is worth more than its picture: without a free port there is none.
async fn page_listener(address: &str) -> Option<TcpListener> {
    bind_unless_empty(address).await.unwrap_or_else(|error| {
        tracing::error!("the live graph is not served: {error:#}");
        None
    })
}

fn serve_graph(listener: TcpListener, graph: Graph, tasks: &Tasks) {
    let Graph { pages, access, tls } = graph;
    tasks.essential("graph", async move {
        lateen_graph::serve::serve(Http1::new(listener, tls), access, pages).await;
        Ok(())
    });
}

async fn options(command: &DiscoveryCommand, tasks: &Tasks) -> Result<Options> {
    let listeners = Listeners {
        secure: bind(&command.secure).await?,
        plaintext: bind_unless_empty(&command.plaintext).await?,
        webhooks: bind_unless_empty(&command.https).await?,
        health: bind(&command.http).await?,
        monitoring: bind(&command.monitoring).await?,
    };
    let api = match &command.kubeconfig {
        Some(path) if !path.as_os_str().is_empty() => Source::Kubeconfig(path.clone()),
        _ => Source::InCluster,
    };
    let hosts = command.pod.hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
    let age = command.max_connection_age;
    let (traffic, inlet) = traffic(command.prometheus.settings()?, tasks);
    let cluster = command.pod.cluster_id.clone();
    let about = About { version: env!("CARGO_PKG_VERSION"), cluster };
    Ok(Options {
        api,
        place: place(command)?,
        listeners,
        max_connection_age: Some(age).filter(|age| !age.is_zero()),
        native_sidecars: NativeSidecars::of_variable(&command.pod.native_sidecars),
        token_audiences: command.pod.token_audiences(),
        token: command.pod.replica_token.clone(),
        hosts: hosts.map(str::to_owned).collect(),
        version: env!("CARGO_PKG_VERSION"),
        debounce: DEBOUNCE,
        election: Times::default(),
        traffic: Some(inlet),
        pages: Box::new(|inventory| lateen_graph::api::pages(traffic, about, inventory)),
    })
}

async fn bind_unless_empty(address: &str) -> Result<Option<TcpListener>> {
    Ok(match address {
        "" => None,
        address => Some(bind(address).await?),
    })
}

fn place(command: &DiscoveryCommand) -> Result<Place> {
    let pod = &command.pod;
    let hostname = || -> Result<String> {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
        let name = name.context("POD_NAME is not set, and this machine's name cannot be read")?;
        Ok(format!("{}-{}", name.trim(), std::process::id()))
    };
    Ok(Place {
        namespace: pod.pod_namespace.clone(),
        pod: match pod.pod_name.as_str() {
            "" => hostname()?,
            name => name.to_owned(),
        },
        revision: Some(pod.revision.clone()).filter(|name| name != "default").unwrap_or_default(),
        service_account: pod.service_account.clone(),
        domain: command.domain.clone(),
        cluster: pod.cluster_id.clone(),
    })
}
