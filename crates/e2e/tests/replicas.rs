//! Replicas of `lateen discovery` that tell each other what their proxies tell: the sidecar of a pod is connected to one
//! of them, and the live graph of each has its traffic.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::{NODE, POD, Pod, get, injected};
use lateen_e2e::{SOON, mesh};
use lateen_testkit::echo::{self, Manner};
use lateen_testkit::isolate::{isolated, isolated_for, replace_resolv_conf};
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const WORKLOAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: web}
"#;
/// The pod among the workloads, and where it goes.
const OBJECTS: &str = "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.77.0.2, labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo}
spec:
  hosts: [echo.example]
  addresses: [10.77.0.1]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.77.0.1}]
";
const HOST: &str = "istiod.istio-system.svc";
/// Two reports: of the step in which the first of them began a part alone is told, and nothing of it is counted. What
/// comes after them is counted, every connection.
const SETTLED: Duration = Duration::from_secs(10);
/// Two reports of a proxy, and what a busy machine needs.
const REPORTED: Duration = Duration::from_secs(30);
/// Of the graph's store.
const STEP_MS: u64 = 5000;
/// Seconds that the graph is over: whatever the test takes.
const OVER: u64 = 3600;

/// The installation, and what replicas need of it.
struct Installed {
    mesh: Mesh,
    folder: PathBuf,
}

/// A replica whose ports are Istio's plus an offset.
struct Replica {
    process: Process,
    offset: u16,
}

impl Installed {
    fn new(folder: &Path) -> Result<Self> {
        let mesh = mesh()?;
        let mut install =
            mesh.lateen(&["install", "--set", "profile=minimal", "-y", "--wait=false"])?;
        install.env("KUBECONFIG", mesh.home().join("kubeconfig"));
        Process::spawn("lateen install", &mut install)?.success(START)?;
        let token = mesh.kubectl(&["create", "token", "istiod", "-n", "istio-system"])?;
        let config = mesh.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"])?;
        let mut config: Value = serde_json::from_str(&config)?;
        config["users"][0]["user"] = json!({ "token": token.trim() });
        std::fs::write(folder.join("kubeconfig"), config.to_string())?;
        let installed = Self { mesh, folder: folder.to_owned() };
        installed.token("istio-system", "istiod", "istio-ca")?;
        Ok(installed)
    }

    /// The file with a ServiceAccount's token for an audience.
    fn token(&self, namespace: &str, account: &str, audience: &str) -> Result<PathBuf> {
        let wanted = ["create", "token", account, "--audience", audience, "-n", namespace];
        let file = self.folder.join(format!("{namespace}.{account}.{audience}"));
        std::fs::write(&file, self.mesh.kubectl(&wanted)?.trim())?;
        Ok(file)
    }

    fn replica(&self, name: &str, offset: u16) -> Result<Replica> {
        let replica = self.start(name, offset)?;
        self.join(name, &replica)?;
        Ok(replica)
    }

    fn start(&self, name: &str, offset: u16) -> Result<Replica> {
        let mut command: Command = self.mesh.lateen(&["discovery", "--grpcAddr="])?;
        command.arg("--kubeconfig").arg(self.folder.join("kubeconfig"));
        let flags = [
            ("httpsAddr", 15017),
            ("secureGRPCAddr", 15012),
            ("httpAddr", 8080),
            ("monitoringAddr", 15014),
            ("graphAddr", 21001),
        ];
        command.args(flags.map(|(flag, port)| format!("--{flag}=:{}", port + offset)));
        command.env("POD_NAME", name).env("POD_NAMESPACE", "istio-system");
        command.env("LATEEN_REPLICA_TOKEN", self.folder.join("istio-system.istiod.istio-ca"));
        Ok(Replica { process: Process::spawn(name, &mut command)?, offset })
    }

    /// A replica, once it is ready, is in an EndpointSlice of its own, since its ports are.
    fn join(&self, name: &str, replica: &Replica) -> Result<()> {
        wait_until("the control plane", START, || {
            let (status, page) = replica.page(8080, "/ready")?;
            ensure!(status == 200, "{page}");
            Ok(())
        })?;
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": "istio-system",
                "labels": { "kubernetes.io/service-name": "istiod" },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "https-dns", "port": 15012 + replica.offset, "protocol": "TCP" }],
            "endpoints": [{
                "addresses": [NODE],
                "conditions": { "ready": true },
                "targetRef": { "kind": "Pod", "name": name, "namespace": "istio-system" },
            }],
        });
        self.mesh.apply(&slice.to_string()).map(drop)
    }

    fn roots(&self) -> Result<String> {
        let roots =
            ["get", "configmap", "istio-ca-root-cert", "-o", "jsonpath={.data.root-cert\\.pem}"];
        wait_until("the root certificate", SOON, || self.mesh.kubectl(&roots))
    }
}

impl Replica {
    fn page(&self, port: u16, path: &str) -> Result<(u16, String)> {
        get(&format!("127.0.0.1:{}", port + self.offset), "GET", path)
    }

