//! Access logs beside stock Envoy's: the same operators are taken and refused, and the same traffic, however it
//! ends, is the same lines.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lateen_e2e::{gateway, mesh_of_envoy, service, virtual_service};
use lateen_telemetry::Format;
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::{ask, connect};
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use serde_json::{Map, Value, json};

/// Operators that Envoy takes, in the ways in which they can be written.
const TAKEN: &str = include_str!("access_log/taken.txt");
/// What it refuses.
const REFUSED: &str = include_str!("access_log/refused.txt");

/// Whether stock Envoy takes a format.
fn envoy_takes(format: &str) -> Result<bool> {
    let log = json!({
        "name": "file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/null",
            "log_format": {"text_format_source": {"inline_string": format}},
        },
    });
    let bootstrap = json!({"static_resources": {"listeners": [{
        "name": "a",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        "access_log": [log],
        "filter_chains": [{"filters": []}],
    }]}});
    let mut envoy = Command::new(tools::cached("envoy")?);
    envoy.args(["--mode", "validate", "--config-yaml", &bootstrap.to_string()]);
    Ok(envoy.output().context("running envoy")?.status.success())
}

#[test]
fn operators_that_stock_envoy_takes_are_taken_and_what_it_refuses_is_refused() {
    for format in TAKEN.lines() {
        Format::text(format).unwrap_or_else(|error| panic!("{format}: {error}"));
    }
    assert!(envoy_takes(TAKEN).unwrap(), "one of taken.txt");
    for format in REFUSED.lines() {
        let found = (Format::text(format).is_ok(), envoy_takes(format).unwrap());
        assert_eq!(found, (false, false), "{format}: Lateen's answer and Envoy's");
    }
}

/// What is written of every connection. Times, ports and numbers differ: of these the types are compared.
fn format() -> Map<String, Value> {
    let alone = TAKEN.lines().filter(|line| line.matches('%').count() == 2);
    let differ = ["TIME", "UNIQUE_ID", "STREAM_ID", "HOSTNAME", "_CERT_V_"];
    let of_operators = alone.filter(|line| !differ.iter().any(|word| line.contains(word)));
    let mut members: Map<String, Value> =
        of_operators.map(|line| (line.trim_matches('%').to_owned(), json!(line))).collect();
    for operator in ["START_TIME", "EMIT_TIME", "UNIQUE_ID", "STREAM_ID", "HOSTNAME"] {
        members.insert(operator.to_owned(), json!(format!("%{operator}%")));
    }
    let nested = json!({"bytes": ["%BYTES_SENT%", "%REQ(X)%"], "fixed": [7, 1.5, true, null], "text": "%BYTES_SENT%b"});
    members.insert("nested".to_owned(), nested);
    members
}

const DIFFER: [&str; 21] = [
    "CEL(connection.id)",
    "COMMON_DURATION(DS_CX_BEG:DS_CX_END)",
    "COMMON_DURATION(DS_CX_BEG:DS_CX_END:ns)",
    "COMMON_DURATION(DS_CX_BEG:DS_CX_END:us)",
    "CONNECTION_ID",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT",
    "DURATION",
    "DURATION()",
    "EMIT_TIME",
    "HOSTNAME",
    "START_TIME",
    "STREAM_ID",
    "UNIQUE_ID",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_PORT",
];

/// Destinations outside the mesh, by the gateway's ports; those with another port listen there.
const OUTSIDE: [(&str, u16, u16); 7] = [
    ("refusing", 31501, 9),
    ("holding", 31502, 4002),
    ("resetting", 31503, 4003),
    ("closing", 31504, 4004),
    ("idle", 31505, 4002),
    ("full", 31506, 4002),
    ("answering", 31507, 4002),
];

fn outside(name: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example.com]
  ports: [{{number: 8020, name: tcp, protocol: TCP}}]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{tcp: {port}}}}}]
---
"
    )
}

fn pool(name: &str, tcp: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec: {{host: {name}.example.com, trafficPolicy: {{connectionPool: {{tcp: {{{tcp}}}}}}}}}
---
"
    )
}

fn serve(port: u16, answer: fn(TcpStream) -> std::io::Result<()>) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // However a connection ends, the gateway logs it.
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(())
}

/// Answers, and stays.
fn hold(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 16];
    stream.read_exact(&mut buffer[..2])?;
    stream.write_all(b"answer")?;
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Ends with a reset, because something is unread.
fn reset(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0])
}

fn close(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 2])?;
    stream.write_all(b"bye")
}

