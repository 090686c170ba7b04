//! `lateen precheck`: each node's pod is judged, the node that lacks something is named, and nothing is left
//! behind. Pods' statuses are written as a kubelet writes them; over ssh, a shell stands in for the other side.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::{SOON, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const SET: &str = "lateen-precheck";

fn node(mesh: &Mesh, name: &str) -> Result<()> {
    mesh.apply(
        &json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } }).to_string(),
    )?;
    let status = json!({ "status": {
        "nodeInfo": { "kubeletVersion": "v1.34.0", "kernelVersion": "6.1.0", "operatingSystem": "linux" },
        "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    patch_status(mesh, &["node", name], &status)
}

fn patch_status(mesh: &Mesh, object: &[&str], status: &Value) -> Result<()> {
    let status = status.to_string();
    let patch = ["--subresource=status", "--type=merge", "-p", &status];
    mesh.kubectl(&[&["patch"], object, &patch].concat()).map(drop)
}

/// The DaemonSet's pod on a node, with the state of its container that pulls.
fn pod(mesh: &Mesh, namespace: &str, node: &str, pull: &Value) -> Result<()> {
    let set: Value =
        serde_json::from_str(&mesh.kubectl(&["get", "ds", SET, "-n", namespace, "-o", "json"])?)?;
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod" });
    pod["metadata"] = set["spec"]["template"]["metadata"].clone();
    pod["metadata"]["name"] = node.into();
    pod["metadata"]["namespace"] = namespace.into();
    pod["spec"] = set["spec"]["template"]["spec"].clone();
    pod["spec"]["nodeName"] = node.into();
    mesh.apply(&pod.to_string())?;
    let status = json!({ "status": {
        "initContainerStatuses": [
            { "name": "interception", "image": "i", "state": { "terminated": { "exitCode": 0 } } },
        ],
        "containerStatuses": [
            { "name": "lateen", "image": "i", "state": { "terminated": { "exitCode": 0 } } },
            { "name": "pull-0", "image": "r:5000/a:1", "state": pull },
        ],
    } });
    patch_status(mesh, &["pod", node, "-n", namespace], &status)
}

/// Starts one, and waits for its DaemonSet; the namespace is its own.
fn precheck(mesh: &Mesh) -> Result<(Process, String)> {
    precheck_with(mesh, &[])
}

fn precheck_with(mesh: &Mesh, args: &[&str]) -> Result<(Process, String)> {
    let before = namespaces(mesh)?;
    let mut command = mesh.lateen(&["precheck", "--pull", "r:5000/a:1", "--within", "40"])?;
    command.args(args);
    command.env("KUBECONFIG", mesh.home().join("kubeconfig"));
    let process = Process::spawn("lateen precheck", &mut command)?;
    let mut own = String::new();
    wait_until("the DaemonSet", SOON, || {
        let mut new = namespaces(mesh)?;
        new.retain(|name| !before.contains(name));
        own = new.pop().context("no namespace")?;
        mesh.kubectl(&["get", "ds", SET, "-n", &own])
    })?;
    Ok((process, own))
}

fn namespaces(mesh: &Mesh) -> Result<Vec<String>> {
    let names = mesh.kubectl(&["get", "ns", "-l", "app=lateen-precheck", "-o", "name"])?;
    let name = |line: &str| line.trim_start_matches("namespace/").to_owned();
    Ok(names.lines().map(name).collect())
}

/// Nothing of a precheck is there.
fn gone(mesh: &Mesh) -> Result<()> {
    wait_until("the end of the namespace", SOON, || {
        let found = namespaces(mesh)?;
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    })
}

#[test]
fn the_node_that_cannot_pull_is_named() {
    isolated(|| {
        let mesh = mesh()?;
        node(&mesh, "master1")?;
        node(&mesh, "master2")?;
        let (mut run, own) = precheck(&mesh)?;
        // The embedded API has a node of its own: the machine.
        let all = mesh.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])?;
        let others = || all.split_whitespace().filter(|name| *name != "master2");
        for name in others() {
            pod(&mesh, &own, name, &json!({ "terminated": { "exitCode": 0 } }))?;
        }
        let message = "server gave HTTP response to HTTPS client";
        let failing = json!({ "waiting": { "reason": "ErrImagePull", "message": message } });
        pod(&mesh, &own, "master2", &failing)?;
        assert_eq!(run.exit_code(LIMIT)?, 1);
        let output = run.stdout();
        assert!(output.contains("error: node master2: it cannot pull r:5000/a:1"), "{output}");
        assert!(output.contains(message) && !output.contains("master1"), "{output}");
        gone(&mesh)?;

        let (mut run, own) = precheck(&mesh)?;
        for name in all.split_whitespace() {
            pod(&mesh, &own, name, &json!({ "running": {} }))?;
        }
        assert!(run.success(LIMIT)?.contains("3 nodes are ready"));
        gone(&mesh)
    });
}

