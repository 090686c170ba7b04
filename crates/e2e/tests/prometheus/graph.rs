//! The graph as a Prometheus knows it, and as the control plane does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Options};
use lateen_testkit::net::{free_port, http_get};
use lateen_testkit::process::Process;
use lateen_testkit::prometheus::{Histograms, Prometheus};
use lateen_testkit::wait::wait_until;
use serde_json::Value;

use super::Rig;

/// Seconds of the time in which both are compared: the traffic, a report of the proxies, a scrape, and the machine.
const DURATION: u64 = 35;
/// How long it is waited for, and for the end of what was before.
const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: i64 = 6;
/// Milliseconds that Prometheus has been there before.
const QUIET: u64 = 15_000;
/// Milliseconds after which a step is scraped.
const SCRAPED: u64 = 10_000;

/// Connections and bytes of each edge in that time.
type Edges = BTreeMap<String, [i64; 4]>;

fn ids(graph: &Value, of: &str) -> Vec<String> {
    let all = graph[of].as_array().into_iter().flatten();
    all.filter_map(|one| one["id"].as_str()).map(str::to_owned).collect()
}

fn edges(graph: &Value) -> Edges {
    let all = graph["edges"].as_array().into_iter().flatten();
    let counts = |edge: &Value| {
        ["opened", "closed", "sent", "received"]
            .map(|rate| edge["traffic"]["tcp"][rate].as_f64().unwrap_or(-1.0) * DURATION as f64)
            .map(|count| count.round() as i64)
    };
    all.map(|edge| (edge["id"].as_str().unwrap_or_default().to_owned(), counts(edge))).collect()
}

/// A page of a control plane's API.
pub fn page(mesh: &Mesh, path: &str) -> Result<(String, Value)> {
    let answer = http_get(&mesh.home().join("run/control.admin.sock"), path)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    Ok((head.to_owned(), serde_json::from_str(body).context(body.to_owned())?))
}

pub fn scraping(rig: &Rig, seconds: u32) -> Result<Prometheus> {
    // A proxy that is scraped at two ports counts twice.
    let all = rig.scrape_configs()?;
    let jobs = all.split_inclusive("}]\n").filter(|job| {
        ["merged", "gateway"].iter().any(|name| job.contains(&format!("job_name: {name}\n")))
    });
    let interval = format!("\n  scrape_interval: {seconds}s\n  metrics_path");
    let jobs = jobs.collect::<String>().replace("\n  metrics_path", &interval);
    Prometheus::start(&jobs, Histograms::Classic)
}

/// The graph of so many seconds, to this time or to now.
pub fn graph(mesh: &Mesh, duration: u64, at: Option<u64>) -> Result<Value> {
    let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
    let (head, graph) =
        page(mesh, &format!("/api/v1/graph?type=workload&duration={duration}{at}"))?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head} {graph}");
    Ok(graph)
}

#[test]
fn a_prometheus_and_the_control_plane_draw_the_same_graph() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let rig = Rig::new(folder.path())?;
        let prometheus = scraping(&rig, 1)?;
        let args = ["--gateway", "none", "--prometheus", &prometheus.url()].map(str::to_owned);
        let follower = Mesh::up(Options { args: args.into(), ..Options::default() })?;
        wait_until("what made it ready to be over", PATIENCE, || {
            let (known, read) = (graph(&rig.mesh, 10, None)?, graph(&follower, 10, None)?);
            let seen = prometheus.number("sum(up)")?;
            ensure!(edges(&known).is_empty() && edges(&read).is_empty() && seen == 2.0, "{known}");
            let (_, status) = page(&follower, "/api/v1/status")?;
            let [oldest, now] = ["oldest", "now"].map(|time| status[time].as_u64().unwrap_or(0));
            ensure!(oldest + QUIET <= now, "Prometheus is too young: {status}");
            Ok(())
        })?;
        let begin = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        // What a scrape sees is of the time since the one before, in which nothing was.
        let at = (begin / 5 * 5 + DURATION - 5) * 1000;
        (0..ROUNDS).try_for_each(|_| rig.talk())?;
        let (known, read) = wait_until("both to know the same", PATIENCE, || {
            let both =
                [graph(&rig.mesh, DURATION, Some(at))?, graph(&follower, DURATION, Some(at))?];
            let [known, read] = &both;
            let (_, status) = page(&follower, "/api/v1/status")?;
            let now = status["now"].as_u64().unwrap_or(0);
            ensure!(now >= at + SCRAPED, "the scrape that tells the end is awaited: {status}");
            ensure!(both.iter().all(|graph| graph["at"] == at), "{} {}", known["at"], read["at"]);
            Ok((known.clone(), read.clone()))
        })?;
        ensure!(edges(&known) == edges(&read), "{:?} is not {:?}", edges(&known), edges(&read));
        ensure!(ids(&known, "nodes") == ids(&read, "nodes"), "{known} and {read}");
        let counts = edges(&known);
        for (from, to) in [
            ("workload/istio-system/istio-ingressgateway", "service/default/web"),
            ("service/default/tcp-echo-server", "workload/default/echo-server"),
        ] {
            let found = counts
                .get(&format!("{from}>{to}#tcp"))
                .map(|[opened, closed, ..]| [*opened, *closed]);
            ensure!(found == Some([ROUNDS; 2]), "{from} to {to}: {counts:?}");
        }
        once(&rig, &prometheus)?;
        failures(&rig, &follower, prometheus)
    });
}

/// `lateen graph` reads a Prometheus without a control plane.
fn once(rig: &Rig, prometheus: &Prometheus) -> Result<()> {
    let mut command = rig.mesh.lateen(&["graph", "-o", "json", "--duration", "5m"])?;
    command.args(["--prometheus", &prometheus.url()]);
    let text = Process::spawn("lateen graph", &mut command)?.success(PATIENCE)?;
    let read: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    ensure!(ids(&read, "edges").iter().any(|id| id.contains("istio-ingressgateway")), "{text}");
    Ok(())
}

/// What cannot be read is said, with the address.
fn failures(rig: &Rig, follower: &Mesh, prometheus: Prometheus) -> Result<()> {
    let (_, status) = page(follower, "/api/v1/status")?;
    ensure!(status["source"] == "prometheus" && status["proxies"] == 2, "{status}");
    let url = prometheus.url();
    drop(prometheus);
    wait_until("a notice", PATIENCE, || {
        let graph = graph(follower, 300, None)?;
        let notices = graph["notices"].to_string();
        ensure!(notices.contains(&url) && notices.contains("cannot be reached"), "{graph}");
        Ok(())
    })?;
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let mut command = rig.mesh.lateen(&["graph", "--prometheus", &nobody])?;
    let output = command.output().context("starting lateen")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains(&nobody), "{said}");
    ensure!(said.contains("check --prometheus"), "{said}");
    Ok(())
}
