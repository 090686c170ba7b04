//! The live graph of a real mesh: its API over HTTP, and its page in a real browser.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{DATABASE, ECHO_GATEWAY, SOON, answers, echo_mesh, mesh, service};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Part, START};
use lateen_testkit::net::{ask, connect, is_listening};
use lateen_testkit::process::Process;
use lateen_testkit::tools::echo_client;
use lateen_testkit::wait::{holds_for, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// From the first byte until the graph shows it.
const SHOWN: Duration = Duration::from_secs(10);
/// How long a browser may take on a busy machine.
const BROWSED: Duration = Duration::from_secs(120);
/// Nodes of the demo's workload graph.
const NODES: [&str; 4] = [
    "service/default/tcp-echo-server",
    "workload/default/echo-client",
    "workload/default/echo-server",
    "workload/istio-system/istio-ingressgateway",
];
/// A Gateway whose port changes nothing but where it listens, and its path in the API.
const EDITED: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edited}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 31410, name: tcp, protocol: TCP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edited}
spec:
  hosts: ['*']
  gateways: [edited]
  tcp: [{route: [{destination: {host: tcp-echo-server, port: {number: 8020}}}]}]
";
/// A route of a service's clients to a host that nobody has.
const LOST: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost}
spec:
  hosts: [wanted]
  tcp: [{route: [{destination: {host: nosuch}}]}]
";
const GATEWAY: &str = "Gateway.networking.istio.io/default/edited";

/// The graph's API as a browser asks it.
struct Api {
    address: String,
    token: String,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Api {
    /// By the address that `lateen up` printed.
    fn of(mesh: &Mesh) -> Result<Self> {
        let url = url(mesh)?;
        let (address, token) = url.split_once("/?token=").context("a token in the address")?;
        let address = address.strip_prefix("http://").context("an http address")?;
        Ok(Self { address: address.to_owned(), token: token.to_owned() })
    }

    fn send(&self, method: &str, path: &str, more: &str, body: &str) -> Result<Answer> {
        let mut stream = connect(&self.address)?;
        write!(
            stream,
            "{method} /api/v1/{path} HTTP/1.1\r\nhost: graph\r\nconnection: close\r\n{more}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok(Answer {
            status: status.with_context(|| format!("no status in {head:?}"))?,
            head: head.to_owned(),
            body: serde_json::from_str(body).unwrap_or_default(),
        })
    }

    fn signed(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let answer = self.send("GET", path, &self.signed(), "")?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let head = format!("{}content-type: application/json\r\n", self.signed());
        self.send("POST", path, &head, &body.to_string())
    }

    /// The rows of a list as values of one field.
    fn list(&self, path: &str, field: &str) -> Result<Vec<String>> {
        let list = self.get(path)?;
        let rows = list["items"].as_array().context("a list has items")?;
        Ok(rows.iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect())
    }
}

fn url(mesh: &Mesh) -> Result<String> {
    let printed = mesh.supervisor().stdout();
    let url = printed.lines().find_map(|line| line.strip_prefix("graph "));
    Ok(url.with_context(|| format!("no graph in {printed:?}"))?.trim().to_owned())
}

/// The demo with its client, which asks again and again.
fn demo() -> Result<(Mesh, Vec<Process>)> {
    let (mesh, server) = echo_mesh()?;
    mesh.kubectl(&["label", "namespace", "default", "istio-injection=enabled"])?;
    let script = "while :; do echo hello | nc -q1 tcp-echo-server 8020; sleep 0.3; done";
    let labels = "app=echo-client,version=v1";
    let mut client = mesh.run("echo-client", labels, &["sh", "-c", script])?;
    client.wait_for("v1> hello", SOON + SHOWN)?;
    ask(ECHO_GATEWAY, "hello\n")?;
    Ok((mesh, vec![server, client]))
}

/// Waits until all of the demo is there; answers the graph.
fn shown(api: &Api) -> Result<Value> {
    wait_until("the demo's nodes", SHOWN, || {
        let graph = api.get("graph?type=workload")?;
        let nodes = graph["nodes"].as_array().context("a graph has nodes")?;
        let ids: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
        ensure!(NODES.iter().all(|node| ids.contains(node)), "{ids:?}");
        Ok(graph)
    })
}

