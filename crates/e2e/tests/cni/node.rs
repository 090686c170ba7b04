//! A node without a container runtime: folders with a provider's configuration, the agent, and pods that are
//! network namespaces. In: pods. Out: the plugin's answers to calls, and the rules that are in a namespace.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::{get, run};
use lateen_e2e::{SOON, mesh};
use lateen_testkit::isolate::replace_resolv_conf;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::process::Process;
use lateen_testkit::tools::lateen;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const NODE: &str = "node1";

pub const CONFLIST: &str = "{
  \"cniVersion\": \"1.0.0\",
  \"name\": \"pods\",
  \"plugins\": [
    {\"type\": \"bridge\", \"bridge\": \"cni0\"},
    {\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}
  ]
}
";

pub const DAEMON_SET: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: istio-cni-node, namespace: istio-system}
spec:
  selector: {matchLabels: {k8s-app: istio-cni-node}}
  template:
    metadata: {labels: {k8s-app: istio-cni-node}}
    spec: {containers: [{name: install-cni, image: x}]}
";

const NODE_OBJECT: &str = "
apiVersion: v1
kind: Node
metadata: {name: node1, labels: {mesh: 'yes'}}
";

/// What the plugin before answered.
pub fn previous() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x"}],
        "ips": [{"address": "10.88.0.4/24", "gateway": "10.88.0.1", "interface": 0}],
        "dns": {},
    })
}

pub struct Node {
    pub mesh: Mesh,
    root: TempDir,
}

impl Node {
    pub fn new() -> Result<Node> {
        let root = tempfile::tempdir()?;
        replace_resolv_conf(root.path(), "nameserver 10.96.0.10\n")?;
        for folder in ["net.d", "bin", "run"] {
            fs::create_dir(root.path().join(folder))?;
        }
        let node = Node { mesh: mesh()?, root };
        node.mesh.apply(NODE_OBJECT)?;
        fs::write(node.conflist(), CONFLIST)?;
        Ok(node)
    }

    pub fn conflist(&self) -> PathBuf {
        self.root.path().join("net.d/10-pods.conflist")
    }

    pub fn plugin(&self) -> PathBuf {
        self.root.path().join("bin/istio-cni")
    }

    /// The pod's check of its rules has failed, as the kubelet tells it.
    pub fn fail_validation(&self, pod: &Pod) -> Result<()> {
        let failed = json!({"status": {
            "phase": "Pending",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "initContainerStatuses": [{
                "name": "istio-validation", "ready": false, "image": "x", "imageID": "x",
                "restartCount": 2, "lastState": {"terminated": {"exitCode": 126}},
            }],
        }});
        let patch = ["patch", "pod", &pod.name, "--subresource=status", "--type=merge", "-p"];
        self.mesh.kubectl(&[&patch[..], &[&failed.to_string()]].concat()).map(drop)
    }

    /// Starts the agent and waits until it is ready.
    pub fn agent(&self, more: &[&str]) -> Result<Process> {
        let agent = self.start(more)?;
        wait_until("the agent to be ready", SOON, || {
            let page = self.page("8000", "/readyz").with_context(|| agent.stderr())?;
            ensure!(page == "ok\n", "{page}");
            Ok(())
        })?;
        Ok(agent)
    }

    pub fn start(&self, more: &[&str]) -> Result<Process> {
        let folder = |name: &str| self.root.path().join(name).display().to_string();
        let kubeconfig = self.mesh.home().join("kubeconfig").display().to_string();
        let mut command = self.mesh.lateen(&["cni", "--kubeconfig", &kubeconfig])?;
        command.args(["--mounted-cni-net-dir", &folder("net.d")]);
        command.args(["--mounted-cni-bin-dir", &folder("bin")]);
        command.args(["--cni-agent-run-dir", &folder("run"), "--host-proc", "/proc"]);
        command.args(["--excluded-namespaces", "kube-system"]).args(more);
        command.env("NODE_NAME", NODE).env("POD_NAMESPACE", "istio-system");
        // A Service named envoy would give every pod such a variable.
        command.env("ENVOY_PORT", "tcp://10.0.0.1:80");
        Process::spawn("lateen cni", &mut command)
    }

    pub fn page(&self, port: &str, path: &str) -> Result<String> {
        get(&format!("127.0.0.1:{port}"), "GET", path).map(|(_, body)| body)
    }

    /// The exit code and the answer, `null` if it is nothing.
    pub fn call(&self, command: &str, pod: &Pod) -> Result<(i32, Value)> {
        self.call_in(command, pod, &format!("/run/netns/{}", pod.namespace))
    }

