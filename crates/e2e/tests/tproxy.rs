//! interceptionMode TPROXY: the proxy of a pod as the injector renders it, in a network namespace with the rules
//! of its init container. Its application knows clients by their own addresses, and all else is as it was.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::{NODE, POD, Pod, get, injected, relay, run};
use lateen_e2e::{SOON, mesh, service};
use lateen_testkit::echo::{Manner, start};
use lateen_testkit::isolate::{isolated, replace_resolv_conf};
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::PATIENCE;
use lateen_testkit::process::Process;
use lateen_testkit::tools::cached;
use lateen_testkit::wait::wait_until;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

/// Another address of the machine on the pod's link.
const OTHER: &str = "10.77.0.3";
/// The same of the other family.
const NODE6: &str = "fd00:77::1";
const POD6: &str = "fd00:77::2";
const OTHER6: &str = "fd00:77::3";

const WORKLOAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        traffic.sidecar.istio.io/excludeInboundPorts: "2222"
        proxy.istio.io/config: |
          discoveryAddress: 10.77.0.1:15010
          interceptionMode: TPROXY
          proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}
    spec:
      containers:
      - name: web
        image: web
        readinessProbe: {tcpSocket: {port: 8080}}
"#;

/// Where the pod and a server on the node are, who are both part of the mesh.
const ENTRIES: &str = "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web}
spec: {address: 10.77.0.2, labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: echo}
spec: {address: 10.77.0.1, labels: {app: echo}}
---
";

/// Says who calls, and then what they say.
fn who(listener: TcpListener) {
    while let Ok((stream, from)) = listener.accept() {
        std::thread::spawn(move || answer(stream, from));
    }
}

fn answer(mut stream: TcpStream, from: SocketAddr) {
    // A client that has gone is none of its business.
    let _ = writeln!(stream, "{from}");
    let _ = std::io::copy(&mut &stream, &mut &stream);
}

fn pod(folder: &Path, template: impl FnOnce(&mut serde_json::Value)) -> Result<(Mesh, Pod)> {
    pod_of(folder, WORKLOAD, template)
}

fn pod_of(
    folder: &Path,
    workload: &str,
    template: impl FnOnce(&mut serde_json::Value),
) -> Result<(Mesh, Pod)> {
    replace_resolv_conf(folder, "nameserver 192.0.2.53\nsearch default.svc.cluster.local\n")?;
    let mesh = mesh()?;
    let services = service("web", 8080, "app: web") + &service("echo", 8020, "app: echo");
    mesh.apply(&(services + ENTRIES))?;
    let mut workload = injected(folder, workload, "web")?;
    template(&mut workload);
    let pod = Pod::new(workload)?;
    run("ip", &["address", "add", &format!("{OTHER}/24"), "dev", "pod0"])?;
    relay(mesh.home().join("run/ads.sock"))?;
    pod.serve("0.0.0.0:8080", who)?;
    pod.serve("0.0.0.0:2222", who)?;
    Ok((mesh, pod))
}

fn is_ready() -> Result<()> {
    let (status, body) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
    ensure!(status == 200, "{status} {body}");
    Ok(())
}

/// From one of the machine's addresses: its own port, and who the application says that it is.
fn ask(source: &str, port: u16) -> Result<(SocketAddr, SocketAddr)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (family, pod) = match source.contains(':') {
        true => (AddressFamily::Inet6, POD6),
        false => (AddressFamily::Inet, POD),
    };
    let fd = socket(family, SockType::Stream, flags, None)?;
    let address = |ip: &str, port| -> Result<SockaddrStorage> {
        Ok(SocketAddr::new(ip.parse()?, port).into())
    };
    bind(fd.as_raw_fd(), &address(source, 0)?)?;
    let mut stream = TcpStream::from(fd);
    // Connecting goes by it too.
    stream.set_write_timeout(Some(PATIENCE))?;
    connect(stream.as_raw_fd(), &address(pod, port)?).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer")?;
    let (seen, rest) = answer.split_once('\n').context("no line")?;
    ensure!(rest == "hello\n", "{answer}");
    Ok((stream.local_addr()?, seen.parse()?))
}

/// How many connections the inbound path has made to the application.
fn inbound() -> Result<u64> {
    let (_, metrics) = get(&format!("{POD}:15090"), "GET", "/stats/prometheus")?;
    let sample = "\nenvoy_cluster_upstream_cx_total{cluster_name=\"inbound|8080||\"} ";
    let Some((_, rest)) = metrics.split_once(sample) else { return Ok(0) };
    Ok(rest.lines().next().context("no number")?.parse()?)
}

