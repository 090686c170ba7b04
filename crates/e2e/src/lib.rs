//! Whole-mesh tests with real peers; the tests are in `tests/`. Here: the steps they share, as
//! functions from a few values to running meshes, and the YAML of small objects.

pub mod ansible;
pub mod dashboard;
pub mod installed;
pub mod pod;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use lateen_testkit::kubectl::Version;
use lateen_testkit::mesh::{Mesh, Options, START};
use lateen_testkit::net::{PATIENCE, expect_answer};
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;

/// The demo's YAML: Service, Deployment, Gateway and VirtualService.
pub const ECHO_YAML: &str = include_str!("../testdata/echo-server.yaml");

/// Where that Gateway listens.
pub const ECHO_GATEWAY: &str = "127.0.0.1:31400";

/// How long a change may take to reach traffic on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(10);

/// A file beside the tests.
pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// An empty mesh with a current kubectl.
pub fn mesh() -> Result<Mesh> {
    Mesh::up(Options::default())
}

/// A mesh with a particular kubectl.
pub fn mesh_with(kubectl: Version) -> Result<Mesh> {
    Mesh::up(Options { kubectl, ..Options::default() })
}

/// A database outside the mesh that refuses connections.
pub const DATABASE: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.example.com]
  addresses: [10.7.7.7]
  ports: [{number: 3306, name: tcp, protocol: TCP}]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{address: 10.201.255.254}]
";

/// The demo with one server of version v1 that answers `v1> …` through the gateway.
pub fn echo_mesh() -> Result<(Mesh, Process)> {
    let mesh = mesh()?;
    mesh.apply(ECHO_YAML)?;
    let server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
    answers(ECHO_GATEWAY, "v1> ")?;
    Ok((mesh, server))
}

/// A mesh whose gateway is stock Envoy.
pub fn mesh_of_envoy() -> Result<(Mesh, Process)> {
    let args = vec!["--gateway".to_owned(), "none".to_owned()];
    let mesh = Mesh::up(Options { args, ..Options::default() })?;
    let mut command = mesh.lateen(&["bootstrap", "--role", "gateway", "--home"])?;
    let mut bootstrap = Process::spawn("lateen bootstrap", command.arg(mesh.home()))?;
    let file = mesh.home().join("envoy.yaml");
    std::fs::write(&file, bootstrap.success(PATIENCE)?)?;
    let mut command = Command::new(tools::cached("envoy")?);
    command.arg("-c").arg(&file).args(["--disable-hot-restart", "--concurrency", "1"]);
    command.args(["--file-flush-interval-msec", "50"]).stdin(Stdio::null());
    let mut envoy = Process::spawn("envoy", &mut command)?;
    envoy.wait_for("all dependencies initialized", START)?;
    Ok((mesh, envoy))
}

/// Waits until `address` echoes with `prefix`.
pub fn answers(address: &str, prefix: &str) -> Result<()> {
    wait_until(&format!("{address} to answer with {prefix:?}"), SOON, || {
        expect_answer(address, "hello\n", &format!("{prefix}hello\n"))
    })
}

/// A Service that selects `selector` (`app: x` or `app: x, version: y`).
pub fn service(name: &str, port: u16, selector: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{name: tcp, port: {port}}}]
  selector: {{{selector}}}
---
"
    )
}

/// A Gateway with one TCP port.
pub fn gateway(name: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: tcp, protocol: TCP}}
    hosts: ['*']
---
"
    )
}

/// A VirtualService from `port` of `gateway` to destinations `(host, weight)` at port 8020.
pub fn virtual_service(
    name: &str,
    gateway: &str,
    port: u16,
    destinations: &[(&str, u32)],
) -> String {
    let routes: String = destinations
        .iter()
        .map(|(host, weight)| {
            format!(
                "    - destination: {{host: {host}, port: {{number: 8020}}}}\n      weight: {weight}\n"
            )
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: ['*']
  gateways: [{gateway}]
  tcp:
  - match: [{{port: {port}}}]
    route:
{routes}---
"
    )
}
