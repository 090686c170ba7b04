//! The sidecar of a workload: Lateen's proxy in this process, or stock Envoy as a child inside the
//! namespace.
//!
//! In: a node, the home and the namespace. Out: a proxy that has acknowledged its configuration, and
//! its orderly end after the program's.

mod envoy;
mod ports;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lateen_netns::ns::Namespace;
use lateen_netns::rules::{Intercept, PROXY_ID};
use lateen_proxy::agent::{self, Application, probe::Probers};
use lateen_proxy::{Options, Proxy, Role, Source};
use lateen_runtime::tasks::Tasks;
use lateen_runtime::{admin, descriptors};
use lateen_xds::client::AdsAddress;

use crate::home::Home;
use crate::node::NodeArgs;

/// How long the first configuration may take.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// How long connections may go on after the program has ended.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// The running proxy.
pub(super) enum Sidecar {
    Lateen(lateen_proxy::Handle),
    Envoy(envoy::Envoy),
}

/// Which proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Lateen,
    /// The path of an Envoy binary.
    Envoy(PathBuf),
}

impl Choice {
    /// `lateen`, or a path.
    pub(super) fn parse(text: &str) -> Self {
        if text == "lateen" { Choice::Lateen } else { Choice::Envoy(text.into()) }
    }
}

/// Starts the sidecar and waits until it serves what the control plane says.
pub(super) async fn start(
    choice: &Choice,
    node: &NodeArgs,
    home: &Home,
    (namespace, application): (&Namespace, Option<Application>),
    tasks: &Tasks,
) -> Result<Sidecar> {
    let admin_socket = home.admin_socket(&node.instance());
    let mut sidecar = match choice {
        Choice::Lateen => start_lateen(node, home, (namespace, application), tasks).await?,
        Choice::Envoy(path) => Sidecar::Envoy(envoy::start(path, node, home, shared(namespace)?)?),
    };
    let begin = Instant::now();
    loop {
        let Err(error) = admin::get(&admin_socket, "/ready").await else { return Ok(sidecar) };
        if let Sidecar::Envoy(envoy) = &mut sidecar {
            envoy.check()?;
        }
        if begin.elapsed() > READY_WITHIN {
            bail!(
                "the sidecar has no configuration after {READY_WITHIN:?} ({error}): check that the mesh runs \
                 (lateen up --home {}) and its log in {}",
                home.dir().display(),
                home.logs().display()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

fn shared(namespace: &Namespace) -> Result<OwnedFd> {
    namespace.as_fd().try_clone_to_owned().context("cannot share the network namespace")
}

async fn start_lateen(
    node: &NodeArgs,
    home: &Home,
    (namespace, application): (&Namespace, Option<Application>),
    tasks: &Tasks,
) -> Result<Sidecar> {
    let source = Source::Ads(AdsAddress::Unix(home.ads_socket()));
    let mut options = Options::new(node.to_proto(), Role::Sidecar, source);
    options.netns = Some(shared(namespace)?);
    options.mark = Some(PROXY_ID);
    options.admin_socket = Some(home.admin_socket(&node.instance()));
    options.stdout_log = Some(home.access_log(&node.instance()));
    options.drain = DRAIN_WITHIN;
    options.max_connections =
        options.max_connections.min(descriptors::connections(options.workers));
    let proxy = Proxy::start(options).await.context("cannot start the sidecar")?;
    let pages = agent::Options {
        address: None,
        status_port: agent::STATUS_PORT,
        admin_port: 0,
        pod: node.address,
        probers: Probers::default(),
        application,
        netns: Some(Arc::new(shared(namespace)?)),
    };
    let (view, runtime) = (proxy.view(), tokio::runtime::Handle::current());
    namespace.run(|| {
        let _runtime = runtime.enter();
        agent::start(pages, view, tasks)
    })??;
    Ok(Sidecar::Lateen(proxy))
}

/// The rules by which connections reach the sidecar, once it is ready.
pub(super) async fn intercept(choice: &Choice, node: &NodeArgs, home: &Home) -> Result<Intercept> {
    let page = match choice {
        Choice::Lateen => "/config_dump",
        Choice::Envoy(_) => "/listeners?format=json",
    };
    let page = admin::get(&home.admin_socket(&node.instance()), page).await;
    let page = page.context("the sidecar does not say where it listens")?;
    Ok(ports::intercept(&serde_json::from_slice(&page).context("the sidecar's listeners")?))
}

impl Sidecar {
    /// Its process, if it has one of its own inside the namespace.
    pub(super) fn process(&self) -> Option<u32> {
        match self {
            Sidecar::Lateen(_) => None,
            Sidecar::Envoy(envoy) => envoy.id(),
        }
    }

    /// Resolves when the sidecar has ended although the program goes on.
    pub(super) async fn failed(&mut self) {
        match self {
            Sidecar::Lateen(handle) => handle.failed().await,
            Sidecar::Envoy(envoy) => envoy.ended().await,
        }
    }

    /// Lets connections end, at most for a while, and stops.
    pub(super) async fn stop(self) {
        match self {
            Sidecar::Lateen(handle) => {
                if !handle.drain_and_stop(None).await {
                    tracing::warn!("connections of the sidecar were cut after {DRAIN_WITHIN:?}");
                }
            }
            Sidecar::Envoy(envoy) => envoy.stop(DRAIN_WITHIN).await,
        }
    }
}
