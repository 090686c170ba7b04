//! The proxy of a pod as the injector renders it, in a network namespace with the rules of its init container:
//! what the kubelet, Prometheus, other workloads and its own application meet, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::{NODE, POD, Pod, get, injected, relay, template};
use lateen_e2e::{ECHO_YAML, SOON, answers, mesh, service};
use lateen_testkit::echo::{Manner, start};
use lateen_testkit::isolate::{isolated, replace_resolv_conf};
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::{End, connect, refusal};
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;
use nix::sys::signal::Signal;

const DRAIN: Duration = Duration::from_secs(3);

const CONFIG: &str = r#"'{"discoveryAddress": "10.77.0.1:15010", "terminationDrainDuration": "3s",
          "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}'"#;

const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    metadata:
      labels: {app: once}
      annotations:
        proxy.istio.io/config: CONFIG
    spec:
      restartPolicy: Never
      containers:
      - {name: once, image: once}
";

const WORKLOAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        prometheus.io/port: "8081"
        prometheus.io/path: /own
        proxy.istio.io/config: CONFIG
    spec:
      containers:
      - name: web
        image: web
        readinessProbe: {httpGet: {path: /healthy, port: 8081}}
        livenessProbe: {tcpSocket: {port: 9}}
"#;

/// A page about health and one of metrics, for the agent's sake.
fn pages(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let path = lines.next().unwrap_or_default();
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let (status, body) = match path.split(' ').nth(1) {
            Some("/healthy") => ("200 OK", "well\n"),
            Some("/own") => ("200 OK", "own_metric 7\n"),
            _ => ("404 Not Found", ""),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    }
}

/// Sends back what comes.
fn echo(listener: TcpListener) {
    let _ = lateen_testkit::echo::serve(&listener, &Manner::default());
}

/// A mesh, and a pod whose application answers on 8081 and echoes on 8080.
fn pod(folder: &Path) -> Result<(Mesh, Pod)> {
    let workload = WORKLOAD.replace("CONFIG", CONFIG);
    let (mesh, pod) = pod_of(folder, &workload, "web")?;
    pod.serve("0.0.0.0:8080", echo)?;
    pod.serve("0.0.0.0:8081", pages)?;
    Ok((mesh, pod))
}

fn pod_of(folder: &Path, workload: &str, name: &str) -> Result<(Mesh, Pod)> {
    replace_resolv_conf(folder, "nameserver 192.0.2.53\nsearch default.svc.cluster.local\n")?;
    let mesh = mesh()?;
    mesh.apply(&service("web", 8080, "app: web"))?;
    let pod = Pod::new(injected(folder, workload, name)?)?;
    relay(mesh.home().join("run/ads.sock"))?;
    pod.intercept()?;
    Ok((mesh, pod))
}

fn is_ready() -> Result<()> {
    let (status, body) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
    ensure!(status == 200, "{status} {body}");
    Ok(())
}

fn started(pod: &Pod) -> Result<Process> {
    let proxy = pod.start(&[])?;
    wait_until("the proxy to be ready", START, is_ready)?;
    Ok(proxy)
}

#[test]
fn a_rendered_sidecar_serves_the_kubelet_prometheus_and_its_application() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let (mesh, pod) = pod(folder.path())?;
        let _proxy = started(&pod)?;
        let status = format!("{POD}:15020");
        let page = |path: &str| get(&status, "GET", path);
        ensure!(page("/app-health/web/readyz")? == (200, "well\n".to_owned()));
        ensure!(page("/app-health/web/livez")?.0 == 500, "nobody listens on that port");
        let (_, metrics) = page("/stats/prometheus")?;
        for sample in ["istio_agent_scrapes_total 1\n", "envoy_server_live 1\n", "own_metric 7\n"] {
            ensure!(metrics.contains(&format!("\n{sample}")), "no {sample}: {metrics}");
        }
        // Captured on its way in, and then nobody listens there.
        ensure!(refusal(&format!("{POD}:15000"), b"")? == End::Reset, "the admin pages are local");
        let wait = "--url http://127.0.0.1:15000/ready --timeoutSeconds 5";
        let lateen = lateen_testkit::tools::lateen()?.display().to_string();
        pod.application(&format!("{lateen} proxy wait && {lateen} proxy wait {wait}"))?;
        inbound_is_captured()?;
        outbound_and_names_are_captured(&mesh, &pod)
    });
}

fn inbound_is_captured() -> Result<()> {
    lateen_testkit::net::expect_answer(&format!("{POD}:8080"), "hello\n", "hello\n")?;
    let sample = "\nenvoy_cluster_upstream_cx_total{cluster_name=\"inbound|8080||\"} 1\n";
    wait_until("the connection to be counted", SOON, || {
        let (_, metrics) = get(&format!("{POD}:15090"), "GET", "/stats/prometheus")?;
        ensure!(metrics.contains(sample), "{metrics}");
        Ok(())
    })
}

fn outbound_and_names_are_captured(mesh: &Mesh, pod: &Pod) -> Result<()> {
    echo_server(mesh)?;
    let script = "printf 'hello\\n' | nc -q1 -w5 tcp-echo-server.default.svc.cluster.local 8020";
    wait_until("an answer through the mesh", SOON, || {
        let answer = pod.application(script)?;
        ensure!(answer == "v1> hello\n", "{answer:?}");
        Ok(())
    })
}

