//! Istio's metrics of real traffic: what the proxies count is what was sent, and both ends are named.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::get;
use lateen_e2e::{DATABASE, ECHO_GATEWAY, SOON, echo_mesh, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::{ask, http_get};
use lateen_testkit::wait::wait_until;
use serde_json::Value;

/// How long bytes of a connection that goes on may take to be counted: an interval, and the machine.
const COUNTED: Duration = Duration::from_secs(10);

/// One sample: its labels and its value.
type Sample = (BTreeMap<String, String>, u64);

/// The samples of one of Istio's TCP metrics at a proxy.
fn samples(mesh: &Mesh, proxy: &str, metric: &str) -> Result<Vec<Sample>> {
    let socket = mesh.home().join("run").join(format!("{proxy}.admin.sock"));
    let page = http_get(&socket, "/stats/prometheus")?;
    let start = format!("istio_tcp_{metric}_total{{");
    page.lines().filter_map(|line| line.strip_prefix(&start)).map(sample).collect()
}

fn sample(line: &str) -> Result<Sample> {
    let (labels, value) = line.rsplit_once("} ").context("a sample has labels and a value")?;
    let labels = labels.split("\",").map(|label| {
        let (name, value) = label.split_once("=\"").context("a label has a value")?;
        Ok((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Ok((labels.collect::<Result<_>>()?, value.parse()?))
}

/// The sum of a metric over the series that have all of these labels.
fn sum(mesh: &Mesh, proxy: &str, metric: &str, labels: &[(&str, &str)]) -> Result<u64> {
    let all = samples(mesh, proxy, metric)?;
    let fits = |(have, _): &&Sample| {
        labels.iter().all(|(name, value)| have.get(*name).is_some_and(|have| have == value))
    };
    Ok(all.iter().filter(fits).map(|(_, value)| value).sum())
}

/// The opened and closed connections and the received and sent bytes of such series, as expected.
fn expect(
    mesh: &Mesh,
    proxy: &str,
    labels: &[(&str, &str)],
    [opened, closed, received, sent]: [u64; 4],
) -> Result<()> {
    let what = format!("{proxy} to count {labels:?}");
    wait_until(&what, COUNTED, || {
        let mut found = Vec::new();
        let metrics = ["connections_opened", "connections_closed", "received_bytes", "sent_bytes"];
        for metric in metrics {
            found.push(sum(mesh, proxy, metric, labels)?);
        }
        let all = samples(mesh, proxy, "connections_opened")?;
        ensure!(found == [opened, closed, received, sent], "{found:?} of {all:?}");
        Ok(())
    })
}

const SERVICE: [(&str, &str); 5] = [
    ("destination_service", "tcp-echo-server.default.svc.cluster.local"),
    ("destination_service_name", "tcp-echo-server"),
    ("destination_service_namespace", "default"),
    ("destination_workload", "echo-server"),
    ("destination_version", "v1"),
];

#[test]
fn a_prometheus_finds_workloads_and_the_gateway_on_istios_ports() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        ensure!(ask(ECHO_GATEWAY, "1234567\n")? == "v1> 1234567\n");
        let entry = mesh.object("workloadentry", "echo-server")?;
        let server = entry["spec"]["address"].as_str().context("an address")?;
        for (host, reporter) in [(server, "destination"), ("127.0.0.1", "source")] {
            for port in [15020, 15090] {
                let (status, page) = get(&format!("{host}:{port}"), "GET", "/stats/prometheus")?;
                ensure!(status == 200, "{host}:{port}: {status}");
                let start = "istio_tcp_connections_opened_total{reporter=";
                ensure!(page.contains(&format!("{start}\"{reporter}\"")), "{host}:{port}: {page}");
            }
            ensure!(get(&format!("{host}:15021"), "GET", "/healthz/ready")?.0 == 200);
        }
        Ok(())
    });
}

/// Answers `own_metric` and the path that was asked for, on port 9000 of the loopback.
const APPLICATION: &str = "
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'own_metric{{path=\"{self.path}\"}} 7\\n'.encode())
http.server.HTTPServer(('127.0.0.1', 9000), Page).serve_forever()
";

#[test]
fn a_programs_own_metrics_are_merged_as_the_annotations_of_its_deployment_or_its_command_line_say()
{
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  \
             selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      \
             labels: {app: web}\n      annotations: {prometheus.io/port: '9000', prometheus.io/path: /own}\n    \
             spec: {containers: [{name: web, image: web}]}\n",
        )?;
        let program = ["python3", "-c", APPLICATION];
        let _web = mesh.run("web", "app=web", &program)?;
        let said = ["--annotations", "prometheus.io/path=/other,prometheus.io/port=9000"];
        let _other = mesh.run_with("other", "app=other", &said, &program)?;
        for (name, path) in [("web", "/own"), ("other", "/other")] {
            wait_until(name, START, || {
                let entry = mesh.object("workloadentry", name)?;
                let address = entry["spec"]["address"].as_str().context("an address")?;
                let (_, page) = get(&format!("{address}:15020"), "GET", "/stats/prometheus")?;
                let own = format!("\nown_metric{{path=\"{path}\"}} 7\n");
                ensure!(page.contains(&own) && page.contains("\nistio_build{"), "{page}");
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn both_ends_count_exactly_what_was_sent_and_know_each_other() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let count = |labels: &[(&str, &str)]| {
            let labels = [labels, &SERVICE].concat();
            Ok::<_, anyhow::Error>([
                sum(&mesh, "gateway", "connections_opened", &labels)?,
                sum(&mesh, "gateway", "received_bytes", &labels)?,
            ])
        };
        // The demo's readiness has been asked for before.
        let [connections, bytes] = count(&[("reporter", "source")])?;
        for _ in 0..4 {
            ensure!(ask(ECHO_GATEWAY, "1234567\n")? == "v1> 1234567\n");
        }
        let through = [
            connections + 4,
            connections + 4,
            bytes + 4 * 8,
            bytes + 4 * (8 + 4) + connections * 4,
        ];
        let by_gateway = [("reporter", "source"), ("source_workload", "istio-ingressgateway")];
        expect(&mesh, "gateway", &[&by_gateway[..], &SERVICE].concat(), through)?;
        let at_server = [
            ("reporter", "destination"),
            ("source_workload", "istio-ingressgateway"),
            ("source_workload_namespace", "istio-system"),
            ("connection_security_policy", "none"),
        ];
        let server = "w.default.echo-server";
        expect(&mesh, server, &[&at_server[..], &SERVICE].concat(), through)?;

        // One connection stays open, so that its bytes are counted while it goes on.
        let script = "{ echo one; echo two; sleep 1000; } | nc tcp-echo-server 8020";
        let labels = "app=echo-client,version=v7";
        let _client = mesh.run("echo-client", labels, &["sh", "-c", script])?;
        let open = [1, 0, 8, 16];
        let by_client = [("reporter", "source"), ("source_workload", "echo-client")];
        let client = "w.default.echo-client";
        wait_until("the client's proxy", START, || {
            http_get(&mesh.home().join("run/w.default.echo-client.admin.sock"), "/ready")
        })?;
        expect(&mesh, client, &[&by_client[..], &SERVICE].concat(), open)?;
        let from_client = [
            ("reporter", "destination"),
            ("source_workload", "echo-client"),
            ("source_app", "echo-client"),
            ("source_canonical_revision", "v7"),
            ("request_protocol", "tcp"),
            ("response_flags", "-"),
        ];
        expect(&mesh, server, &[&from_client[..], &SERVICE].concat(), open)?;
        for metric in ["connections_opened", "sent_bytes"] {
            let all = samples(&mesh, server, metric)?;
            let unknown = |(labels, _): &&Sample| labels["source_workload"] == "unknown";
            ensure!(!all.iter().any(|sample| unknown(&sample)), "{all:?}");
        }
        Ok(())
    });
}

#[test]
fn a_refused_connection_is_counted_with_its_flags_and_its_service() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(DATABASE)?;
        let script = "nc -w1 10.7.7.7 3306 </dev/null; sleep 1000";
        let _client = mesh.run("client", "app=client,version=v1", &["sh", "-c", script])?;
        let labels = [
            ("reporter", "source"),
            ("source_workload", "client"),
            ("destination_service", "db.example.com"),
            ("destination_service_name", "db.example.com"),
        ];
        wait_until("a refusal to be counted", START + SOON, || {
            let all = samples(&mesh, "w.default.client", "connections_closed")?;
            let fits = |(have, _): &&Sample| {
                labels.iter().all(|(name, value)| have[*name] == *value)
                    && have["response_flags"].contains("UF")
            };
            ensure!(all.iter().any(|sample| fits(&sample)), "{all:?}");
            Ok(())
        })?;
        explained(&mesh)
    });
}

