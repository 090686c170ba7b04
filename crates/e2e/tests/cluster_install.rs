//! Installations on a real Kubernetes: its API takes every profile and the notes' file, a second install
//! changes nothing, an uninstall leaves nothing, and one object that is refused holds back all others.
//! No pod runs here: there is no image.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_testkit::cluster::Cluster;
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(60);
const KINDS: &str = "serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings,\
                     configmaps,secrets,services,deployments,pdb,hpa,\
                     validatingwebhookconfigurations,mutatingwebhookconfigurations";

fn output(cluster: &Cluster, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(tools::lateen()?);
    command.args(args).env("KUBECONFIG", cluster.kubeconfig());
    command.output().context("starting lateen")
}

fn lateen(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let output = output(cluster, args)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lateen {}: {}: {error}", args.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Everything of the kinds that an installation has, without what controllers write.
fn objects(cluster: &Cluster) -> Result<BTreeMap<String, Value>> {
    let list = cluster.kubectl().ok(&["get", KINDS, "-A", "-o", "json"])?;
    let mut list: Value = serde_json::from_str(&list)?;
    let mut found = BTreeMap::new();
    for object in list["items"].as_array_mut().context("a list has items")? {
        let metadata = &mut object["metadata"];
        let name = format!("{} {}", metadata["namespace"], metadata["name"]);
        for written in ["managedFields", "resourceVersion"] {
            metadata[written].take();
        }
        let mut annotations = metadata["annotations"].take();
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        let annotations = annotations.as_object().filter(|all| !all.is_empty()).cloned();
        metadata["annotations"] = annotations.map_or(Value::Null, Value::Object);
        object["status"].take();
        found.insert(format!("{} {name}", object["kind"]), object.clone());
    }
    Ok(found)
}

/// What is there of the mesh. Every namespace has an account and the cluster's root certificate.
fn names(objects: &BTreeMap<String, Value>) -> Vec<&String> {
    let own = |name: &&String| {
        name.contains("istio")
            && !name.ends_with("\"default\"")
            && !name.ends_with("\"kube-root-ca.crt\"")
    };
    objects.keys().filter(own).collect()
}

/// Installs twice, and removes what was installed.
fn comes_and_goes(cluster: &Cluster, input: &[&str]) -> Result<()> {
    let install = [&["install", "-y", "--wait=false"], input].concat();
    lateen(cluster, &install)?;
    let first = objects(cluster)?;
    let said = lateen(cluster, &install)?;
    ensure!(said.contains("nothing to change"), "{input:?}: {said}");
    let differs = lateen(cluster, &[&["manifest", "diff"], input].concat())?;
    ensure!(differs.is_empty(), "{input:?}: {differs}");
    let second = objects(cluster)?;
    ensure!(names(&second) == names(&first), "{:?} and {:?}", names(&first), names(&second));
    for name in names(&second) {
        ensure!(first[name] == second[name], "{name}: {} and {}", first[name], second[name]);
    }
    let remove = match input {
        ["-f", file] => vec!["uninstall", "-y", "-f", *file],
        _ => vec!["uninstall", "-y", "--purge"],
    };
    lateen(cluster, &remove)?;
    wait_until("an uninstall", SOON, || {
        let after = objects(cluster)?;
        ensure!(names(&after).is_empty(), "{:?}", names(&after));
        Ok(())
    })
}

/// A file whose Service only the API itself knows to be wrong.
const REFUSED: &str = "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: minimal
  components:
    pilot:
      k8s:
        overlays:
        - kind: Service
          name: istiod
          patches:
          - {path: spec.sessionAffinity, value: Sometimes}
";

/// Words that Kubernetes leaves to whoever reads them.
const ODD: &str = "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: odd}
spec:
  components:
    pilot:
      k8s:
        affinity:
          nodeAffinity:
            requiredDuringSchedulingIgnoredDuringExecution:
              nodeSelectorTerms:
              - matchExpressions:
                - {key: example.com/rack, operator: Gt, values: ['5.5']}
    ingressGateways:
    - name: istio-ingressgateway
      enabled: true
      k8s:
        service: {loadBalancerIP: pool-a}
";

/// An autoscaler that only some clusters take.
const TO_ZERO: &str = "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    ingressGateways:
    - name: istio-ingressgateway
      enabled: true
      k8s:
        hpaSpec:
          minReplicas: 0
          maxReplicas: 2
          metrics:
          - type: External
            external: {metric: {name: requests}, target: {type: Value, value: 1}}
";

/// Tags belong to the installation that has them.
const TAGS: &str = "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: tagged}
spec:
  profile: minimal
  revision: c1
  values: {revisionTags: [default, prod]}
";

/// A control plane as Istio's installer leaves it, with a variable and ports that are Istio's.
const ISTIOS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: istiod
  namespace: istio-system
  labels: {app: istiod, operator.istio.io/managed: Reconcile}
spec:
  selector: {matchLabels: {istio: pilot}}
  template:
    metadata: {labels: {app: istiod, istio: pilot}}
    spec:
      containers:
      - name: discovery
        image: istio/pilot:1
        env: [{name: JWT_POLICY, value: third-party-jwt}]
        ports:
        - {containerPort: 15010, name: grpc-xds, protocol: TCP}
        - {containerPort: 15012, name: tls-xds, protocol: TCP}
        - {containerPort: 15017, name: https-webhooks, protocol: TCP}
";

/// Takes a control plane of Istio's over, and removes it.
fn takes_istios_over(cluster: &Cluster) -> Result<()> {
    let apply = ["apply", "--server-side", "--field-manager=istio-operator", "-f", "-"];
    cluster.kubectl().ok_with_input(&apply, ISTIOS)?;
    let install = ["install", "-y", "--wait=false", "--set", "profile=minimal"];
    let refused = output(cluster, &install)?;
    let error = String::from_utf8_lossy(&refused.stderr);
    ensure!(!refused.status.success() && error.contains("installed by Istio"), "{error}");
    lateen(cluster, &[&install[..], &["--take-over"]].concat())?;
    let get = [
        "get",
        "deployment",
        "istiod",
        "-n",
        "istio-system",
        "--show-managed-fields",
        "-o",
        "json",
    ];
    let now = cluster.kubectl().ok(&get)?;
    for theirs in ["JWT_POLICY", "15010", "istio-operator"] {
        ensure!(!now.contains(theirs), "{theirs} is left: {now}");
    }
    ensure!(lateen(cluster, &install)?.contains("nothing to change"));
    lateen(cluster, &["uninstall", "-y", "--purge"]).map(drop)
}

#[test]
fn a_real_api_takes_what_is_installed_and_keeps_nothing_of_it() {
    isolated_for(LIMIT, || {
        let cluster = Cluster::start(&[])?;
        let scratch = tempfile::tempdir()?;
        let refused = scratch.path().join("refused.yaml");
        for (text, field) in [(REFUSED, "sessionAffinity"), (TO_ZERO, "spec.minReplicas: Invalid")]
        {
            fs::write(&refused, text)?;
            let file = refused.display().to_string();
            let said = output(&cluster, &["install", "-y", "--wait=false", "-f", &file])?;
            let error = String::from_utf8_lossy(&said.stderr);
            ensure!(!said.status.success() && error.contains(field), "{error}");
        }
        let crds = cluster.kubectl().ok(&["get", "crd,namespaces", "-o", "name"])?;
        ensure!(!crds.contains("istio"), "something was applied: {crds}");

        let tags = scratch.path().join("tags.yaml");
        fs::write(&tags, TAGS)?;
        let notes = concat!(env!("CARGO_MANIFEST_DIR"), "/../install/testdata/notes.yaml");
        comes_and_goes(&cluster, &["-f", notes])?;
        let odd = scratch.path().join("odd.yaml");
        fs::write(&odd, ODD)?;
        for file in [tags, odd] {
            comes_and_goes(&cluster, &["-f", &file.display().to_string()])?;
        }
        for profile in ["default", "minimal", "demo", "empty"] {
            comes_and_goes(&cluster, &["--set", &format!("profile={profile}")])?;
        }
        takes_istios_over(&cluster)?;
        Ok(())
    });
}
