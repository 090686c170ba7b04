//! `lateen gateway`: the ingress gateway's process, which `lateen up` keeps running. In: a home and an
//! address to listen on. It takes its configuration from the control plane, or from what it last knew.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lateen_proxy::agent::{self, probe::Probers};
use lateen_proxy::{Handle, KnownAs, Options, Proxy, Role, Source};
use lateen_runtime::descriptors;
use lateen_runtime::tasks::{Supervisor, Tasks};
use lateen_xds::client::AdsAddress;

use crate::home::Home;
use crate::node::NodeArgs;

const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct GatewayCommand {
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    #[arg(long, value_name = "IP")]
    bind: IpAddr,
}

pub async fn execute(command: GatewayCommand) -> Result<()> {
    descriptors::raise();
    let home = Home::new(Some(command.home))?;
    let node = NodeArgs::ingress_gateway(command.bind).to_proto();
    let source = Source::Ads(AdsAddress::Unix(home.ads_socket()));
    let known_as = home.last_state().and_then(|state| {
        let address = state.gateway_address?.into();
        Some(KnownAs { address, within: state.pod_cidr.into() })
    });
    let mut options = Options {
        known_as,
        cache: Some(home.cache().join("gateway.pb")),
        admin_socket: Some(home.admin_socket("gateway")),
        stdout_log: Some(home.access_log("gateway")),
        drain: DRAIN,
        ..Options::new(node, Role::Gateway, source)
    };
    options.max_connections =
        options.max_connections.min(descriptors::connections(options.workers));
    let mut proxy = Proxy::start(options).await?;
    let mut supervisor = Supervisor::new();
    start_pages(command.bind, &proxy, &supervisor.tasks());
    let terminated = lateen_runtime::signal::terminated();
    tokio::pin!(terminated);
    let ready = proxy.ready();
    tokio::pin!(ready);
    let memory = lateen_runtime::memory::give_back();
    tokio::pin!(memory);
    let mut is_ready = false;
    loop {
        tokio::select! {
            () = &mut ready, if !is_ready => {
                is_ready = true;
                lateen_runtime::memory::release_startup_pages();
            }
            () = &mut memory => unreachable!("it runs until dropped"),
            () = proxy.failed() => anyhow::bail!("a part of the gateway ended: see its log"),
            exit = supervisor.first_exit() => return Err(exit.into()),
            signal = &mut terminated => {
                tracing::info!(signal = signal.context("cannot listen for signals")?, "draining");
                proxy.drain_and_stop(None).await;
                return Ok(());
            }
        }
    }
}

/// Health and metrics on Istio's ports. Another mesh on this machine may have them, or anything else: traffic passes
/// without them.
fn start_pages(bind: IpAddr, proxy: &Handle, tasks: &Tasks) {
    let pages = agent::Options {
        address: Some(bind),
        status_port: agent::STATUS_PORT,
        admin_port: 0,
        pod: bind,
        probers: Probers::default(),
        application: None,
        netns: None,
    };
    if let Err(error) = agent::start(pages, proxy.view(), tasks) {
        tracing::warn!("the gateway goes on without health and metrics at {bind}: {error}");
    }
}
