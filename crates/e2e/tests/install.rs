//! Installations into an API, with real kubectl: the manifests are taken, a second install changes
//! nothing, a bad file applies nothing, and a run that was killed is finished by the next one.

#[path = "install/helm.rs"]
mod helm;
#[path = "install/others.rs"]
mod others;
#[path = "install/whose.rs"]
mod whose;

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{SOON, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};

const KINDS: &str = "crd,serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings,\
                     configmaps,services,deployments,pdb,hpa,validatingwebhookconfigurations,\
                     mutatingwebhookconfigurations";
const OURS: &str = "operator.istio.io/managed=Reconcile";

fn command(mesh: &Mesh, args: &[&str]) -> Result<Command> {
    let mut command = mesh.lateen(args)?;
    command.env("KUBECONFIG", mesh.home().join("kubeconfig"));
    Ok(command)
}

fn output(mesh: &Mesh, args: &[&str]) -> Result<Output> {
    command(mesh, args)?.output().context("starting lateen")
}

fn lateen(mesh: &Mesh, args: &[&str]) -> Result<String> {
    let output = output(mesh, args)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lateen {}: {}: {error}", args.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn lateen_fails(mesh: &Mesh, args: &[&str]) -> Result<String> {
    let output = output(mesh, args)?;
    ensure!(output.status.code() == Some(1), "lateen {}: {}", args.join(" "), output.status);
    Ok(String::from_utf8(output.stderr)?)
}

/// An IstioOperator file of Istio 1.6, whole, as the golden files of `install` have it.
fn notes() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../install/testdata/notes.yaml").to_owned()
}

/// The resource versions of everything that was installed, by name.
fn versions(mesh: &Mesh) -> Result<BTreeMap<String, String>> {
    let list = mesh.kubectl(&["get", KINDS, "-A", "-l", OURS, "-o", "json"])?;
    let list: Value = serde_json::from_str(&list)?;
    let items = list["items"].as_array().context("a list has items")?;
    let row = |object: &Value| {
        let metadata = &object["metadata"];
        let name = format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]);
        (name, metadata["resourceVersion"].to_string())
    };
    Ok(items.iter().map(row).collect())
}

/// The same once the statuses of Deployments have been written.
fn settled(mesh: &Mesh) -> Result<BTreeMap<String, String>> {
    wait_until("the Deployments' statuses", SOON, || {
        let args = ["get", "deployments", "-n", "istio-system", "-o", "json"];
        let list: Value = serde_json::from_str(&mesh.kubectl(&args)?)?;
        let items = list["items"].as_array().context("a list has items")?;
        let told = |object: &Value| object["status"].to_string().contains("NoContainerRuntime");
        ensure!(!items.is_empty() && items.iter().all(told), "{list}");
        Ok(())
    })?;
    versions(mesh)
}

#[test]
fn the_notes_file_installs_and_kubectl_shows_its_address_and_ports() {
    isolated(|| {
        let mesh = mesh()?;
        let said = lateen(&mesh, &["install", "-f", &notes(), "-y", "--wait=false"])?;
        ensure!(said.contains("+ Deployment istio-system/istiod"), "{said}");
        let service = ["get", "svc", "istio-ingressgateway", "-n", "istio-system", "--no-headers"];
        let row = mesh.kubectl(&service)?;
        ensure!(row.contains("LoadBalancer") && row.contains("10.0.1.179"), "{row}");
        for port in ["15021", "80", "443", "15443", "31400"] {
            // A cluster puts the node's port between the two.
            let shown = |text: &str| text.split(&[',', ' ']).any(|cell| cell.starts_with(port));
            ensure!(shown(&row), "no {port} in {row}");
        }
        let gateway =
            ["get", "deployment", "istio-ingressgateway", "-n", "istio-system", "-o", "json"];
        let gateway = mesh.kubectl(&gateway)?;
        ensure!(gateway.contains("ISTIO_META_ROUTER_MODE") && gateway.contains("sni-dnat"));
        let columns =
            mesh.kubectl(&["get", "crd", "gateways.networking.istio.io", "-o", "name"])?;
        ensure!(columns.contains("gateways.networking.istio.io"), "{columns}");
        Ok(())
    });
}

#[test]
fn generated_manifests_are_taken_by_kubectl() {
    isolated(|| {
        let mesh = mesh()?;
        let manifests = lateen(&mesh, &["manifest", "generate", "--set", "profile=demo"])?;
        let said = mesh.apply(&manifests)?;
        ensure!(said.contains("deployment.apps/istiod created"), "{said}");
        ensure!(said.contains("gateways.networking.istio.io created"), "{said}");
        let first = settled(&mesh)?;
        mesh.apply(&manifests)?;
        ensure!(versions(&mesh)? == first, "{:?} and {first:?}", versions(&mesh)?);
        Ok(())
    });
}