/// An answer of the graph's API.
fn api(mesh: &Mesh, path: &str) -> Result<Value> {
    let socket = mesh.home().join("run/control.admin.sock");
    let reply = http_get(&socket, &format!("/api/v1/{path}"))?;
    let (_, body) = reply.split_once("\r\n\r\n").context("a reply has a body")?;
    serde_json::from_str(body).with_context(|| format!("{path}: {body}"))
}

/// The control plane tells of the refused connection why it failed, and shows it in the log.
fn explained(mesh: &Mesh) -> Result<()> {
    let id = "workload/default/client";
    let failure: Value = wait_until("the failure to be told", COUNTED, || {
        let page = api(mesh, &format!("failures?id={id}"))?;
        page["failures"].get(0).cloned().context("none yet")
    })?;
    let summary = failure["summary"].as_str().unwrap_or_default();
    ensure!(summary.starts_with("db.example.com "), "{failure:#}");
    ensure!(summary.contains("10.201.255.254:3306"), "{failure:#}");
    ensure!(failure["source"] == id && failure["flags"] == "UF,URX", "{failure:#}");
    ensure!(failure["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{failure:#}");
    let steps = failure["steps"].as_array().context("it has steps")?;
    ensure!(steps.iter().filter(|step| step["failed"] == true).count() == 1, "{failure:#}");

    let logs = api(mesh, "logs?id=mesh&limit=100")?;
    let lines = logs["lines"].as_array().context("there are lines")?;
    let of_client =
        |line: &&Value| line["from"].as_str().is_some_and(|from| from == "client.default");
    let line = lines.iter().find(of_client).context("the client's proxy has lines")?;
    ensure!(line["text"].as_str().is_some_and(|text| text.contains(" UF,URX ")), "{line}");

    let nobody = api(mesh, "failures?id=workload/default/nobody")?;
    ensure!(nobody["status"] == 404, "{nobody}");
    Ok(())
}

/// A gateway that takes TLS for one host, and a client that may only go where something is declared.
const NARROW: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 31443, name: tls, protocol: TLS}
    tls: {mode: PASSTHROUGH}
    hosts: ['db.example.com']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure}