#[test]
fn the_api_tells_of_the_demo_and_of_what_acts_on_it() {
    isolated(|| {
        let (mesh, _programs) = demo()?;
        let api = Api::of(&mesh)?;
        let graph = shown(&api)?;
        ensure!(!graph.to_string().contains("unknown"), "{graph}");
        let node = |id: &str| {
            let nodes = graph["nodes"].as_array().into_iter().flatten();
            nodes.into_iter().find(|node| node["id"] == id).cloned().unwrap_or_default()
        };
        let [service, _, server, gateway] = NODES.map(node);
        ensure!(service["badges"] == json!(["virtualService"]), "{service}");
        ensure!(gateway["gateway"] == "ingress", "{gateway}");
        ensure!(gateway["badges"] == json!(["gateway", "virtualService"]), "{gateway}");
        ensure!(server["health"]["state"] == "healthy", "{server}");
        ensure!(server["issues"] == json!({"errors": 0, "warnings": 0}), "{server}");
        ensure!(server["outOfMesh"].is_null(), "{server}");
        let past = wait_until("a step of the past", SOON, || {
            let at = graph["at"].as_u64().context("a time")?;
            let past = api.get(&format!("graph?type=workload&at={at}"))?;
            let nodes = past["nodes"].as_array().context("a graph has nodes")?;
            let then = nodes.iter().find(|node| node["id"] == NODES[3]).cloned();
            then.filter(|node| node["issues"].is_null()).context("it is not past yet")
        })?;
        ensure!(past["badges"] == json!([]), "today's badges on a graph of the past: {past}");
        ensure!(past["gateway"] == "ingress", "{past}");

        let mut command = mesh.lateen(&["graph", "--home"])?;
        command.arg(mesh.home());
        let mut command = Process::spawn("lateen graph", &mut command)?;
        let printed = command.success(SOON)?;
        ensure!(printed.contains("echo-client") && !printed.contains("unknown"), "{printed}");
        ensure!(!printed.contains("that are known"), "a notice among the edges: {printed}");
        let told = command.stderr();
        ensure!(told.contains("of these 60 s that are known"), "{told}");

        ensure!(api.list("workloads", "id")?.contains(&NODES[2].to_owned()));
        ensure!(api.list("applications?search=CLIENT", "id")? == ["app/default/echo-client"]);
        ensure!(
            api.list("services?namespaces=default", "name")?.contains(&"tcp-echo-server".into())
        );
        ensure!(api.list("config?kind=gateway", "name")? == ["tcp-echo-gateway-server"]);
        let acting = api.list(&format!("config?actsOn={}", NODES[3]), "kind")?;
        ensure!(acting == ["Gateway", "VirtualService", "WorkloadEntry"], "{acting:?}");
        let namespaces = api.get("namespaces")?;
        let all = namespaces["namespaces"].as_array().context("namespaces")?;
        let default = all.iter().find(|one| one["name"] == "default").context("default")?;
        ensure!(
            default["injection"] == "enabled" && default["health"]["state"] != "idle",
            "{default}"
        );
        // The step of the first connection has to be over.
        wait_until("a series", SOON, || {
            let series = api.get("series?id=appbox/default/echo-server&duration=300")?;
            ensure!(series["inbound"]["tcp.opened"].is_array(), "{series}");
            Ok(())
        })?;

        let path = "graph?type=app&at=";
        let at = graph["at"].as_u64().context("a time")?;
        let first = api.send("GET", &format!("{path}{at}"), &api.signed(), "")?;
        let tag = first.head.lines().find_map(|line| line.strip_prefix("etag: "));
        let tag = tag.with_context(|| format!("no tag in {}", first.head))?;
        let known = format!("{}if-none-match: {tag}\r\n", api.signed());
        ensure!(api.send("GET", &format!("{path}{at}"), &known, "")?.status == 304);
        for more in ["", "authorization: Bearer guessed\r\n"] {
            ensure!(api.send("GET", "status", more, "")?.status == 401);
        }
        Ok(())
    });
}