#[test]
fn a_second_install_changes_nothing_and_a_new_setting_only_its_object() {
    isolated(|| {
        let mesh = mesh()?;
        let install = ["install", "-y", "--wait=false"];
        lateen(&mesh, &install)?;
        let first = settled(&mesh)?;
        let said = lateen(&mesh, &install)?;
        ensure!(said.contains("nothing to change"), "{said}");
        ensure!(!said.lines().any(|line| line.starts_with("installed ")), "{said}");
        ensure!(versions(&mesh)? == first, "{:?} and {first:?}", versions(&mesh)?);
        let diff = ["manifest", "diff"];
        ensure!(lateen(&mesh, &diff)?.is_empty(), "a diff of nothing");

        let set = ["--set", "meshConfig.accessLogFile=/dev/stdout"];
        let differs = output(&mesh, &[&diff[..], &set].concat())?;
        let shown = String::from_utf8(differs.stdout)?;
        ensure!(differs.status.code() == Some(1) && shown.contains("~ ConfigMap"), "{shown}");
        for (arguments, told) in [
            (&["--set", "values.nothing=1"][..], "nothing was done because of the error above"),
            (&["-f", "no-such-file.yaml"], "no-such-file.yaml"),
            (&["no-such-old.yaml", "no-such-new.yaml"], "no-such-old.yaml"),
        ] {
            let fails = output(&mesh, &[&diff[..], arguments].concat())?;
            let said = String::from_utf8(fails.stderr)?;
            ensure!(fails.status.code() == Some(2) && said.contains(told), "{said}");
        }
        lateen(&mesh, &[&install[..], &set].concat())?;
        let second = versions(&mesh)?;
        let changed: Vec<&String> = first
            .iter()
            .filter(|(name, version)| second.get(*name) != Some(version))
            .map(|(name, _)| name)
            .collect();
        ensure!(changed.iter().any(|name| name.contains("\"istio\"")), "{changed:?}");
        ensure!(changed.iter().all(|name| !name.contains("ClusterRole")), "{changed:?}");
        Ok(())
    });
}

#[test]
fn a_bad_file_applies_nothing_and_says_why() {
    isolated(|| {
        let mesh = mesh()?;
        let bad = [
            ("values.global.prxy.logLevel=debug", "spec.values.global.proxy?"),
            ("components.pilot.k8s.replicaCount=two", "must be a whole number"),
            ("profile=ambient", "the profile ambient is not offered"),
            ("components.ingressGateways[0].k8s.service.externalIPs={10.0.1}", "externalIPs"),
            (
                "components.egressGateways[name:istio-ingressgateway].enabled=true",
                "two gateways istio-ingressgateway",
            ),
        ];
        for (set, reason) in bad {
            let said = lateen_fails(&mesh, &["install", "-f", &notes(), "-y", "--set", set])?;
            ensure!(said.contains(reason), "{set}: {said}");
        }
        ensure!(versions(&mesh)?.is_empty(), "something was applied");
        Ok(())
    });
}

#[test]
fn waiting_for_pods_that_nobody_starts_ends_at_once_and_can_be_left_out() {
    isolated(|| {
        let mesh = mesh()?;
        let said = lateen(&mesh, &["install", "--set", "profile=minimal", "--dry-run"])?;
        ensure!(said.contains("+ Deployment istio-system/istiod"), "{said}");
        ensure!(versions(&mesh)?.is_empty(), "a dry run applied something");
        let said = lateen_fails(&mesh, &["install", "-y", "--set", "profile=minimal"])?;
        ensure!(said.contains("no container runtime") && said.contains("--wait=false"), "{said}");
        let elsewhere = ["--readiness-timeout", "0s", "--set", "namespace=mesh"];
        let minimal = ["install", "-y", "--set", "profile=minimal"];
        let said = lateen(&mesh, &[&minimal[..], &elsewhere].concat())?;
        ensure!(said.contains("created Namespace mesh"), "{said}");
        mesh.kubectl(&["get", "deployment", "istiod", "-n", "mesh"])?;
        Ok(())
    });
}

