//! The node agent on a real Kubernetes: kubelet and containerd call the plugin, injected pods have their rules
//! without a right to lay them, and pods that started without the agent are repaired by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use lateen_e2e::ECHO_YAML;
use lateen_e2e::installed::{IMAGE, Node, START};
use lateen_e2e::pod::get;
use lateen_testkit::cluster::Image;
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::net::connect;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(400);
const SOON: Duration = Duration::from_secs(30);
const SYSTEM: &str = "istio-system";
/// A pod that was replaced has ended by then.
const AFTERMATH: Duration = Duration::from_secs(10);
/// Where the agent and its plugin meet.
const SOCKET: &str = "/var/run/istio-cni/pluginevent.sock";

fn cluster(scratch: &Path) -> Result<Node> {
    let images = [
        Image::of_static(
            "grd-dev.urad.com.tw/hank/echoserver:1.0.1",
            &tools::cached("go-echo-server")?,
        ),
        Image::of_static(
            "grd-dev.urad.com.tw/hank/echoclient:1.0.0",
            &tools::cached("go-echo-client")?,
        ),
    ];
    Node::with_images(&images, scratch)
}

/// Another cluster's on this machine, if there is one.
fn foreign_socket() -> Option<SystemTime> {
    fs::metadata(SOCKET).and_then(|socket| socket.modified()).ok()
}

/// The agent, on a node whose folders are not where they are elsewhere.
fn operator_file(node: &Node, scratch: &Path) -> Result<PathBuf> {
    let folder = node.cluster.folder().display();
    let text = format!(
        "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: minimal
  components:
    cni: {{enabled: true}}
  values:
    cni: {{cniBinDir: {folder}/plugins, cniConfDir: {folder}/etc/cni}}
"
    );
    let file = scratch.join("istio.yaml");
    fs::write(&file, text)?;
    Ok(file)
}

fn pod(node: &Node, app: &str) -> Result<Value> {
    let list = node.kubectl(&["get", "pods", "-l", &format!("app={app}"), "-o", "json"])?;
    let list: Value = serde_json::from_str(&list)?;
    list["items"].get(0).cloned().with_context(|| format!("no pod of {app}"))
}

/// Every container's own rights, and the one that checks the rules.
fn has_no_rights(pod: &Value) -> Result<()> {
    let containers = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    let containers: Vec<&Value> = containers.into_iter().flatten().flatten().collect();
    ensure!(containers.iter().any(|one| one["name"] == "istio-validation"), "{pod}");
    for container in containers {
        let security = &container["securityContext"];
        ensure!(security["capabilities"]["add"].is_null(), "{container}");
        ensure!(security["privileged"] != true, "{container}");
    }
    Ok(())
}

/// The webhooks' Service takes every connection while the control plane's pod is replaced, and a while after.
fn serves_while_rolling(node: &Node) -> Result<()> {
    let address =
        ["get", "service", "-n", SYSTEM, "istiod", "-o", "jsonpath={.spec.clusterIP}:443"];
    let address = node.kubectl(&address)?;
    node.kubectl(&["rollout", "restart", "-n", SYSTEM, "deployment/istiod"])?;
    let status = ["rollout", "status", "-n", SYSTEM, "deployment/istiod", "--timeout=60s"];
    let mut rolling = Process::spawn("kubectl", &mut node.cluster.kubectl().command(&status))?;
    let mut rolled = None;
    while rolled.is_none_or(|at: Instant| at.elapsed() < AFTERMATH) {
        connect(&address).context("while the control plane rolls")?;
        if let Some(status) = rolling.poll()? {
            ensure!(status.success(), "{}", rolling.stderr());
            rolled.get_or_insert_with(Instant::now);
        }
    }
    Ok(())
}

