//! Mesh DNS as a workload sees it: every form of a Service's name, and the host's resolver for all
//! else.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_YAML, mesh};
use lateen_testkit::dns;
use lateen_testkit::isolate::{isolated, replace_resolv_conf};
use lateen_testkit::mesh::Mesh;
use lateen_testkit::net::add_address;

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