/// A connection that was answered by what holds it.
fn held(port: u16) -> Result<TcpStream> {
    let mut stream = connect(&format!("127.0.0.1:{port}"))?;
    stream.write_all(b"xy")?;
    // The answer stays unread: who ends now resets.
    ensure!(stream.peek(&mut [0])? == 1, "no answer");
    Ok(stream)
}

/// Sends, and reads to the end, whatever that is.
fn send(port: u16) -> Result<()> {
    let mut stream = connect(&format!("127.0.0.1:{port}"))?;
    // It may be refused before or after that.
    let _ = stream.write_all(b"xy").and_then(|()| stream.read_to_end(&mut Vec::new()));
    Ok(())
}

/// The newest line of each of the gateway's connections: one that is answered, and one for each way to end.
fn lines(mesh: &Mesh, log: impl Fn() -> String) -> Result<BTreeMap<String, Value>> {
    let mut objects = service("lost", 8020, "app: nobody") + &gateway("lost", 31500);
    objects += &virtual_service("lost", "lost", 31500, &[("lost", 100)]);
    objects += &(pool("idle", "idleTimeout: 0.5s") + &pool("full", "maxConnections: 1"));
    for (name, port, endpoint) in OUTSIDE {
        objects += &(outside(name, endpoint) + &gateway(name, port));
        objects += &virtual_service(name, name, port, &[(&format!("{name}.example.com"), 100)]);
    }
    mesh.apply(&objects)?;
    for (_, port, _) in OUTSIDE.into_iter().filter(|(.., endpoint)| *endpoint > 9) {
        wait_until("a port of the gateway", START, || connect(&format!("127.0.0.1:{port}")))?;
    }
    let format = serde_json::to_string(&format())?.replace('\'', "''");
    mesh.apply(&format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    accessLogFormat: '{format}'
---
"
    ))?;
    let newest = |port: u16| {
        let all = log();
        let mut lines = all.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        lines.find(|line: &Value| line["DOWNSTREAM_LOCAL_PORT"] == port)
    };
    let ended = |port: u16, end: &dyn Fn() -> Result<()>| {
        wait_until(&format!("a line of port {port}"), START, || {
            end()?;
            newest(port).context("no line yet")
        })
    };
    let mut all = BTreeMap::new();
    let answered = || ask("127.0.0.1:31507", "xy").map(drop);
    all.insert("answered".to_owned(), ended(31507, &answered)?);
    for (name, port) in [("empty", 31500), ("refused", 31501), ("upstream resets", 31503)] {
        all.insert(name.to_owned(), ended(port, &|| send(port))?);
    }
    all.insert("client resets".to_owned(), ended(31502, &|| held(31502).map(drop))?);
    all.insert("upstream closes".to_owned(), ended(31504, &|| send(31504))?);
    all.insert("idle".to_owned(), ended(31505, &|| send(31505))?);
    let first = held(31506)?;
    all.insert("full".to_owned(), ended(31506, &|| send(31506))?);
    drop(first);
    Ok(all)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The members of two lines that are not the same.
fn differences(name: &str, own: &Value, theirs: &Value) -> Vec<String> {
    let (Some(own), Some(theirs)) = (own.as_object(), theirs.as_object()) else {
        return vec![format!("{name}: no objects")];
    };
    let mut keys: Vec<&String> = own.keys().chain(theirs.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let is_same = |key: &String| match (own.get(key), theirs.get(key)) {
        (Some(own), Some(theirs)) if DIFFER.contains(&key.as_str()) => kind(own) == kind(theirs),
        (own, theirs) => own == theirs,
    };
    let differ = keys.into_iter().filter(|key| !is_same(key));
    differ.map(|key| format!("{name}: {key}: {:?} {:?}", own.get(key), theirs.get(key))).collect()
}

#[test]
fn however_a_connection_ends_its_line_is_stock_envoys() {
    isolated(|| {
        for (port, answer) in [(4002, hold as fn(_) -> _), (4003, reset), (4004, close)] {
            serve(port, answer)?;
        }
        let own = {
            let mesh = lateen_e2e::mesh()?;
            lines(&mesh, || mesh.logs())?
        };
        let (mesh, mut envoy): (Mesh, Process) = mesh_of_envoy()?;
        let theirs = lines(&mesh, || envoy.stdout())?;
        let names = own.keys();
        let all: Vec<String> =
            names.flat_map(|name| differences(name, &own[name], &theirs[name])).collect();
        ensure!(all.is_empty(), "Lateen's and Envoy's:\n{}", all.join("\n"));
        let flags: Vec<_> = own.values().map(|line| &line["RESPONSE_FLAGS"]).collect();
        ensure!(flags == ["-", "-", "UH", "UO", "-", "UF,URX", "-", "UR"], "{flags:?}");
        envoy.stop()?;
        Ok(())
    });
}
