//! `lateen discovery` on an API that enforces the installed roles: what it keeps right, who of two replicas does
//! it, and to whom it shows the live graph.

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::get;
use lateen_e2e::{SOON, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::net::connect;
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const CONFIG_MAP: &str = "istio-ca-root-cert";
const ROOTS: &str = "jsonpath={.data.root-cert\\.pem}";
/// Where a replica serves the graph.
const GRAPH: u16 = 20002;
/// A lease given back is found by the next look of another replica.
const TAKEOVER: Duration = Duration::from_secs(20);
/// How long a replica that ends is asked as if it did not, at least.
const STILL_ASKED: Duration = Duration::from_secs(4);

/// A replica whose ports are these plus an offset.
struct Replica {
    process: Process,
    offset: u16,
}

/// An installation without anything that runs it.
fn installed() -> Result<Mesh> {
    let mesh = mesh()?;
    let mut command =
        mesh.lateen(&["install", "--set", "profile=minimal", "-y", "--wait=false"])?;
    command.env("KUBECONFIG", mesh.home().join("kubeconfig"));
    let output = command.output().context("starting lateen")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(mesh)
}

/// A replica that has the rights of the installed ServiceAccount and no others.
fn replica(mesh: &Mesh, name: &str, offset: u16) -> Result<Replica> {
    let token = mesh.kubectl(&["create", "token", "istiod", "-n", "istio-system"])?;
    let config = mesh.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"])?;
    let mut config: Value = serde_json::from_str(&config)?;
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let path = mesh.home().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string())?;
    let mut command: Command = mesh.lateen(&["discovery"])?;
    command.arg("--kubeconfig").arg(path).arg("--grpcAddr=");
    let flags = [
        ("httpsAddr", 15017),
        ("secureGRPCAddr", 15012),
        ("httpAddr", 8080),
        ("monitoringAddr", 15014),
        // 20001 is the mesh's own.
        ("graphAddr", GRAPH),
    ];
    command.args(flags.map(|(flag, port)| format!("--{flag}=127.0.0.1:{}", port + offset)));
    command.env("POD_NAME", name).env("POD_NAMESPACE", "istio-system");
    Ok(Replica { process: Process::spawn(name, &mut command)?, offset })
}

