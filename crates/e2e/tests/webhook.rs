//! The webhooks of `lateen discovery`, asked by an API over HTTPS, with real kubectl: who is injected, by
//! labels, revisions and tags; refusals and warnings; and configurations that stay as they must be.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_YAML, SOON, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};

/// Where the control plane serves; an endpoint must not be of loopback's addresses.
const ADDRESS: &str = "10.77.0.1";
const INJECTOR: [&str; 2] = ["mutatingwebhookconfiguration", "istio-sidecar-injector"];
const VALIDATOR: [&str; 2] = ["validatingwebhookconfiguration", "istio-validator-istio-system"];
const BUNDLE: &str = "jsonpath={.webhooks[*].clientConfig.caBundle}";
const POLICY: &str = "jsonpath={.webhooks[*].failurePolicy}";

/// An installation whose Service leads to a control plane that runs here.
struct Installed {
    // Fields are dropped in this order: the control plane ends before its API.
    _control_plane: Process,
    mesh: Mesh,
}

fn installed() -> Result<Installed> {
    let mesh = mesh()?;
    let status = Command::new("ip").args(["address", "add", ADDRESS, "dev", "lo"]).status()?;
    ensure!(status.success(), "ip address add: {status}");
    lateen(&mesh, &["install", "--set", "profile=minimal", "-y", "--wait=false"])?;
    mesh.apply(&endpoints())?;
    let kubeconfig = mesh.home().join("kubeconfig").display().to_string();
    let mut command = mesh.lateen(&["discovery", "--kubeconfig", &kubeconfig])?;
    let flags = [
        ("httpsAddr", 15017),
        ("secureGRPCAddr", 15012),
        ("httpAddr", 8080),
        ("monitoringAddr", 15014),
    ];
    command.args(flags.map(|(flag, port)| format!("--{flag}={ADDRESS}:{port}")));
    command.env("POD_NAME", "istiod-0").env("POD_NAMESPACE", "istio-system");
    let control_plane = Process::spawn("lateen discovery", &mut command)?;
    let installed = Installed { _control_plane: control_plane, mesh };
    wait_until("the webhooks to be trusted and asked", SOON, || {
        ensure!(!installed.get(INJECTOR, BUNDLE)?.is_empty(), "no bundle");
        ensure!(installed.get(VALIDATOR, POLICY)? == "Fail", "not asked yet");
        Ok(())
    })?;
    installed.mesh.kubectl(&["create", "namespace", "shop"])?;
    Ok(installed)
}

fn endpoints() -> String {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "istiod-here", "namespace": "istio-system",
            "labels": {"kubernetes.io/service-name": "istiod"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true}}],
        "ports": [{"name": "https-webhook", "port": 15017, "protocol": "TCP"}],
    });
    slice.to_string()
}

fn lateen(mesh: &Mesh, args: &[&str]) -> Result<String> {
    let mut command = mesh.lateen(args)?;
    command.env("KUBECONFIG", mesh.home().join("kubeconfig"));
    let output = command.output().context("starting lateen")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lateen {}: {}: {error}", args.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn pod(name: &str, labels: &Value, annotations: &Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    pod.to_string()
}

impl Installed {
    fn get(&self, [kind, name]: [&str; 2], path: &str) -> Result<String> {
        self.mesh.kubectl(&["get", kind, name, "-o", path])
    }

    fn label(&self, label: &str) -> Result<()> {
        self.mesh.kubectl(&["label", "namespace", "shop", "--overwrite", label]).map(drop)
    }

    /// Creates a pod; whether it has a sidecar.
    fn injects(&self, name: &str, labels: &Value) -> Result<bool> {
        self.creates(&pod(name, labels, &json!({})), name)
    }

    fn creates(&self, yaml: &str, name: &str) -> Result<bool> {
        self.mesh.apply(yaml)?;
        let path = "jsonpath={.spec.containers[*].name} {.spec.initContainers[*].name}";
        let names = self.mesh.kubectl(&["get", "pod", name, "-n", "shop", "-o", path])?;
        Ok(names.split_whitespace().any(|name| name == "istio-proxy"))
    }
}

