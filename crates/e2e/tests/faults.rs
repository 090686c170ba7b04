//! Bad input and faults: each hurts nothing but itself, and is explained.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, SOON, answers, echo_mesh, gateway, service, virtual_service};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Part};
use lateen_testkit::net::{End, connect, expect_answer, how_it_ends, refusal};
use lateen_testkit::process::{children, resident_kib};
use lateen_testkit::wait::{holds_for, wait_until};
use nix::sys::signal::Signal;

const MIB: usize = 1 << 20;

#[test]
fn a_taken_gateway_port_is_reported_and_the_others_serve() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let taken = TcpListener::bind("127.0.0.1:31500")?;
        mesh.apply(&gateway("blocked", 31500))?;
        mesh.apply(&gateway("free", 31600))?;
        let to = [("tcp-echo-server", 100)];
        mesh.apply(&virtual_service("free", "free", 31600, &to))?;
        mesh.apply(&virtual_service("blocked", "blocked", 31500, &to))?;
        answers("127.0.0.1:31600", "v1> ")?;
        answers(ECHO_GATEWAY, "v1> ")?;
        wait_until("the Issue on the Gateway's status", SOON, || {
            let object = mesh.object("gateways.networking.istio.io", "blocked")?;
            let status = object["status"].to_string();
            ensure!(status.contains("31500"), "status {status}");
            ensure!(status.to_lowercase().contains("in use"), "status {status}");
            Ok(())
        })?;
        let log = mesh.logs();
        ensure!(
            log.lines()
                .any(|line| line.contains("31500") && line.to_lowercase().contains("in use")),
            "the log does not tell"
        );
        let free = mesh.object("gateways.networking.istio.io", "free")?["status"].to_string();
        ensure!(!free.contains("31500"), "the other Gateway is blamed: {free}");
        drop(taken);
        Ok(())
    });
}

#[test]
fn an_unknown_host_closes_connections_with_a_logged_reason() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        mesh.apply(&gateway("lost", 31500))?;
        let to = [("no-such-service", 100)];
        mesh.apply(&virtual_service("lost", "lost", 31500, &to))?;
        wait_until("the port to open", SOON, || {
            let end = refusal("127.0.0.1:31500", b"hello\n")?;
            ensure!(end != End::Refused, "nothing listens yet");
            Ok(())
        })?;
        wait_until("the logged reason", SOON, || {
            let reason = "virtual service default/lost names host \"no-such-service\", which no Service \
                          or ServiceEntry declares";
            let log = mesh.logs();
            let told = log.lines().any(|line| {
                line.contains("connection refused") && line.replace("\\\"", "\"").contains(reason)
            });
            ensure!(told, "no line says: {reason}");
            Ok(())
        })?;
        answers(ECHO_GATEWAY, "v1> ")?;
        mesh.apply(&service("no-such-service", 8020, "app: echo-server"))?;
        answers("127.0.0.1:31500", "v1> ")
    });
}

#[test]
fn the_older_of_two_routes_wins_and_the_other_is_reported() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let _other = mesh.echo_server("other-server", "other-server", "v2", 8020)?;
        mesh.apply(&service("other-server", 8020, "app: other-server"))?;
        // Creation times have the resolution of a second: the second one must be younger.
        let route = mesh.object("virtualservices.networking.istio.io", "tcp-echo")?;
        let created = route["metadata"]["creationTimestamp"].to_string();
        wait_until("another second", SOON, || {
            mesh.kubectl(&["delete", "configmap", "clock", "--ignore-not-found"])?;
            mesh.kubectl(&["create", "configmap", "clock"])?;
            let now =
                mesh.object("configmap", "clock")?["metadata"]["creationTimestamp"].to_string();
            ensure!(now != created, "still {now}");
            Ok(())
        })?;
        let to = [("other-server", 100)];
        // Its name sorts before the other's: only its age makes it lose.
        mesh.apply(&virtual_service("a-younger", "tcp-echo-gateway-server", 31400, &to))?;
        wait_until("the report", SOON, || {
            let object = mesh.object("virtualservices.networking.istio.io", "a-younger")?;
            let status = object["status"].to_string();
            ensure!(status.contains("tcp-echo"), "status {status}");
            Ok(())
        })?;
        for _ in 0..10 {
            expect_answer(ECHO_GATEWAY, "x\n", "v1> x\n")?;
        }
        mesh.kubectl(&["delete", "virtualservices.networking.istio.io", "tcp-echo"])?;
        answers(ECHO_GATEWAY, "v2> ")
    });
}

