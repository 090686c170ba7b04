//! What CustomResourceDefinitions refuse without any webhook: a table of objects, one that is accepted and one that is
//! refused for each rule and bound, by a real Kubernetes and by the embedded API.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::mesh;
use lateen_testkit::cluster::Cluster;
use lateen_testkit::isolate::{isolated, isolated_for};
use lateen_testkit::kubectl::Kubectl;
use lateen_testkit::limits::{Case, cases};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_real_kubernetes_takes_the_definitions_and_refuses_what_they_refuse() {
    isolated_for(LIMIT, || {
        let cluster = Cluster::start(&[])?;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/base/files/crds");
        let kubectl = cluster.kubectl();
        kubectl.ok(&["apply", "--server-side", "-f", folder])?;
        kubectl.ok(&["wait", "crd", "--all", "--for=condition=established", "--timeout=60s"])?;
        refuses(kubectl, cluster.folder())
    });
}

#[test]
fn the_embedded_api_refuses_the_same() {
    isolated(|| {
        let mesh = mesh()?;
        refuses(mesh.kubectl_tool(), mesh.home())
    });
}

/// Sends all objects at once and looks for each in what kubectl says.
fn refuses(kubectl: &Kubectl, scratch: &Path) -> Result<()> {
    let cases = cases()?;
    let items: Vec<&Value> =
        cases.iter().flat_map(|case| [&case.accepted, &case.refused]).collect();
    let file = scratch.join("limits.json");
    fs::write(&file, json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())?;
    let file = file.display().to_string();
    let create = ["create", "--dry-run=server", "--validate=false", "-f", &file];
    let output = kubectl.command(&create).output().context("starting kubectl")?;
    let made = String::from_utf8(output.stdout)?;
    let errors = by_name(&String::from_utf8(output.stderr)?);
    for (index, Case { accepted, refused, said }) in cases.iter().enumerate() {
        let error = errors.get(&format!("good-{index}"));
        ensure!(made.contains(&format!("/good-{index} created")), "{accepted}: {error:?}");
        let error = errors.get(&format!("bad-{index}"));
        let error = error.with_context(|| format!("{refused} is accepted"))?;
        ensure!(error.contains(said), "{refused}: not {said:?}, but {error}");
    }
    Ok(())
}

/// The lines about each object, which begin with one that has its name in quotes.
fn by_name(stderr: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut name = "";
    for line in stderr.lines() {
        let quoted = line.split('"').skip(1).step_by(2);
        name = quoted.filter(|word| is_name(word)).last().unwrap_or(name);
        let text = all.entry(name.to_owned()).or_default();
        text.push_str(line);
        text.push('\n');
    }
    all
}

fn is_name(word: &str) -> bool {
    word.starts_with("good-") || word.starts_with("bad-")
}
