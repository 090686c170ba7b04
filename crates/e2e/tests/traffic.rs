//! What the data path promises: weights, half-close, server-first protocols, passthrough, policies
//! for what is outside the mesh, names, and that reconfiguration cuts nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{
    ECHO_GATEWAY, ECHO_YAML, SOON, answers, echo_mesh, gateway, mesh, service, virtual_service,
};
use lateen_testkit::echo::{Manner, start};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::{add_address, ask, connect};
use lateen_testkit::process::Process;
use lateen_testkit::tools::echo_server;
use lateen_testkit::wait::wait_until;

/// An address outside the mesh.
const OUTSIDE: &str = "192.0.2.10";

/// How many of `total` connections are answered by version v2.
fn answered_by_v2(total: usize) -> Result<usize> {
    let mut second = 0;
    for _ in 0..total {
        match ask(ECHO_GATEWAY, "hello\n")?.as_str() {
            "v1> hello\n" => {}
            "v2> hello\n" => second += 1,
            other => anyhow::bail!("unexpected answer {other:?}"),
        }
    }
    Ok(second)
}

fn two_versions() -> Result<(Mesh, [Process; 2])> {
    let mesh = mesh()?;
    mesh.apply(&gateway("tcp-echo-gateway-server", 31400))?;
    let first = mesh.echo_server("echo-v1", "echo-server", "v1", 8020)?;
    let second = mesh.echo_server("echo-v2", "echo-server", "v2", 8020)?;
    Ok((mesh, [first, second]))
}

#[test]
fn weights_split_connections_between_services() {
    isolated(|| {
        let (mesh, _servers) = two_versions()?;
        mesh.apply(&service("echo-v1", 8020, "app: echo-server, version: v1"))?;
        mesh.apply(&service("echo-v2", 8020, "app: echo-server, version: v2"))?;
        let weighted = |v1, v2| {
            let to = [("echo-v1", v1), ("echo-v2", v2)];
            virtual_service("split", "tcp-echo-gateway-server", 31400, &to)
        };
        mesh.apply(&weighted(100, 0))?;
        answers(ECHO_GATEWAY, "v1> ")?;
        ensure!(answered_by_v2(20)? == 0, "weight 0 gets connections");
        mesh.apply(&weighted(75, 25))?;
        wait_until("v2 to get its share", SOON, || {
            ensure!(answered_by_v2(20)? > 0, "none of 20");
            Ok(())
        })?;
        // 100 of 400 expected, standard deviation 8.7: these bounds are 5 of them away.
        let second = answered_by_v2(400)?;
        ensure!((56..=144).contains(&second), "{second} of 400 at weight 25");
        Ok(())
    });
}

#[test]
fn subsets_of_a_destination_rule_are_told_apart() {
    isolated(|| {
        let (mesh, _servers) = two_versions()?;
        mesh.apply(&service("tcp-echo-server", 8020, "app: echo-server"))?;
        mesh.apply(
            "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: versions}
spec:
  host: tcp-echo-server
  subsets:
  - {name: one, labels: {version: v1}}
  - {name: two, labels: {version: v2}}
",
        )?;
        let to_subset = |subset| {
            virtual_service("subset", "tcp-echo-gateway-server", 31400, &[("tcp-echo-server", 100)])
                .replace(
                    "host: tcp-echo-server",
                    &format!("host: tcp-echo-server, subset: {subset}"),
                )
        };
        mesh.apply(&to_subset("two"))?;
        answers(ECHO_GATEWAY, "v2> ")?;
        ensure!(answered_by_v2(10)? == 10, "subset two reaches v1");
        mesh.apply(&to_subset("one"))?;
        answers(ECHO_GATEWAY, "v1> ")?;
        ensure!(answered_by_v2(10)? == 0, "subset one reaches v2");
        Ok(())
    });
}

