//! The embedded API's own services: tokens, secrets, leases, namespaces, admission webhooks.

use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::mesh;
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::process::Process;
use serde_json::json;

#[test]
fn deleting_a_namespace_deletes_what_is_in_it() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.kubectl(&["create", "namespace", "other"])?;
        mesh.kubectl(&["create", "configmap", "inside", "-n", "other"])?;
        mesh.kubectl(&["delete", "namespace", "other", "--timeout=20s"])?;
        let error = mesh.kubectl_fails(&["get", "configmap", "inside", "-n", "other"])?;
        ensure!(error.contains("NotFound") || error.contains("not found"), "{error}");
        Ok(())
    });
}

#[test]
fn tokens_are_issued_and_reviewed_and_strangers_refused() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.kubectl(&["create", "serviceaccount", "robot"])?;
        let token = mesh.kubectl(&["create", "token", "robot"])?;
        ensure!(token.trim().split('.').count() == 3, "not a JWT: {token}");
        let review = |token: &str| -> Result<serde_json::Value> {
            let object = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "spec": {"token": token},
            });
            let args = ["create", "-o", "json", "-f", "-"];
            let text = mesh.kubectl_tool().ok_with_input(&args, &object.to_string())?;
            Ok(serde_json::from_str(&text)?)
        };
        let status = &review(token.trim())?["status"];
        ensure!(status["authenticated"] == json!(true), "{status}");
        let user = &status["user"]["username"];
        ensure!(user == &json!("system:serviceaccount:default:robot"), "{user}");
        let forged = format!("{}x", token.trim());
        ensure!(review(&forged)?["status"]["authenticated"] != json!(true), "a forged token");

        let stranger = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster(&mesh)?}],
            "users": [{"name": "u", "user": {"token": "wrong"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let file = mesh.home().join("stranger.json");
        std::fs::write(&file, stranger.to_string())?;
        let kubeconfig = format!("--kubeconfig={}", file.display());
        let error = mesh.kubectl_fails(&[&kubeconfig, "get", "namespaces"])?;
        ensure!(error.contains("Unauthorized") || error.contains("logged in"), "{error}");
        Ok(())
    });
}

fn cluster(mesh: &Mesh) -> Result<serde_json::Value> {
    let text = mesh.kubectl(&["config", "view", "--raw", "-o", "json"])?;
    let config: serde_json::Value = serde_json::from_str(&text)?;
    Ok(config["clusters"][0]["cluster"].clone())
}

#[test]
fn secrets_leases_and_plain_objects_round_trip() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.kubectl(&["create", "secret", "generic", "password", "--from-literal=key=value"])?;
        ensure!(mesh.object("secret", "password")?["data"]["key"] == json!("dmFsdWU="));
        mesh.kubectl(&["create", "configmap", "settings", "--from-literal=a=b"])?;
        ensure!(mesh.object("configmap", "settings")?["data"] == json!({"a": "b"}));
        mesh.apply(
            "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: leader}
spec: {holderIdentity: me, leaseDurationSeconds: 15}
",
        )?;
        ensure!(mesh.object("lease", "leader")?["spec"]["holderIdentity"] == json!("me"));
        Ok(())
    });
}

#[test]
fn admission_webhooks_are_called_over_https() {
    isolated(|| {
        let mesh = mesh()?;
        let script = lateen_e2e::testdata("webhook.py");
        let mut command = std::process::Command::new("python3");
        command.arg(&script).arg(mesh.home()).arg("9443");
        let mut webhook = Process::spawn("webhook", &mut command)?;
        webhook.wait_for("listening", Duration::from_secs(10))?;
        mesh.kubectl(&["apply", "-f", &mesh.home().join("webhooks.yaml").display().to_string()])?;
        mesh.kubectl(&["create", "configmap", "welcome"])?;
        let marked = &mesh.object("configmap", "welcome")?["metadata"]["annotations"]["seen"];
        ensure!(marked == &json!("yes"), "the mutating webhook left {marked}");
        let error = mesh.kubectl_fails(&["create", "configmap", "forbidden"])?;
        ensure!(error.contains("denied the request: not this name"), "{error}");
        webhook.stop()?;
        let error = mesh.kubectl_fails(&["create", "configmap", "unreachable"])?;
        ensure!(error.contains("failed calling webhook"), "{error}");
        Ok(())
    });
}
