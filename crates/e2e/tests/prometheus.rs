//! A real Prometheus reads a sidecar, its application, the gateway and the control plane, and the dashboards'
//! queries find what they ask for.

#[path = "prometheus/dashboards.rs"]
mod dashboards;
#[path = "prometheus/graph.rs"]
mod graph;
#[path = "prometheus/intervals.rs"]
mod intervals;
#[path = "prometheus/requests.rs"]
mod requests;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;

use anyhow::{Result, ensure};
use lateen_e2e::pod::{NODE, POD, Pod, get, injected, relay};
use lateen_e2e::{ECHO_GATEWAY, ECHO_YAML, SOON, answers, gateway, mesh, service, virtual_service};
use lateen_testkit::echo::{Manner, start};
use lateen_testkit::isolate::{isolated, replace_resolv_conf};
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::ask;
use lateen_testkit::process::Process;
use lateen_testkit::prometheus::{Histograms, Prometheus};
use lateen_testkit::wait::wait_until;

const WORKLOAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web, version: v1}
      annotations:
        prometheus.io/port: "8081"
        prometheus.io/path: /own
        proxy.istio.io/config: '{"discoveryAddress": "10.77.0.1:15010",
          "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}'
    spec:
      containers:
      - {name: web, image: web}
"#;

/// The pod and the node's echo server as the mesh sees them, and a way through the gateway to the pod.
const ENTRIES: &str = "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web}
spec: {address: 10.77.0.2, labels: {app: web, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: echo-server}
spec: {address: 10.77.0.1, labels: {app: echo-server, version: v1}}
---
";
const TO_WEB: &str = "127.0.0.1:31401";
/// Where requests are counted.
const REQUEST_METRICS: u16 = 15091;

/// A mesh with a pod whose application echoes on 8080 and has metrics of its own on 8081.
struct Rig {
    mesh: Mesh,
    pod: Pod,
    _proxy: Process,
}

impl Rig {
    fn new(folder: &Path) -> Result<Self> {
        replace_resolv_conf(folder, "nameserver 192.0.2.53\nsearch default.svc.cluster.local\n")?;
        let mesh = mesh()?;
        let way = virtual_service("web", "web", 31401, &[("web", 100)]).replace("8020", "8080");
        let objects = [&service("web", 8080, "app: web"), ENTRIES, &gateway("web", 31401), &way];
        mesh.apply(&objects.concat())?;
        mesh.apply(ECHO_YAML)?;
        let pod = Pod::new(injected(folder, WORKLOAD, "web")?)?;
        relay(mesh.home().join("run/ads.sock"))?;
        pod.serve("0.0.0.0:8080", echo)?;
        pod.serve("0.0.0.0:8081", own_metrics)?;
        let manner = Manner { reply_prefix: Some("v1> ".into()), ..Manner::default() };
        start(&format!("{NODE}:8020"), manner)?;
        pod.intercept()?;
        let proxy = pod.start(&[])?;
        wait_until("the proxy to be ready", START, || {
            let (status, body) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
            ensure!(status == 200, "{status} {body}");
            Ok(())
        })?;
        answers(ECHO_GATEWAY, "v1> ")?;
        answers(TO_WEB, "")?;
        Ok(Self { mesh, pod, _proxy: proxy })
    }

    /// What Prometheus is to scrape, the control plane by the home's token.
    fn scrape_configs(&self) -> Result<String> {
        let home = self.mesh.home();
        let state = std::fs::read_to_string(home.join("home.json"))?;
        let state: serde_json::Value = serde_json::from_str(&state)?;
        let graph = state["graphUrl"].as_str().unwrap_or_default().trim_start_matches("http://");
        let token = home.join("data/graph-token");
        let job = |name: &str, target: &str| {
            format!(
                "- job_name: {name}\n  metrics_path: /stats/prometheus\n  \
                 static_configs: [{{targets: ['{target}']}}]\n"
            )
        };
        Ok([
            job("sidecar", &format!("{POD}:15090")),
            job("merged", &format!("{POD}:15020")),
            job("gateway", "127.0.0.1:15090"),
            job("requests", &format!("{NODE}:{REQUEST_METRICS}")),
            format!(
                "- job_name: istiod\n  metrics_path: /api/v1/metrics\n  authorization: {{credentials_file: {}}}\n  \
                 static_configs: [{{targets: ['{graph}']}}]\n",
                token.display()
            ),
        ]
        .concat())
    }

    fn prometheus(&self, histograms: Histograms) -> Result<Prometheus> {
        Prometheus::start(&self.scrape_configs()?, histograms)
    }

    /// One conversation through the gateway with the pod, and one of the pod's with the echo server.
    fn talk(&self) -> Result<()> {
        ensure!(ask(TO_WEB, "1234567\n")? == "1234567\n");
        let answer = self.pod.application("printf 'abc\\n' | nc -q1 -w5 tcp-echo-server 8020")?;
        ensure!(answer == "v1> abc\n", "{answer:?}");
        Ok(())
    }
}

/// Sends back what comes.
fn echo(listener: TcpListener) {
    let _ = lateen_testkit::echo::serve(&listener, &Manner::default());
}

fn own_metrics(listener: TcpListener) {
    serve_pages(&listener, |_| ("text/plain; version=0.0.4", b"own_metric 7\n".to_vec()));
}

/// Answers each request by its head.
fn serve_pages(listener: &TcpListener, page: impl Fn(&str) -> (&'static str, Vec<u8>)) {
    while let Ok((mut stream, _)) = listener.accept() {
        let lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let lines = lines.take_while(|line| !line.is_empty());
        let head: String = lines.map(|line| line + "\n").collect();
        let (kind, body) = page(&head);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0]);
    }
}

