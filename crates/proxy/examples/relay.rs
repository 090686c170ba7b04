//! A TCP relay from fixed resources, for benchmarks. In: `LISTEN UPSTREAM [WORKERS]`. Out: traffic,
//! until it is interrupted.

use anyhow::Context;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::google::protobuf::UInt32Value;
use lateen_proxy::{Options, Proxy, Role, Source, StaticResources};

#[path = "../tests/common/mod.rs"]
mod common;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let listen = next().context("which address to listen on?")?.parse()?;
    let upstream = next().context("which address to connect to?")?.parse()?;
    let workers = next().map_or(Ok(1), |workers| workers.parse())?;
    let mut cluster = common::cluster("upstream", &[upstream]);
    cluster.circuit_breakers = Some(cluster::CircuitBreakers {
        thresholds: vec![cluster::circuit_breakers::Thresholds {
            max_connections: Some(UInt32Value { value: u32::MAX }),
            ..Default::default()
        }],
        ..Default::default()
    });
    let source = Source::Static(Box::new(StaticResources {
        listeners: vec![common::listener("relay", listen, "upstream")],
        clusters: vec![cluster],
        endpoints: Vec::new(),
    }));
    let options = Options { workers, ..Options::new(Default::default(), Role::Gateway, source) };
    let proxy = Proxy::start(options).await?;
    proxy.ready().await;
    tokio::signal::ctrl_c().await?;
    proxy.drain_and_stop(None).await;
    Ok(())
}