impl Replica {
    /// The answer to a GET, whole.
    fn page(&self, port: u16, path: &str) -> Result<String> {
        let mut stream = connect(&format!("127.0.0.1:{}", port + self.offset))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn ready(&self) -> Result<()> {
        wait_until("the control plane", SOON, || {
            let answer = self.page(8080, "/ready")?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            Ok(())
        })
    }

    fn leads(&self, within: Duration) -> Result<()> {
        wait_until("both leases", within, || {
            let page = self.page(15014, "/metrics")?;
            let leads = |of: &str| page.contains(&format!("lateen_leader{{of=\"{of}\"}} 1"));
            ensure!(leads("mesh") && leads("revision"), "{page}");
            Ok(())
        })
    }
}

/// The root in a namespace's ConfigMap, once it is there and like the others.
fn roots(mesh: &Mesh, namespace: &str) -> Result<String> {
    wait_until("the root certificate", SOON, || {
        let read = |namespace: &str| {
            mesh.kubectl(&["get", "configmap", CONFIG_MAP, "-n", namespace, "-o", ROOTS])
        };
        let (here, own) = (read(namespace)?, read("istio-system")?);
        ensure!(here.starts_with("-----BEGIN CERTIFICATE-----") && here == own, "{here}");
        Ok(here)
    })
}

#[test]
fn the_installed_roles_are_enough_for_all_that_it_keeps_right() {
    isolated(|| {
        let mesh = installed()?;
        let replica = replica(&mesh, "istiod-0", 0)?;
        replica.ready()?;
        let first = roots(&mesh, "default")?;
        mesh.kubectl(&["create", "namespace", "late"])?;
        roots(&mesh, "late")?;
        mesh.kubectl(&["delete", "configmap", CONFIG_MAP, "-n", "late"])?;
        roots(&mesh, "late")?;
        let forged = r#"{"data":{"root-cert.pem":"forged"}}"#;
        let patch =
            ["patch", "configmap", CONFIG_MAP, "-n", "default", "--type=merge", "-p", forged];
        mesh.kubectl(&patch)?;
        ensure!(roots(&mesh, "default")? == first, "another root");
        let ignored = mesh.kubectl_fails(&["get", "configmap", CONFIG_MAP, "-n", "kube-system"])?;
        ensure!(ignored.contains("NotFound"), "{ignored}");

        let kind = ["get", "secret", "istio-ca-secret", "-n", "istio-system", "-o"];
        let kind: Vec<&str> = kind.into_iter().chain(["jsonpath={.type}"]).collect();
        ensure!(mesh.kubectl(&kind)? == "istio.io/ca-root");
        mesh.kubectl(&["delete", "secret", "istio-ca-secret", "-n", "istio-system"])?;
        wait_until("the authority's Secret", SOON, || mesh.kubectl(&kind).map(drop))?;
        ensure!(roots(&mesh, "default")? == first, "another root");

        replica.leads(SOON)?;
        let metrics = replica.page(15014, "/metrics")?;
        for sample in [
            "citadel_server_root_cert_expiry_seconds 3",
            "pilot_k8s_reg_events{type=\"Namespaces\",event=\"add\"} ",
            "pilot_push_triggers{type=\"namespace\"} ",
            "pilot_debounce_time_count ",
            "lateen_push_stage_seconds_count{stage=\"snapshot\"} ",
            "sidecar_injection_requests_total 0",
            "galley_validation_passed ",
        ] {
            ensure!(metrics.contains(&format!("\n{sample}")), "no {sample}: {metrics}");
        }
        ensure!(replica.page(15014, "/debug/proxies")?.starts_with("HTTP/1.1 200"));
        let log = replica.process.stderr() + &replica.process.stdout();
        ensure!(log.contains("leading"), "{log}");
        let refused = log.lines().find(|line| line.to_lowercase().contains("forbidden"));
        ensure!(refused.is_none(), "{refused:?}");
        Ok(())
    });
}

#[test]
fn another_replica_takes_over_and_has_the_same_authority() {
    isolated(|| {
        let mesh = installed()?;
        let mut first = replica(&mesh, "istiod-0", 0)?;
        first.ready()?;
        first.leads(SOON)?;
        let root = roots(&mesh, "default")?;
        let second = replica(&mesh, "istiod-1", 1000)?;
        second.ready()?;
        let page = second.page(15014, "/metrics")?;
        ensure!(page.contains("lateen_leader{of=\"mesh\"} 0"), "two lead: {page}");
        first.process.signal(Signal::SIGTERM)?;
        let asked = Instant::now();
        wait_until("a replica that says that it goes", SOON, || {
            let answer = first.page(8080, "/ready")?;
            ensure!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            Ok(())
        })?;
        let holder = "jsonpath={.spec.holderIdentity}";
        wait_until("the lease given up", STILL_ASKED, || {
            let of = ["get", "lease", "istio-leader", "-n", "istio-system", "-o", holder];
            ensure!(mesh.kubectl(&of)? != "istiod-0");
            Ok(())
        })?;
        // Nodes that have not heard of it yet still send pods here.
        while asked.elapsed() < STILL_ASKED {
            let reviewed = curl(&mesh, 15017, "/inject", None)?.0;
            ensure!(reviewed == "405", "the webhook answers {reviewed}");
            connect("127.0.0.1:15012")?;
            ensure!(first.page(8080, "/ready")?.starts_with("HTTP/1.1 503"));
        }
        let ended = first.process.wait(SOON)?;
        ensure!(ended.success(), "{ended}");
        second.leads(TAKEOVER)?;
        mesh.kubectl(&["create", "namespace", "late"])?;
        ensure!(roots(&mesh, "late")? == root, "another root");
        Ok(())
    });
}

/// The installed MeshConfig.
fn settings(mesh: &Mesh) -> Result<String> {
    let data = "jsonpath={.data.mesh}";
    mesh.kubectl(&["get", "configmap", "istio", "-n", "istio-system", "-o", data])
}

fn set(mesh: &Mesh, settings: &str) -> Result<()> {
    let patch = json!({ "data": { "mesh": settings } }).to_string();
    let configmap = ["patch", "configmap", "istio", "-n", "istio-system", "--type=merge", "-p"];
    mesh.kubectl(&[&configmap[..], &[&patch]].concat()).map(drop)
}

#[test]
fn only_namespaces_that_discovery_selectors_choose_are_seen() {
    isolated(|| {
        let mesh = installed()?;
        let everything = settings(&mesh)?;
        set(
            &mesh,
            &format!("{everything}\ndiscoverySelectors: [{{matchLabels: {{mesh: here}}}}]\n"),
        )?;
        mesh.kubectl(&["label", "namespace", "istio-system", "mesh=here"])?;
        mesh.kubectl(&["create", "namespace", "elsewhere"])?;
        let route = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "web", "namespace": "elsewhere" },
            "spec": {
                "hosts": ["web.example"],
                "http": [{ "route": [{ "destination": { "host": "web.example" } }] }],
            },
        });
        mesh.apply(&route.to_string())?;
        let replica = replica(&mesh, "istiod-0", 0)?;
        replica.ready()?;
        mesh.kubectl(&["create", "namespace", "here"])?;
        mesh.kubectl(&["label", "namespace", "here", "mesh=here"])?;
        roots(&mesh, "here")?;
        let missing = |namespace: &str| -> Result<()> {
            let said = mesh.kubectl_fails(&["get", "configmap", CONFIG_MAP, "-n", namespace])?;
            ensure!(said.contains("NotFound"), "{namespace}: {said}");
            Ok(())
        };
        let status = || {
            let of = ["get", "virtualservice", "web", "-n", "elsewhere", "-o"];
            mesh.kubectl(&[&of[..], &["jsonpath={.status}"]].concat())
        };
        missing("elsewhere")?;
        missing("default")?;
        ensure!(status()?.is_empty(), "{}", status()?);