#[test]
fn what_is_not_wanted_any_more_is_removed_and_an_uninstall_removes_the_rest() {
    isolated(|| {
        let mesh = mesh()?;
        lateen(&mesh, &["install", "-y", "--wait=false", "--set", "profile=demo"])?;
        let said = lateen(&mesh, &["upgrade", "-y", "--wait=false", "--set", "profile=default"])?;
        ensure!(said.contains("removed Deployment istio-system/istio-egressgateway"), "{said}");
        mesh.kubectl_fails(&["get", "svc", "istio-egressgateway", "-n", "istio-system"])?;
        lateen(
            &mesh,
            &["install", "-y", "--wait=false", "--set", "profile=minimal", "--revision", "blue"],
        )?;
        let gateways = |revision: &str| -> Result<bool> {
            let said = output(&mesh, &["uninstall", "--dry-run", "--revision", revision])?;
            Ok(String::from_utf8(said.stderr)?
                .contains("traffic through istio-ingressgateway ends"))
        };
        ensure!(gateways("default")? && !gateways("blue")?, "whose gateways go is told");
        lateen(&mesh, &["uninstall", "-y", "--revision", "blue"])?;
        mesh.kubectl_fails(&["get", "deployment", "istiod-blue", "-n", "istio-system"])?;
        mesh.kubectl(&["get", "deployment", "istiod", "-n", "istio-system"])?;
        let said = lateen(&mesh, &["uninstall", "-y", "--purge"])?;
        ensure!(!said.contains("authority"), "none was made here: {said}");
        let left = versions(&mesh)?;
        ensure!(left.keys().all(|name| name.contains("CustomResourceDefinition")), "{left:?}");
        let said = lateen_fails(&mesh, &["upgrade", "-y", "--wait=false"])?;
        ensure!(said.contains("use lateen install"), "{said}");
        Ok(())
    });
}

#[test]
fn a_file_with_gateways_alone_does_not_remove_the_control_plane_of_another() {
    isolated(|| {
        let mesh = mesh()?;
        let install = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
        lateen(&mesh, &install)?;
        let before = versions(&mesh)?;
        let file = mesh.home().join("gateway.yaml");
        let gateway = |metadata: &str| {
            format!(
                "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n{metadata}\
                 spec:\n  profile: empty\n  components:\n    ingressGateways:\n    \
                 - {{name: own, enabled: true}}\n"
            )
        };
        let install = ["install", "-y", "--wait=false", "-f", &file.display().to_string()];
        std::fs::write(&file, gateway(""))?;
        let said = lateen_fails(&mesh, &install)?;
        let words = ["remove Deployment istio-system/istiod", "metadata.name of its own"];
        ensure!(words.iter().all(|words| said.contains(words)), "{said}");
        ensure!(versions(&mesh)? == before, "something was changed");
        let off = ["install", "-y", "--wait=false", "--set", "components.pilot.enabled=false"];
        let said = lateen_fails(&mesh, &off)?;
        ensure!(said.contains("remove Deployment istio-system/istiod"), "{said}");
        ensure!(versions(&mesh)? == before, "something was changed");
        lateen(&mesh, &[&off[..], &["--force"]].concat())?;
        mesh.kubectl_fails(&["get", "deployment", "istiod", "-n", "istio-system"])?;
        lateen(&mesh, &["install", "-y", "--wait=false", "--set", "profile=minimal"])?;
        std::fs::write(&file, gateway("metadata: {name: gateways}\n"))?;
        lateen(&mesh, &install)?;
        for deployment in ["istiod", "own"] {
            mesh.kubectl(&["get", "deployment", deployment, "-n", "istio-system"])?;
        }
        Ok(())
    });
}

#[test]
fn an_install_that_was_killed_is_finished_by_the_next() {
    isolated(|| {
        let mesh = mesh()?;
        let install = ["install", "-y", "--wait=false", "--set", "profile=demo"];
        let mut first = command(&mesh, &install)?.spawn().context("starting lateen")?;
        wait_until("a part of the installation", SOON, || {
            ensure!(!versions(&mesh)?.is_empty());
            Ok(())
        })?;
        first.kill()?;
        first.wait()?;
        lateen(&mesh, &install)?;
        let said = lateen(&mesh, &install)?;
        ensure!(said.contains("nothing to change"), "{said}");
        mesh.kubectl(&["get", "deployment", "istio-egressgateway", "-n", "istio-system"])?;
        Ok(())
    });
}