#[test]
fn objects_are_read_checked_and_written() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        mesh.apply(EDITED)?;
        answers("127.0.0.1:31410", "v1> ")?;
        let api = Api::of(&mesh)?;
        let path = format!("config/{GATEWAY}");
        let read = api.get(&path)?;
        let yaml = read["yaml"].as_str().context("YAML")?.to_owned();
        ensure!(yaml.contains("kind: Gateway") && !yaml.contains("managedFields"), "{yaml}");
        ensure!(read["editable"] == true && read["validation"] == json!([]), "{read}");
        ensure!(read["actsOn"] == json!([NODES[3]]), "{read}");
        let update =
            |yaml: &str, version: &Value| json!({"yaml": yaml, "resourceVersion": version});
        let version = &read["resourceVersion"];

        // A dry run tells what is wrong and changes nothing.
        let next = yaml.replace("31410", "31411");
        let checked = api.post(&format!("{path}?dryRun=true"), &update(&next, version))?;
        ensure!(
            checked.status == 200 && checked.body["validation"] == json!([]),
            "{}",
            checked.body
        );
        let wrong = yaml.replace("31410", "314100");
        let checked = api.post(&format!("{path}?dryRun=true"), &update(&wrong, version))?;
        let said = checked.body["validation"][0].clone();
        ensure!(checked.status == 200 && said["severity"] == "error", "{}", checked.body);
        ensure!(said["path"].as_str().is_some_and(|path| path.contains("port")), "{said}");
        ensure!(api.get(&path)?["yaml"] == read["yaml"]);
        ensure!(!is_listening("127.0.0.1:31411"));

        // A change takes effect, and what was read before it is old.
        let written = api.post(&path, &update(&next, version))?;
        ensure!(written.status == 200, "{}", written.body);
        wait_until("the new port", SOON, || {
            ensure!(is_listening("127.0.0.1:31411"), "closed");
            Ok(())
        })?;
        let late = api.post(&path, &update(&yaml, version))?;
        ensure!(late.status == 409, "{} {}", late.status, late.body);

        // What the mesh writes of its own is no change: a finding in the status, here.
        let odd = next.replace("istio: ingressgateway", "istio: nobody");
        let version = &written.body["resourceVersion"];
        // What the mesh will find is told before.
        let checked = api.post(&format!("{path}?dryRun=true"), &update(&odd, version))?;
        let foreseen = &checked.body["foreseen"];
        let said = foreseen["issues"][0]["message"].as_str().unwrap_or_default();
        ensure!(said.contains("istio=nobody") && foreseen["missing"].is_null(), "{foreseen}");
        let written = api.post(&path, &update(&odd, version))?;
        ensure!(written.status == 200, "{}", written.body);
        wait_until("a finding in the status", SOON + SOON, || {
            let status = mesh.object("gateways.networking.istio.io", "edited")?;
            ensure!(status["status"].to_string().contains("istio=nobody"), "{status}");
            Ok(())
        })?;
        let read = api.get(&path)?;
        ensure!(read["issues"]["errors"] == 1 && read["actsOn"] == json!([]), "{read}");
        let written = api.post(&path, &update(&next, &written.body["resourceVersion"]))?;
        ensure!(written.status == 200, "{}", written.body);

        // What is no such object is refused, with the field.
        let version = &written.body["resourceVersion"];
        for (yaml, field) in [
            (wrong.as_str(), "port"),
            (&next.replace("name: edited", "name: other"), "metadata.name"),
            (&next.replace("kind: Gateway", "kind: Sidecar"), "kind"),
            ("a: [", ""),
        ] {
            let refused = api.post(&path, &update(yaml, version))?;
            ensure!(refused.status == 422, "{} {}", refused.status, refused.body);
            let found = refused.body["issues"][0]["path"].as_str().unwrap_or("none").to_owned();
            ensure!(found.contains(field), "{}", refused.body);
        }
        ensure!(api.get(&path)?["yaml"] == written.body["yaml"]);
        for other in ["Secret/default/a", "ConfigMap/istio-system/istio", &format!("{GATEWAY}x")] {
            let answer = api.send("GET", &format!("config/{other}"), &api.signed(), "")?;
            ensure!(answer.status == 404, "{other}: {} {}", answer.status, answer.body);
        }
        let plain = api.send("POST", &path, &api.signed(), "{}")?;
        ensure!(plain.status == 415, "{} {}", plain.status, plain.body);
        Ok(())
    });
}