        mesh.kubectl(&["label", "namespace", "elsewhere", "mesh=here"])?;
        roots(&mesh, "elsewhere")?;
        wait_until("the object's status", SOON, || {
            let status = status()?;
            ensure!(status.contains("LTN0001"), "{status}");
            Ok(())
        })?;
        missing("default")?;
        set(&mesh, &everything)?;
        roots(&mesh, "default").map(drop)
    });
}

/// The status and the body of a request for the graph's API.
fn graph(mesh: &Mesh, token: Option<&str>, path: &str) -> Result<(String, Value)> {
    let (status, body) = curl(mesh, GRAPH, path, token)?;
    Ok((status, serde_json::from_str(&body).unwrap_or_default()))
}

/// The status and the body of a GET over TLS, of the first replica.
fn curl(mesh: &Mesh, port: u16, path: &str, token: Option<&str>) -> Result<(String, String)> {
    let roots = mesh.home().join("roots.pem");
    std::fs::write(&roots, roots_of(mesh)?)?;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--cacert"])
        .arg(&roots);
    curl.args(["--resolve", &format!("istiod.istio-system.svc:{port}:127.0.0.1")]);
    if let Some(token) = token {
        curl.args(["--header", &format!("authorization: Bearer {token}")]);
    }
    curl.arg(format!("https://istiod.istio-system.svc:{port}{path}"));
    let answer = Process::spawn("curl", &mut curl)?.success(SOON)?;
    let (body, status) = answer.rsplit_once('\n').context("curl writes the status")?;
    Ok((status.to_owned(), body.to_owned()))
}

