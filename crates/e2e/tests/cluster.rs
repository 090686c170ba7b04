//! A real Kubernetes (API server, controllers, scheduler, kubelet and containerd) with Lateen on it, as
//! the operator of the notes has it: an IstioOperator file, injected pods, a TCP port on an external IP.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::dashboard::shows_the_graph;
use lateen_e2e::installed::{IMAGE, Node, START};
use lateen_e2e::{ECHO_YAML, testdata};
use lateen_testkit::cluster::{Image, NODE};
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::net::expect_answer;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;

const LIMIT: Duration = Duration::from_secs(400);
const SOON: Duration = Duration::from_secs(30);

/// What the init containers run, for pods that ask for iptables.
const IPTABLES: &str = "localhost/lateen:test-iptables";

/// The external address and port of the notes' file.
const EXTERNAL: &str = "10.0.1.179:31400";

/// A cluster whose node has the images of the notes, with Lateen from the notes' file.
fn from_the_notes(scratch: &Path) -> Result<Node> {
    let server = tools::cached("go-echo-server")?;
    let client = tools::cached("go-echo-client")?;
    let lateen = Image::lateen("localhost/lateen:test", scratch)?;
    let images = [
        lateen.with_iptables(IPTABLES)?,
        Image::of_static("grd-dev.urad.com.tw/hank/echoserver:1.0.1", &server),
        Image::of_static("grd-dev.urad.com.tw/hank/echoclient:1.0.0", &client),
    ];
    let node = Node::with_images(&images, scratch)?;
    let notes = testdata("../../install/testdata/notes.yaml").display().to_string();
    let init = format!("values.global.proxy_init.image={IPTABLES}");
    let install = [&["install", "-f", &notes, "-y", "--set", &init][..], &IMAGE].concat();
    node.lateen(&install)?.success(START)?;
    is_whole(&node, &install)?;
    Ok(node)
}

/// Right after an install has ended objects are validated, right ones stored, and the same install changes nothing.
fn is_whole(node: &Node, install: &[&str]) -> Result<()> {
    let apply = ["apply", "--dry-run=server", "-f", "-"];
    for _ in 0..5 {
        let refused = node.cluster.kubectl().fails_with_input(&apply, REFUSED)?;
        ensure!(refused.contains("validation.istio.io"), "{refused}");
        node.cluster.kubectl().ok_with_input(&apply, &REFUSED.replace("\"true\"", "\"false\""))?;
    }
    let said = node.lateen(install)?.success(START)?;
    ensure!(said.contains("nothing to change"), "{said}");
    let path = "jsonpath={.items[*].webhooks[*].failurePolicy}";
    let policies = node.kubectl(&["get", "validatingwebhookconfigurations", "-o", path])?;
    ensure!(policies == "Fail Fail", "{policies}");
    Ok(())
}

/// A Gateway that the validation webhook alone refuses.
const REFUSED: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: refused
  namespace: default
  annotations: {internal.istio.io/webhook-always-reject: \"true\"}
spec:
  selector: {istio: none}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}]
";

/// A Job of three lines through the mesh, with a native sidecar, or a plain one and iptables. Its init container, which
/// only a native sidecar gives the network, sends one before.
fn job(name: &str, native: bool) -> String {
    let image = "grd-dev.urad.com.tw/hank/echoclient:1.0.0";
    let (init, config) = match native {
        true => (
            format!(
                "initContainers: [{{name: first, image: '{image}', args: ['--count', '1', tcp-echo-server, '8020']}}]"
            ),
            "{}",
        ),
        false => (String::new(), "{proxyMetadata: {LATEEN_IPTABLES: usual}}"),
    };
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  backoffLimit: 0
  template:
    metadata:
      labels: {{app: {name}}}
      annotations: {{sidecar.istio.io/nativeSidecar: '{native}', proxy.istio.io/config: '{config}'}}
    spec:
      restartPolicy: Never
      {init}
      containers:
      - {{name: main, image: '{image}', args: ['--count', '3', tcp-echo-server, '8020', '10']}}
---
"
    )
}

/// The second container has no image until somebody brings it.
const LATE: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: late}
spec:
  backoffLimit: 0
  template:
    metadata:
      labels: {app: late}
      annotations: {sidecar.istio.io/nativeSidecar: 'false'}
    spec:
      restartPolicy: Never
      containers:
      - {name: short, image: 'grd-dev.urad.com.tw/hank/echoclient:1.0.0', args: ['--count', '1', tcp-echo-server, '8020']}
      - {name: late, image: 'localhost/late:1', args: ['--count', '3', tcp-echo-server, '8020', '10']}
";

/// A plain sidecar waits for a container that starts long after the other one has ended.
fn waits_for_a_late_container(mesh: &Node) -> Result<()> {
    mesh.cluster.apply(LATE)?;
    let short = "jsonpath={.items[*].status.containerStatuses[?(@.name=='short')].state}";
    wait_until("the first container to have ended", START, || {
        let state = mesh.kubectl(&["get", "pods", "-l", "app=late", "-o", short])?;
        ensure!(state.contains("Completed"), "{state}");
        Ok(())
    })?;
    let socket = mesh.cluster.folder().join("run/containerd.sock");
    let mut tag = mesh.cluster.on_node(&tools::cached("ctr")?)?;
    tag.arg("-a").arg(socket).args(["-n", "k8s.io", "images", "tag"]);
    tag.args(["grd-dev.urad.com.tw/hank/echoclient:1.0.0", "localhost/late:1"]);
    Process::spawn("ctr", &mut tag)?.success(SOON)?;
    wait_until("the job to end", START, || {
        let succeeded = "jsonpath={.status.succeeded}/{.status.failed}";
        let ended = mesh.kubectl(&["get", "job", "late", "-o", succeeded])?;
        ensure!(ended == "1/", "{ended}");
        Ok(())
    })
    .with_context(|| mesh.kubectl(&["describe", "pods", "-l", "app=late"]).unwrap_or_default())?;
    let said = mesh.kubectl(&["logs", "job/late", "-c", "late"])?;
    ensure!(said.contains("reply: message 1\n"), "{said}");
    Ok(())
}