fn counts(expected: u64) -> Result<()> {
    wait_until("the connections to be counted", SOON, || {
        let counted = inbound()?;
        ensure!(counted == expected, "{counted}");
        Ok(())
    })
}

fn clients_are_seen_by_their_own_addresses(arguments: &'static [&'static str]) {
    isolated(move || {
        let folder = tempfile::tempdir()?;
        let (_mesh, pod) = pod(folder.path(), |_| ())?;
        pod.intercept_by(arguments)?;
        let _proxy = pod.start(&[])?;
        wait_until("the proxy to be ready", START, is_ready)?;
        for seen in through_the_proxy()? {
            ensure!(seen.port() < 32_768, "{seen} may be another connection of the client's");
        }
        counts(2)?;
        let (client, seen) = ask(OTHER, 2222)?;
        ensure!(seen == client, "an excluded port: {client} is seen as {seen}");
        let probe = get(&format!("{POD}:15020"), "GET", "/app-health/web/readyz")?;
        ensure!(probe.0 == 200, "{probe:?}");
        counts(2)?;
        outbound_goes_on(&pod)?;
        counts(3)
    });
}

/// As whom the application sees two clients.
fn through_the_proxy() -> Result<[SocketAddr; 2]> {
    let ask = |source: &str| -> Result<SocketAddr> {
        let (client, seen) = ask(source, 8080)?;
        ensure!(seen.ip() == client.ip() && seen != client, "{client} is seen as {seen}");
        Ok(seen)
    };
    Ok([ask(NODE)?, ask(OTHER)?])
}

/// To a server of the mesh by its name, and to the pod's own Service.
fn outbound_goes_on(pod: &Pod) -> Result<()> {
    let manner = Manner { reply_prefix: Some("v1> ".into()), ..Manner::default() };
    start(&format!("{NODE}:8020"), manner)?;
    let ask = |name: &str, port: u16| {
        let host = format!("{name}.default.svc.cluster.local");
        pod.application(&format!("printf 'hello\\n' | nc -q1 -w5 {host} {port}"))
    };
    wait_until("an answer through the mesh", SOON, || {
        let answer = ask("echo", 8020)?;
        ensure!(answer == "v1> hello\n", "{answer:?}");
        Ok(())
    })?;
    let answer = ask("web", 8080)?;
    ensure!(answer.starts_with(&format!("{POD}:")) && answer.ends_with("\nhello\n"), "{answer:?}");
    Ok(())
}

/// A link with both families, and an application on each.
fn has_both_families(pod: &Pod) -> Result<()> {
    for address in [NODE6, OTHER6] {
        run("ip", &["address", "add", &format!("{address}/64"), "dev", "pod0", "nodad"])?;
    }
    let inside = ["-n", "pod", "address", "add", &format!("{POD6}/64"), "dev", "eth0", "nodad"];
    run("ip", &inside)?;
    run("ip", &["-n", "pod", "-6", "route", "add", "default", "via", NODE6])?;
    for port in [8080, 2222, 3333] {
        pod.serve(&format!("[{POD6}]:{port}"), who)?;
    }
    pod.serve("0.0.0.0:3333", who)
}

fn clients_of_both_families_are_seen(arguments: &'static [&'static str]) {
    isolated(move || {
        let folder = tempfile::tempdir()?;
        let (_mesh, pod) = pod(folder.path(), |_| ())?;
        has_both_families(&pod)?;
        pod.intercept_by(arguments)?;
        let proxy = pod.start(&[])?;
        wait_until("the proxy to be ready", START, is_ready)?;
        for source in [NODE6, OTHER6, NODE, OTHER] {
            // Of a Service, and of none.
            for port in [8080, 3333] {
                let (client, seen) =
                    ask(source, port).with_context(|| format!("{source}: {}", proxy.stderr()))?;
                ensure!(seen.ip() == client.ip() && seen != client, "{client} is seen as {seen}");
            }
            let (client, seen) = ask(source, 2222)?;
            ensure!(seen == client, "an excluded port: {client} is seen as {seen}");
        }
        counts(4)
    });
}

