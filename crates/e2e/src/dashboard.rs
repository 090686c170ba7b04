//! The live graph of a mesh on a cluster, as its users reach it. In: an installed mesh with the echo demo's traffic.
//! Out: whether `lateen dashboard` and `lateen graph` show it, to each what they may see.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};

use crate::installed::Node;

const SOON: Duration = Duration::from_secs(30);

/// Rights by which the dashboard reaches the control plane, and to list services in `default` alone.
const RIGHTS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: looker, namespace: istio-system}
rules:
- {apiGroups: [''], resources: [pods], verbs: [list]}
- {apiGroups: [''], resources: [configmaps], resourceNames: [istio-ca-root-cert], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: looker, namespace: istio-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looker}
subjects:
- {kind: ServiceAccount, name: one, namespace: default}
- {kind: ServiceAccount, name: nobody, namespace: default}
- {kind: ServiceAccount, name: far, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: forwarder, namespace: istio-system}
rules: [{apiGroups: [''], resources: [pods/portforward], verbs: [create, get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: forwarder, namespace: istio-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: forwarder}
subjects:
- {kind: ServiceAccount, name: one, namespace: default}
- {kind: ServiceAccount, name: nobody, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lister, namespace: default}
rules: [{apiGroups: [''], resources: [services], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lister, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lister}
subjects:
- {kind: ServiceAccount, name: one, namespace: default}
- {kind: ServiceAccount, name: far, namespace: default}
";

/// The edges that the echo demo has.
const EDGES: [&str; 2] = [
    "workload/default/echo-client>service/default/tcp-echo-server#tcp",
    "service/default/tcp-echo-server>workload/default/echo-server#tcp",
];

/// All of it: an administrator's page, and what users with fewer rights are told.
pub fn shows_the_graph(mesh: &Node) -> Result<()> {
    let (_dashboard, address, token) = opened(mesh)?;
    wait_until("the demo's edges", SOON, || {
        let (status, graph) = get(&address, "/api/v1/graph?type=workload", &token)?;
        ensure!(status == "200", "{status} {graph}");
        has_edges(&graph)
    })?;
    let (status, refused) = get(&address, "/api/v1/graph", "another")?;
    ensure!(status == "401", "{status} {refused}");

    let text = mesh.lateen(&["graph", "--kubeconfig", &kubeconfig(mesh)])?.success(SOON)?;
    ensure!(text.contains("echo-client") && text.contains("tcp-echo-server"), "{text}");

    mesh.cluster.apply(RIGHTS)?;
    let own = graph_of(mesh, "one")?.success(SOON)?;
    has_edges(&own)?;
    let graph: Value = serde_json::from_str(&own)?;
    let nodes = graph["nodes"].as_array().context("nodes")?;
    let namespaces = nodes.iter().filter_map(|node| node["namespace"].as_str());
    let others: Vec<&str> = namespaces.filter(|namespace| *namespace != "default").collect();
    ensure!(others.is_empty(), "{others:?} of {own}");
    ensure!(graph["notices"][0].as_str().is_some_and(|said| said.contains("left out")), "{own}");
    for (user, said) in [("nobody", "list services"), ("far", "pods/portforward")] {
        let mut refused = graph_of(mesh, user)?;
        let code = refused.exit_code(SOON)?;
        ensure!(
            code == 1 && refused.stderr().contains(said),
            "{user}: {code} {}",
            refused.stderr()
        );
    }
    Ok(())
}

/// The status and the body of an answer.
fn get(address: &str, path: &str, token: &str) -> Result<(String, String)> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--header"]);
    curl.arg(format!("authorization: Bearer {token}")).arg(format!("http://{address}{path}"));
    let answer = Process::spawn("curl", &mut curl)?.success(SOON)?;
    let (body, status) = answer.rsplit_once('\n').context("curl writes the status")?;
    Ok((status.to_owned(), body.to_owned()))
}

/// The dashboard, where it listens, and its token.
fn opened(mesh: &Node) -> Result<(Process, String, String)> {
    let mut dashboard = mesh.lateen(&["dashboard", "--no-browser"])?;
    dashboard.wait_for("/?token=", SOON)?;
    let said = dashboard.stdout();
    let url = said.trim().strip_prefix("http://").context("an address")?;
    let (address, token) = url.split_once("/?token=").context("a token")?;
    let told = dashboard.stderr();
    ensure!(told.contains("istio-system/istio-dashboard"), "an administrator has no token: {told}");
    Ok((dashboard, address.to_owned(), token.to_owned()))
}

fn has_edges(graph: &str) -> Result<()> {
    for edge in EDGES {
        ensure!(graph.contains(edge), "no {edge} in {graph}");
    }
    Ok(())
}

fn kubeconfig(mesh: &Node) -> String {
    mesh.cluster.kubeconfig().display().to_string()
}

/// `lateen graph` with the token of a ServiceAccount.
fn graph_of(mesh: &Node, account: &str) -> Result<Process> {
    mesh.kubectl(&["create", "serviceaccount", account])?;
    let token = mesh.kubectl(&["create", "token", account])?;
    let config = mesh.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"])?;
    let mut config: Value = serde_json::from_str(&config)?;
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let file = mesh.cluster.folder().join(format!("{account}.kubeconfig"));
    std::fs::write(&file, config.to_string())?;
    let file = file.display().to_string();
    mesh.lateen(&["graph", "--kubeconfig", &file, "--type", "workload", "-o", "json"])
}
