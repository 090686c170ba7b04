//! A Prometheus that scrapes seldom, and began when traffic had been there for long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::run;
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::mesh::{Mesh, Options};
use lateen_testkit::net::ask;
use lateen_testkit::wait::wait_until;
use serde_json::Value;

use super::graph::{graph, page, scraping};
use super::{Rig, TO_WEB};

/// Connections in a second.
const RATE: f64 = 8.0;
/// Seconds from one scrape to the next.
const INTERVAL: u32 = 15;
/// Three scrapes of each proxy, and the machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long rates are looked at.
const WATCHED: Duration = Duration::from_secs(2 * INTERVAL as u64);
/// All waits, and a scrape that fails.
const LONGEST: Duration = Duration::from_secs(300);

/// Connects at the rate until it is told to stop.
fn connect(is_over: &AtomicBool) -> Result<()> {
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        ask(TO_WEB, "x\n")?;
        next += Duration::from_secs_f64(1.0 / RATE);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// The rate of what the gateway sends to the service, if that is known, and all of the graph.
fn rate(mesh: &Mesh, duration: u64) -> Result<(Option<f64>, Value)> {
    let graph = graph(mesh, duration, None)?;
    let mut edges = graph["edges"].as_array().into_iter().flatten();
    let from = "workload/istio-system/istio-ingressgateway>";
    let edge = edges.find(|edge| edge["id"].as_str().is_some_and(|id| id.starts_with(from)));
    let rate = edge.and_then(|edge| edge["traffic"]["tcp"]["opened"].as_f64());
    Ok((rate, graph))
}

fn is_true(rate: f64) -> bool {
    (rate / RATE - 1.0).abs() < 0.05
}

#[test]
fn rates_are_true_of_a_young_prometheus_that_scrapes_every_15_seconds() {
    isolated_for(LONGEST, || {
        let folder = tempfile::tempdir()?;
        let rig = Rig::new(folder.path())?;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let traffic = scope.spawn(|| connect(&is_over));
            let watched = watch(&rig);
            is_over.store(true, Ordering::Relaxed);
            traffic.join().ok().context("the traffic")??;
            watched
        })
    });
}

fn watch(rig: &Rig) -> Result<()> {
    wait_until("the traffic to have been there for long", PATIENCE, || {
        let (rate, _) = rate(&rig.mesh, 30)?;
        ensure!(rate.is_some_and(is_true), "{rate:?}");
        Ok(())
    })?;
    let prometheus = scraping(rig, INTERVAL)?;
    let args = ["--gateway", "none", "--prometheus", &prometheus.url()].map(str::to_owned);
    let follower = Mesh::up(Options { args: args.into(), ..Options::default() })?;
    wait_until("two scrapes", PATIENCE, || {
        let (rate, graph) = rate(&follower, 30)?;
        rate.with_context(|| format!("nothing yet: {graph}"))
    })?;
    stays_true(&follower)?;
    let path =
        "/api/v1/series?id=workload/istio-system/istio-ingressgateway&type=workload&duration=300";
    let (_, series) = page(&follower, path)?;
    let opened = series["outbound"]["tcp.opened"].as_array().context("no course")?;
    let known: Vec<f64> = opened.iter().filter_map(Value::as_f64).collect();
    ensure!(opened[0].is_null() && known.len() >= 6, "{opened:?}");
    ensure!(known.iter().all(|rate| (rate / RATE - 1.0).abs() < 0.15), "{opened:?}");
    run("nft", &["add table inet broken"])?;
    run("nft", &["add chain inet broken in { type filter hook input priority 0; }"])?;
    run("nft", &["add rule inet broken in tcp dport 15090 reject with tcp reset"])?;
    wait_until("a scrape that fails", PATIENCE, || {
        let (rate, graph) = rate(&follower, 30)?;
        ensure!(rate.is_some_and(is_true), "{rate:?} {}", graph["notices"]);
        let failed = prometheus.query("up{job=\"gateway\"} == 0")?;
        ensure!(!failed.is_empty(), "all are well");
        let (notices, missed) = (graph["notices"].to_string(), "cannot scrape 1 of 2 proxies (");
        ensure!(notices.contains(missed), "{notices}");
        let (_, status) = page(&follower, "/api/v1/status")?;
        ensure!(status["notices"].to_string().contains(missed), "{status}");
        let mut command = rig.mesh.lateen(&["graph", "--prometheus", &prometheus.url()])?;
        let said = command.output().context("starting lateen")?.stderr;
        let said = String::from_utf8_lossy(&said);
        ensure!(said.contains(missed), "{said}");
        Ok(())
    })?;
    run("nft", &["delete table inet broken"])?;
    // If a second scrape has failed by now the third one may be a little late.
    wait_until("a scrape that succeeds", PATIENCE, || {
        let failed = prometheus.query("up{job=\"gateway\"} == 0")?;
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(())
    })?;
    wait_until("the rate", PATIENCE, || {
        let (rate, graph) = rate(&follower, 30)?;
        ensure!(rate.is_some_and(is_true), "{rate:?} {}", graph["notices"]);
        Ok(())
    })?;
    stays_true(&follower)
}

fn stays_true(follower: &Mesh) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < WATCHED {
        for duration in [30, 300, 3600] {
            let (rate, graph) = rate(follower, duration)?;
            ensure!(rate.is_some_and(is_true), "{duration}: {rate:?} {}", graph["notices"]);
            let notice = graph["notices"][0].as_str().unwrap_or_default();
            ensure!(duration == 30 || notice.contains(" that are known"), "{notice:?}");
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
