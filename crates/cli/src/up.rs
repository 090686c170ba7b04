//! `lateen up`: the supervisor of a mesh on one machine. It owns the sockets that must outlive its two
//! processes, the control plane (with the embedded API) and the ingress gateway, and keeps both running.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use lateen_netns::remains;
use lateen_runtime::admin;
use lateen_runtime::tasks::Exit;

use crate::apply;
use crate::home::{Home, HomeState};
use crate::node::NodeArgs;
use crate::output::{note, say};
use crate::ports::{self, Open};
use crate::prometheus::PrometheusArgs;
use crate::supervisor::{ChildSpec, Kept};

/// The API's port when it is free: the one that Kubernetes users know.
const API_PORT: u16 = 6443;
/// The page's port when it is free: the one that Kiali users know.
const GRAPH_PORT: u16 = 20001;
/// Services' virtual addresses: Kubernetes' own default range (kubeadm).
const SERVICE_CIDR: &str = "10.96.0.0/16";
const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long the kernel may take to unplug a workload that has ended.
const UNPLUGGED_WITHIN: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
/// Variables that name the descriptors which the control plane inherits.
pub const API_FD: &str = "LATEEN_API_FD";
pub const ADS_FD: &str = "LATEEN_ADS_FD";
pub const GRAPH_FD: &str = "LATEEN_GRAPH_FD";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Gateway {
    /// Lateen's own proxy
    Lateen,
    /// None: start another one with `lateen bootstrap --role gateway`
    None,
}

/// Options of `lateen up`.
#[derive(Debug, Args)]
pub struct UpCommand {
    /// Where the mesh keeps its state [default: ~/.lateen]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Objects to apply at the start: a YAML file, or a folder of them (may be repeated)
    #[arg(long, short, value_name = "FILE|FOLDER")]
    filename: Vec<PathBuf>,
    /// The address that the ingress gateway listens on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", value_parser = parse_bind)]
    gateway_bind: IpAddr,
    /// The ingress gateway's proxy
    #[arg(long, value_enum, default_value_t = Gateway::Lateen)]
    gateway: Gateway,
    /// The API's port on 127.0.0.1 [default: the one used before, else 6443, else any free one]
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
    #[command(flatten)]
    prometheus: PrometheusArgs,
}

pub async fn execute(command: UpCommand) -> Result<()> {
    let objects = apply::read(&command.filename)?;
    check_bind(command.gateway_bind)?;
    command.prometheus.settings()?;
    let home = Home::new(command.home.clone())?;
    home.create()?;
    // Now that it exists: one name for it, whichever way it was written.
    let home = Home::new(Some(home.dir().to_owned()))?;
    let _lock = home.lock()?;
    let api = api_listener(command.api_port, &home)?;
    let api_address = api.local_addr().context("the API's own address")?;
    let graph = graph_listener(&home)?;
    let graph_address = graph.local_addr().context("the graph's own address")?;
    let state = home_state(&command, &home, api_address, graph_address)?;
    home.write_state(&state)?;

    let control = start_control(&home, &command.prometheus, api, graph)?;
    let mut started = Started { gateway: None, control: Some(control) };
    let outcome = serve(&command, &home, &state, &objects, &mut started).await;
    started.stop().await;
    remove_bridge(&home, state.bridge).await;
    outcome
}

fn parse_bind(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an IP address: use one of this machine's (see `ip address`), or 0.0.0.0 for all")
    })
}

/// Whether this machine has the address, told now and not by each port that cannot be opened.
fn check_bind(address: IpAddr) -> Result<()> {
    TcpListener::bind((address, 0)).map(drop).map_err(|error| {
        anyhow!(
            "--gateway-bind {address} cannot be listened on ({error}): use an address of this machine \
             (see `ip address`), or 0.0.0.0 for all"
        )
    })
}

/// Takes away the bridge that `lateen run` made. Workloads that still run keep it; what killed ones left
/// behind is ended.
async fn remove_bridge(home: &Home, bridge: String) {
    let (record, run) = (home.bridge_record(), home.run());
    if !record.exists() {
        return;
    }
    let removed = tokio::task::spawn_blocking(move || {
        let was_swept = !remains::sweep(&run, remains::GRACE).is_empty();
        let begin = Instant::now();
        loop {
            let removed = lateen_netns::host::remove_bridge(&bridge, &record);
            // The kernel unplugs an ended workload on its own time.
            let wait = was_swept && begin.elapsed() < UNPLUGGED_WITHIN;
            if !matches!(removed, Ok(false)) || !wait {
                return removed;
            }
            std::thread::sleep(POLL);
        }
    });
    match removed.await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => note(format_args!("the bridge stays: workloads still use it")),
        Ok(Err(error)) => note(format_args!("the bridge could not be removed: {error}")),
        Err(error) => note(format_args!("the bridge could not be removed: {error}")),
    }
}

/// The children, so that every way out stops them.
struct Started {
    gateway: Option<Kept>,
    control: Option<Kept>,
}

impl Started {
    /// Resolves only if one of them is looked after no longer.
    async fn failed(&mut self) -> Exit {
        tokio::select! {
            exit = failed(&mut self.gateway) => exit,
            exit = failed(&mut self.control) => exit,
        }
    }

    async fn stop(&mut self) {
        for child in [self.gateway.take(), self.control.take()].into_iter().flatten() {
            child.stop().await;
        }
    }
}

async fn failed(child: &mut Option<Kept>) -> Exit {
    match child {
        Some(child) => child.failed().await,
        None => std::future::pending().await,
    }
}

