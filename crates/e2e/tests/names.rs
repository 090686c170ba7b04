//! Mesh DNS as a workload sees it: every form of a Service's name, and the host's resolver for all
//! else.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_YAML, SOON, echo_mesh, mesh};
use lateen_testkit::dns;
use lateen_testkit::echo::{Manner, start};
use lateen_testkit::isolate::{isolated, replace_resolv_conf};
use lateen_testkit::mesh::Mesh;
use lateen_testkit::net::add_address;
use lateen_testkit::wait::wait_until;

/// The resolver of the machine, outside the mesh.
const RESOLVER: &str = "192.0.2.53";

fn lookup(mesh: &Mesh, names: &[&str]) -> Result<Vec<String>> {
    let one = |name: &&str| {
        format!("getent ahostsv4 {name} | head -n1 | cut -d' ' -f1 | grep . || echo none\n")
    };
    let script: String = names.iter().map(one).collect();
    let printed = mesh.run_script("asker", &script)?;
    Ok(printed.lines().map(str::to_owned).collect())
}

#[test]
fn every_form_of_a_service_name_is_its_cluster_address() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let service = mesh.object("service", "tcp-echo-server")?;
        let address = service["spec"]["clusterIP"].as_str().context("no clusterIP")?;
        let names = [
            "tcp-echo-server",
            "tcp-echo-server.default",
            "tcp-echo-server.default.svc",
            "tcp-echo-server.default.svc.cluster.local",
            "TCP-echo-server.default.svc.cluster.local.",
        ];
        let found = lookup(&mesh, &names)?;
        ensure!(found == vec![address; names.len()], "{names:?} are {found:?}, not {address}");
        Ok(())
    });
}

#[test]
fn other_names_are_the_hosts_resolvers() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        add_address(RESOLVER)?;
        dns::start(&format!("{RESOLVER}:53"), "outside.test", Ipv4Addr::new(192, 0, 2, 9))?;
        replace_resolv_conf(folder.path(), &format!("nameserver {RESOLVER}\n"))?;
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let found = lookup(&mesh, &["outside.test", "no-such-name.test"])?;
        ensure!(found == ["192.0.2.9", "none"], "{found:?}");
        Ok(())
    });
}

#[test]
fn a_resolver_on_the_hosts_loopback_is_reached_too() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        dns::start("127.0.0.53:53", "outside.test", Ipv4Addr::new(192, 0, 2, 9))?;
        replace_resolv_conf(folder.path(), "nameserver 127.0.0.53\n")?;
        let mesh = mesh()?;
        let found = lookup(&mesh, &["outside.test"])?;
        ensure!(found == ["192.0.2.9"], "{found:?}");
        Ok(())
    });
}

#[test]
fn a_service_that_appears_later_is_found() {
    isolated(|| {
        let mesh = mesh()?;
        let before = lookup(&mesh, &["tcp-echo-server"])?;
        ensure!(before == ["none"], "{before:?}");
        mesh.apply(ECHO_YAML)?;
        let after = lookup(&mesh, &["tcp-echo-server"])?;
        ensure!(after != ["none"], "the new Service is unknown");
        Ok(())
    });
}

/// Prints the response code, whether the answer is authoritative, and how many authority records it
/// has, for each NAME/TYPE.
const ASK: &str = r#"
import random, socket, struct, sys
server = next(line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver'))
for question in sys.argv[1:]:
    name, kind = question.split('/')
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + b'\0'
    query = struct.pack('>6H', random.randrange(65536), 0x100, 1, 0, 0, 0)
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(10)
    asker.sendto(query + labels + struct.pack('>2H', int(kind), 1), (server, 53))
    _, flags, _, answers, authorities, _ = struct.unpack('>6H', asker.recv(4096)[:12])
    print(flags & 15, flags >> 10 & 1, answers, authorities)
"#;

#[test]
fn the_cluster_domain_is_answered_with_authority_and_told_to_nobody() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        // It would answer for this name of the cluster, were it asked.
        let stolen = "nobody.default.svc.cluster.local";
        add_address(RESOLVER)?;
        dns::start(&format!("{RESOLVER}:53"), stolen, Ipv4Addr::new(192, 0, 2, 9))?;
        replace_resolv_conf(folder.path(), &format!("nameserver {RESOLVER}\n"))?;
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let program = format!(
            "python3 - <<'END' {stolen}/1 x.cluster.local/1 default.svc.cluster.local/1 \
             tcp-echo-server.default.svc.cluster.local/28 tcp-echo-server.default.svc.cluster.local/16\n{ASK}END\n"
        );
        let printed = mesh.run_script("asker", &program)?;
        let (absent, no_data) = ("3 1 0 1", "0 1 0 1");
        let expected = [absent, absent, no_data, no_data, no_data];
        ensure!(printed.lines().eq(expected), "{printed}");
        let search = mesh.run_script("searcher", "getent ahostsv4 nobody || echo none")?;
        ensure!(search == "none\n", "a name of the cluster was asked for outside: {search}");
        Ok(())
    });
}