#[test]
fn a_graph_without_edges_is_put_down_to_a_control_plane_that_has_just_begun() {
    isolated(|| {
        let mesh = mesh()?;
        let mut command = mesh.lateen(&["graph", "--home"])?;
        let mut command = Process::spawn("lateen graph", command.arg(mesh.home()))?;
        ensure!(command.success(SOON)?.is_empty(), "{}", command.stdout());
        let told = command.stderr();
        ensure!(told.contains("the control plane began less than"), "{told}");
        ensure!(!told.contains("istio-injection"), "{told}");
        Ok(())
    });
}

#[test]
fn a_connection_of_a_killed_sidecar_is_not_open_any_more() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let api = Api::of(&mesh)?;
        let script = "{ echo one; sleep 1000; } | nc tcp-echo-server 8020";
        let client = mesh.run("echo-client", "app=echo-client", &["sh", "-c", script])?;
        let active = || {
            let graph = api.get("graph?type=workload&services=false&idle=true")?;
            let edges = graph["edges"].as_array().cloned().unwrap_or_default();
            let edge = edges.iter().find(|edge| edge["source"] == NODES[1]);
            edge.and_then(|edge| edge["traffic"]["tcp"]["active"].as_u64()).context("no such edge")
        };
        wait_until("an open connection", SOON + SHOWN, || {
            let active = active()?;
            ensure!(active == 1, "{active} are open");
            Ok(())
        })?;
        client.signal(Signal::SIGKILL)?;
        wait_until("no open connection", SOON + SHOWN, || {
            let active = active()?;
            ensure!(active == 0, "{active} are open");
            Ok(())
        })
    });
}

#[test]
fn a_killed_control_plane_tells_of_no_rate_that_is_too_high_when_it_is_back() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let api = Api::of(&mesh)?;
        let program = echo_client()?.display().to_string();
        let steady = [program.as_str(), "tcp-echo-server", "8020", "100"];
        let _client = mesh.run("echo-client", "app=echo-client", &steady)?;
        let rate = |duration: &str| {
            let path = format!("graph?type=workload&services=false&duration={duration}");
            let graph = api.get(&path)?;
            let edges = graph["edges"].as_array().cloned().unwrap_or_default();
            let edge = edges.iter().find(|edge| edge["source"] == NODES[1]);
            edge.and_then(|edge| edge["traffic"]["tcp"]["sent"].as_f64()).context("no such edge")
        };
        // Its lines are of as many bytes from the hundredth on.
        let known = || rate("15").and_then(|long| Ok((long, rate("5")?)));
        let expected = wait_until("a steady rate", SOON * 4, || {
            let (long, short) = known()?;
            ensure!((long / short - 1.0).abs() < 0.03, "{long} and {short} bytes per second");
            Ok(long)
        })?;
        for _ in 0..3 {
            let old = mesh.kill(Part::Control)?;
            mesh.wait_for_successor(Part::Control, old)?;
            wait_until("its first rate", START + SHOWN, || rate("60"))?;
            // A report may miss its step by a little: that one has less then, and the next one more.
            let bounds = 0.85 * expected..1.15 * expected;
            holds_for("the rate", Duration::from_secs(6), || {
                let now = rate("60")?;
                ensure!(now < bounds.end, "{now} of {expected}");
                Ok(())
            })?;
            wait_until("the true rate", SHOWN, || {
                let now = rate("60")?;
                ensure!(bounds.contains(&now), "{now} of {expected}");
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn what_a_short_program_did_is_told_at_its_end() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        mesh.apply(DATABASE)?;
        let api = Api::of(&mesh)?;
        let script = "nc -w1 10.7.7.7 3306 </dev/null; echo hello | nc -q1 tcp-echo-server 8020";
        let mut client = mesh.run("short", "app=short", &["sh", "-c", script])?;
        client.wait(SOON + SHOWN)?;
        wait_until("both edges and the failure", SHOWN, || {
            let graph = api.get("graph?type=workload&services=false")?;
            let edges = graph["edges"].as_array().cloned().unwrap_or_default();
            let own: Vec<_> =
                edges.iter().filter(|edge| edge["source"] == "workload/default/short").collect();
            let to = |target: &str| own.iter().find(|edge| edge["service"] == target);
            ensure!(to("tcp-echo-server.default.svc.cluster.local").is_some(), "{edges:?}");
            let refused = to("db.example.com").with_context(|| format!("{edges:?}"))?;
            ensure!(refused["traffic"]["tcp"]["failed"].as_f64() > Some(0.0), "{refused}");
            let failures = api.get("failures?id=workload/default/short")?;
            ensure!(failures["failures"][0]["flags"] == "UF,URX", "{failures}");
            Ok(())
        })
    });
}