#[test]
fn pods_have_their_rules_from_the_node_and_those_that_were_too_early_are_repaired() {
    isolated_for(LIMIT, || {
        let scratch = tempfile::tempdir()?;
        let node = cluster(scratch.path())?;
        let file = operator_file(&node, scratch.path())?.display().to_string();
        let conflist = node.cluster.folder().join("etc/cni/10-bridge.conflist");
        let plugin = node.cluster.folder().join("plugins/istio-cni");
        let before = fs::read_to_string(&conflist)?;
        let foreign = foreign_socket();
        let install = [&["install", "-f", &file, "-y"][..], &IMAGE].concat();
        node.lateen(&install)?.success(START)?;
        ensure!(fs::read_to_string(&conflist)?.contains("istio-cni"), "not in the chain");
        let has_socket = node.cluster.on_node(Path::new("test"))?.args(["-S", SOCKET]).status()?;
        ensure!(has_socket.success(), "the node has no socket of the agent");
        ensure!(foreign_socket() == foreign, "the node's /var/run is this machine's");

        node.kubectl(&["label", "namespace", "default", "istio-injection=enabled"])?;
        node.cluster.apply(ECHO_YAML)?;
        node.ready("default", "app=echo-server", "2/2")?;
        node.cluster.apply(include_str!("../testdata/echo-client.yaml"))?;
        node.ready("default", "app=echo-client", "2/2")?;
        let server = pod(&node, "echo-server")?;
        has_no_rights(&server)?;
        wait_until("the client's replies", SOON, || {
            let said = node.kubectl(&["logs", "deployment/echo-client"])?;
            ensure!(said.contains("reply: message 1\n"), "{said}");
            Ok(())
        })?;
        let address = server["status"]["podIP"].as_str().context("an address")?.to_owned();
        wait_until("the server's sidecar to have had connections", SOON, || {
            let (_, page) = get(&format!("{address}:15020"), "GET", "/stats/prometheus")?;
            let counted = |line: &str| {
                line.starts_with("istio_tcp_connections_opened_total{")
                    && line.contains("reporter=\"destination\"")
            };
            ensure!(page.lines().any(counted), "{page}");
            Ok(())
        })?;
        let log = node.kubectl(&["logs", "-n", SYSTEM, "daemonset/istio-cni-node"])?;
        ensure!(log.contains("a pod has its rules"), "{log}");

        let select = |value: Value| {
            let spec = json!({"template": {"spec": {"nodeSelector": {"mesh": value}}}});
            let patch = ["patch", "daemonset", "-n", SYSTEM, "istio-cni-node", "-p"];
            node.kubectl(&[&patch[..], &[&json!({ "spec": spec }).to_string()]].concat())
        };
        select(json!("elsewhere"))?;
        wait_until("the plugin to leave a node that gets no agent any more", START, || {
            ensure!(fs::read_to_string(&conflist)? == before && !plugin.exists(), "not yet");
            Ok(())
        })?;
        select(Value::Null)?;
        wait_until("the plugin to come with the agent", START, || {
            ensure!(fs::read_to_string(&conflist)?.contains("istio-cni"), "not yet");
            Ok(())
        })?;

        node.kubectl(&["delete", "daemonset", "-n", SYSTEM, "istio-cni-node", "--wait"])?;
        wait_until("the plugin to leave the node", START, || {
            ensure!(fs::read_to_string(&conflist)? == before && !plugin.exists(), "not yet");
            Ok(())
        })?;
        node.kubectl(&["delete", "pod", "-l", "app=echo-server", "--wait=false"])?;
        wait_until("a pod whose rules are missing", START, || {
            let list = node.kubectl(&["get", "pods", "-l", "app=echo-server", "-o", "json"])?;
            ensure!(list.contains("\"exitCode\": 126"), "{list}");
            Ok(())
        })?;
        node.lateen(&install)?.success(START)?;
        node.ready("default", "app=echo-server", "2/2")?;
        let events = node.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"])?;
        ensure!(events.contains("RepairBrokenPod"), "{events}");

        serves_while_rolling(&node)?;
        node.lateen(&["uninstall", "-y", "--purge"])?.success(START)?;
        let left = || {
            wait_until("the plugin to leave the node", START, || {
                ensure!(fs::read_to_string(&conflist)? == before && !plugin.exists(), "not yet");
                Ok(())
            })
        };
        left()?;
        node.lateen(&install)?.success(START)?;
        node.kubectl(&["delete", "namespace", SYSTEM, "--wait=false"])?;
        left()
    });
}
