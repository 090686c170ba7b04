//! `lateen precheck --nodes` over a real ssh, to a booted machine: what the node has is judged there, with programs that may be
//! started from few folders alone; nothing is left on it; and nodes that ssh does not reach are told of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::machine::{self, Machine, Network, keygen};
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;

const LIMIT: Duration = Duration::from_secs(240);
const SOON: Duration = Duration::from_secs(60);

/// Nothing listens on the port of `off`. Files with keys add up.
const CONFIG: &str = "Host n1
  HostName 10.99.0.11
Host other-port
  HostName 10.99.0.11
  Port 2222
Host wrong-key
  HostName 10.99.0.11
  IdentityFile KEY.wrong
Host off
  HostName 10.99.0.11
  Port 2223
Host n1 other-port off
  IdentityFile KEY
Host *
  User root
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
";

/// An installation with ports on nodes, and an image that none can have.
const SETTINGS: &str = "apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  hub: 10.99.0.1:5000/mesh
  components:
    ingressGateways:
    - name: istio-ingressgateway
      enabled: true
      k8s:
        service:
          externalIPs: [10.99.0.11, 10.99.0.12]
          ports:
          - {name: https, port: 8443, targetPort: 8443, nodePort: 30443}
          - {name: tcp, port: 9000, targetPort: 9000, nodePort: 30900}
";

/// The exit code of a precheck and what it prints.
type Ended = Result<(i32, String)>;

/// In place of a kubelet: only its version is asked for.
fn kubelet(node: &Machine, version: &str) -> Result<()> {
    let program = node.path("/opt/bin/kubelet");
    fs::create_dir_all(node.path("/opt/bin"))?;
    fs::write(&program, format!("#!/bin/sh\n[ $1 = --version ] && echo Kubernetes {version}\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// ssh as it is, with settings of the test's own.
fn ssh(folder: &Path, network: &Network) -> Result<String> {
    let (key, path) = (network.key(), std::env::var("PATH")?);
    keygen(&key.with_extension("wrong"))?;
    let (config, ssh) = (folder.join("config"), folder.join("ssh"));
    fs::write(&config, CONFIG.replace("KEY", key.to_str().context("a path is text")?))?;
    fs::write(&ssh, format!("#!/bin/sh\nPATH='{path}' exec ssh -F {} \"$@\"\n", config.display()))?;
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755))?;
    Ok(format!("{}:{path}", folder.display()))
}

#[test]
fn a_node_over_a_real_ssh_is_judged_by_what_it_has() {
    isolated_for(LIMIT, || {
        let network = Network::new("10.99.0.1/24")?;
        let folder = tempfile::tempdir()?;
        let lateen = machine::lateen(folder.path())?;
        let path = ssh(folder.path(), &network)?;
        let node = Machine::boot(&network, "n1", "10.99.0.11/24")?;
        let run = |args: &[&str]| -> Ended {
            let mut command = Command::new(&lateen);
            command.args(["precheck", "--within", "50", "--nodes"]).args(args).env("PATH", &path);
            let mut process = Process::spawn("lateen precheck", &mut command)?;
            let code = process.exit_code(SOON)?;
            Ok((code, process.stdout() + &process.stderr()))
        };
        node.sh("mount -t tmpfs -o noexec none /tmp; /usr/sbin/sshd -p 2222")?;
        let (code, output) = run(&["n1,other-port"])?;
        ensure!(code == 0 && output.contains("2 nodes are ready"), "{output}");
        for name in ["n1", "other-port"] {
            ensure!(output.contains(&format!("warning: node {name}: no kubelet is")), "{output}");
        }
        let (code, output) = run(&["n1,wrong-key,off"])?;
        ensure!(code == 1 && !output.contains("error: node n1"), "{output}");
        for (name, reason) in [("wrong-key", "Permission denied"), ("off", "Connection refused")] {
            let told =
                output.lines().find(|line| line.contains(&format!("node {name}: ssh fails")));
            ensure!(told.is_some_and(|line| line.contains(reason)), "{output}");
        }
        versions_and_ports(&node, folder.path(), &run)?;
        let left = node.sh("find /tmp /var/tmp /run /root -name 'lateen.*'")?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    });
}

fn versions_and_ports(node: &Machine, folder: &Path, run: &dyn Fn(&[&str]) -> Ended) -> Result<()> {
    let settings = folder.join("istio.yaml");
    fs::write(&settings, SETTINGS)?;
    let settings = settings.to_str().context("a path is text")?;
    kubelet(node, "v1.24.17")?;
    let (_, output) = run(&["n1", "-f", settings])?;
    ensure!(output.contains("node n1: its kubelet is v1.24.17: 1.25 or newer"), "{output}");
    ensure!(output.contains("pull 10.99.0.1:5000/mesh/lateen:"), "{output}");
    ensure!(!output.contains("is taken by"), "{output}");
    kubelet(node, "v1.34.1")?;
    let serve = "systemd-run --quiet --unit taken-$port python3 -m http.server $port";
    node.sh(&format!("for port in 8443 30900; do {serve}; done"))?;
    wait_until("the listeners", SOON, || {
        node.sh("for port in 8443 30900; do ss -ltn | grep -q \":$port \"; done")
    })?;
    let (code, output) = run(&["n1", "-f", settings])?;
    ensure!(code == 1 && !output.contains("kubelet"), "{output}");
    for (port, address) in [
        ("port 8443 (TCP) of external IP 10.99.0.11", "0.0.0.0:8443"),
        ("node port 30900 (TCP)", "0.0.0.0:30900"),
    ] {
        let told = format!(
            "error: node n1: {port}, which Service istio-system/istio-ingressgateway needs, is taken by python3 (process "
        );
        let line = output.lines().find(|line| line.starts_with(&told));
        ensure!(line.is_some_and(|line| line.contains(address)), "{output}");
    }
    ensure!(output.matches("is taken by").count() == 2, "{output}");
    node.sh("chmod o+w /opt/bin/kubelet")?;
    let (_, output) = run(&["n1"])?;
    ensure!(output.contains("no kubelet is found"), "root starts what anybody can write: {output}");
    Ok(())
}