#[test]
fn labels_revisions_and_tags_choose_the_pods() {
    isolated(|| {
        let it = installed()?;
        let none = json!({});
        ensure!(!it.injects("unlabelled", &none)?, "nobody asked");
        ensure!(it.injects("asks", &json!({"sidecar.istio.io/inject": "true"}))?, "the pod asks");
        it.label("istio-injection=enabled")?;
        ensure!(it.injects("labelled", &none)?, "the namespace asks");
        ensure!(!it.injects("declines", &json!({"sidecar.istio.io/inject": "false"}))?);
        it.label("istio-injection-")?;
        ensure!(!it.injects("unlabelled-again", &none)?);
        it.label("istio.io/rev=default")?;
        ensure!(it.injects("revision", &none)?);
        it.label("istio.io/rev=prod")?;
        ensure!(!it.injects("no-tag-yet", &none)?);
        lateen(&it.mesh, &["tag", "set", "prod", "--revision", "default", "-y"])?;
        ensure!(it.injects("tag", &none)?);
        Ok(())
    });
}

#[test]
fn a_deployments_pod_is_injected_as_its_controller_creates_it() {
    isolated(|| {
        let it = installed()?;
        it.label("istio-injection=enabled")?;
        let deployment = ECHO_YAML.split("---\n").find(|yaml| yaml.contains("kind: Deployment"));
        it.mesh.kubectl_tool().ok_with_input(
            &["apply", "-n", "shop", "-f", "-"],
            deployment.context("the demo has a Deployment")?,
        )?;
        let list = it.mesh.kubectl(&["get", "deployments", "-n", "shop", "-o", "json"])?;
        let list: Value = serde_json::from_str(&list)?;
        let mut pod = list["items"][0]["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("by-hand");
        pod["metadata"]["namespace"] = json!("shop");
        ensure!(it.creates(&pod.to_string(), "by-hand")?, "{list}");
        let status = "jsonpath={.metadata.annotations.sidecar\\.istio\\.io/status}";
        let status = it.mesh.kubectl(&["get", "pod", "by-hand", "-n", "shop", "-o", status])?;
        ensure!(status.contains("istio-proxy"), "{status}");
        Ok(())
    });
}

#[test]
fn a_proxy_config_counts_for_the_pods_that_are_created_after_it() {
    isolated(|| {
        let it = installed()?;
        it.label("istio-injection=enabled")?;
        let config = json!({
            "apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "environmentVariables": {"SHOP": "open"},
            },
        });
        let path = "jsonpath={.spec.containers[*].env[?(@.name=='SHOP')].value}";
        let shop = |name: &str, app: &str| -> Result<String> {
            ensure!(it.injects(name, &json!({"app": app}))?, "{name} is injected");
            it.mesh.kubectl(&["get", "pod", name, "-n", "shop", "-o", path])
        };
        ensure!(shop("before", "web")?.is_empty());
        it.mesh.apply(&config.to_string())?;
        let mut turn = 0;
        wait_until("the webhook to follow it", SOON, || {
            turn += 1;
            let said = shop(&format!("web-{turn}"), "web")?;
            ensure!(said == "open", "{said:?}");
            Ok(())
        })?;
        ensure!(shop("other", "other")?.is_empty(), "it is for another workload");
        let status = "jsonpath={.status.conditions}";
        let status = it.mesh.kubectl(&["get", "proxyconfig", "web", "-n", "shop", "-o", status])?;
        ensure!(status.is_empty(), "nothing is wrong with it: {status}");
        Ok(())
    });
}

