//! Objects that a Helm release has too: they are taken over by a word, and nothing of the release is forgotten.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use lateen_e2e::mesh;
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::tools;
use serde_json::{Value, json};

use super::{lateen, lateen_fails, output};

/// A chart with one object that the mesh's installation has too, with `more`, and the rest of Helm's home.
fn helm(mesh: &Mesh, more: &[Value]) -> Result<impl Fn(&[&str]) -> Result<Output>> {
    let chart = mesh.home().join("chart");
    std::fs::create_dir_all(chart.join("templates"))?;
    let about = json!({ "apiVersion": "v2", "name": "mesh", "version": "1.0.0" });
    std::fs::write(chart.join("Chart.yaml"), about.to_string())?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": { "values": "{}" },
        "metadata": {
            "name": "istio-sidecar-injector", "namespace": "istio-system",
            "labels": { "operator.istio.io/managed": "Reconcile", "istio.io/rev": "default" },
        },
    });
    let all = more.iter().chain([&object]).map(|object| format!("---\n{object}\n"));
    std::fs::write(chart.join("templates/objects.yaml"), all.collect::<String>())?;
    let (program, home) = (tools::cached("helm")?, mesh.home().to_owned());
    Ok(move |args: &[&str]| {
        let mut helm = Command::new(&program);
        helm.args(args).env("KUBECONFIG", home.join("kubeconfig")).env("HOME", &home);
        helm.current_dir(&home).output().context("starting helm")
    })
}

#[test]
fn what_a_helm_release_has_is_taken_over_by_a_word_and_not_silently() {
    isolated(|| {
        let mesh = mesh()?;
        let helm = helm(&mesh, &[])?;
        let install = ["install", "release", "./chart", "-n", "istio-system"];
        let made = helm(&[&install[..], &["--create-namespace"]].concat())?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = ["get", "cm", "istio-sidecar-injector", "-n", "istio-system", "-o", "json"];
        let before = mesh.kubectl(&config)?;
        let plain = ["install", "-y", "--wait=false"];
        for more in [&[][..], &["--dry-run"]] {
            let error = lateen_fails(&mesh, &[&plain[..], more].concat())?;
            let release = "Helm's release istio-system/release has ConfigMap istio-system/istio-sidecar-injector";
            ensure!(error.contains(release), "{error}");
            ensure!(error.contains("helm uninstall release -n istio-system"), "{error}");
            ensure!(error.contains("--take-over"), "{error}");
        }
        let checked = output(&mesh, &["precheck", "--no-pods"])?;
        let told = String::from_utf8_lossy(&checked.stdout);
        let finding = "error: cluster: Helm's release istio-system/release has ConfigMap";
        ensure!(checked.status.code() == Some(1) && told.contains(finding), "{told}");
        let error = lateen_fails(&mesh, &["uninstall", "--revision", "default", "-y"])?;
        ensure!(error.contains("nothing was removed: helm uninstall release"), "{error}");
        ensure!(mesh.kubectl(&config)? == before, "the release's object was changed");
        let none = mesh.kubectl(&["get", "deploy", "-n", "istio-system", "-o", "name"])?;
        ensure!(none.is_empty(), "{none}");

        let said = lateen(&mesh, &[&plain[..], &["--take-over"]].concat())?;
        let forget = ["delete", "secret", "-n", "istio-system", "-l", "owner=helm,name=release"];
        ensure!(said.contains(&format!("kubectl {}", forget.join(" "))), "{said}");
        let after = mesh.kubectl(&config)?;
        ensure!(!after.contains("meta.helm.sh") && !after.contains("managed-by"), "{after}");
        ensure!(lateen(&mesh, &plain)?.contains("nothing to change"));
        mesh.kubectl(&forget)?;
        // And Helm does not take over what is installed by others.
        let again = helm(&install)?;
        let error = String::from_utf8_lossy(&again.stderr);
        ensure!(!again.status.success() && error.contains("invalid ownership metadata"), "{error}");
        Ok(())
    });
}

#[test]
fn marks_of_a_release_that_is_gone_hold_nothing_up() {
    isolated(|| {
        let mesh = mesh()?;
        let helm = helm(&mesh, &[])?;
        let made =
            helm(&["install", "release", "./chart", "-n", "istio-system", "--create-namespace"])?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = ["get", "cm", "istio-sidecar-injector", "-n", "istio-system", "-o", "json"];
        let mut kept: Value = serde_json::from_str(&mesh.kubectl(&config)?)?;
        let gone = helm(&["uninstall", "release", "-n", "istio-system"])?;
        ensure!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
        kept["metadata"]["resourceVersion"].take();
        kept["metadata"]["uid"].take();
        mesh.apply(&kept.to_string())?;
        ensure!(mesh.kubectl(&config)?.contains("meta.helm.sh/release-name"));
        lateen(&mesh, &["install", "-y", "--wait=false"]).map(drop)
    });
}

#[test]
fn what_else_a_release_has_is_named_and_what_is_not_wanted_goes() {
    isolated(|| {
        let mesh = mesh()?;
        let object = |name: &str, labels: Value| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": name, "namespace": "istio-system", "labels": labels } })
        };
        let own = json!({
            "install.operator.istio.io/owning-resource": "installed-state",
            "install.operator.istio.io/owning-resource-namespace": "istio-system",
        });
        let more = [object("unwanted", own), object("further", json!({}))];
        let helm = helm(&mesh, &more)?;
        let made =
            helm(&["install", "release", "./chart", "-n", "istio-system", "--create-namespace"])?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let install = ["install", "-y", "--wait=false", "--set", "profile=minimal", "--take-over"];
        let named = "ConfigMap istio-system/further is Helm's release istio-system/release's too";
        for more in [&["--dry-run"][..], &[]] {
            let said = output(&mesh, &[&install[..], more].concat())?;
            let told = String::from_utf8_lossy(&said.stderr);
            ensure!(said.status.success() && told.contains(named), "{told}");
            ensure!(told.contains("kubectl delete -n istio-system configmap further"), "{told}");
            ensure!(!told.contains("unwanted is Helm's"), "{told}");
            ensure!(!told.contains("istio-sidecar-injector is Helm's"), "{told}");
        }
        mesh.kubectl_fails(&["get", "cm", "unwanted", "-n", "istio-system"])?;
        mesh.kubectl(&["get", "cm", "further", "-n", "istio-system"])?;
        let config = ["get", "cm", "istio-sidecar-injector", "-n", "istio-system", "-o", "json"];
        let taken = mesh.kubectl(&config)?;
        ensure!(!taken.contains("meta.helm.sh"), "its marks are kept: {taken}");
        Ok(())
    });
}