#[test]
fn connections_are_spread_over_the_endpoints_of_a_service() {
    isolated(|| {
        let (mesh, [first, mut second]) = two_versions()?;
        mesh.apply(&service("tcp-echo-server", 8020, "app: echo-server"))?;
        let to = [("tcp-echo-server", 100)];
        mesh.apply(&virtual_service("both", "tcp-echo-gateway-server", 31400, &to))?;
        wait_until("both endpoints", SOON, || {
            let second = answered_by_v2(20)?;
            ensure!((1..20).contains(&second), "{second} of 20 to v2");
            Ok(())
        })?;
        second.stop()?;
        wait_until("the ended endpoint to be left out", SOON, || {
            ensure!(answered_by_v2(10)? == 0, "v2 still answers");
            Ok(())
        })?;
        drop(first);
        Ok(())
    });
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let program = echo_server()?.display().to_string();
        let words = [program.as_str(), "8020", "--greeting", "welcome"];
        let mut server = mesh.run("echo-server", "app=echo-server,version=v1", &words)?;
        server.wait_for("listening on", START)?;
        wait_until("the gateway to connect", SOON, || greeting().map(|_| ()))?;
        let took = greeting()?;
        ensure!(took < Duration::from_millis(250), "the greeting took {took:?}");

        let client = lateen_testkit::tools::echo_client()?.display().to_string();
        let words = [&client, "tcp-echo-server", "8020", "1", "--count", "1", "--server-first"];
        let mut called = mesh.run("echo-client", "app=echo-client,version=v1", &words)?;
        let printed = called.success(START)?;
        ensure!(printed.starts_with("greeting: welcome\n"), "{printed}");
        Ok(())
    });
}

/// Connects, says nothing, and measures how long the greeting takes.
fn greeting() -> Result<Duration> {
    let started = Instant::now();
    let stream = connect(ECHO_GATEWAY)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    ensure!(line == "welcome\n", "greeted with {line:?}");
    Ok(started.elapsed())
}

#[test]
fn half_close_goes_through_in_both_directions() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let script = lateen_e2e::testdata("half-close-server.py").display().to_string();
        let words = ["python3", &script, "8020"];
        let mut server = mesh.run("echo-server", "app=echo-server,version=v1", &words)?;
        server.wait_for("listening on", START)?;
        let mut stream = wait_until("the first bytes", SOON, || {
            let mut stream = connect(ECHO_GATEWAY)?;
            let mut said = [0; 3];
            stream.read_exact(&mut said)?;
            ensure!(&said == b"bye", "the server said {said:?}");
            Ok(stream)
        })?;
        ensure!(stream.read(&mut [0; 1])? == 0, "the server's FIN did not come through");
        stream.write_all(b"late words")?;
        stream.shutdown(Shutdown::Write)?;
        server.wait_for("received late words", SOON)?;
        Ok(())
    });
}

#[test]
fn many_bytes_pass_unchanged_while_the_client_has_half_closed() {
    isolated(|| {
        let (_mesh, _server) = echo_mesh()?;
        let line = "0123456789abcdef".repeat(64);
        let request: String = (0..4096).map(|_| format!("{line}\n")).collect();
        let mut writer = connect(ECHO_GATEWAY)?;
        let mut reader = writer.try_clone()?;
        let sent = request.clone();
        let sending = std::thread::spawn(move || {
            writer.write_all(sent.as_bytes())?;
            writer.shutdown(Shutdown::Write)
        });
        let mut reply = String::new();
        reader.read_to_string(&mut reply)?;
        sending.join().expect("the writer does not panic")?;
        ensure!(reply.replace("v1> ", "") == request, "{} bytes came back", reply.len());
        Ok(())
    });
}

#[test]
fn a_port_that_no_service_declares_is_passed_through() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let program = echo_server()?.display().to_string();
        let script = format!("{program} 9002 --reply-prefix 'side> ' & exec {program} 8020");
        let words = ["sh", "-c", &script];
        let mut server = mesh.run("echo-server", "app=echo-server,version=v1", &words)?;
        server.wait_for("listening on 0.0.0.0:9002", START)?;
        let entries = mesh.kubectl(&["get", "workloadentries", "-o", "json"])?;
        let entries: serde_json::Value = serde_json::from_str(&entries)?;
        let address = entries["items"][0]["spec"]["address"].as_str().context("no address")?;
        let script = format!("echo hello | nc -q1 {address} 9002");
        let printed = mesh.run_script("caller", &script)?;
        ensure!(printed == "side> hello\n", "the side port answered {printed:?}");
        Ok(())
    });
}

