//! Stock Envoy in the places of Lateen's own proxies: it accepts all that it is sent, and the demo
//! passes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, ECHO_YAML, SOON, answers, gateway, mesh, service, virtual_service};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Options, START};
use lateen_testkit::net::{PATIENCE, expect_answer, http_get};
use lateen_testkit::process::Process;
use lateen_testkit::tools::{cached, echo_server};
use lateen_testkit::wait::wait_until;

#[test]
fn envoy_serves_as_the_gateway() {
    isolated(|| with_envoy_gateway(&[]));
}

#[test]
fn envoy_serves_as_the_gateway_over_delta_ads() {
    isolated(|| with_envoy_gateway(&["--delta"]));
}

fn with_envoy_gateway(args: &[&str]) -> Result<()> {
    let mesh = Mesh::up(Options {
        args: vec!["--gateway".to_owned(), "none".to_owned()],
        ..Options::default()
    })?;
    let admin = mesh.home().join("run/envoy-test.sock");
    let mut envoy = start_gateway(&mesh, &admin, args)?;
    mesh.apply(ECHO_YAML)?;
    let _server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
    answers(ECHO_GATEWAY, "v1> ")?;

    mesh.apply(&service("second", 8020, "app: echo-server"))?;
    mesh.apply(&gateway("second", 31500))?;
    mesh.apply(&virtual_service("second", "second", 31500, &[("second", 60), ("lost", 40)]))?;
    wait_until("a change to arrive", SOON, || expect_answer("127.0.0.1:31500", "x\n", "v1> x\n"))?;
    mesh.kubectl(&["delete", "gateways.networking.istio.io", "second"])?;
    wait_until("a removal to arrive", SOON, || {
        ensure!(!lateen_testkit::net::is_listening("127.0.0.1:31500"), "31500 is still open");
        Ok(())
    })?;
    expect_answer(ECHO_GATEWAY, "x\n", "v1> x\n")?;
    no_rejects(&admin, &envoy, &mesh)?;
    envoy.stop()?;
    Ok(())
}

fn start_gateway(mesh: &Mesh, admin: &Path, args: &[&str]) -> Result<Process> {
    let mut command = mesh.lateen(&["bootstrap", "--role", "gateway", "--home"])?;
    command.arg(mesh.home()).arg("--admin").arg(admin).args(args);
    let bootstrap = Process::spawn("lateen bootstrap", &mut command)?.success(PATIENCE)?;
    let file = mesh.home().join("envoy.yaml");
    std::fs::write(&file, bootstrap)?;
    let mut command = Command::new(cached("envoy")?);
    command.arg("-c").arg(&file).args(["--disable-hot-restart", "--concurrency", "1"]);
    command.stdin(Stdio::null());
    let mut envoy = Process::spawn("envoy", &mut command)?;
    envoy.wait_for("all dependencies initialized", START)?;
    Ok(envoy)
}

/// No update of any type was rejected, by Envoy's own counters and by both logs.
fn no_rejects(admin: &Path, envoy: &Process, mesh: &Mesh) -> Result<()> {
    let stats = http_get(admin, "/stats?filter=update_")?;
    ensure!(stats.contains("update_success"), "no update at all: {stats}");
    let rejected = stats
        .lines()
        .filter(|line| line.contains("update_rejected") && !line.ends_with(": 0"))
        .collect::<Vec<_>>();
    ensure!(rejected.is_empty(), "{rejected:?}");
    let log = envoy.stderr();
    ensure!(!log.contains("rejected"), "envoy rejects: {log}");
    let log = mesh.logs().to_lowercase();
    ensure!(!log.contains("nack"), "the control plane saw a NACK");
    Ok(())
}

#[test]
fn envoy_serves_as_the_sidecar() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let envoy = cached("envoy")?.display().to_string();
        let server = echo_server()?.display().to_string();
        let words = [&server, "8020", "--reply-prefix", "v1> "];
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let sidecar = ["--proxy", envoy.as_str()];
        let labels = "app=echo-server,version=v1";
        let mut served = mesh.run_with("echo-server", labels, &sidecar, &words)?;
        served.wait_for("listening on", START)?;
        answers(ECHO_GATEWAY, "v1> ")?;

        let client = cached("go-echo-client")?.display().to_string();
        let words = [client.as_str(), "--count", "3", "tcp-echo-server", "8020", "10"];
        let labels = "app=echo-client,version=v1";
        let mut called = mesh.run_with("echo-client", labels, &sidecar, &words)?;
        let printed = called.success(START)?;
        ensure!(printed.contains("v1> message 3"), "{printed}");
        let mut own = mesh.run("own-client", labels, &words)?;
        ensure!(own.success(START)?.contains("v1> message 3"));
        ensure!(!mesh.logs().to_lowercase().contains("nack"), "the control plane saw a NACK");
        let ended = served.stop()?;
        ensure!(ended.code().is_none_or(|code| code != 101), "lateen run panicked");
        wait_until("the entry to go", Duration::from_secs(10), || {
            let left = mesh.kubectl(&["get", "workloadentries", "-o", "name"])?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })
    });
}