    fn json(&self, path: &str) -> Result<Value> {
        let (status, page) = self.page(8080, path)?;
        ensure!(status == 200, "{path}: {status} {page}");
        Ok(serde_json::from_str(&page)?)
    }

    /// Nodes and edges.
    fn graph(&self) -> Result<(Value, Value)> {
        let graph = self.json(&format!("/api/v1/graph?type=workload&duration={OVER}"))?;
        Ok((graph["nodes"].clone(), graph["edges"].clone()))
    }

    /// How many connections of the pod's were opened, and are open now.
    fn connections(&self) -> Result<(u64, u64)> {
        let (_, edges) = self.graph()?;
        let edges = edges.as_array().context("no edges")?;
        let own = edges.iter().find(|edge| edge["source"] == "workload/default/web");
        let Some(own) = own else { return Ok((0, 0)) };
        ensure!(own["target"].as_str().is_some_and(|id| id.contains("echo.example")), "{own}");
        let active = own["traffic"]["tcp"]["active"].as_u64().context("no number")?;
        let id = own["id"].as_str().context("an id")?;
        let id = id.replace('>', "%3E").replace('#', "%23");
        let series = self.json(&format!("/api/v1/series?id={id}&duration={OVER}"))?;
        let rates = series["outbound"]["tcp.opened"].as_array().context("a line")?;
        let step = series["step"].as_f64().context("a step")? / 1000.0;
        let opened: f64 = rates.iter().filter_map(Value::as_f64).map(|rate| rate * step).sum();
        Ok((opened.round() as u64, active))
    }

    fn has(&self, opened: u64, active: u64) -> Result<()> {
        wait_until(&format!("{opened} connections, {active} open"), REPORTED, || {
            let found = self.connections()?;
            ensure!(found == (opened, active), "{found:?}");
            Ok(())
        })
    }

    /// How many connections failed, each told once.
    fn failures(&self, count: usize) -> Result<()> {
        wait_until(&format!("{count} failures"), REPORTED, || {
            let page = self.json("/api/v1/failures?id=mesh")?;
            let failures = page["failures"].as_array().context("no failures")?;
            ensure!(failures.len() == count, "{page}");
            Ok(())
        })
    }

    /// Which of the pod's workload's instances have a sidecar.
    fn sidecars(&self, expected: &str) -> Result<()> {
        wait_until(&format!("sidecars: {expected}"), REPORTED, || {
            let list = self.json("/api/v1/workloads?namespaces=default")?;
            ensure!(list["items"][0]["sidecars"] == expected, "{list}");
            Ok(())
        })
    }

    /// Whether it is connected to so many others.
    fn linked(&self, others: usize) -> Result<()> {
        wait_until(&format!("{others} other replicas"), REPORTED, || {
            let (_, page) = self.page(15014, "/metrics")?;
            let line = format!("\nlateen_replicas{{state=\"linked\"}} {others}\n");
            ensure!(page.contains(&line), "{page}");
            let status = self.json("/api/v1/status")?;
            ensure!(status["notices"] == json!([]), "{status}");
            Ok(())
        })
    }

    fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(SOON).map(drop)
    }
}

fn name_the_control_plane(folder: &Path) -> Result<()> {
    let file = folder.join("hosts");
    std::fs::write(&file, format!("127.0.0.1 localhost\n{NODE} {HOST}\n"))?;
    let none: Option<&str> = None;
    mount(Some(&file), "/etc/hosts", none, MsFlags::MS_BIND, none).context("binding /etc/hosts")
}

/// Replicas that are made in the same step know the same time, and tell the same rates.
fn at_the_beginning_of_a_step() -> Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    std::thread::sleep(Duration::from_millis(STEP_MS - since % STEP_MS));
    Ok(())
}

/// The pod's connections, one after the other.
fn connect(pod: &Pod, count: usize) -> Result<()> {
    let once = format!("printf 'hello\\n' | nc -q1 -w5 {NODE} 9000");
    let answers = pod.application(&vec![once; count].join(" && "))?;
    ensure!(answers == "hello\n".repeat(count), "{answers}");
    Ok(())
}

/// A connection that stays.
fn stay(pod: &Pod) -> Result<Process> {
    let script = format!("(printf 'hello\\n'; exec sleep 600) | nc {NODE} 9000");
    let user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-c", &script];
    let mut process = Process::spawn("a connection", &mut pod.inside(&user))?;
    process.wait_for("hello", SOON)?;
    Ok(process)
}