    pub fn call_in(&self, command: &str, pod: &Pod, netns: &str) -> Result<(i32, Value)> {
        let list: Value = serde_json::from_str(&fs::read_to_string(self.conflist())?)?;
        let last = list["plugins"].as_array().and_then(|all| all.last()).context("a plugin")?;
        let mut config = last.clone();
        ensure!(config["type"] == "istio-cni", "{config}");
        config["name"] = list["name"].clone();
        config["cniVersion"] = list["cniVersion"].clone();
        config["prevResult"] = previous();
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID=c",
            pod.pod_namespace, pod.name
        );
        let mut plugin = Command::new(self.plugin());
        plugin.env_clear().env("CNI_COMMAND", command).env("CNI_ARGS", args);
        plugin.env("CNI_NETNS", netns).env("CNI_CONTAINERID", "c").env("CNI_IFNAME", "eth0");
        plugin.env("CNI_PATH", self.root.path().join("bin")).stdin(Stdio::piped());
        let mut plugin = Process::spawn(&format!("istio-cni {command}"), &mut plugin)?;
        plugin.write_stdin(&config.to_string())?;
        plugin.close_stdin();
        let code = plugin.exit_code(PATIENCE)?;
        let said = plugin.stdout();
        let value = if said.is_empty() { Value::Null } else { serde_json::from_str(&said)? };
        Ok((code, value))
    }
}

/// A pod that is an object and a network namespace.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub pod_namespace: String,
    pub object: Value,
    /// The name of its network namespace.
    pub namespace: String,
    pub address: String,
}

impl Pod {
    pub fn new(name: &str, annotations: &Value) -> Result<Pod> {
        Pod::at("10.77.0.2", name, annotations)
    }

    /// With an address of its own.
    pub fn at(address: &str, name: &str, annotations: &Value) -> Result<Pod> {
        let address = address.to_owned();
        make_namespace(name, &address)?;
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "app"}]},
        });
        let (name, namespace) = (name.to_owned(), name.to_owned());
        Ok(Pod { name, pod_namespace: "default".into(), object, namespace, address })
    }

    /// With its sidecar, for a node agent or with an init container.
    pub fn injected(&self, node_agent: bool) -> Result<Value> {
        let scratch = tempfile::tempdir()?;
        let (pod, values) = (scratch.path().join("pod"), scratch.path().join("values"));
        fs::write(&pod, self.object.to_string())?;
        fs::write(&values, json!({"pilot": {"cni": {"enabled": node_agent}}}).to_string())?;
        let mut command = Command::new(lateen()?);
        command.args(["inject", "-o", "json", "-f"]).arg(pod).arg("--values").arg(values);
        let injected = Process::spawn("inject", &mut command)?.success(PATIENCE)?;
        let injected: Value = serde_json::from_str(&injected)?;
        let is_list = injected["kind"] == "List";
        Ok(if is_list { injected["items"][0].clone() } else { injected })
    }

    /// The container that checks the rules: its exit code, and what it said.
    pub fn validate(&self) -> Result<(i32, String)> {
        let container = init_container(&self.injected(true)?, "istio-validation")?;
        let mut command = command_of(&container)?;
        command.arg("--probe-timeout=1s");
        command.args(["--network-namespace", &format!("/run/netns/{}", self.namespace)]);
        let output = command.output()?;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        Ok((output.status.code().context("ended by a signal")?, said))
    }

    /// A program in its network.
    pub fn run(&self, script: &str) -> Result<Process> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "sh", "-c", script]);
        Process::spawn(script, &mut command)
    }
}

fn make_namespace(name: &str, address: &str) -> Result<()> {
    run("ip", &["netns", "add", name])?;
    let inside = |args: &[&str]| run("ip", &[&["-n", name], args].concat());
    inside(&["link", "set", "lo", "up"])?;
    inside(&["link", "add", "eth0", "type", "veth", "peer", "name", "peer0"])?;
    inside(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
    inside(&["link", "set", "eth0", "up"]).map(drop)
}

fn init_container(pod: &Value, name: &str) -> Result<Value> {
    let containers = pod["spec"]["initContainers"].as_array().context("no init containers")?;
    let found = containers.iter().find(|one| one["name"] == name);
    found.cloned().with_context(|| format!("no {name} in {pod}"))
}

fn command_of(container: &Value) -> Result<Command> {
    let mut command = Command::new(lateen()?);
    let list = |field: &str| container[field].as_array().cloned().unwrap_or_default();
    command.args(list("args").iter().filter_map(Value::as_str));
    for variable in list("env") {
        let text = |field: &str| variable[field].as_str().unwrap_or_default().to_owned();
        command.env(text("name"), text("value"));
    }
    Ok(command)
}

/// The rules that the pod's init container lays in an empty namespace.
pub fn by_init_container(pod: &Pod) -> Result<String> {
    let name = format!("{}-init", pod.name);
    make_namespace(&name, &pod.address)?;
    let container = init_container(&pod.injected(false)?, "istio-init")?;
    let mut command = command_of(&container)?;
    command.args(["--network-namespace", &format!("/run/netns/{name}")]);
    Process::spawn("istio-init", &mut command)?.success(PATIENCE)?;
    rules(&name)
}

/// The rules and the routing rules of a namespace; empty if there are none.
pub fn rules(namespace: &str) -> Result<String> {
    let rules = run("ip", &["netns", "exec", namespace, "nft", "list", "ruleset"])?;
    if rules.is_empty() {
        return Ok(rules);
    }
    Ok(rules + &run("ip", &["-n", namespace, "rule", "list"])?)
}