/// A number that Prometheus is to come to.
fn expect(prometheus: &Prometheus, expression: &str, expected: f64) -> Result<()> {
    wait_until(expression, SOON, || {
        let number = prometheus.number(expression)?;
        ensure!(number == expected, "{expression} is {number}, not {expected}");
        Ok(())
    })
}

/// Every target answers.
fn all_up(prometheus: &Prometheus) -> Result<()> {
    wait_until("all targets", SOON, || {
        let down = prometheus.query("up == 0")?;
        let up = prometheus.number("sum(up)")?;
        let targets = || prometheus.api("targets", &[]).map(|targets| targets.to_string());
        ensure!(down.is_empty() && up == 5.0, "{down:?} {}", targets()?);
        Ok(())
    })
}

#[test]
fn a_real_prometheus_reads_exactly_what_was_counted() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let rig = Rig::new(folder.path())?;
        let requests = requests::serve(NODE, REQUEST_METRICS)?;
        // The proxies' pages come as protobuf to it, and native histograms with them.
        let prometheus = rig.prometheus(Histograms::Native)?;
        all_up(&prometheus)?;
        let into_web =
            "destination_service=\"web.default.svc.cluster.local\",destination_workload=\"web\"";
        let opened = |job: &str, labels: &str| {
            prometheus.number(&format!(
                "sum(istio_tcp_connections_opened_total{{job=\"{job}\",{labels}}})"
            ))
        };
        let from_gateway =
            format!("reporter=\"source\",{into_web},source_workload=\"istio-ingressgateway\"");
        let at_web = "reporter=\"destination\",destination_workload=\"web\"";
        let before = wait_until("what made it ready", SOON, || {
            let counts = [opened("gateway", &from_gateway)?, opened("sidecar", at_web)?];
            ensure!(counts[0] == counts[1], "{counts:?}");
            Ok(counts[0])
        })?;
        for _ in 0..5 {
            rig.talk()?;
        }
        let sum = |metric: &str, labels: &str| format!("sum(istio_tcp_{metric}_total{{{labels}}})");
        let at = |job: &str, labels: &str| format!("job=\"{job}\",{labels}");
        let (connections, readying) = (before + 5.0, before * 6.0);
        for job in ["sidecar", "merged"] {
            let labels = at(job, at_web);
            expect(&prometheus, &sum("connections_opened", &labels), connections)?;
            expect(&prometheus, &sum("connections_closed", &labels), connections)?;
            expect(&prometheus, &sum("received_bytes", &labels), 5.0 * 8.0 + readying)?;
            expect(&prometheus, &sum("sent_bytes", &labels), 5.0 * 8.0 + readying)?;
            let out =
                "reporter=\"source\",source_workload=\"web\",destination_workload=\"echo-server\"";
            expect(&prometheus, &sum("connections_opened", &at(job, out)), 5.0)?;
            expect(&prometheus, &sum("sent_bytes", &at(job, out)), 5.0 * 8.0)?;
        }
        let at_gateway = at("gateway", &from_gateway);
        expect(&prometheus, &sum("connections_opened", &at_gateway), connections)?;
        expect(&prometheus, &sum("received_bytes", &at_gateway), 5.0 * 8.0 + readying)?;
        expect(&prometheus, "own_metric{job=\"merged\"}", 7.0)?;
        expect(&prometheus, "sum(pilot_xds{job=\"istiod\"})", 2.0)?;
        expect(&prometheus, "pilot_virt_services", 2.0)?;
        expect(&prometheus, "pilot_xds_lds_reject", 0.0)?;
        expect(
            &prometheus,
            "count by (type) (pilot_k8s_cfg_events{type=\"WorkloadEntry\",event=\"add\"})",
            1.0,
        )?;
        expect(&prometheus, "sum(istio_build) by (component) > 1", 3.0)?;
        native_histograms(&prometheus, &requests)
    });
}

/// The latencies of a proxy's own registry, as native histograms.
fn native_histograms(prometheus: &Prometheus, requests: &requests::Requests) -> Result<()> {
    requests.stop();
    let name = "istio_request_duration_milliseconds{reporter=\"destination\"}";
    let classic = prometheus.query("istio_request_duration_milliseconds_bucket")?;
    ensure!(classic.is_empty(), "not native: {classic:?}");
    let count = format!("histogram_count(sum({name}))");
    expect(prometheus, &count, requests.count() as f64)?;
    expect(prometheus, &format!("histogram_sum(sum({name}))"), requests.milliseconds())?;
    let median = prometheus.number(&format!("histogram_quantile(0.5, sum({name}))"))?;
    // A bucket is an eighth of a doubling wide.
    let exact = requests::MEDIAN;
    ensure!((exact / 1.1..exact * 1.1).contains(&median), "{median} for {exact}");
    Ok(())
}
