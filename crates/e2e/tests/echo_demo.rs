//! The demo as a newcomer types it: every step with real kubectl, nc, and echo servers and clients
//! in Rust and Go.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, ECHO_YAML, SOON, mesh, mesh_with, testdata};
use lateen_testkit::isolate::isolated;
use lateen_testkit::kubectl::Version;
use lateen_testkit::mesh::{Mesh, Options, START};
use lateen_testkit::net::{PATIENCE, is_listening};
use lateen_testkit::process::{Process, children};
use lateen_testkit::tools::{cached, echo_client, echo_server};
use lateen_testkit::wait::wait_until;

#[test]
fn the_demo_works_with_a_current_kubectl_and_the_rust_pair() {
    isolated(|| demo(Version::Current, echo_server()?, echo_client()?));
}

#[test]
fn the_demo_works_with_debians_kubectl_and_the_go_pair() {
    isolated(|| demo(Version::Debian, cached("go-echo-server")?, cached("go-echo-client")?));
}

fn demo(kubectl: Version, server: PathBuf, client: PathBuf) -> Result<()> {
    let mesh = mesh_with(kubectl)?;
    let (server, client) = (server.display().to_string(), client.display().to_string());
    let file = testdata("echo-server.yaml").display().to_string();
    let applied = mesh.kubectl(&["apply", "-f", &file])?;
    for object in [
        "service/tcp-echo-server created",
        "deployment.apps/echo-server created",
        "gateway.networking.istio.io/tcp-echo-gateway-server created",
        "virtualservice.networking.istio.io/tcp-echo created",
    ] {
        ensure!(applied.contains(object), "no {object:?} in {applied}");
    }
    mesh.kubectl(&["label", "namespace", "default", "istio-injection=enabled"])?;
    let namespaces = mesh.kubectl(&["get", "namespace", "-L", "istio-injection"])?;
    let default = namespaces.lines().find(|line| line.starts_with("default"));
    ensure!(default.is_some_and(|line| line.ends_with("enabled")), "{namespaces}");

    let labels = "app=echo-server,version=v1";
    let mut served = mesh.run("echo-server", labels, &[&server, "8020"])?;
    served.wait_for("listening on", START)?;
    wait_until("an answer to nc", SOON, || {
        let answer = nc_hello()?;
        ensure!(answer == "hello", "nc printed {answer:?}");
        Ok(())
    })?;

    let call = [&client, "--count", "3", "tcp-echo-server", "8020", "10"];
    let mut called = mesh.run("echo-client", "app=echo-client,version=v1", &call)?;
    let printed = called.success(START)?;
    ensure!(printed.contains("message 3"), "the client printed {printed:?}");
    ensure!(served.poll()?.is_none(), "the server has ended");
    ensure!(served.stop()?.code() != Some(101), "lateen run panicked");
    Ok(())
}

fn nc_hello() -> Result<String> {
    let mut command = Command::new("sh");
    command.args(["-c", "printf hello | nc -q1 127.0.0.1 31400"]);
    Process::spawn("nc", &mut command)?.success(PATIENCE)
}

#[test]
fn files_given_to_up_are_served_and_their_ports_printed() {
    isolated(|| {
        let files = vec![testdata("echo-server.yaml")];
        let mesh = Mesh::up(Options { files, ..Options::default() })?;
        let printed = mesh.supervisor().stdout();
        ensure!(printed.contains("31400"), "no port in {printed:?}");
        ensure!(is_listening(ECHO_GATEWAY), "31400 is closed although up is ready");
        mesh.kubectl(&["get", "service", "tcp-echo-server"])?;
        Ok(())
    });
}

#[test]
fn a_folder_given_to_up_is_read_whole() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("echo.yaml"), ECHO_YAML)?;
        let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"from-json"}}"#;
        std::fs::write(folder.path().join("map.json"), map)?;
        let files = vec![folder.path().to_owned()];
        let mesh = Mesh::up(Options { files, ..Options::default() })?;
        mesh.kubectl(&["get", "virtualservices.networking.istio.io", "tcp-echo"])?;
        mesh.kubectl(&["get", "configmap", "from-json"])?;
        Ok(())
    });
}

#[test]
fn gateway_ports_open_on_the_chosen_address_only() {
    isolated(|| {
        let args = vec!["--gateway-bind".to_owned(), "127.0.0.2".to_owned()];
        let mesh = Mesh::up(Options { args, ..Options::default() })?;
        mesh.apply(ECHO_YAML)?;
        wait_until("127.0.0.2:31400", SOON, || {
            ensure!(is_listening("127.0.0.2:31400"), "closed");
            Ok(())
        })?;
        ensure!(!is_listening(ECHO_GATEWAY), "127.0.0.1:31400 is open too");
        Ok(())
    });
}

#[test]
fn sigterm_ends_all_of_it() {
    isolated(|| {
        let mut mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        wait_until("the port", SOON, || {
            ensure!(is_listening(ECHO_GATEWAY), "closed");
            Ok(())
        })?;
        let parts = children(mesh.supervisor().pid());
        ensure!(parts.len() >= 2, "the supervisor has the children {parts:?}");
        mesh.stop()?;
        for (pid, words) in parts {
            let alive = std::path::Path::new(&format!("/proc/{pid}")).exists();
            ensure!(!alive, "{words:?} outlives its supervisor");
        }
        ensure!(!is_listening(ECHO_GATEWAY), "31400 is still open");
        Ok(())
    });
}

#[test]
fn a_home_is_private() {
    isolated(|| {
        use std::os::unix::fs::PermissionsExt;
        let mesh = mesh()?;
        for (name, expected) in [("kubeconfig", 0o600), ("home.json", 0o600), ("data", 0o700)] {
            let mode = std::fs::metadata(mesh.home().join(name))?.permissions().mode() & 0o777;
            ensure!(mode == expected, "{name} has mode {mode:o}");
        }
        Ok(())
    });
}

#[test]
fn a_second_up_in_one_home_is_refused() {
    isolated(|| {
        let mesh = mesh()?;
        let mut command = mesh.lateen(&["up", "--home"])?;
        command.arg(mesh.home());
        let mut second = Process::spawn("second lateen up", &mut command)?;
        ensure!(second.exit_code(Duration::from_secs(15))? != 0, "it went well");
        ensure!(!second.stderr().is_empty(), "it gives no reason");
        mesh.kubectl(&["get", "namespaces"])?;
        Ok(())
    });
}