#[test]
fn a_precheck_does_not_wait_for_the_end_of_what_another_one_left() {
    isolated(|| {
        let mesh = mesh()?;
        // Of an earlier one, whose end somebody holds up.
        let left = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": SET, "labels": { "app": SET }, "finalizers": ["example.com/held"],
            },
        });
        mesh.apply(&left.to_string())?;
        let (mut run, own) = precheck(&mesh)?;
        let other = format!("the namespace {SET} is another precheck's, at work or killed");
        assert!(run.stderr().contains(&other), "{}", run.stderr());
        mesh.kubectl(&["delete", "ns", SET, "--wait=false"])?;
        let (mut second, its) = precheck(&mesh)?;
        assert!(!second.stderr().contains(&format!("{SET} is another")), "{}", second.stderr());
        let all = mesh.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])?;
        for (namespace, name) in [(&own, all.trim()), (&its, all.trim())] {
            pod(&mesh, namespace, name, &json!({ "running": {} }))?;
        }
        assert!(run.success(LIMIT)?.contains("1 node is ready"));
        assert!(second.success(LIMIT)?.contains("1 node is ready"));
        let free = r#"{"metadata":{"finalizers":null}}"#;
        mesh.kubectl(&["patch", "ns", SET, "--type=merge", "-p", free])?;
        gone(&mesh)
    });
}

#[test]
fn nodes_pull_with_the_secrets_of_the_installation() {
    isolated(|| {
        let mesh = mesh()?;
        let data = json!({ ".dockerconfigjson": "e30=" });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": { "name": "pull", "namespace": "istio-system" }, "data": data,
        });
        mesh.apply(&secret.to_string())?;
        let secrets = "values.global.imagePullSecrets={pull,absent}";
        let (mut run, own) = precheck_with(&mesh, &["--set", secrets])?;
        let told = "Secret istio-system/absent of values.global.imagePullSecrets is not there";
        assert!(run.stderr().contains(told), "{}", run.stderr());
        let copy = mesh.kubectl(&["get", "secret", "pull", "-n", &own, "-o", "json"])?;
        let copy: Value = serde_json::from_str(&copy)?;
        assert_eq!((&copy["data"], &copy["type"]), (&data, &secret["type"]));
        let names = "jsonpath={.spec.template.spec.imagePullSecrets[*].name}";
        assert_eq!(mesh.kubectl(&["get", "ds", SET, "-n", &own, "-o", names])?, "pull absent");
        run.signal(nix::sys::signal::Signal::SIGINT)?;
        assert_eq!(run.exit_code(LIMIT)?, 1);
        gone(&mesh)
    });
}

#[test]
fn a_precheck_that_is_broken_off_leaves_nothing() {
    isolated(|| {
        let mesh = mesh()?;
        node(&mesh, "master1")?;
        for signal in [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGTERM] {
            let (mut run, _) = precheck(&mesh)?;
            run.signal(signal)?;
            assert_eq!(run.exit_code(LIMIT)?, 1);
            assert!(run.stderr().contains("broken off"), "{}", run.stderr());
            gone(&mesh)?;
        }
        Ok(())
    });
}

#[test]
fn a_node_over_ssh_lays_the_rules_and_says_what_it_cannot_pull() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let ssh = folder.path().join("ssh");
        std::fs::write(&ssh, "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n")?;
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755))?;
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
        let run = |args: &[&str]| -> Result<(i32, String)> {
            let mut command = Command::new(tools::lateen()?);
            command.args(["precheck", "--nodes", "root@n1"]).args(args).env("PATH", &path);
            let mut process = Process::spawn("lateen precheck", &mut command)?;
            let code = process.exit_code(LIMIT)?;
            Ok((code, process.stdout() + &process.stderr()))
        };
        let (code, output) = run(&[])?;
        assert_eq!(code, 0, "{output}");
        assert!(output.contains("1 node is ready"), "{output}");
        let (code, output) = run(&["--pull", "r.example:5000/a:1"])?;
        assert_eq!(code, 1, "{output}");
        assert!(output.contains("error: node root@n1: "), "{output}");
        let (code, output) = run(&["--set", "hub=r.example:5000/mesh"])?;
        assert_eq!(code, 1, "{output}");
        assert!(output.contains("pull r.example:5000/mesh/lateen:"), "{output}");
        Ok(())
    });
}

/// A gateway in its node's network.
const IN_NETWORK: &str = "apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    ingressGateways:
    - name: istio-ingressgateway
      enabled: true
      k8s:
        overlays:
        - kind: Deployment
          name: istio-ingressgateway
          patches:
          - {path: spec.template.spec.hostNetwork, value: true}
";

#[test]
fn a_pod_that_has_a_port_of_the_installation_is_named_with_its_node() {
    isolated(|| {
        let mesh = mesh()?;
        let names = mesh.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])?;
        let other = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "nginx", "namespace": "default" },
            "spec": { "nodeName": names, "containers": [
                { "name": "nginx", "image": "i", "ports": [{ "containerPort": 80, "hostPort": 8443 }] },
            ] },
        });
        let folder = tempfile::tempdir()?;
        let settings = folder.path().join("istio.yaml");
        std::fs::write(&settings, IN_NETWORK)?;
        let run = || -> Result<(i32, String)> {
            let mut command = mesh.lateen(&["precheck", "--no-pods", "-f"])?;
            command.arg(&settings).env("KUBECONFIG", mesh.home().join("kubeconfig"));
            let mut process = Process::spawn("lateen precheck", &mut command)?;
            let code = process.exit_code(LIMIT)?;
            Ok((code, process.stdout() + &process.stderr()))
        };
        let (code, output) = run()?;
        ensure!(code == 0, "{output}");
        mesh.apply(&other.to_string())?;
        let (code, output) = run()?;
        let told = format!(
            "error: node {names}: port 8443 (TCP), which Deployment istio-system/istio-ingressgateway needs, is taken by \
             Pod default/nginx"
        );
        ensure!(code == 1 && output.contains(&told), "{output}");
        Ok(())
    });
}
