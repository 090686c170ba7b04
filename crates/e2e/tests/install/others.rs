//! Installations of several IstioOperators beside each other: none takes from another what it does not name.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::mesh;
use lateen_testkit::isolate::{isolated, isolated_for};
use lateen_testkit::mesh::Mesh;
use serde_json::{Value, json};

use super::{lateen, lateen_fails, output, versions};

/// Of a test of many installations.
const LONG: Duration = Duration::from_secs(300);

/// A file with an IstioOperator of a name.
fn file(mesh: &Mesh, name: &str, spec: &str) -> Result<String> {
    let path: PathBuf = mesh.home().join(format!("{name}.yaml"));
    let text = format!(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

#[test]
fn a_control_plane_is_not_taken_from_under_the_gateways_of_another_file() {
    isolated(|| {
        let mesh = mesh()?;
        let plane = file(&mesh, "plane", "{profile: minimal}")?;
        let gateway =
            "{profile: empty, components: {ingressGateways: [{name: edge, enabled: true}]}}";
        let gateways = file(&mesh, "gateways", gateway)?;
        for file in [&plane, &gateways] {
            lateen(&mesh, &["install", "-y", "--wait=false", "-f", file])?;
        }
        let before = versions(&mesh)?;
        let uninstall = ["manifest", "uninstall", "-y", "-f", &plane];
        let said = lateen_fails(&mesh, &uninstall)?;
        let named = "Deployment istio-system/edge, which gateways owns, stays and has no control plane without \
                     Deployment istio-system/istiod";
        ensure!(said.contains(named) && said.contains("--revision REVISION"), "{said}");
        ensure!(versions(&mesh)?.keys().eq(before.keys()), "something was removed");
        let all = output(&mesh, &["uninstall", "--dry-run", "--revision", "default"])?;
        ensure!(all.status.success(), "{}", String::from_utf8_lossy(&all.stderr));
        lateen(&mesh, &[&uninstall[..], &["--force"]].concat())?;
        mesh.kubectl_fails(&["get", "deployment", "istiod", "-n", "istio-system"])?;
        mesh.kubectl(&["get", "deployment", "edge", "-n", "istio-system"])?;
        lateen(&mesh, &["install", "-y", "--wait=false", "-f", &plane])?;
        let edge = output(&mesh, &["uninstall", "-y", "-f", &gateways])?;
        let told = String::from_utf8(edge.stderr)?;
        ensure!(
            told.contains("traffic through edge ends") && !told.contains("--revision"),
            "{told}"
        );
        ensure!(
            edge.status.success() && !String::from_utf8(edge.stdout)?.contains("istio-ca-secret")
        );
        let said = lateen_fails(&mesh, &["uninstall", "-y", "--revision", "nope"])?;
        ensure!(said.contains("no object is of revision nope, there is default"), "{said}");
        // As a control plane has it that runs.
        mesh.kubectl(&["create", "secret", "generic", "istio-ca-secret", "-n", "istio-system"])?;
        let said = lateen(&mesh, &uninstall)?;
        ensure!(
            said.contains("Secret istio-ca-secret") && said.contains("istio-ca-root-cert"),
            "{said}"
        );
        Ok(())
    });
}

#[test]
fn a_control_plane_of_another_name_is_taken_over_by_a_word_and_not_silently() {
    isolated(|| {
        let mesh = mesh()?;
        let mine = file(&mesh, "mine", "{profile: default}")?;
        lateen(&mesh, &["install", "-y", "--wait=false", "-f", &mine])?;
        let before = versions(&mesh)?;
        let minimal = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
        for more in [&[][..], &["--dry-run"]] {
            let said = lateen_fails(&mesh, &[&minimal[..], more].concat())?;
            let whose = "Deployment istio-system/istiod was installed by the IstioOperator mine";
            ensure!(said.contains(whose) && said.contains("--take-over"), "{said}");
        }
        let checked = output(&mesh, &["precheck", "--no-pods", "--set", "profile=minimal"])?;
        let told = String::from_utf8_lossy(&checked.stdout);
        let finding = "error: cluster: Deployment istio-system/istiod was installed by";
        ensure!(checked.status.code() == Some(1) && told.contains(finding), "{told}");
        ensure!(versions(&mesh)?.keys().eq(before.keys()), "something was changed");
        // Another revision of the same file takes its gateways along, as an upgrade does.
        lateen(&mesh, &["install", "-y", "--wait=false", "-f", &mine, "--revision", "1-1"])?;
        lateen(&mesh, &[&minimal[..], &["--take-over"]].concat())?;
        let label = "{.metadata.labels.install\\.operator\\.istio\\.io/owning-resource}";
        let path = format!("jsonpath={label}");
        let args = ["get", "deployment", "istiod", "-n", "istio-system", "-o", &path];
        ensure!(mesh.kubectl(&args)? == "installed-state");
        ensure!(lateen(&mesh, &minimal)?.contains("nothing to change"));
        Ok(())
    });
}

/// A control plane as Istio's installer leaves it, with ports, variables and a volume that are Istio's alone.
fn istios(labels: &Value) -> String {
    let pod = json!({"app": "istiod", "istio": "pilot"});
    let port =
        |number: u16, name: &str| json!({"containerPort": number, "name": name, "protocol": "TCP"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"istio": "pilot"}},
            "template": {"metadata": {"labels": pod}, "spec": {
                "containers": [{
                    "name": "discovery", "image": "docker.io/istio/pilot:1.27.0",
                    "env": [{"name": "JWT_POLICY", "value": "third-party-jwt"}],
                    "ports": [port(15010, "grpc-xds"), port(15012, "tls-xds"),
                              port(15017, "https-webhooks")],
                    "volumeMounts": [{"name": "cacerts", "mountPath": "/etc/cacerts"}],
                }],
                "volumes": [{"name": "cacerts", "secret": {"secretName": "cacerts"}}],
            }},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": labels},
        "spec": {"selector": pod, "ports": [{"name": "grpc-xds", "port": 15010, "protocol": "TCP"}]},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [deployment, service]}).to_string()
}

