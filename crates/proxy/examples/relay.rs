//! A TCP relay from fixed resources, for benchmarks. In: `LISTEN=UPSTREAM...`, and `metrics` to count in Istio's
//! metrics, `log=FILE` to write an access log. Out: traffic by one worker, until it is interrupted.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::google::protobuf::UInt32Value;
use lateen_proxy::{Options, Proxy, Role, Source, StaticResources};
use lateen_telemetry::plugin::PluginConfig;

#[path = "../tests/common/mod.rs"]
mod common;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut relays = Vec::new();
    let (mut counts, mut log) = (false, None);
    for word in std::env::args().skip(1) {
        match word.split_once('=') {
            None if word == "metrics" => counts = true,
            Some(("log", path)) => log = Some(path.to_owned()),
            Some((listen, upstream)) => relays.push((listen.parse()?, upstream.parse()?)),
            None => anyhow::bail!("what is {word:?}? give LISTEN=UPSTREAM, metrics or log=FILE"),
        }
    }
    let mut resources =
        StaticResources { listeners: Vec::new(), clusters: Vec::new(), endpoints: Vec::new() };
    for (number, (listen, upstream)) in relays.into_iter().enumerate() {
        let name = format!("relay-{number}");
        resources.listeners.push(listening(&name, listen, counts, log.as_deref())?);
        resources.clusters.push(unlimited(&name, upstream));
    }
    let source = Source::Static(Box::new(resources));
    let options = Options { workers: 1, ..Options::new(Default::default(), Role::Gateway, source) };
    let proxy = Proxy::start(options).await?;
    proxy.ready().await;
    tokio::signal::ctrl_c().await?;
    proxy.drain_and_stop(None).await;
    Ok(())
}

fn unlimited(name: &str, upstream: SocketAddr) -> cluster::Cluster {
    let mut cluster = common::cluster(name, &[upstream]);
    cluster.circuit_breakers = Some(cluster::CircuitBreakers {
        thresholds: vec![cluster::circuit_breakers::Thresholds {
            max_connections: Some(UInt32Value { value: u32::MAX }),
            ..Default::default()
        }],
        ..Default::default()
    });
    cluster
}

fn listening(
    name: &str,
    listen: SocketAddr,
    counts: bool,
    log: Option<&str>,
) -> Result<listener::Listener> {
    let mut listener = common::listener(name, listen, name);
    if let Some(path) = log {
        let file = FileAccessLog { path: path.to_owned(), ..Default::default() };
        listener.access_log.push(accesslog::AccessLog {
            config_type: Some(accesslog::access_log::ConfigType::TypedConfig(common::any(&file))),
            ..Default::default()
        });
    }
    if counts {
        let config = common::any(&PluginConfig::default());
        let stats = listener::Filter {
            name: "istio.stats".to_owned(),
            config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
        };
        let chain = listener.filter_chains.first_mut().context("a listener without chains")?;
        chain.filters.insert(0, stats);
    }
    Ok(listener)
}