spec:
  hosts: ['db.example.com']
  gateways: [secure]
  tls:
  - match: [{port: 31443, sniHosts: [db.example.com]}]
    route: [{destination: {host: db.example.com, port: {number: 3306}}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow}
spec:
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
";

/// The first failure of a workload, once it is told.
fn failure_of(mesh: &Mesh, id: &str) -> Result<Value> {
    wait_until("the failure to be told", START + COUNTED, || {
        let page = api(mesh, &format!("failures?id={id}"))?;
        page["failures"].get(0).cloned().context("none yet")
    })
}

#[test]
fn what_was_refused_before_a_route_was_chosen_is_shown_with_where_it_was_to_go() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(DATABASE)?;
        mesh.apply(NARROW)?;
        let script = "nc -w1 10.7.7.8 3306 </dev/null; sleep 1000";
        let _client = mesh.run("client", "app=client,version=v1", &["sh", "-c", script])?;
        let client = "workload/default/client";
        let gateway = "workload/istio-system/istio-ingressgateway";
        wait_until("the gateway to listen", SOON, || {
            ask("127.0.0.1:31443", "hello\n").map(drop).or_else(|error| {
                let text = format!("{error:#}");
                ensure!(!text.contains("refused"), "{text}");
                Ok(())
            })
        })?;
        for (id, destination, flags, said, remedy) in [
            (client, "10.7.7.8:3306", "UH", "REGISTRY_ONLY", "ALLOW_ANY in Sidecar default/narrow"),
            (gateway, "127.0.0.1:31443", "NR", "without TLS", "give the Gateway a server"),
        ] {
            let failure = failure_of(&mesh, id)?;
            ensure!(failure["source"] == id, "{failure:#}");
            ensure!(failure["target"] == "blackHole//BlackHoleCluster", "{failure:#}");
            ensure!(failure["destination"] == destination, "{failure:#}");
            ensure!(failure["flags"] == flags, "{failure:#}");
            let summary = failure["summary"].as_str().unwrap_or_default();
            ensure!(summary.contains(destination) && summary.contains(said), "{failure:#}");
            let told = failure["remedy"].as_str().unwrap_or_default();
            ensure!(told.contains(remedy), "{failure:#}");
            wait_until("the edge", COUNTED, || {
                let graph = api(&mesh, "graph?type=workload")?;
                let edges = graph["edges"].as_array().context("a graph has edges")?;
                let edge = format!("{id}>blackHole//BlackHoleCluster#tcp");
                let edge = edges.iter().find(|one| one["id"] == *edge).context("no such edge")?;
                let health = &edge["health"]["state"];
                ensure!(
                    health == "failing" && edge["traffic"]["tcp"]["flags"][flags].is_number(),
                    "{edge:#}"
                );
                Ok(())
            })?;
        }
        // The gateway's own metrics are Istio's: Envoy counts nothing that no filter chain took.
        let counted = samples(&mesh, "gateway", "connections_opened")?;
        ensure!(!counted.iter().any(|(labels, _)| labels["response_flags"] == "NR"), "{counted:?}");
        Ok(())
    });
}