#[test]
fn a_control_plane_of_istios_is_taken_over_by_a_word_and_leaves_nothing_of_its_own() {
    isolated_for(LONG, || {
        let mesh = mesh()?;
        let installed = json!({"app": "istiod", "operator.istio.io/managed": "Reconcile",
                               "install.operator.istio.io/owning-resource": "installed-state"});
        let rendered = json!({"app": "istiod", "operator.istio.io/component": "Pilot",
                              "install.operator.istio.io/owning-resource": "unknown"});
        let install = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
        let installers = [
            (&installed, "istio-operator"),
            (&installed, "argocd-controller"),
            (&rendered, "kubectl"),
        ];
        for (labels, by) in installers {
            let manager = format!("--field-manager={by}");
            let apply = ["apply", "--server-side", &manager, "-f", "-"];
            mesh.kubectl_tool().ok_with_input(&apply, &istios(labels))?;
            let said = lateen_fails(&mesh, &install)?;
            let whose = "Deployment istio-system/istiod was installed by";
            ensure!(said.contains(whose) && said.contains("--take-over"), "{said}");
            let kept = output(&mesh, &["uninstall", "--purge", "-y"])?;
            let said = String::from_utf8(kept.stderr)?;
            let left = format!("left: Deployment istio-system/istiod: applied by {by}");
            ensure!(kept.status.success(), "{by}: {:?} {said}", kept.status);
            ensure!(
                labels == &rendered || said.contains(&left),
                "{by}: {said}{}",
                String::from_utf8_lossy(&kept.stdout)
            );
            let dry = output(&mesh, &[&install[..], &["--take-over", "--dry-run"]].concat())?;
            let said = String::from_utf8(dry.stderr)?;
            ensure!(said.contains("env[name=JWT_POLICY]"), "{said}");
            let other = ["get", "deployment", "istiod", "-n", "istio-system", "-o", "json"];
            ensure!(mesh.kubectl(&other)?.contains("JWT_POLICY"), "a dry run has changed it");

            lateen(&mesh, &[&install[..], &["--take-over"]].concat())?;
            let get = [
                "get",
                "deployment,service",
                "-n",
                "istio-system",
                "--show-managed-fields",
                "-o",
                "json",
            ];
            let now = mesh.kubectl(&get)?;
            let manager = format!("\"manager\": \"{by}\"");
            for theirs in ["JWT_POLICY", "cacerts", "15010", &manager] {
                ensure!(!now.contains(theirs), "{theirs} of Istio is left: {now}");
            }
            ensure!(now.contains("tls-xds"), "{now}");
            ensure!(lateen(&mesh, &install)?.contains("nothing to change"));
            mesh.kubectl(&["delete", "deployment,service", "istiod", "-n", "istio-system"])?;
        }
        Ok(())
    });
}