/// The demo with a server on the node, which is part of the mesh.
fn echo_server(mesh: &Mesh) -> Result<()> {
    mesh.apply(ECHO_YAML)?;
    mesh.apply(
        "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: echo-server}
spec: {address: 10.77.0.1, labels: {app: echo-server, version: v1}}
",
    )?;
    let manner = Manner { reply_prefix: Some("v1> ".into()), ..Manner::default() };
    start(&format!("{NODE}:8020"), manner)?;
    Ok(())
}

#[test]
fn a_sidecar_drains_in_one_deadline() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let (_mesh, pod) = pod(folder.path())?;
        let mut proxy = started(&pod)?;
        let mut before = connect(&format!("{POD}:8080"))?;
        let mut echoed = [0; 6];
        before.write_all(b"hello\n")?;
        before.read_exact(&mut echoed)?;
        let begin = Instant::now();
        proxy.signal(Signal::SIGTERM)?;
        wait_until("it to be unready", SOON, || {
            let (status, body) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
            ensure!((status, &*body) == (503, "the proxy is draining\n"), "{status} {body}");
            Ok(())
        })?;
        before.write_all(b"still\n")?;
        before.read_exact(&mut echoed).context("a connection that was open")?;
        lateen_testkit::net::expect_answer(&format!("{POD}:8080"), "new\n", "new\n")?;
        ensure!(proxy.exit_code(START)? == 0, "{}", proxy.stderr());
        let took = begin.elapsed();
        ensure!(took >= DRAIN && took < DRAIN + Duration::from_secs(2), "{took:?}");
        Ok(())
    });
}

#[test]
fn a_program_of_the_pod_ends_its_sidecar_and_nobody_else_does() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let (_mesh, pod) = pod(folder.path())?;
        let mut proxy = started(&pod)?;
        ensure!(get(&format!("{POD}:15020"), "POST", "/quitquitquit")?.0 == 403);
        let request = "POST /quitquitquit HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n";
        let answer = pod.application(&format!("printf '{request}' | nc -w5 127.0.0.1 15020"))?;
        ensure!(answer.ends_with("\r\n\r\nOK"), "{answer}");
        ensure!(proxy.exit_code(START)? == 0, "{}", proxy.stderr());
        Ok(())
    });
}

#[test]
fn a_jobs_sidecar_ends_with_its_program() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let (_mesh, pod) = pod_of(folder.path(), &JOB.replace("CONFIG", CONFIG), "once")?;
        let groups = folder.path().join("groups");
        std::fs::create_dir(&groups)?;
        // The pod's first process, the job's program for a while in a container's control group, and the proxy.
        let script = format!(
            "mount -t cgroup2 cgroup2 {0} && mkdir -p {0}/{1:064x} || exit
             (echo 0 >{0}/{1:064x}/cgroup.procs && exec sleep 4) &
             \"$@\"; code=$?; rmdir {0}/{1:064x}; exit $code",
            groups.display(),
            std::process::id()
        );
        let script = script.as_str();
        let namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let mut proxy = pod.start(&[&namespace[..], &["sh", "-c", script, "sh"]].concat())?;
        wait_until("the proxy to be ready", START, is_ready)?;
        let ended = "the application has ended";
        ensure!(!proxy.stderr().contains(ended), "its program still runs");
        proxy.wait_for(ended, START)?;
        ensure!(proxy.exit_code(DRAIN)? == 0, "{}", proxy.stderr());
        Ok(())
    });
}

#[test]
fn a_rendered_gateway_serves_its_ports() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        replace_resolv_conf(folder.path(), "nameserver 192.0.2.53\n")?;
        let mesh = mesh()?;
        let pod = Pod::new(rendered_gateway(&mesh)?)?;
        relay(mesh.home().join("run/ads.sock"))?;
        let mut proxy = started(&pod)?;
        echo_server(&mesh)?;
        answers(&format!("{POD}:31400"), "v1> ")?;
        ensure!(get(&format!("{POD}:15020"), "GET", "/stats/prometheus")?.0 == 200);
        ensure!(
            refusal(&format!("{POD}:15000"), b"")? == End::Refused,
            "the admin pages are local"
        );
        proxy.signal(Signal::SIGTERM)?;
        ensure!(proxy.exit_code(START)? == 0, "{}", proxy.stderr());
        Ok(())
    });
}

/// The ingress gateway's template as the installer renders it.
fn rendered_gateway(mesh: &Mesh) -> Result<serde_json::Value> {
    let setting = "meshConfig.defaultConfig.discoveryAddress=10.77.0.1:15010";
    let mut generate = mesh.lateen(&["manifest", "generate", "-o", "json", "--set", setting])?;
    let manifest = Process::spawn("lateen manifest", &mut generate)?.success(START)?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    template(manifest["items"].as_array().context("no list")?, "istio-ingressgateway")
}

#[test]
fn without_a_control_plane_it_says_what_it_waits_for() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let workload = WORKLOAD.replace("CONFIG", CONFIG);
        let pod = Pod::new(injected(folder.path(), &workload, "web")?)?;
        let mut proxy = pod.start(&[])?;
        let expected = "not ready: no configuration yet: control plane: connection refused";
        proxy.wait_for(expected, START)?;
        let (status, body) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
        ensure!(status == 503 && expected.contains(body.trim()), "{status} {body}");
        let lateen = lateen_testkit::tools::lateen()?.display().to_string();
        let wait = format!("{lateen} proxy wait --timeoutSeconds 0");
        ensure!(pod.application(&wait).is_err(), "the application must be held back");
        ensure!(proxy.stop()?.success());
        Ok(())
    });
}