fn roots_of(mesh: &Mesh) -> Result<String> {
    mesh.kubectl(&["get", "configmap", CONFIG_MAP, "-n", "istio-system", "-o", ROOTS])
}

#[test]
fn the_graph_is_shown_to_whoever_may_list_services_and_of_their_namespaces() {
    isolated(|| {
        let mesh = installed()?;
        mesh.kubectl(&["create", "namespace", "shop"])?;
        mesh.kubectl(&["create", "service", "clusterip", "web", "-n", "shop", "--tcp=80"])?;
        mesh.kubectl(&["create", "service", "clusterip", "other", "--tcp=80"])?;
        mesh.kubectl(&["create", "clusterrole", "lister", "--verb=list", "--resource=services"])?;
        let token = |name: &str, rights: &[&str]| -> Result<String> {
            mesh.kubectl(&["create", "serviceaccount", name])?;
            if !rights.is_empty() {
                let of = ["--clusterrole=lister", &format!("--serviceaccount=default:{name}")];
                mesh.kubectl(&[&["create"], rights, &of[..]].concat())?;
            }
            Ok(mesh.kubectl(&["create", "token", name])?.trim().to_owned())
        };
        let all = token("all", &["clusterrolebinding", "all"])?;
        let one = token("one", &["rolebinding", "one", "-n", "shop"])?;
        let none = token("none", &[])?;
        let replica = replica(&mesh, "istiod-0", 0)?;
        replica.ready()?;
        wait_until("the graph", SOON, || {
            let (status, page) = graph(&mesh, Some(&all), "/api/v1/status")?;
            ensure!(status == "200", "{status} {page}");
            ensure!(page["user"] == "system:serviceaccount:default:all", "{page}");
            ensure!(page["notices"] == json!([]), "{page}");
            Ok(())
        })?;
        for (token, expected, said) in [
            (None, "401", "lateen dashboard"),
            (Some("nobodys"), "401", "lateen dashboard"),
            (Some(&*none), "403", "list services"),
        ] {
            let (status, page) = graph(&mesh, token, "/api/v1/graph")?;
            let message = page["message"].as_str().unwrap_or_default();
            ensure!(status == expected && message.contains(said), "{token:?}: {status} {page}");
        }
        let names = |token: &str, path: &str, list: &str| -> Result<Vec<String>> {
            let (status, page) = graph(&mesh, Some(token), path)?;
            ensure!(status == "200", "{path}: {status} {page}");
            let rows = page[list].as_array().context("a list")?;
            Ok(rows.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect())
        };
        ensure!(names(&one, "/api/v1/namespaces", "namespaces")? == ["shop"]);
        ensure!(names(&one, "/api/v1/services", "items")? == ["web"]);
        ensure!(names(&one, "/api/v1/services?namespaces=default", "items")?.is_empty());
        let everything = names(&all, "/api/v1/services", "items")?;
        ensure!(everything.iter().any(|name| name == "other"), "{everything:?}");
        let (_, page) = graph(&mesh, Some(&one), "/api/v1/graph")?;
        ensure!(
            page["notices"][0].as_str().is_some_and(|said| said.contains("left out")),
            "{page}"
        );

        // Whoever reaches the loopback reads, and changes nothing by the control plane's rights.
        ensure!(replica.page(8080, "/api/v1/graph")?.starts_with("HTTP/1.1 200"));
        let (refused, said) = get("127.0.0.1:8080", "POST", "/api/v1/graph")?;
        ensure!(refused == 405, "{refused} {said}");
        let log = replica.process.stderr() + &replica.process.stdout();
        let forbidden = log.lines().find(|line| line.to_lowercase().contains("is forbidden"));
        ensure!(forbidden.is_none(), "{forbidden:?}");
        Ok(())
    });
}