#[test]
fn a_killed_upstream_ends_its_connections_at_once() {
    isolated(|| {
        let (_mesh, mut server) = echo_mesh()?;
        let mut stream = connect(ECHO_GATEWAY)?;
        stream.write_all(b"hello\n")?;
        stream.read_exact(&mut [0; 10])?;
        server.signal(Signal::SIGKILL)?;
        server.wait(SOON)?;
        let end = how_it_ends(&mut stream)?;
        ensure!(matches!(end, End::Reset | End::Closed), "{end:?}");
        wait_until("a quick end of new connections", SOON, || {
            refusal(ECHO_GATEWAY, b"hello\n").map(|_| ())
        })
    });
}

#[test]
fn a_server_that_resets_resets_its_client() {
    isolated(|| {
        let (mesh, mut server) = echo_mesh()?;
        server.stop()?;
        let script = "import socket,struct
s=socket.create_server(('',8020)); print('listening on 8020', flush=True)
while True:
    c,_=s.accept(); c.recv(1); c.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack('ii',1,0)); c.close()
";
        let words = ["python3", "-c", script];
        let mut server = mesh.run("resetter", "app=echo-server,version=v1", &words)?;
        server.wait_for("listening on", SOON)?;
        wait_until("a reset", SOON, || {
            let end = refusal(ECHO_GATEWAY, b"hello\n")?;
            ensure!(end == End::Reset, "{end:?}");
            Ok(())
        })
    });
}

#[test]
fn garbage_to_any_port_is_closed_and_grows_nothing() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let ports = listening()?;
        ensure!(ports.len() >= 2, "only {ports:?} listen");
        // The first round fills buffers and pools that are kept; only growth after it is a leak.
        send_garbage(&ports)?;
        let before = resident(&mesh)?;
        for _ in 0..4 {
            send_garbage(&ports)?;
        }
        holds_for("service", Duration::from_millis(200), || {
            expect_answer(ECHO_GATEWAY, "x\n", "v1> x\n")
        })?;
        mesh.kubectl(&["get", "namespaces"])?;
        for ((pid, name, then), (same, _, now)) in before.into_iter().zip(resident(&mesh)?) {
            ensure!(pid == same, "{name} has died");
            ensure!(now < then + 4096, "{name} grew from {then} KiB to {now} KiB");
        }
        Ok(())
    });
}

/// Every address of this network namespace that something listens on, from `/proc/net/tcp`.
fn listening() -> Result<Vec<String>> {
    let text = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
    let mut found = Vec::new();
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, ..] = words[..] else { continue };
        let (address, port) = local.split_once(':').context("no port")?;
        let octets = u32::from_str_radix(address, 16)?.to_le_bytes();
        let host = std::net::Ipv4Addr::from(octets);
        // State 0A is LISTEN (include/net/tcp_states.h).
        if state == "0A" {
            let host = if host.is_unspecified() { std::net::Ipv4Addr::LOCALHOST } else { host };
            found.push(format!("{host}:{}", u16::from_str_radix(port, 16)?));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// A MiB that is no protocol's, to every port; the connection must end, echoing or not.
fn send_garbage(addresses: &[String]) -> Result<()> {
    let garbage: Vec<u8> = (0..MIB).map(|at| (at * 31 % 251) as u8).collect();
    for address in addresses {
        let mut stream = connect(address)?;
        let mut reader = stream.try_clone()?;
        let reading = std::thread::spawn(move || drain(&mut reader));
        // A peer that has seen enough may reset: that is closing too.
        let sent = stream.write_all(&garbage);
        if sent.is_ok() {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        let drained = reading.join().expect("the reader does not panic");
        drained.with_context(|| format!("{address} keeps garbage open"))?;
    }
    Ok(())
}

fn drain(stream: &mut impl Read) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn resident(mesh: &Mesh) -> Result<Vec<(i32, String, u64)>> {
    mesh.pid(Part::Gateway)?;
    children(mesh.supervisor().pid())
        .into_iter()
        .map(|(pid, words)| Ok((pid, words.join(" "), resident_kib(pid)?)))
        .collect()
}
