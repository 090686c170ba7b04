//! Private registries on booted machines: the Ansible role, over ssh, on two nodes with systemd, real Docker
//! and containerd. They learn of a real registry over plain HTTP and pull from it, and neither a running
//! container nor kube-controller-manager, whose parent is containerd, ends by it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::ansible::{Controller, changed};
use lateen_testkit::cluster::Image;
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::machine::{self, Machine, Network};
use lateen_testkit::net::expect_answer;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(30);
const REGISTRY: &str = "10.99.0.1:5000";
const DEMO: &str = "10.99.0.1:5000/demo:1";

/// A registry over plain HTTP.
fn registry(folder: &Path) -> Result<Process> {
    let config = folder.join("registry.yml");
    let data = folder.join("registry");
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{REGISTRY}'}}\n",
        data.display()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(tools::cached("docker-registry")?);
    let mut registry = Process::spawn("docker-registry", command.arg("serve").arg(config))?;
    registry.wait_for("listening on", SOON)?;
    Ok(registry)
}

/// A node on which a container of Docker's answers on port 8020.
fn node(network: &Network, name: &str, address: &str) -> Result<Machine> {
    let node = Machine::boot(network, name, &format!("{address}/24"))?;
    let program = node.path("/srv/program");
    fs::create_dir_all(node.path("/srv"))?;
    fs::copy(tools::cached("go-echo-server")?, program)?;
    node.sh("tar -C /srv -c program | docker import -c 'ENTRYPOINT [\"/program\"]' - local:1
         docker run -d --name kept --publish 8020:8020 local:1 8020")?;
    wait_until(&format!("the container of {name}"), SOON, || answers(address))?;
    Ok(node)
}

fn answers(address: &str) -> Result<()> {
    expect_answer(&format!("{address}:8020"), "hello\n", "hello\n")
}

/// A kubeconfig whose API server never answers: kube-controller-manager waits for it, and is well.
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: here, context: {cluster: here, user: nobody}}]
current-context: here
";

/// Real kube-controller-manager as a container, as on a master.
fn manager(node: &Machine) -> Result<()> {
    fs::copy(tools::cached("kube-controller-manager")?, node.path("/srv/kube-controller-manager"))?;
    fs::write(node.path("/srv/kubeconfig"), KUBECONFIG)?;
    node.sh(
        "docker run -d --name manager --net host -v /srv:/srv --entrypoint /srv/kube-controller-manager \
         local:1 --kubeconfig /srv/kubeconfig --bind-address 127.0.0.1",
    )?;
    wait_until("kube-controller-manager", SOON, || manager_answers(node))
}

fn manager_answers(node: &Machine) -> Result<()> {
    let ask = "import ssl, urllib.request as r; \
               print(r.urlopen('https://127.0.0.1:10257/healthz', context=ssl._create_unverified_context()).status)";
    let status = node.sh(&format!("python3 -c \"{ask}\""))?;
    ensure!(status.trim() == "200", "{status}");
    Ok(())
}

/// Everything whose end a restart would show: the processes of containers, of their parents and of Docker.
fn processes(node: &Machine) -> Result<String> {
    node.sh("pgrep -a 'dockerd|containerd-shim|program|kube-controller'; docker ps --format '{{.Names}} {{.ID}}'")
}

fn containerd(node: &Machine) -> Result<String> {
    node.sh("systemctl show --property MainPID,ActiveEnterTimestampMonotonic containerd")
}

fn controller(network: &Network) -> Result<Controller> {
    let common = format!(
        "ansible_user=root\nansible_ssh_private_key_file={}\nansible_python_interpreter=/usr/bin/python3\n\
         ansible_ssh_common_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null'",
        network.key().display()
    );
    Controller::new(&format!(
        "[kube_control_plane]\nmaster ansible_host=10.99.0.11\n[kube_node]\nworker ansible_host=10.99.0.12\n\
         [all:vars]\n{common}\n"
    ))
}

