//! TLS that is passed through: connections find their Service by the name in their first bytes, at
//! gateways and sidecars, and all others are not kept waiting.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{SOON, gateway, mesh, service, virtual_service};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::{connect, how_it_ends};
use lateen_testkit::process::Process;
use lateen_testkit::tools::echo_server;
use lateen_testkit::wait::wait_until;

const SECURE: &str = "127.0.0.1:31443";

const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 31443, name: tls, protocol: TLS}
    tls: {mode: PASSTHROUGH}
    hosts: ['*.example.com']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure}
spec:
  hosts: ['*.example.com']
  gateways: [secure]
  tls:
  - match: [{port: 31443, sniHosts: [one.example.com]}]
    route: [{destination: {host: one}}]
  - match: [{port: 31443, sniHosts: ['*.example.com']}]
    route: [{destination: {host: two}}]
";

/// A ClientHello for `name`, with an extension of `padding` bytes.
fn hello(name: &str, padding: usize) -> Vec<u8> {
    let number = |count: usize| u16::try_from(count).expect("tests are small").to_be_bytes();
    let length = name.len();
    let mut extensions = Vec::new();
    extensions.extend([[0, 0], number(length + 5), number(length + 3)].concat());
    extensions.push(0);
    extensions.extend(number(length));
    extensions.extend(name.as_bytes());
    extensions.extend([[0, 21], number(padding)].concat());
    extensions.resize(extensions.len() + padding, 0);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(number(extensions.len()));
    body.extend(extensions);
    let [high, low] = number(body.len());
    let message = [vec![1, 0, high, low], body].concat();
    [vec![22, 3, 1], number(message.len()).to_vec(), message].concat()
}

/// Sends the parts one by one and returns the first four bytes of the answer: who echoes.
fn served_by(address: &str, parts: &[&[u8]]) -> Result<String> {
    let mut stream = connect(address)?;
    stream.set_nodelay(true)?;
    for part in parts {
        stream.write_all(part)?;
    }
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).context("no echo")?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn two_servers() -> Result<(Mesh, [Process; 2])> {
    let mesh = mesh()?;
    let first = mesh.echo_server("one", "one", "v1", 8443)?;
    let second = mesh.echo_server("two", "two", "v2", 8443)?;
    for name in ["one", "two"] {
        let yaml = service(name, 8443, &format!("app: {name}"));
        mesh.apply(&yaml.replace("name: tcp,", "name: tls,"))?;
    }
    Ok((mesh, [first, second]))
}

#[test]
fn a_gateway_passes_tls_through_by_server_name() {
    isolated(|| {
        let (mesh, _servers) = two_servers()?;
        mesh.apply(ROUTES)?;
        let one = hello("one.example.com", 0);
        wait_until("the gateway", SOON, || {
            let by = served_by(SECURE, &[&one])?;
            ensure!(by == "v1> ", "{by:?}");
            Ok(())
        })?;
        let long = hello("Other.example.com", 9000);
        let whole = served_by(SECURE, &[&long])?;
        let pieces: Vec<&[u8]> = one.chunks(7).collect();
        let pieces = served_by(SECURE, &pieces)?;
        ensure!((whole.as_str(), pieces.as_str()) == ("v2> ", "v1> "), "{whole:?} {pieces:?}");

        let refused: [(&[u8], &str); 3] = [
            (&hello("one.example.org", 0), "with TLS for one.example.org"),
            (b"GET / HTTP/1.1\r\n\r\n", "without TLS"),
            (&hello("one.example.com", 20_000), "has more than 16384 bytes"),
        ];
        for (bytes, reason) in refused {
            let mut stream = connect(SECURE)?;
            // The gateway may have seen enough before all of it is sent.
            let _ = stream.write_all(bytes);
            how_it_ends(&mut stream)?;
            wait_until(reason, SOON, || {
                ensure!(mesh.logs().contains(reason), "the log does not tell");
                Ok(())
            })?;
        }
        // A client that ends in the middle is let go at once.
        let mut stream = connect(SECURE)?;
        stream.write_all(&one[..20])?;
        stream.shutdown(Shutdown::Write)?;
        how_it_ends(&mut stream)?;
        Ok(())
    });
}

#[test]
fn a_sidecar_routes_tls_by_server_name() {
    isolated(|| {
        let (mesh, _servers) = two_servers()?;
        mesh.apply(
            "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split}
spec:
  hosts: [one, two.example.com]
  tls:
  - match: [{sniHosts: [two.example.com]}]
    route: [{destination: {host: two}}]
",
        )?;
        let script = |name: &str| {
            let hex: String = hello(name, 0).iter().map(|byte| format!("{byte:02x}")).collect();
            format!(
                "python3 -c \"import socket; s = socket.create_connection(('one', 8443)); \
                 s.sendall(bytes.fromhex('{hex}')); print(s.recv(4).decode())\""
            )
        };
        for (name, by) in [("two.example.com", "v2> \n"), ("one.example.com", "v1> \n")] {
            let printed = mesh.run_script("caller", &script(name))?;
            ensure!(printed == by, "{name}: {printed:?}");
        }
        Ok(())
    });
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once_beside_a_tls_port() {
    isolated(|| {
        let (mesh, _servers) = two_servers()?;
        mesh.apply(ROUTES)?;
        let program = echo_server()?.display().to_string();
        let words = [program.as_str(), "8020", "--greeting", "welcome"];
        let mut speaker = mesh.run("speaker", "app=speaker,version=v1", &words)?;
        speaker.wait_for("listening on", START)?;
        mesh.apply(&service("speaker", 8020, "app: speaker"))?;
        mesh.apply(&gateway("plain", 31400))?;
        mesh.apply(&virtual_service("plain", "plain", 31400, &[("speaker", 100)]))?;
        let greeting = || -> Result<Duration> {
            let start = Instant::now();
            let mut stream = connect("127.0.0.1:31400")?;
            stream.read_exact(&mut [0; 8]).context("no greeting")?;
            Ok(start.elapsed())
        };
        wait_until("the plain port", SOON, || greeting().map(|_| ()))?;
        let took = greeting()?;
        ensure!(took < Duration::from_millis(250), "the greeting took {took:?}");
        Ok(())
    });
}