#[test]
fn the_tag_default_takes_over_from_the_default_revision_and_keeps_it() {
    isolated(|| {
        let mesh = mesh()?;
        let minimal = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
        lateen(&mesh, &minimal)?;
        lateen(&mesh, &[&minimal[..], &["--revision", "blue"]].concat())?;
        let validator = |mesh: &Mesh| -> Result<(Value, Value)> {
            let it = mesh.object("validatingwebhookconfigurations", "istiod-default-validator")?;
            let service = it["webhooks"][0]["clientConfig"]["service"]["name"].clone();
            Ok((service, it["webhooks"][0]["objectSelector"].clone()))
        };
        let before = validator(&mesh)?;
        ensure!(before.0 == "istiod", "{before:?}");
        let said = lateen_fails(&mesh, &["tag", "set", "default", "--revision", "blue"])?;
        ensure!(said.contains("nobody answered") && validator(&mesh)? == before, "{said}");
        lateen(&mesh, &["tag", "set", "default", "--revision", "blue", "-y"])?;
        let moved = (json!("istiod-blue"), before.1.clone());
        ensure!(validator(&mesh)? == moved, "blue validates what has no revision");
        let off = |mesh: &Mesh| -> Result<bool> {
            let injector =
                mesh.object("mutatingwebhookconfigurations", "istio-sidecar-injector")?;
            let webhooks = injector["webhooks"].as_array().context("it has webhooks")?.clone();
            let never =
                |hook: &Value| hook["namespaceSelector"].to_string().contains("never-match");
            Ok(webhooks.iter().all(never))
        };
        ensure!(off(&mesh)?, "two control planes would inject");
        lateen(&mesh, &minimal)?;
        ensure!(off(&mesh)?, "a later install switched it on again");
        ensure!(validator(&mesh)? == moved, "a later install took the validator back");
        let generated = lateen(&mesh, &["tag", "generate", "default", "--revision", "blue"])?;
        ensure!(generated.contains("name: istiod-default-validator"), "{generated}");
        let said = output(&mesh, &["tag", "remove", "default", "-y"])?;
        let said = String::from_utf8(said.stderr)?;
        ensure!(said.contains("webhooks stay switched off: lateen install"), "{said}");
        ensure!(said.contains("revision blue goes on validating objects without a"), "{said}");
        let said = output(&mesh, &["uninstall", "--dry-run", "--revision", "blue"])?;
        let said = String::from_utf8(said.stderr)?;
        ensure!(said.contains("istiod-default-validator goes too: nobody validates"), "{said}");
        lateen(&mesh, &minimal)?;
        ensure!(!off(&mesh)?, "nobody would inject");
        ensure!(validator(&mesh)? == before, "the default revision validates again");
        lateen(&mesh, &["tag", "set", "default", "--revision", "blue", "-y"])?;
        lateen(&mesh, &["uninstall", "-y", "--revision", "default"])?;
        ensure!(validator(&mesh)? == moved, "it is blue's");
        let said = output(&mesh, &["uninstall", "--revision", "blue"])?;
        ensure!(!said.status.success() && validator(&mesh)? == moved, "it waits for a yes");
        let said = String::from_utf8(said.stderr)?;
        ensure!(said.contains("the tag default ends with its revision: nobody injects"), "{said}");
        Ok(())
    });
}

#[test]
fn a_tag_names_a_revision_until_it_is_removed() {
    isolated(|| {
        let mesh = mesh()?;
        let minimal = ["install", "-y", "--wait=false", "--set", "profile=minimal", "--revision"];
        for revision in ["blue", "green"] {
            let said = output(&mesh, &[&minimal[..], &[revision]].concat())?;
            let said = String::from_utf8(said.stderr)?;
            ensure!(said.contains(&format!("tag set default --revision {revision}")), "{said}");
        }
        let said = lateen_fails(&mesh, &["tag", "set", "prod", "--revision", "red"])?;
        ensure!(said.contains("there is no revision red"), "{said}");
        lateen(&mesh, &["tag", "set", "prod", "--revision", "blue"])?;
        let hook = "mutatingwebhookconfigurations";
        let object = mesh.object(hook, "istio-revision-tag-prod")?;
        ensure!(object["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod-blue");
        mesh.kubectl(&["create", "namespace", "shop"])?;
        mesh.kubectl(&["label", "namespace", "shop", "istio.io/rev=prod"])?;
        let said = lateen_fails(&mesh, &["tag", "set", "prod", "--revision", "green"])?;
        ensure!(said.contains("--overwrite"), "{said}");
        lateen(&mesh, &["tag", "set", "prod", "--revision", "green", "--overwrite"])?;
        for namespace in [&[][..], &["-i", "istio-system"], &["--istioNamespace", "mesh"]] {
            let list = lateen(&mesh, &[&["tag", "list"], namespace].concat())?;
            let row = list.lines().nth(1).unwrap_or_default().split_whitespace();
            ensure!(row.eq(["prod", "green", "shop"]), "{list}");
        }
        let yaml = lateen(&mesh, &["tag", "generate", "canary", "--revision", "blue"])?;
        ensure!(yaml.contains("istio-revision-tag-canary"), "{yaml}");
        lateen(&mesh, &["tag", "remove", "prod", "-y", "-i", "istio-system"])?;
        mesh.kubectl_fails(&["get", hook, "istio-revision-tag-prod"])?;
        Ok(())
    });
}