#[test]
fn the_role_lets_booted_nodes_pull_and_no_container_ends() {
    isolated_for(LIMIT, || {
        let network = Network::new("10.99.0.1/24")?;
        let folder = tempfile::tempdir()?;
        let _registry = registry(folder.path())?;
        Image::of_static(DEMO, &tools::cached("pause")?).push(folder.path())?;
        let nodes =
            [node(&network, "master", "10.99.0.11")?, node(&network, "worker", "10.99.0.12")?];
        manager(&nodes[0])?;
        for node in &nodes {
            let refused = node.sh(&format!("docker pull {DEMO} 2>&1 || true"))?;
            assert!(refused.contains("server gave HTTP response to HTTPS client"), "{refused}");
        }
        let before = [processes(&nodes[0])?, processes(&nodes[1])?];

        let controller = controller(&network)?;
        let variables = json!({
            "insecure_registries": [REGISTRY],
            "private_registry_lateen": machine::lateen(folder.path())?,
        });
        let first = controller.play("lateen.mesh.private_registry", &variables, &[])?;
        ensure!(first.ok, "{}", first.output);
        assert_eq!(changed(&first), [("master", 2), ("worker", 2)], "the binary, and the registry");
        for (node, before) in nodes.iter().zip(&before) {
            assert_eq!(&processes(node)?, before);
            node.sh(&format!("docker pull {DEMO}"))?;
            node.sh(&format!("lateen node registry check {REGISTRY} --image demo:1"))?;
            let images = node.sh("ctr --namespace k8s.io images list --quiet")?;
            assert!(images.contains(DEMO), "containerd's kubelet images: {images}");
        }
        manager_answers(&nodes[0])?;
        answers("10.99.0.11").and_then(|()| answers("10.99.0.12"))?;

        let restarted = [containerd(&nodes[0])?, containerd(&nodes[1])?];
        let second = controller.play("lateen.mesh.private_registry", &variables, &[])?;
        ensure!(second.ok, "{}", second.output);
        assert_eq!(changed(&second), [("master", 0), ("worker", 0)]);
        assert_eq!([containerd(&nodes[0])?, containerd(&nodes[1])?], restarted);
        what_restarts_with_containerd_is_named(&nodes[1])?;
        a_manager_that_is_not_well_is_spared(&nodes[0])
    });
}

/// As Docker's own packages had it: a restart of containerd is one of Docker, and of all its containers.
fn what_restarts_with_containerd_is_named(node: &Machine) -> Result<()> {
    node.sh(
        "mkdir /etc/systemd/system/docker.service.d
         printf '[Unit]\\nBindsTo=containerd.service\\n' >/etc/systemd/system/docker.service.d/bound.conf
         systemctl daemon-reload
         touch /etc/containerd/config.toml",
    )?;
    let add = format!("lateen node registry add {REGISTRY} --insecure");
    let told = node.sh(&format!("{add} 2>&1"))?;
    assert!(told.contains("with it systemd restarts docker.service"), "{told}");
    let docker = "systemctl show --property MainPID docker";
    let before = node.sh(docker)?;
    let told = node.sh(&format!("{add} --restart"))?;
    assert!(told.contains("containerd was restarted, and with it docker.service"), "{told}");
    wait_until("docker", SOON, || node.sh("systemctl is-active docker"))?;
    assert_ne!(node.sh(docker)?, before);
    Ok(())
}

/// Stopped, it has its socket and does not answer, as one that has hung.
fn a_manager_that_is_not_well_is_spared(node: &Machine) -> Result<()> {
    node.sh("touch /etc/containerd/config.toml; pkill -STOP kube-controller")?;
    let before = containerd(node)?;
    let add = format!("lateen node registry add {REGISTRY} --insecure --restart");
    let told = node.sh(&format!("{add} 2>&1 && exit 1 || true"))?;
    let refused = "containerd was not restarted: kube-controller-manager is not well before it";
    assert!(told.contains(refused), "{told}");
    assert_eq!(containerd(node)?, before);
    node.sh(&format!("pkill -CONT kube-controller; {add}"))?;
    assert_ne!(containerd(node)?, before);
    manager_answers(node)
}