/// A gateway by injection, on a port of the node.
const OWN_GATEWAY: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: own-gateway}
spec:
  selector: {matchLabels: {istio: own}}
  template:
    metadata:
      annotations: {inject.istio.io/templates: gateway}
      labels: {istio: own, sidecar.istio.io/inject: 'true'}
    spec:
      containers: [{name: istio-proxy, image: auto}]
---
apiVersion: v1
kind: Service
metadata: {name: own-gateway}
spec:
  type: NodePort
  selector: {istio: own}
  ports: [{name: tcp, port: 31400, nodePort: 31500}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: own}
spec:
  selector: {istio: own}
  servers: [{port: {number: 31400, name: tcp, protocol: TCP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: own}
spec:
  hosts: ['*']
  gateways: [own]
  tcp: [{route: [{destination: {host: tcp-echo-server, port: {number: 8020}}}]}]
---
";

#[test]
fn an_archive_without_a_name_starts_no_cluster() {
    isolated_for(LIMIT, || {
        let scratch = tempfile::tempdir()?;
        let folder = scratch.path().display();
        let named = Image::of_static("localhost/echo:1", &tools::cached("pause")?);
        let named = named.archive(scratch.path())?;
        let script = format!(
            "mkdir {folder}/x && tar -xf {} -C {folder}/x && \
             sed -i 's/,\"annotations\":{{[^}}]*}}//' {folder}/x/index.json && \
             ! grep -q ref.name {folder}/x/index.json && tar -cf {folder}/nameless.tar -C {folder}/x .",
            named.display()
        );
        let done = Command::new("sh").args(["-c", &script]).status()?;
        ensure!(done.success(), "{done}");
        let mut cluster =
            Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/cluster.sh"));
        cluster.arg("--here").arg(scratch.path().join("k8s"));
        cluster.arg(scratch.path().join("nameless.tar"));
        let mut cluster = Process::spawn("cluster", &mut cluster)?;
        ensure!(cluster.exit_code(SOON)? == 1, "{}", cluster.stderr());
        let refused = cluster.stderr();
        ensure!(refused.contains("nameless.tar brings no image"), "{refused}");
        Ok(())
    });
}

#[test]
fn a_folder_that_the_node_would_not_see_starts_no_cluster() {
    let folder = "/var/run/lateen-k8s";
    let mut cluster =
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/cluster.sh"));
    let output = cluster.args(["--here", folder]).output().unwrap();
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && refused.contains("take another folder"), "{refused}");
    assert!(!Path::new(folder).exists());
}

#[test]
fn the_notes_story_from_the_operator_file_to_the_external_port() {
    isolated_for(LIMIT, || {
        let scratch = tempfile::tempdir()?;
        let mesh = from_the_notes(scratch.path())?;
        mesh.kubectl(&["label", "namespace", "default", "istio-injection=enabled"])?;
        mesh.cluster.apply(ECHO_YAML)?;
        mesh.ready("default", "app=echo-server", "2/2")?;
        mesh.cluster.apply(include_str!("../testdata/echo-client.yaml"))?;
        mesh.ready("default", "app=echo-client", "2/2")?;
        wait_until("the external port", SOON, || expect_answer(EXTERNAL, "hello\n", "hello\n"))?;
        wait_until("the client's replies", SOON, || {
            let said = mesh.kubectl(&["logs", "deployment/echo-client"])?;
            ensure!(said.contains("reply: message 1\n"), "{said}");
            Ok(())
        })?;
        shows_the_graph(&mesh)?;

        mesh.cluster.apply(&(job("native", true) + &job("plain", false) + OWN_GATEWAY))?;
        wait_until("both jobs to end", START, || {
            let path = "jsonpath={range .items[*]}{.metadata.name}={.status.succeeded} {end}";
            let jobs = mesh.kubectl(&["get", "jobs", "-o", path])?;
            ensure!(jobs == "native=1 plain=1 ", "{jobs}");
            Ok(())
        })
        .with_context(|| mesh.kubectl(&["describe", "pods"]).unwrap_or_default())?;
        waits_for_a_late_container(&mesh)?;
        let rules = mesh.kubectl(&["logs", "job/plain", "-c", "istio-init"])?;
        ensure!(rules.contains("*nat"), "{rules}");
        mesh.ready("default", "istio=own", "1/1")?;
        let node_port = format!("{NODE}:31500");
        wait_until("the node's port", SOON, || expect_answer(&node_port, "hello\n", "hello\n"))?;

        mesh.kubectl(&["label", "namespace", "default", "istio-injection-"])?;
        mesh.kubectl(&["label", "namespace", "default", "istio-injection=disabled"])?;
        mesh.kubectl(&["rollout", "restart", "deployment/echo-client"])?;
        mesh.kubectl(&["rollout", "status", "deployment/echo-client", "--timeout=60s"])?;
        mesh.ready("default", "app=echo-client", "1/1")
    });
}
