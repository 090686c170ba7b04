//! Whose gateways and objects are, by what the API has of them: webhooks choose a gateway's control plane, and owners'
//! labels beside a running control plane tell what was restored from what somebody else applied.

use anyhow::{Context, Result, ensure};
use lateen_e2e::mesh;
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use serde_json::{Value, json};

use super::{lateen, lateen_fails, output, versions};

const MINIMAL: [&str; 5] = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
const CANARY: [&str; 2] = ["--revision", "canary"];

/// A gateway as Istio's documentation writes one: the webhook fills it in.
fn gateway(mesh: &Mesh, labels: &Value) -> Result<()> {
    let mut pod = json!({"app": "edge"});
    pod.as_object_mut().context("labels")?.extend(labels.as_object().cloned().unwrap_or_default());
    let workload = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "edge", "namespace": "edge"},
        "spec": {"selector": {"matchLabels": {"app": "edge"}}, "template": {
            "metadata": {"labels": pod, "annotations": {"inject.istio.io/templates": "gateway"}},
            "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
        }},
    });
    mesh.apply(&workload.to_string()).map(drop)
}

/// What removing each revision would leave without a control plane: the one of the two that is refused.
fn refused(mesh: &Mesh) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for revision in ["default", "canary"] {
        let tried = output(mesh, &["uninstall", "--dry-run", "--revision", revision])?;
        let said = String::from_utf8(tried.stderr)?;
        let named = format!(
            "Deployment edge/edge, whose pods are injected as a gateway of revision {revision}, stays"
        );
        ensure!(tried.status.success() != said.contains(&named), "{revision}: {said}");
        if !tried.status.success() {
            found.push(revision);
        }
    }
    Ok(found)
}

#[test]
fn a_gateway_keeps_the_control_plane_whose_webhooks_choose_it() {
    isolated(|| {
        let mesh = mesh()?;
        lateen(&mesh, &MINIMAL)?;
        lateen(&mesh, &[&MINIMAL[..], &CANARY].concat())?;
        let tag = |name: &str, revision: &str| {
            let set = ["tag", "set", name, "--overwrite", "-y", "--revision", revision];
            lateen(&mesh, &set).map(drop)
        };
        tag("prod", "canary")?;
        mesh.kubectl(&["create", "namespace", "edge"])?;
        let namespace =
            |label: &str| mesh.kubectl(&["label", "--overwrite", "namespace", "edge", label]);
        gateway(&mesh, &json!({}))?;
        ensure!(refused(&mesh)?.is_empty(), "nobody injects it");
        namespace("istio.io/rev=canary")?;
        ensure!(refused(&mesh)? == ["canary"], "its namespace names the revision");
        namespace("istio.io/rev=prod")?;
        ensure!(refused(&mesh)? == ["canary"], "its namespace names a tag");
        namespace("istio.io/rev-")?;
        gateway(&mesh, &json!({"istio.io/rev": "prod"}))?;
        ensure!(refused(&mesh)? == ["canary"], "its pods name a tag");
        tag("prod", "default")?;
        ensure!(refused(&mesh)? == ["default"], "the tag points elsewhere now");
        gateway(&mesh, &json!({"sidecar.istio.io/inject": "true"}))?;
        ensure!(refused(&mesh)? == ["default"], "it names none");
        tag("default", "canary")?;
        ensure!(refused(&mesh)? == ["canary"], "the default revision's webhooks are off");
        lateen(&mesh, &["uninstall", "-y", "--revision", "default"])?;
        lateen(&mesh, &["uninstall", "-y", "--force", "--revision", "canary"])?;
        mesh.kubectl(&["get", "deployment", "edge", "-n", "edge"])?;
        Ok(())
    });
}

#[test]
fn what_is_restored_beside_its_running_control_plane_is_the_installations() {
    isolated(|| {
        let mesh = mesh()?;
        let canary = [&MINIMAL[..], &CANARY].concat();
        lateen(&mesh, &canary)?;
        let service = ["service", "istiod-canary", "-n", "istio-system"];
        mesh.kubectl(&[&["delete"][..], &service].concat())?;
        let generate = ["manifest", "generate", "-o", "json", "--set", "profile=minimal"];
        let list: Value =
            serde_json::from_str(&lateen(&mesh, &[&generate[..], &CANARY].concat())?)?;
        let items = list["items"].as_array().context("a list has items")?;
        let restored = items.iter().find(|it| it["kind"] == "Service").context("a Service")?;
        mesh.apply(&restored.to_string())?;
        lateen(&mesh, &canary)?;
        ensure!(lateen(&mesh, &canary)?.contains("nothing to change"));

        mesh.kubectl(&[&["delete"][..], &service].concat())?;
        mesh.apply(&restored.to_string())?;
        lateen(&mesh, &["uninstall", "-y", "--revision", "canary"])?;
        mesh.kubectl_fails(&[&["get"][..], &service].concat())?;
        let left = versions(&mesh)?;
        ensure!(left.keys().all(|name| name.contains("CustomResourceDefinition")), "{left:?}");

        // One that somebody made by itself is told of with what helps.
        let create = ["create", "service", "clusterip", "istiod-canary", "--tcp=80"];
        mesh.kubectl(&[&create[..], &["-n", "istio-system"]].concat())?;
        let said = lateen_fails(&mesh, &canary)?;
        let told =
            "Service istio-system/istiod-canary was applied by kubectl-create, not by lateen";
        ensure!(said.contains(told) && said.contains("--take-over"), "{said}");
        ensure!(!said.contains("metadata.name"), "no name of the file helps: {said}");
        let checks = ["precheck", "--no-pods", "--set", "profile=minimal"];
        let checked = output(&mesh, &[&checks[..], &CANARY].concat())?;
        let said = String::from_utf8(checked.stdout)?;
        ensure!(said.contains(told) && !said.contains("metadata.name"), "{said}");
        Ok(())
    });
}