/// A service with one version, and a route to another one.
const VERSIONS: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  addresses: [10.7.7.9]
  ports: [{number: 80, name: tcp, protocol: TCP}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints: [{address: 10.201.255.254, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: versions}
spec:
  host: shop.example.com
  subsets: [{name: second, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  tcp: [{route: [{destination: {host: shop.example.com, subset: second}}]}]
";

#[test]
fn an_empty_subset_and_a_missing_port_are_told_by_name_and_lead_to_nodes() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(VERSIONS)?;
        let script = "for port in 80 81; do nc -w3 10.7.7.9 $port </dev/null; done; sleep 1000";
        let _client = mesh.run("client", "app=client,version=v1", &["sh", "-c", script])?;
        for (destination, summary, remedy) in [
            (
                "10.7.7.9:80",
                "subset second of shop.example.com has no",
                "version=v2, by which DestinationRule default/versions",
            ),
            ("10.7.7.9:81", "ServiceEntry default/shop has no port 81", "a port that it has (80)"),
        ] {
            let failure = wait_until("the failure to be told", START + COUNTED, || {
                let page = api(&mesh, "failures?id=workload/default/client")?;
                let all = page["failures"].as_array().context("a list")?;
                let found = all.iter().find(|one| one["destination"] == destination);
                found.cloned().with_context(|| format!("not yet: {page:#}"))
            })?;
            let text = |field: &str| failure[field].as_str().unwrap_or_default();
            ensure!(text("summary").contains(summary), "{failure:#}");
            ensure!(text("remedy").contains(remedy), "{failure:#}");
            for services in [true, false] {
                wait_until("its end", COUNTED, || {
                    let graph = api(&mesh, &format!("graph?type=workload&services={services}"))?;
                    let nodes = graph["nodes"].as_array().context("a graph has nodes")?;
                    let has_node = nodes.iter().any(|node| node["id"] == failure["target"]);
                    ensure!(has_node, "{failure:#} {nodes:#?}");
                    Ok(())
                })?;
            }
        }
        Ok(())
    });
}

#[test]
fn what_the_host_itself_dials_is_no_traffic_of_the_gateway() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let entry = mesh.object("workloadentry", "echo-server")?;
        let address = entry["spec"]["address"].as_str().context("an address")?;
        let direct = format!("{address}:8020");
        let server = "w.default.echo-server";
        let opened =
            |source: &str| sum(&mesh, server, "connections_opened", &[("source_workload", source)]);
        let by_gateway = sum(&mesh, "gateway", "connections_opened", &SERVICE)?;
        for _ in 0..3 {
            ensure!(ask(&direct, "1234567\n")? == "v1> 1234567\n");
        }
        wait_until("the host's connections to be counted", COUNTED + SOON, || {
            let found = (opened("istio-ingressgateway")?, opened("unknown")?);
            ensure!(found == (by_gateway, 3), "{found:?} besides {by_gateway}");
            Ok(())
        })?;
        let client = "client//clients outside the mesh>service/default/tcp-echo-server#tcp";
        wait_until("the edge of an outside client", COUNTED, || {
            let graph = api(&mesh, "graph?type=workload")?;
            let edges = graph["edges"].as_array().context("a graph has edges")?;
            let ids: Vec<&str> = edges.iter().filter_map(|edge| edge["id"].as_str()).collect();
            ensure!(ids.contains(&client), "{ids:?}");
            Ok(())
        })
    });
}
