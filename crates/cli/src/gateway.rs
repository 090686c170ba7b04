//! `lateen gateway`: the ingress gateway's process, which `lateen up` keeps running. In: a home and an
//! address to listen on. It takes its configuration from the control plane, or from what it last knew.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lateen_proxy::{Options, Proxy, Role, Source};
use lateen_runtime::descriptors;
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
    let mut options = Options {
        cache: Some(home.cache().join("gateway.pb")),
        admin_socket: Some(home.admin_socket("gateway")),
        stdout_log: Some(home.access_log("gateway")),
        drain: DRAIN,
        ..Options::new(node, Role::Gateway, source)
    };
    options.max_connections =
        options.max_connections.min(descriptors::connections(options.workers));
    let mut proxy = Proxy::start(options).await?;
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
            signal = &mut terminated => {
                tracing::info!(signal = signal.context("cannot listen for signals")?, "draining");
                proxy.drain_and_stop(None).await;
                return Ok(());
            }
        }
    }
}
