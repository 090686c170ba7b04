//! `lateen control-plane`: the process that `lateen up` keeps running, with the embedded API and the
//! control plane in it. In: a home and three inherited listening sockets. It keeps nothing in memory that
//! is not in the API's store.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lateen_apiserver::{ApiServer, Config, Foresee};
use lateen_control::{Debounce, Options, Standalone};
use lateen_graph::api::About;
use lateen_graph::collect::{Inlet, Traffic};
use lateen_graph::prometheus::Settings;
use lateen_graph::serve::Token;
use lateen_identity::write_private;
use lateen_netns::remains;
use lateen_runtime::descriptors;
use lateen_runtime::readiness::Readiness;
use lateen_runtime::tasks::{Supervisor, Tasks};
use lateen_xds::server::Collection;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::time::MissedTickBehavior;

use crate::home::{Home, HomeState};
use crate::node::CLUSTER_ID;
use crate::process::until_ended;
use crate::prometheus::PrometheusArgs;
use crate::up::{ADS_FD, API_FD, GRAPH_FD};

/// Threads for the API and the pushes: traffic is not theirs, so two are plenty on one machine.
const THREADS: usize = 2;
/// What was acknowledged is on disk by then; open watches need no more time than this to be told.
const STOP_WITHIN: Duration = Duration::from_millis(500);

/// Bytes that an hour of traffic may take: as many as 5,000 edges need, also where three quarters of them are what a
/// Prometheus told of the past.
pub const GRAPH_MEMORY: usize = 128 << 20;

/// How often killed workloads are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct ControlPlaneCommand {
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    #[command(flatten)]
    prometheus: PrometheusArgs,
}

pub fn execute(command: ControlPlaneCommand) -> Result<()> {
    descriptors::raise();
    let prometheus = command.prometheus.settings()?;
    let home = Home::new(Some(command.home))?;
    let state = home.last_state().context("home.json cannot be read: start with lateen up")?;
    // Nothing else has run yet, so nobody else can own these descriptors.
    let api = TcpListener::from(inherited(API_FD)?);
    let ads = UnixListener::from(inherited(ADS_FD)?);
    let page = TcpListener::from(inherited(GRAPH_FD)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(run(home, state, prometheus, [api, page], ads));
    runtime.shutdown_timeout(STOP_WITHIN);
    ended
}

async fn run(
    home: Home,
    state: HomeState,
    prometheus: Option<Settings>,
    [api, page]: [TcpListener; 2],
    ads: UnixListener,
) -> Result<()> {
    page.set_nonblocking(true).context("the graph's socket")?;
    let page = tokio::net::TcpListener::from_std(page).context("the graph's socket")?;
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    let foresight = start_api(&home, &state, api, &tasks).await?;
    let readiness = Readiness::new();
    let (traffic, inlet) = traffic(prometheus, &tasks);
    let about = About { version: env!("CARGO_PKG_VERSION"), cluster: CLUSTER_ID.to_owned() };
    let options = Options {
        api: lateen_kube::Source::Kubeconfig(home.kubeconfig()),
        ads,
        admin: home.admin_socket("control"),
        version: env!("CARGO_PKG_VERSION"),
        standalone: Some(standalone(&home, &state)?),
        debounce: Debounce::default(),
        traffic: Some(inlet),
        pages: Box::new(|inventory| lateen_graph::api::pages(traffic, about, inventory)),
        foresight: Some(foresight),
    };
    let graph = lateen_control::start(options, &tasks, readiness.guard("first snapshot")).await?;
    let access = Arc::new(Token::new(&home.graph_token()?));
    tasks.essential("graph", async move {
        lateen_graph::serve::serve(page, access, graph).await;
        Ok(())
    });
    tasks.essential("remains of killed workloads", sweep(home.run()));
    tasks.child("memory", async move {
        readiness.ready().await;
        lateen_runtime::memory::release_startup_pages();
        lateen_runtime::memory::give_back().await;
    });
    until_ended(supervisor, STOP_WITHIN).await
}

/// A place for the graph's traffic, and where proxies send it; their metrics are left out, if a Prometheus is read.
pub fn traffic(prometheus: Option<Settings>, tasks: &Tasks) -> (Arc<Traffic>, Arc<dyn Collection>) {
    let Some(settings) = prometheus else {
        let traffic = Traffic::new(GRAPH_MEMORY);
        let watched = traffic.clone();
        tasks.essential("graph's clock", async move {
            watched.watch().await;
            Ok(())
        });
        return (traffic.clone(), Arc::new(Inlet(traffic)));
    };
    let traffic = lateen_graph::prometheus::traffic(GRAPH_MEMORY, &settings);
    let followed = traffic.clone();
    tasks.essential("prometheus", async move {
        lateen_graph::prometheus::follow(settings, followed).await;
        Ok(())
    });
    (traffic.clone(), Arc::new(Inlet(traffic)))
}

/// Ends, again and again, what programs left behind whose `lateen run` was killed.
async fn sweep(run: PathBuf) -> Result<()> {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let run = run.clone();
        let swept = tokio::task::spawn_blocking(move || remains::sweep(&run, remains::GRACE));
        for remains::Swept { workload, processes, complete } in swept.await? {
            tracing::warn!(
                workload,
                processes,
                complete,
                "ended what a killed workload left behind"
            );
        }
    }
}

async fn start_api(
    home: &Home,
    state: &HomeState,
    listener: TcpListener,
    tasks: &Tasks,
) -> Result<Arc<OnceLock<Foresee>>> {
    let config = Config {
        data_dir: home.data(),
        service_cidr: state.service_cidr,
        listener,
        public_url: state.api_url.clone(),
        clock: lateen_apiserver::system_clock(),
    };
    let server = ApiServer::open(config).await?;
    write_private(&home.kubeconfig(), server.admin_kubeconfig().as_bytes())?;
    let (stopping, foresight) = (tasks.clone(), server.foresight());
    tasks.essential("api", async move {
        server.serve(async move { stopping.stopping().await }).await;
        Ok(())
    });
    Ok(foresight)
}

fn standalone(home: &Home, state: &HomeState) -> Result<Standalone> {
    let node_name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("the machine's name")?;
    Ok(Standalone {
        node_name: node_name.trim().to_lowercase(),
        node_address: state.pod_cidr.hosts().next().map(Into::into),
        gateway_address: state.gateway_address.map(Into::into),
        pod_cidr: state.pod_cidr.to_string(),
        home: home.dir().to_owned(),
    })
}

/// The descriptor that the supervisor passed under the number in `variable`.
fn inherited(variable: &str) -> Result<OwnedFd> {
    let number: RawFd = std::env::var(variable)
        .ok()
        .and_then(|value| value.parse().ok())
        .with_context(|| format!("{variable} is not set: this command is started by lateen up"))?;
    // SAFETY: called once for each variable, before anything else could use the number; the check
    // below fails when no such descriptor was inherited.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    if fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_err() {
        std::mem::forget(fd);
        anyhow::bail!(
            "{variable}={number} is no open descriptor: this command is started by lateen up"
        );
    }
    debug_assert_eq!(fd.as_raw_fd(), number);
    Ok(fd)
}
