//! What a scrape over HTTP costs a proxy. In: the number of series (2000) and of scrapes (200). Out, for each format: the
//! size of the page, the proxy's CPU time per scrape, and how long one took. Run it with `--release`; ports 15090 and
//! 15021 of the loopback must be free.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use lateen_proxy::agent::{self, METRICS_PORT, probe::Probers};
use lateen_proxy::{Handle, Options, Proxy, Role, Source, StaticResources};
use lateen_runtime::tasks::Supervisor;
use lateen_telemetry::exposition::Format;
use lateen_telemetry::plugin::{MetricConfig, PluginConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[path = "../tests/common/mod.rs"]
mod common;

const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];
/// Of each connection: it was opened and closed, sent and received.
const METRICS: usize = 4;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, accept, rounds] = &*words
        && word == "client"
    {
        return client(accept, rounds.parse()?);
    }
    let number = |at: usize, or: usize| words.get(at).map_or(Ok(or), |word| word.parse());
    let (series, rounds) = (number(0, 2000)?, number(1, 200)?);
    let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let upstream = echo.local_addr()?;
    tokio::spawn(answer(echo));
    let (proxy, address) = relay(upstream).await?;
    for _ in 0..series / METRICS {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(b"x").await?;
        stream.read_u8().await?;
    }
    while proxy.view().active() > 0 {
        tokio::task::yield_now().await;
    }
    let supervisor = Supervisor::new();
    let pages = agent::Options {
        address: Some(Ipv4Addr::LOCALHOST.into()),
        status_port: 0,
        admin_port: 0,
        pod: Ipv4Addr::LOCALHOST.into(),
        probers: Probers::default(),
        application: None,
        netns: None,
    };
    agent::start(pages, proxy.view(), &supervisor.tasks())?;
    for format in FORMATS {
        let before = cpu();
        let mut scrapes = Command::new(std::env::current_exe()?);
        scrapes.args(["client", format.content_type(), &rounds.to_string()]);
        let scraped = tokio::task::spawn_blocking(move || scrapes.output()).await??;
        let spent = (cpu() - before) * 1000.0 / rounds as f64;
        let told = String::from_utf8_lossy(&scraped.stdout);
        println!("{format:?}: {spent:.2} ms of CPU per scrape; {}", told.trim());
    }
    Ok(())
}

fn cpu() -> f64 {
    lateen_runtime::process::usage().cpu_seconds
}

async fn answer(echo: TcpListener) {
    while let Ok((mut stream, _)) = echo.accept().await {
        if let Ok(byte) = stream.read_u8().await {
            // Whoever asked may be gone.
            let _ = stream.write_u8(byte).await;
        }
    }
}

/// A proxy that counts each connection in series of its own.
async fn relay(upstream: SocketAddr) -> Result<(Handle, SocketAddr)> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
    let own = ("src".to_owned(), "source.address".to_owned());
    let tags = MetricConfig { dimensions: [own].into(), ..Default::default() };
    let config = PluginConfig { metrics: vec![tags], ..Default::default() };
    let stats = listener::Filter {
        name: "istio.stats".to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(common::any(&config))),
    };
    let mut listener = common::listener("relay", address, "echo");
    listener.filter_chains[0].filters.insert(0, stats);
    let resources = StaticResources {
        listeners: vec![listener],
        clusters: vec![common::cluster("echo", &[upstream])],
        endpoints: Vec::new(),
    };
    let source = Source::Static(Box::new(resources));
    let options = Options { workers: 1, ..Options::new(Default::default(), Role::Gateway, source) };
    let proxy = Proxy::start(options).await?;
    proxy.ready().await;
    Ok((proxy, address))
}

/// Another process, whose own CPU time is none of the proxy's.
fn client(accept: &str, rounds: usize) -> Result<()> {
    let request = format!(
        "GET /stats/prometheus HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    );
    let mut times = Vec::new();
    let mut page = Vec::new();
    for _ in 0..rounds {
        page.clear();
        let start = Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, METRICS_PORT))?;
        stream.write_all(request.as_bytes())?;
        stream.read_to_end(&mut page)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{} bytes, p50 {:.2} ms, p99 {:.2} ms", page.len(), at(50), at(99));
    Ok(())
}