#[test]
fn a_connection_that_the_server_refuses_is_told_once_as_both_ends_see_it() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(&service("deaf", 9000, "app: deaf"))?;
        let _server = mesh.run("deaf", "app=deaf,version=v1", &["sleep", "1000"])?;
        let api = Api::of(&mesh)?;
        wait_until("the server's endpoint", SOON, || {
            let all = api.list("workloads", "id")?;
            ensure!(all.contains(&"workload/default/deaf".to_owned()), "{all:?}");
            Ok(())
        })?;
        let script = "{ echo hello; sleep 1; } | nc -w2 deaf 9000; sleep 1000";
        let _client = mesh.run("client", "app=client,version=v1", &["sh", "-c", script])?;
        let failure = wait_until("both views", SOON + SHOWN, || {
            let page = api.get("failures?id=mesh")?;
            let failures = page["failures"].as_array().context("failures")?;
            let both = failures.iter().find(|one| !one["byClient"].is_null());
            let both = both.cloned().with_context(|| format!("not both yet: {page:#}"))?;
            ensure!(failures.len() == 1, "{page:#}");
            Ok(both)
        })?;
        let proxies = [&failure, &failure["byClient"]].map(|one| one["proxy"].to_string());
        ensure!(proxies[0].contains("deaf.") && proxies[1].contains("client."), "{failure:#}");
        ensure!(failure["flags"].to_string().contains("UF"), "{failure:#}");
        Ok(())
    });
}

#[test]
fn what_a_route_led_nowhere_is_a_failure_of_the_service_that_was_dialled() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(&service("wanted", 9000, "app: wanted"))?;
        mesh.apply(&service("other", 9000, "app: other"))?;
        mesh.apply(LOST)?;
        let api = Api::of(&mesh)?;
        let script = "echo hello | nc -w2 wanted 9000; sleep 1000";
        let _client = mesh.run("client", "app=client,version=v1", &["sh", "-c", script])?;
        let of = |service: &str| api.get(&format!("failures?id=service/default/{service}"));
        let failure = wait_until("the failure", SOON + SHOWN, || {
            let page = of("wanted")?;
            page["failures"].get(0).cloned().with_context(|| format!("none yet: {page:#}"))
        })?;
        ensure!(failure["target"].to_string().contains("BlackHoleCluster"), "{failure:#}");
        ensure!(failure.to_string().contains("lost"), "the route is named: {failure:#}");
        ensure!(of("other")?["failures"] == json!([]), "it is not another's");
        let rows = api.get("services?namespaces=default")?;
        let state = |name: &str| {
            let mut rows = rows["items"].as_array().into_iter().flatten();
            rows.find(|row| row["name"] == name).map(|row| row["health"]["state"].clone())
        };
        let states = ["wanted", "other"].map(state);
        ensure!(states == [Some("failing".into()), Some("idle".into())], "{rows:#}");
        Ok(())
    });
}

/// A browser ends its requests when an address of its machine changes, as a new link's does once nobody else has it.
fn settled() -> Result<()> {
    wait_until("the addresses", SOON, || {
        let mut command = Command::new("ip");
        command.args(["-6", "-oneline", "address", "show", "tentative"]);
        let tentative = Process::spawn("ip", &mut command)?.success(SOON)?;
        ensure!(tentative.is_empty(), "{tentative}");
        Ok(())
    })
}

#[test]
fn a_browser_shows_the_demo() {
    isolated(|| {
        let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui");
        if !ui.join("node_modules/playwright-core").is_dir() {
            let text = "needs the page's tools: make ui, and scripts/test-deps.sh for Chromium";
            ensure!(std::env::var("CI").as_deref() != Ok("true"), "this test {text}");
            eprintln!("SKIPPED: this test {text}");
            return Ok(());
        }
        let (mesh, _programs) = demo()?;
        let first_byte = Instant::now();
        settled()?;
        let mut command = Command::new("node");
        let shots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/graph-page");
        command.arg(ui.join("tests/mesh.mjs")).arg(url(&mesh)?).arg(&shots);
        let printed = Process::spawn("node", &mut command)?.success(BROWSED)?;
        eprintln!("{printed}after {:?}", first_byte.elapsed());
        Ok(())
    });
}