#[test]
fn an_established_connection_survives_reconfiguration() {
    isolated(|| {
        let (mesh, _servers) = two_versions()?;
        mesh.apply(&service("echo-v1", 8020, "app: echo-server, version: v1"))?;
        mesh.apply(&service("echo-v2", 8020, "app: echo-server, version: v2"))?;
        let to = |host| virtual_service("one", "tcp-echo-gateway-server", 31400, &[(host, 100)]);
        mesh.apply(&to("echo-v1"))?;
        answers(ECHO_GATEWAY, "v1> ")?;
        let mut old = connect(ECHO_GATEWAY)?;
        say(&mut old, "before", "v1> before\n")?;
        mesh.apply(&to("echo-v2"))?;
        answers(ECHO_GATEWAY, "v2> ")?;
        say(&mut old, "after", "v1> after\n")?;
        mesh.kubectl(&["delete", "service", "echo-v1"])?;
        mesh.apply(&gateway("another", 31500))?;
        mesh.apply(&virtual_service("two", "another", 31500, &[("echo-v2", 100)]))?;
        wait_until("another port", SOON, || connect("127.0.0.1:31500").map(|_| ()))?;
        say(&mut old, "still", "v1> still\n")?;
        Ok(())
    });
}

fn say(stream: &mut TcpStream, line: &str, expected: &str) -> Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).with_context(|| format!("waiting for {expected:?}"))?;
    ensure!(reply == expected.as_bytes(), "{:?}", String::from_utf8_lossy(&reply));
    Ok(())
}

/// Starts a server outside the mesh at port 7000.
fn outside_server() -> Result<()> {
    add_address(OUTSIDE)?;
    let manner = Manner { reply_prefix: Some("outside> ".to_owned()), ..Manner::default() };
    start(&format!("{OUTSIDE}:7000"), manner)?;
    Ok(())
}

const REGISTRY_ONLY: &str = "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec:
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
  - hosts: ['./*', 'istio-system/*']
";

const OUTSIDE_ENTRY: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [outside.example.test]
  addresses: [198.51.100.7]
  location: MESH_EXTERNAL
  ports: [{number: 7000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.10}]
";

fn call(host: &str) -> String {
    format!("echo hello | nc -q1 -w3 {host} 7000 || true")
}

#[test]
fn the_outside_is_reached_by_default_and_closed_by_registry_only() {
    isolated(|| {
        outside_server()?;
        let mesh = mesh()?;
        let printed = mesh.run_script("allowed", &call(OUTSIDE))?;
        ensure!(printed == "outside> hello\n", "ALLOW_ANY: {printed:?}");
        mesh.apply(REGISTRY_ONLY)?;
        let printed = mesh.run_script("denied", &call(OUTSIDE))?;
        ensure!(printed.is_empty(), "REGISTRY_ONLY: {printed:?}");
        Ok(())
    });
}

#[test]
fn a_service_entry_opens_the_outside_by_name_and_address() {
    isolated(|| {
        outside_server()?;
        let mesh = mesh()?;
        mesh.apply(REGISTRY_ONLY)?;
        mesh.apply(OUTSIDE_ENTRY)?;
        for host in ["outside.example.test", "198.51.100.7"] {
            let printed = mesh.run_script("caller", &call(host))?;
            ensure!(printed == "outside> hello\n", "{host}: {printed:?}");
        }
        Ok(())
    });
}

#[test]
fn a_gateway_routes_to_a_service_entry() {
    isolated(|| {
        outside_server()?;
        let mesh = mesh()?;
        mesh.apply(OUTSIDE_ENTRY)?;
        mesh.apply(&gateway("out", 31400))?;
        let to = [("outside.example.test", 100)];
        mesh.apply(&virtual_service("out", "out", 31400, &to).replace("8020", "7000"))?;
        answers(ECHO_GATEWAY, "outside> ")
    });
}
