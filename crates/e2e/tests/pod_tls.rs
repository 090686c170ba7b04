//! The proxy of a pod and `lateen discovery` as a cluster has them: by name over TLS, with the root certificate
//! of the ConfigMap and a token of the pod's ServiceAccount, each of which may come late.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lateen_e2e::pod::{NODE, POD, Pod, get, injected};
use lateen_e2e::{SOON, mesh, service};
use lateen_testkit::isolate::{isolated, replace_resolv_conf};
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;
use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};

const WORKLOAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        proxy.istio.io/config: '{"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}'
    spec:
      containers:
      - {name: web, image: web}
"#;

const HOST: &str = "istiod.istio-system.svc";
const ROOTS: &str = "var/run/secrets/istio/root-cert.pem";
const TOKEN: &str = "var/run/secrets/tokens/istio-token";

/// The installed control plane, at the address that its name has in the pod.
fn discovery(mesh: &Mesh) -> Result<Process> {
    let mut install =
        mesh.lateen(&["install", "--set", "profile=minimal", "-y", "--wait=false"])?;
    install.env("KUBECONFIG", mesh.home().join("kubeconfig"));
    Process::spawn("lateen install", &mut install)?.success(START)?;
    let token = mesh.kubectl(&["create", "token", "istiod", "-n", "istio-system"])?;
    let config = mesh.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"])?;
    let mut config: Value = serde_json::from_str(&config)?;
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let path = mesh.home().join("istiod.kubeconfig");
    std::fs::write(&path, config.to_string())?;
    let mut command: Command = mesh.lateen(&["discovery", "--grpcAddr="])?;
    command.arg("--kubeconfig").arg(path).arg(format!("--secureGRPCAddr={NODE}:15012"));
    command.env("POD_NAME", "istiod-0").env("POD_NAMESPACE", "istio-system");
    Process::spawn("lateen discovery", &mut command)
}

fn name_the_control_plane(folder: &Path) -> Result<()> {
    let file = folder.join("hosts");
    std::fs::write(&file, format!("127.0.0.1 localhost\n{NODE} {HOST}\n"))?;
    let none: Option<&str> = None;
    mount(Some(&file), "/etc/hosts", none, MsFlags::MS_BIND, none).context("binding /etc/hosts")
}

fn readiness(status: u16, reason: &str) -> Result<()> {
    wait_until(&format!("{status} for {reason:?}"), START, || {
        let (found, body) = get(&format!("{POD}:15021"), "GET", "/healthz/ready")?;
        ensure!(found == status && body.contains(reason), "{found} {body}");
        Ok(())
    })
}

fn token(mesh: &Mesh, namespace: &str) -> Result<String> {
    mesh.kubectl(&["create", "token", "default", "--audience", "istio-ca", "-n", namespace])
}

#[test]
fn a_sidecar_is_configured_by_name_over_tls_with_its_token() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        replace_resolv_conf(folder.path(), "nameserver 192.0.2.53\n")?;
        name_the_control_plane(folder.path())?;
        let mesh = mesh()?;
        mesh.apply(&service("web", 8080, "app: web"))?;
        let pod = Pod::new(injected(folder.path(), WORKLOAD, "web")?)?;
        let _discovery = discovery(&mesh)?;
        pod.intercept()?;
        let _proxy = pod.start(&[])?;
        readiness(503, "root-cert.pem: no such file")?;
        let root =
            ["get", "configmap", "istio-ca-root-cert", "-o", "jsonpath={.data.root-cert\\.pem}"];
        let root = wait_until("the root certificate", SOON, || mesh.kubectl(&root))?;
        pod.write(ROOTS, &root)?;
        readiness(503, "istio-token: no such file")?;
        mesh.kubectl(&["create", "namespace", "elsewhere"])?;
        pod.write(TOKEN, &wait_until("a token", SOON, || token(&mesh, "elsewhere"))?)?;
        readiness(503, "the server said:")?;
        pod.write(TOKEN, &token(&mesh, "default")?)?;
        readiness(200, "")?;
        let address = mesh.object("service", "web")?["spec"]["clusterIP"].clone();
        let address = address.as_str().context("no clusterIP")?;
        wait_until("the Service's name in the pod", SOON, || {
            let found = pod.application("getent ahostsv4 web.default.svc.cluster.local")?;
            ensure!(found.starts_with(address), "{found}");
            Ok(())
        })
    });
}