/// For comparison.
#[test]
fn without_tproxy_clients_of_both_families_are_the_proxys_own_addresses() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let workload = WORKLOAD.replace("TPROXY", "REDIRECT");
        let (_mesh, pod) = pod_of(folder.path(), &workload, |_| ())?;
        has_both_families(&pod)?;
        pod.intercept()?;
        let proxy = pod.start(&[])?;
        wait_until("the proxy to be ready", START, is_ready)?;
        for (source, expected) in [(NODE6, "::6"), (NODE, "127.0.0.6")] {
            for port in [8080, 3333] {
                let (_, seen) =
                    ask(source, port).with_context(|| format!("{source}: {}", proxy.stderr()))?;
                ensure!(seen.ip().to_string() == expected, "{source} is seen as {seen}");
            }
        }
        counts(2)
    });
}

#[test]
fn clients_of_both_families_are_seen_by_nftables() {
    clients_of_both_families_are_seen(&[]);
}

#[test]
fn clients_of_both_families_are_seen_by_legacy_iptables() {
    clients_of_both_families_are_seen(&["--iptables=legacy"]);
}

#[test]
fn clients_of_both_families_are_seen_by_iptables_over_nftables() {
    clients_of_both_families_are_seen(&["--iptables=nft"]);
}

#[test]
fn clients_are_seen_by_their_own_addresses_by_nftables() {
    clients_are_seen_by_their_own_addresses(&[]);
}

#[test]
fn clients_are_seen_by_their_own_addresses_by_legacy_iptables() {
    clients_are_seen_by_their_own_addresses(&["--iptables=legacy"]);
}

#[test]
fn clients_are_seen_by_their_own_addresses_by_iptables_over_nftables() {
    clients_are_seen_by_their_own_addresses(&["--iptables=nft"]);
}

#[test]
fn stock_envoy_lets_the_application_see_them_too() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let (mesh, pod) = pod(folder.path(), |_| ())?;
        pod.intercept()?;
        let mut envoy = envoy(&mesh, &pod)?;
        envoy.wait_for("all dependencies initialized", START)?;
        through_the_proxy()?;
        let manner = Manner { reply_prefix: Some("v1> ".into()), ..Manner::default() };
        start(&format!("{NODE}:8020"), manner)?;
        let answer = pod.application(&format!("printf 'hello\\n' | nc -q1 -w5 {NODE} 8020"))?;
        ensure!(answer == "v1> hello\n", "{answer:?}");
        ensure!(!mesh.logs().to_lowercase().contains("nack"), "the control plane saw a NACK");
        envoy.stop().map(drop)
    });
}

/// As the proxy of the pod, with the rights that the injector gives it.
fn envoy(mesh: &Mesh, pod: &Pod) -> Result<Process> {
    let of = ["--role", "sidecar", "--name", "web", "--labels", "app=web", "--address", POD];
    let mut command = mesh.lateen(&["bootstrap", "-o", "json", "--home"])?;
    command.arg(mesh.home()).args(of);
    let bootstrap = Process::spawn("lateen bootstrap", &mut command)?.success(PATIENCE)?;
    let mut bootstrap: serde_json::Value = serde_json::from_str(&bootstrap)?;
    bootstrap["node"]["metadata"]["INTERCEPTION_MODE"] = "TPROXY".into();
    // The mark of all that it sends; here its group tells it.
    bootstrap["cluster_manager"].take();
    let file = mesh.home().join("envoy.json");
    std::fs::write(&file, bootstrap.to_string())?;
    let rights = ["--regid=1337", "--clear-groups", "--bounding-set=-all,+net_admin"];
    let mut command = pod.inside(&[&["setpriv"][..], &rights].concat());
    command.arg(cached("envoy")?).arg("-c").arg(file);
    command.args(["--disable-hot-restart", "--concurrency", "1"]);
    Process::spawn("envoy", &mut command)
}

#[test]
fn a_proxy_without_the_right_to_be_transparent_says_what_to_do() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let (_mesh, pod) = pod(folder.path(), |template| {
            let containers = template["spec"]["containers"].as_array_mut();
            let mut containers = containers.into_iter().flatten();
            let proxy = containers.find(|one| one["name"] == "istio-proxy");
            proxy.expect("the injector adds it")["securityContext"]["capabilities"]["add"].take();
        })?;
        pod.intercept()?;
        let mut proxy = pod.start(&[])?;
        ensure!(proxy.exit_code(START)? == 1, "{}", proxy.stderr());
        let said = proxy.stderr();
        ensure!(said.contains("interceptionMode TPROXY needs CAP_NET_ADMIN"), "{said}");
        let (client, seen) = ask(NODE, 2222)?;
        ensure!(seen == client, "an excluded port: {client} is seen as {seen}");
        Ok(())
    });
}