#[test]
fn a_gateway_of_somebody_elses_keeps_its_control_plane_until_a_word() {
    isolated(|| {
        let mesh = mesh()?;
        lateen(&mesh, &["install", "-y", "--wait=false", "--set", "profile=minimal"])?;
        let workload = |name: &str, labels: Value| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": "istio-system", "labels": labels},
                "spec": {
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": {"app": name, "sidecar.istio.io/inject": "true"},
                                     "annotations": {"inject.istio.io/templates": "gateway"}},
                        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
                    },
                },
            })
        };
        let istios = json!({
            "istio.io/rev": "default", "operator.istio.io/managed": "Reconcile",
            "operator.istio.io/component": "IngressGateways",
            "install.operator.istio.io/owning-resource": "other",
            "install.operator.istio.io/owning-resource-namespace": "istio-system",
        });
        for (by, gateway) in [
            ("istio-operator", workload("istio-edge", istios)),
            ("kubectl", workload("own-edge", json!({}))),
        ] {
            let manager = format!("--field-manager={by}");
            let apply = ["apply", "--server-side", &manager, "-f", "-"];
            mesh.kubectl_tool().ok_with_input(&apply, &gateway.to_string())?;
        }
        let before = versions(&mesh)?;
        for what in [&["--purge"][..], &["--revision", "default"]] {
            let said = lateen_fails(&mesh, &[&["uninstall", "-y"][..], what].concat())?;
            for named in [
                "Deployment istio-system/istio-edge, which other owns, stays and has no control plane",
                "Deployment istio-system/own-edge, whose pods are injected as a gateway of revision default, stays",
                "remove these gateways first, by who applied them, or",
            ] {
                ensure!(said.contains(named), "{named}: {said}");
            }
            ensure!(versions(&mesh)?.keys().eq(before.keys()), "something was removed");
        }
        lateen(&mesh, &["uninstall", "-y", "--purge", "--force"])?;
        mesh.kubectl_fails(&["get", "deployment", "istiod", "-n", "istio-system"])?;
        for stays in ["istio-edge", "own-edge"] {
            mesh.kubectl(&["get", "deployment", stays, "-n", "istio-system"])?;
        }
        Ok(())
    });
}