#[test]
fn an_external_name_stands_for_a_name_inside_or_outside() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        add_address(RESOLVER)?;
        dns::start(&format!("{RESOLVER}:53"), "outside.test", Ipv4Addr::new(192, 0, 2, 9))?;
        replace_resolv_conf(folder.path(), &format!("nameserver {RESOLVER}\n"))?;
        let (mesh, _server) = echo_mesh()?;
        for (name, target) in
            [("inside", "tcp-echo-server.default.svc.cluster.local"), ("outside", "outside.test")]
        {
            mesh.apply(&format!(
                "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{type: ExternalName, externalName: {target}}}
"
            ))?;
        }
        let service = mesh.object("service", "tcp-echo-server")?;
        let address = service["spec"]["clusterIP"].as_str().context("no clusterIP")?;
        let found = lookup(&mesh, &["inside", "outside.default", "outside.default.svc"])?;
        ensure!(found == [address, "192.0.2.9", "192.0.2.9"], "{found:?}");
        let printed = mesh.run_script("caller", "echo hello | nc -q1 -w5 inside 8020")?;
        ensure!(printed == "v1> hello\n", "through the alias: {printed:?}");
        Ok(())
    });
}

#[test]
fn a_headless_service_is_the_addresses_of_its_workloads() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(
            "apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  selector: {app: peer}
  ports: [{name: tcp, port: 8020}]
",
        )?;
        let _first = mesh.echo_server("peer-0", "peer", "v1", 8020)?;
        let _second = mesh.echo_server("peer-1", "peer", "v2", 8020)?;
        let script = "getent ahostsv4 peers | cut -d' ' -f1 | sort -u | wc -l
            for peer in peer-0 peer-1; do echo hello | nc -q1 -w5 $peer.peers 8020; done";
        let printed = mesh.run_script("asker", script)?;
        ensure!(printed == "2\nv1> hello\nv2> hello\n", "{printed:?}");
        Ok(())
    });
}

#[test]
fn a_service_entry_of_nothing_but_a_host_is_reached_by_name() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        add_address(RESOLVER)?;
        let manner = Manner { reply_prefix: Some("outside> ".to_owned()), ..Manner::default() };
        start(&format!("{RESOLVER}:7000"), manner)?;
        dns::start(&format!("{RESOLVER}:53"), "db.outside.test", RESOLVER.parse()?)?;
        replace_resolv_conf(folder.path(), &format!("nameserver {RESOLVER}\n"))?;
        let mesh = mesh()?;
        mesh.apply(
            "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec:
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress: [{hosts: ['./*']}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.outside.test]
  ports: [{number: 7000, name: tcp, protocol: TCP}]
  resolution: DNS
",
        )?;
        let found = lookup(&mesh, &["db.outside.test"])?;
        ensure!(found[0].starts_with("240.240."), "not an automatic address: {found:?}");
        wait_until("the address on the status", SOON, || {
            let status = mesh.object("serviceentries", "db")?["status"]["addresses"].to_string();
            let ours = status.contains(&found[0]) && status.contains("db.outside.test");
            ensure!(ours, "{} is not in {status}", found[0]);
            Ok(())
        })?;
        let printed = mesh.run_script("caller", "echo hello | nc -q1 -w5 db.outside.test 7000")?;
        ensure!(printed == "outside> hello\n", "{printed:?}");
        Ok(())
    });
}
