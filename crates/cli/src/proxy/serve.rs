//! A proxy in its pod, from the start to the end. In: the pod. Out: Istio's ports, served until the kubelet, a
//! program of the pod or the end of the application says so; then one deadline, and nothing is left.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_netns::rules::PROXY_ID;
use lateen_proxy::agent::drain::Drain;
use lateen_proxy::agent::{self, Agent, processes};
use lateen_proxy::dns::names::{MeshNames, mesh_names};
use lateen_proxy::dns::{Dns, Upstream, Zone};
use lateen_proxy::{Handle, Options, Proxy, Source};
use lateen_runtime::signal::Termination;
use lateen_runtime::tasks::{Supervisor, Tasks};
use lateen_runtime::{descriptors, memory};

use super::node::node;
use super::pod::Pod;
use crate::node::Role;

const DNS_PORT: u16 = 15053;
/// The kernel's number of the capability that marked and transparent sockets need.
const CAP_NET_ADMIN: u32 = 12;

pub async fn serve(pod: Pod) -> Result<()> {
    descriptors::raise();
    // Before anything else: the first process of a container gets no signal that it does not catch.
    let mut signals = Termination::listen().context("cannot listen for signals")?;
    let mut supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    let (agent_options, drain) = (pod.agent()?, pod.drain()?);
    let mut proxy = Proxy::start(options(&pod)?).await.context("cannot start the proxy")?;
    let agent = agent::start(agent_options, proxy.view(), &tasks)?;
    if pod.captures_dns() {
        start_dns(&pod, &tasks, proxy.ready())?;
    }
    tasks.child("memory", memory::give_back());
    tracing::info!(
        node = node(&pod).id,
        control_plane = %pod.control_plane()?,
        "the proxy of the pod starts"
    );
    let drain = until_asked(&pod, &agent, drain, &mut signals, &mut proxy, &mut supervisor).await?;
    agent.drain();
    let view = proxy.view();
    tokio::select! {
        () = drain.wait(|| view.active()) => {}
        signal = signals.next() => tracing::info!(signal, "ending at once"),
    }
    proxy.drain_and_stop(Some(Duration::ZERO)).await;
    Ok(())
}

/// Serves until it is time to end, and how long to go on then; fails if a part of it does.
async fn until_asked(
    pod: &Pod,
    agent: &Agent,
    drain: Drain,
    signals: &mut Termination,
    proxy: &mut Handle,
    supervisor: &mut Supervisor,
) -> Result<Drain> {
    let mut end = pin!(end(pod, agent, drain, signals));
    let mut ready = pin!(proxy.ready());
    let mut is_ready = false;
    loop {
        tokio::select! {
            () = &mut ready, if !is_ready => {
                is_ready = true;
                memory::release_startup_pages();
            }
            drain = &mut end => return Ok(drain),
            () = proxy.failed() => anyhow::bail!("a part of the proxy ended: see its log"),
            exit = supervisor.first_exit() => return Err(exit.into()),
        }
    }
}

/// Resolves when it is time to end, with how long to go on.
async fn end(pod: &Pod, agent: &Agent, drain: Drain, signals: &mut Termination) -> Drain {
    let application = async {
        match pod.ends_with() {
            Some(containers) => processes::ended(containers).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, ?drain, "draining");
            drain
        }
        () = agent.asked_to_quit() => {
            tracing::info!(?drain, "draining");
            drain
        }
        () = application => {
            tracing::info!("the application has ended, draining");
            Drain::IdleWithin(pod.termination())
        }
    }
}

fn options(pod: &Pod) -> Result<Options> {
    let role = match pod.role {
        Role::Gateway => lateen_proxy::Role::Gateway,
        Role::Sidecar => lateen_proxy::Role::Sidecar,
    };
    let mut options = Options::new(node(pod), role, Source::Ads(pod.control_plane()?));
    options.workers = pod.workers(options.workers);
    options.cache = pod.cache();
    // Interception knows the proxy by its user; the mark is for one that runs as another. Where the way in is
    // transparent, the mark is for connections to the proxy's own program alone.
    let privileged = is_privileged();
    ensure!(
        privileged || !pod.is_transparent(),
        "interceptionMode TPROXY needs CAP_NET_ADMIN: run the container as root with the capability NET_ADMIN, \
         as the injector renders it, or choose REDIRECT (annotation sidecar.istio.io/interceptionMode)"
    );
    options.mark = (privileged && !pod.is_transparent()).then_some(PROXY_ID);
    options.max_connections =
        options.max_connections.min(descriptors::connections(options.workers));
    Ok(options)
}

/// Whether this process has the capability that marked and transparent sockets need, by `CapEff` of
/// proc_pid_status(5).
fn is_privileged() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    set & (1 << CAP_NET_ADMIN) != 0
}

/// Mesh DNS on the loopback addresses, to which the pod's questions are redirected.
fn start_dns(
    pod: &Pod,
    tasks: &Tasks,
    ready: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (names, names_task) = mesh_names(pod.control_plane()?, node(pod));
    tasks.essential("names", async move {
        // A control plane that was away is back then: its names come at once, not after another pause.
        ready.await;
        names_task.run().await;
        Ok(())
    });
    let served = |address: IpAddr| dns(pod, address, names.clone());
    serve_dns(tasks, served(Ipv4Addr::LOCALHOST.into())?);
    // Not every pod has IPv6.
    match served(Ipv6Addr::LOCALHOST.into()) {
        Ok(dns) => serve_dns(tasks, dns),
        Err(error) => tracing::debug!("no dns over ipv6: {error:#}"),
    }
    Ok(())
}

fn serve_dns(tasks: &Tasks, dns: Dns) {
    tasks.essential("dns", async move { Err(dns.serve().await.into()) });
}

fn dns(pod: &Pod, address: IpAddr, names: MeshNames) -> Result<Dns> {
    let at = SocketAddr::new(address, DNS_PORT);
    let place = || format!("cannot answer dns on {at}");
    let udp = UdpSocket::bind(at).with_context(place)?;
    let tcp = TcpListener::bind(at).with_context(place)?;
    // The pod's file names the cluster's resolvers, never us: what is sent to them is redirected.
    let upstream = Upstream::of_file(pod.resolv_conf(), Ipv4Addr::UNSPECIFIED.into());
    Dns::new(udp, tcp, Arc::new(names), upstream, Zone::shared(&pod.domain)).with_context(place)
}