async fn serve(
    command: &UpCommand,
    home: &Home,
    state: &HomeState,
    objects: &[apply::Document],
    started: &mut Started,
) -> Result<()> {
    // One listener from here to the end: between two a signal could be lost.
    let terminated = lateen_runtime::signal::terminated();
    tokio::pin!(terminated);
    let open = tokio::select! {
        open = become_ready(command, home, state, objects, started) => open?,
        signal = &mut terminated => return stopping(signal),
    };
    say("ready");
    lateen_runtime::memory::release_startup_pages();
    say(format_args!("  export KUBECONFIG={}", home.kubeconfig().display()));
    let watch = ports::announce(home.admin_socket("gateway"), open);
    tokio::select! {
        () = watch, if command.gateway == Gateway::Lateen => Ok(()),
        exit = started.failed() => Err(exit.into()),
        signal = &mut terminated => stopping(signal),
    }
}

fn stopping(signal: std::io::Result<&'static str>) -> Result<()> {
    let signal = signal.context("cannot listen for signals")?;
    note(format_args!("{signal}, stopping"));
    Ok(())
}

/// Answers where the gateway listens.
async fn become_ready(
    command: &UpCommand,
    home: &Home,
    state: &HomeState,
    objects: &[apply::Document],
    started: &mut Started,
) -> Result<Open> {
    await_ready(home, "control").await?;
    apply::apply(&home.kubeconfig(), objects).await?;
    say(format_args!("api      {} (kubeconfig {})", state.api_url, home.kubeconfig().display()));
    say(format_args!("xds      unix:{}", home.ads_socket().display()));
    say(format_args!("graph    {}/?token={}", state.graph_url, home.graph_token()?));
    if command.gateway == Gateway::None {
        return Ok(Open::new());
    }
    started.gateway = Some(start_gateway(home, command.gateway_bind)?);
    await_ready(home, "gateway").await?;
    let bind = command.gateway_bind;
    say(format_args!("gateway  {bind} (its ports open as Gateways are applied)"));
    let labels = NodeArgs::ingress_gateway(bind).labels;
    let wanted = ports::wanted(&home.kubeconfig(), &labels).await?;
    Ok(ports::settle(home, &wanted).await)
}

/// Waits until the process answers `/ready`, or says where its log is.
async fn await_ready(home: &Home, name: &str) -> Result<()> {
    let socket = home.admin_socket(name);
    let begin = Instant::now();
    loop {
        let error = match admin::get(&socket, "/ready").await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if begin.elapsed() > START_WITHIN {
            let log = home.log(name);
            bail!(
                "the {name} process is not ready after {START_WITHIN:?} ({error}): see {}",
                log.display()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

fn home_state(
    command: &UpCommand,
    home: &Home,
    api: SocketAddr,
    graph: SocketAddr,
) -> Result<HomeState> {
    let pod_cidr = lateen_netns::host::choose_subnet(home.dir())?;
    let gateway_address = match command.gateway {
        Gateway::Lateen => lateen_netns::ns::ingress(pod_cidr),
        // Envoy cannot be told to use another one for workloads alone.
        Gateway::None => lateen_netns::ns::gateway(pod_cidr),
    };
    Ok(HomeState {
        pod_cidr,
        bridge: lateen_netns::host::bridge_name(home.dir()),
        service_cidr: SERVICE_CIDR.parse().expect("a constant range"),
        api_url: format!("https://{api}"),
        graph_url: format!("http://{graph}"),
        gateway_bind: command.gateway_bind,
        gateway_address: Some(gateway_address),
        pid: std::process::id(),
    })
}

/// The port that was asked for, or the last one, the usual one, any.
fn api_listener(asked: Option<u16>, home: &Home) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = asked {
        return bind(port).with_context(|| {
            format!("the API cannot listen on 127.0.0.1:{port}: choose another --api-port")
        });
    }
    let last = home.last_state().and_then(|state| state.api_url.rsplit(':').next()?.parse().ok());
    last.into_iter()
        .chain([API_PORT, 0])
        .find_map(|port| bind(port).ok())
        .context("no port is free on 127.0.0.1 for the API")
}

/// The last port, the usual one, or any.
fn graph_listener(home: &Home) -> Result<TcpListener> {
    let last = home.last_state().and_then(|state| state.graph_url.rsplit(':').next()?.parse().ok());
    last.into_iter()
        .chain([GRAPH_PORT, 0])
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .context("no port is free on 127.0.0.1 for the graph")
}

fn ads_listener(path: &Path) -> Result<UnixListener> {
    lateen_runtime::socket::bind(path)
        .and_then(tokio::net::UnixListener::into_std)
        .with_context(|| format!("cannot listen on {}", path.display()))
}

fn start_control(
    home: &Home,
    prometheus: &PrometheusArgs,
    api: TcpListener,
    graph: TcpListener,
) -> Result<Kept> {
    let args = ["control-plane".into(), "--home".into(), home.dir().display().to_string()];
    let ads = ads_listener(&home.ads_socket())?;
    Kept::start(ChildSpec {
        name: "control",
        args: args.into_iter().chain(prometheus.arguments()).collect(),
        fds: vec![
            (API_FD, Arc::new(OwnedFd::from(api))),
            (ADS_FD, Arc::new(OwnedFd::from(ads))),
            (GRAPH_FD, Arc::new(OwnedFd::from(graph))),
        ],
        log: home.log("control"),
        stop_within: STOP_WITHIN,
    })
}

fn start_gateway(home: &Home, bind: IpAddr) -> Result<Kept> {
    Kept::start(ChildSpec {
        name: "gateway",
        args: vec![
            "gateway".into(),
            "--home".into(),
            home.dir().display().to_string(),
            "--bind".into(),
            bind.to_string(),
        ],
        fds: vec![],
        log: home.log("gateway"),
        stop_within: STOP_WITHIN,
    })
}