#[test]
fn every_replicas_graph_is_whole_whichever_a_proxy_is_connected_to() {
    isolated_for(Duration::from_secs(200), || {
        let folder = tempfile::tempdir()?;
        replace_resolv_conf(folder.path(), "nameserver 192.0.2.53\n")?;
        name_the_control_plane(folder.path())?;
        let installed = Installed::new(folder.path())?;
        installed.mesh.apply(OBJECTS)?;
        let pod = Pod::new(injected(folder.path(), WORKLOAD, "web")?)?;
        echo::start(&format!("{NODE}:9000"), Manner::default())?;
        at_the_beginning_of_a_step()?;
        let near = installed.start("istiod-0", 0)?;
        let far = installed.start("istiod-1", 1000)?;
        installed.join("istiod-0", &near)?;
        installed.join("istiod-1", &far)?;
        near.linked(1)?;
        far.linked(1)?;
        pod.write("var/run/secrets/istio/root-cert.pem", &installed.roots()?)?;
        let token = installed.token("default", "default", "istio-ca")?;
        pod.write("var/run/secrets/tokens/istio-token", &std::fs::read_to_string(token)?)?;
        pod.intercept()?;
        let _proxy = pod.start(&[])?;
        wait_until("the sidecar", START, || {
            let (status, page) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
            ensure!(status == 200, "{page}");
            Ok(())
        })?;
        let own = |replica: &Replica| replica.json("/debug/proxies");
        ensure!(own(&near)?.as_array().is_some_and(|all| all.len() == 1), "{}", own(&near)?);
        ensure!(own(&far)? == json!([]), "{}", own(&far)?);
        near.sidecars("all")?;
        far.sidecars("all")?;

        connect(&pod, 5)?;
        let _staying = stay(&pod)?;
        near.has(6, 1)?;
        far.has(6, 1)?;
        // What one has heard at the end of a step the other may hear at the beginning of the next one.
        wait_until("the same graph", REPORTED, || {
            let (near, far) = (near.graph()?, far.graph()?);
            ensure!(near == far, "{near:?}\n{far:?}");
            Ok(())
        })?;

        // One that starts again has what comes from now on, and knows what is open.
        far.kill()?;
        connect(&pod, 3)?;
        near.has(9, 1)?;
        let far = installed.replica("istiod-1", 1000)?;
        far.linked(1)?;
        far.sidecars("all")?;
        wait_until("what is open", REPORTED, || {
            let graph =
                far.json(&format!("/api/v1/graph?type=workload&duration={OVER}&idle=true"))?;
            let active = &graph["edges"][0]["traffic"]["tcp"]["active"];
            ensure!(*active == json!(1), "{graph}");
            Ok(())
        })?;
        std::thread::sleep(SETTLED);
        connect(&pod, 4)?;
        near.has(13, 1)?;
        far.has(4, 1)?;

        // The proxy goes to another one when its own has gone, and is counted once wherever it is.
        near.kill()?;
        far.sidecars("none")?;
        let near = installed.replica("istiod-0", 0)?;
        near.linked(1)?;
        far.sidecars("all")?;
        std::thread::sleep(SETTLED);
        connect(&pod, 2)?;
        // The one that stays is open wherever its proxy tells of it.
        far.has(6, 1)?;
        near.has(2, 1)?;
        pod.application(&format!("nc -w5 {NODE} 9001 </dev/null || true"))?;
        near.failures(1)?;
        far.failures(1)
    });
}

/// What a replica answers to one that says that it is another and passes nothing on.
fn passed(roots: &Path, token: Option<&Path>, name: &str) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--http2", "--data-binary", ""]);
    curl.arg("--cacert").arg(roots).args(["--resolve", &format!("{HOST}:15012:127.0.0.1")]);
    curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
    curl.args(["--header", &format!("lateen-replica: {name}")]);
    if let Some(token) = token {
        let token = std::fs::read_to_string(token)?;
        curl.args(["--header", &format!("authorization: Bearer {token}")]);
    }
    curl.arg(format!("https://{HOST}:15012/lateen.replicas.v1.Replicas/Pass"));
    Ok(Process::spawn("curl", &mut curl)?.success(SOON)?.replace("%20", " "))
}

#[test]
fn only_the_control_planes_own_account_may_pass_anything_on() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let installed = Installed::new(folder.path())?;
        let replica = installed.replica("istiod-0", 0)?;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, installed.roots()?)?;
        installed.mesh.kubectl(&["create", "serviceaccount", "istiod"])?;
        let nobodys = folder.path().join("nobodys");
        std::fs::write(&nobodys, "a.b.c")?;
        let own = installed.token("istio-system", "istiod", "istio-ca")?;
        let (denied, unknown) = ("grpc-status: 7", "grpc-status: 16");
        for (token, name, status, said) in [
            (None, "istiod-1", unknown, "asks for a ServiceAccount's token"),
            (Some(nobodys), "istiod-1", unknown, "not valid"),
            (
                Some(installed.token("istio-system", "istiod", "x")?),
                "istiod-1",
                unknown,
                "meant for",
            ),
            (
                Some(installed.token("default", "default", "istio-ca")?),
                "istiod-1",
                denied,
                "the token is of default/default",
            ),
            (
                Some(installed.token("default", "istiod", "istio-ca")?),
                "istiod-1",
                denied,
                "the token is of default/istiod",
            ),
            (Some(own.clone()), "istiod-0", denied, "this replica itself"),
            (Some(own), "istiod-1", "grpc-status: 0", ""),
        ] {
            let answer = passed(&roots, token.as_deref(), name)?;
            ensure!(answer.contains(status) && answer.contains(said), "{said}: {answer}");
        }
        ensure!(replica.json("/api/v1/status")?["proxies"] == json!(0));
        Ok(())
    });
}