#[test]
fn what_cannot_be_injected_is_refused_and_what_is_doubtful_warned_of() {
    isolated(|| {
        let it = installed()?;
        it.label("istio-injection=enabled")?;
        let ports = json!({"traffic.sidecar.istio.io/excludeOutboundPorts": "80,many"});
        let said = it.mesh.apply_fails(&pod("bad", &json!({}), &ports))?;
        ensure!(
            said.contains("namespace.sidecar-injector.istio.io") && said.contains("many"),
            "{said}"
        );
        let perhaps = pod("doubtful", &json!({}), &json!({"sidecar.istio.io/inject": "perhaps"}));
        let file = it.mesh.home().join("doubtful.json");
        std::fs::write(&file, perhaps)?;
        let file = file.display().to_string();
        let output = it.mesh.kubectl_tool().command(&["create", "-f", &file]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.contains("Warning: "), "{said}");
        ensure!(said.contains("perhaps"), "{said}");
        Ok(())
    });
}

#[test]
fn configurations_are_repaired_and_another_installation_leaves_them_closed() {
    isolated(|| {
        let it = installed()?;
        let bundle = it.get(INJECTOR, BUNDLE)?;
        let spoil =
            r#"[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "eA=="}]"#;
        it.mesh.kubectl(&["patch", INJECTOR[0], INJECTOR[1], "--type=json", "-p", spoil])?;
        let open = r#"[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]"#;
        it.mesh.kubectl(&["patch", VALIDATOR[0], VALIDATOR[1], "--type=json", "-p", open])?;
        wait_until("the repair", SOON, || {
            ensure!(it.get(INJECTOR, BUNDLE)? == bundle, "not the ca's bundle");
            ensure!(it.get(VALIDATOR, POLICY)? == "Fail", "fails open");
            Ok(())
        })?;
        let again = ["install", "--set", "profile=minimal", "-y", "--wait=false"];
        let said = lateen(&it.mesh, &again)?;
        ensure!(said.contains("nothing to change"), "{said}");
        Ok(())
    });
}

#[test]
fn a_file_is_injected_with_the_clusters_settings_and_the_sidecars_of_its_nodes() {
    isolated(|| {
        let mesh = mesh()?;
        lateen(&mesh, &["install", "--set", "profile=minimal", "-y", "--wait=false"])?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("pod.json");
        std::fs::write(&file, pod("web", &json!({}), &json!({})))?;
        let (file, kubeconfig) =
            (file.display().to_string(), mesh.home().join("kubeconfig").display().to_string());
        let node = |name: &str, version: &str| {
            let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            mesh.apply(&object.to_string())?;
            let status = json!({"status": {"nodeInfo": {"kubeletVersion": version}}}).to_string();
            mesh.kubectl(&[
                "patch",
                "node",
                name,
                "--subresource=status",
                "--type=merge",
                "-p",
                &status,
            ])
        };
        let injected = |more: &[&str]| -> Result<Value> {
            let args = ["inject", "-f", &file, "-o", "json", "--kubeconfig", &kubeconfig];
            Ok(serde_json::from_str(&lateen(&mesh, &[&args[..], more].concat())?)?)
        };
        let is_native = || -> Result<bool> {
            let pod = injected(&[])?;
            let named = |list: &str| {
                let containers = pod["spec"][list].as_array().into_iter().flatten();
                containers.filter(|one| one["name"] == "istio-proxy").count()
            };
            ensure!(named("containers") + named("initContainers") == 1, "{pod}");
            Ok(named("initContainers") == 1)
        };
        ensure!(!is_native()?, "the machine that the API runs on is no kubelet's");
        mesh.kubectl(&["delete", "node", "--all"])?;
        node("new", "v1.34.1")?;
        ensure!(is_native()?, "every node has them");
        node("old", "v1.32.9")?;
        ensure!(!is_native()?, "one has them not");
        let Err(error) = injected(&["--revision", "canary"]) else {
            anyhow::bail!("there is no such revision")
        };
        ensure!(error.to_string().contains("istio-sidecar-injector-canary"), "{error:#}");
        Ok(())
    });
}