#[test]
fn an_object_that_somebody_else_applied_is_not_changed_without_a_word() {
    isolated_for(LONG, || {
        let mesh = mesh()?;
        let own = |api: &str, kind: &str, name: &str, namespace: Option<&str>, more: Value| {
            let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
            if let Some(namespace) = namespace {
                object["metadata"]["namespace"] = json!(namespace);
            }
            object.as_object_mut().into_iter().for_each(|object| {
                object.extend(more.as_object().cloned().unwrap_or_default());
            });
            object
        };
        let home = Some("istio-system");
        let hpa = json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "istiod"}}});
        let rbac = "rbac.authorization.k8s.io/v1";
        let all = [
            own("v1", "ServiceAccount", "istiod", home, json!({})),
            own(
                "v1",
                "Service",
                "istiod",
                home,
                json!({"spec": {"ports": [{"name": "a", "port": 1}]}}),
            ),
            own(
                "v1",
                "ConfigMap",
                "istio-sidecar-injector",
                home,
                json!({"data": {"theirs": "x"}}),
            ),
            own("autoscaling/v2", "HorizontalPodAutoscaler", "istiod", home, hpa),
            own(
                "policy/v1",
                "PodDisruptionBudget",
                "istiod",
                home,
                json!({"spec": {"minAvailable": 2}}),
            ),
            own(rbac, "ClusterRole", "istiod-clusterrole-istio-system", None, json!({"rules": []})),
            // The embedded API has one already.
            own("v1", "ConfigMap", "istio", home, json!({"data": {"theirs": "x"}})),
        ];
        let install = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
        for object in &all {
            let text = object.to_string();
            mesh.kubectl_tool().ok_with_input(&["apply", "-f", "-"], &text)?;
            let said = lateen_fails(&mesh, &install)?;
            let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
            let (kind, name) = (kind.as_str().unwrap_or("?"), name.as_str().unwrap_or("?"));
            let told = format!("{name} was applied by kubectl-client-side-apply, not by lateen");
            let is_told = said.lines().any(|line| line.contains(kind) && line.contains(&told));
            ensure!(is_told && said.contains("--take-over"), "{kind}: {said}");
            mesh.kubectl_fails(&["get", "deployment", "istiod", "-n", "istio-system"])?;
            mesh.kubectl_tool().ok_with_input(&["delete", "-f", "-"], &text)?;
        }
        mesh.kubectl_tool().ok_with_input(&["apply", "-f", "-"], &all[2].to_string())?;
        lateen(&mesh, &[&install[..], &["--take-over"]].concat())?;
        let map = mesh.kubectl(&[
            "get",
            "configmap",
            "istio-sidecar-injector",
            "-n",
            "istio-system",
            "-o",
            "json",
        ])?;
        ensure!(!map.contains("theirs"), "{map}");
        let before = versions(&mesh)?;
        ensure!(lateen(&mesh, &install)?.contains("nothing to change"));
        ensure!(versions(&mesh)? == before, "a second time something was changed");
        // What was installed before it was cut short is this program's, and is completed.
        mesh.kubectl(&["delete", "deployment", "istiod", "-n", "istio-system"])?;
        ensure!(lateen(&mesh, &install)?.contains("installed"));
        Ok(())
    });
}

#[test]
fn a_tag_goes_with_the_control_plane_that_a_file_removes() {
    isolated(|| {
        let mesh = mesh()?;
        let canary = file(&mesh, "canary", "{profile: minimal, revision: canary}")?;
        lateen(&mesh, &["install", "-y", "--wait=false", "-f", &canary])?;
        lateen(&mesh, &["tag", "set", "prod", "--revision", "canary"])?;
        mesh.kubectl(&["create", "namespace", "shop"])?;
        mesh.kubectl(&["label", "namespace", "shop", "istio.io/rev=prod"])?;
        let tried = output(&mesh, &["uninstall", "--dry-run", "-f", &canary])?;
        let (listed, said) = (String::from_utf8(tried.stdout)?, String::from_utf8(tried.stderr)?);
        let hook = "- MutatingWebhookConfiguration istio-revision-tag-prod";
        ensure!(listed.lines().any(|line| line == hook), "{listed}");
        ensure!(said.contains("the tag prod, which namespaces shop use ends with"), "{said}");
        lateen(&mesh, &["uninstall", "-y", "-f", &canary])?;
        mesh.kubectl_fails(&["get", "mutatingwebhookconfigurations", "istio-revision-tag-prod"])?;
        Ok(())
    });
}

#[test]
fn revisions_do_not_take_the_definitions_from_each_other() {
    isolated(|| {
        let mesh = mesh()?;
        let stable = ["--set", "profile=minimal"];
        let canary = ["--set", "profile=minimal", "--revision", "canary"];
        for revision in [&stable[..], &canary] {
            lateen(&mesh, &[&["install", "-y", "--wait=false"][..], revision].concat())?;
        }
        for revision in [&stable[..], &canary] {
            let differs = lateen(&mesh, &[&["manifest", "diff"][..], revision].concat())?;
            ensure!(differs.is_empty(), "{revision:?}: {differs}");
        }
        Ok(())
    });
}
