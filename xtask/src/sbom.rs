//! `cargo xtask sbom TRIPLE CREATED NAME=VERSION…`: what is in the binary, as SPDX 2.3. In: Cargo's own
//! metadata, the lock file's checksums, and what is linked beside crates. Out: the document on standard output,
//! the same for the same sources.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const ROOT: &str = "lateen-cli";

pub fn run(arguments: &[String]) -> Result<()> {
    let [triple, created, linked @ ..] = arguments else {
        anyhow::bail!("sbom needs a target triple and a time such as 2026-01-31T00:00:00Z");
    };
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", triple])
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let root = metadata["workspace_root"].as_str().context("a workspace has a root")?;
    let lock = std::fs::read_to_string(format!("{root}/Cargo.lock")).context("Cargo.lock")?;
    let document = document(&metadata, &checksums(&lock), created, linked)?;
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}

/// A package of the lock file: its name and version.
type Name = (String, String);

fn checksums(lock: &str) -> BTreeMap<Name, String> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let package = |block: &str| {
        let name = (field(block, "name")?, field(block, "version")?);
        Some((name, field(block, "checksum")?))
    };
    lock.split("[[package]]").filter_map(package).collect()
}

fn document(
    metadata: &Value,
    checksums: &BTreeMap<Name, String>,
    created: &str,
    linked: &[String],
) -> Result<Value> {
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let packages: BTreeMap<&str, &Value> =
        list(&metadata["packages"]).map(|package| (text(&package["id"]), package)).collect();
    let root = packages.values().find(|package| package["name"] == ROOT);
    let root = text(&root.with_context(|| format!("no package {ROOT}"))?["id"]);
    let graph = Graph { nodes, packages };
    let used = graph.reachable(root);
    let packages = &graph.packages;
    let mut described: Vec<Value> =
        used.iter().map(|id| crate_package(packages[id], checksums)).collect();
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", &spdx_id(packages[root]))];
    for id in &used {
        let dependencies = graph.dependencies(id);
        relations.extend(dependencies.map(|dependency| {
            relation(&spdx_id(packages[id]), "DEPENDS_ON", &spdx_id(packages[dependency]))
        }));
    }
    for one in linked {
        let (name, version) = one.split_once('=').context("what is linked is NAME=VERSION")?;
        let package = linked_package(name, version);
        relations.push(relation(&spdx_id(packages[root]), "STATIC_LINK", text(&package["SPDXID"])));
        described.push(package);
    }
    let version = text(&packages[root]["version"]);
    let home = text(&packages[root]["repository"]);
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("lateen-{version}"),
        "documentNamespace": format!("{home}/sbom/lateen-{version}-{created}"),
        "creationInfo": { "created": created, "creators": ["Tool: cargo-xtask-sbom"] },
        "packages": described,
        "relationships": relations,
    }))
}

/// Cargo's resolution for one platform.
struct Graph<'a> {
    nodes: BTreeMap<&'a str, &'a Value>,
    packages: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Graph<'a> {
    /// The packages whose code is in the binary: what builds or tests it is not.
    fn reachable(&self, root: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::from([root]);
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            for dependency in self.dependencies(id) {
                if found.insert(dependency) {
                    open.push(dependency);
                }
            }
        }
        found
    }

    /// Without macros, which run in the compiler.
    fn dependencies(&self, id: &str) -> impl Iterator<Item = &'a str> + '_ {
        let of = |dependency: &'a Value| text(&dependency["pkg"]);
        let at_run_time =
            |dependency: &&Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
        let all = list(&self.nodes[id]["deps"]).filter(at_run_time).map(of);
        all.filter(|id| !list(&self.packages[id]["targets"]).any(is_macro))
    }
}

fn is_macro(target: &Value) -> bool {
    list(&target["kind"]).any(|kind| kind == "proc-macro")
}

fn crate_package(package: &Value, checksums: &BTreeMap<Name, String>) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let license = package["license"].as_str().map(|license| license.replace('/', " OR "));
    let mut described = json!({
        "SPDXID": spdx_id(package),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license.as_deref().unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": format!("pkg:cargo/{name}@{version}"),
        }],
    });
    if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        described["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": sum }]);
    }
    described
}

/// A library that is no crate; only the C library is one.
fn linked_package(name: &str, version: &str) -> Value {
    let license = if name == "glibc" { "LGPL-2.1-or-later" } else { "NOASSERTION" };
    json!({
        "SPDXID": format!("SPDXRef-Linked-{}", clean(&format!("{name}-{version}"))),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn spdx_id(package: &Value) -> String {
    let name = format!("{}-{}", text(&package["name"]), text(&package["version"]));
    format!("SPDXRef-Crate-{}", clean(&name))
}

/// SPDX's identifiers have letters, digits, dots and hyphens.
fn clean(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-")
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{checksums, document};

    fn package(name: &str) -> Value {
        let kind = if name == "derives" { "proc-macro" } else { "lib" };
        json!({
            "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
            "repository": "r", "targets": [{"kind": [kind]}],
        })
    }

    fn dependency(name: &str, kind: Value) -> Value {
        json!({"pkg": name, "dep_kinds": [{"kind": kind}]})
    }

    #[test]
    fn what_is_in_the_binary_is_listed_and_what_builds_it_is_not() {
        let packages = ["lateen-cli", "used", "derives", "builds", "tests", "elsewhere"];
        let metadata = json!({
            "packages": packages.map(package),
            "resolve": {"nodes": [
                {"id": "lateen-cli", "deps": [
                    dependency("used", Value::Null),
                    dependency("derives", Value::Null),
                    dependency("builds", json!("build")),
                    dependency("tests", json!("dev")),
                ]},
                {"id": "used", "deps": []}, {"id": "derives", "deps": []}, {"id": "builds", "deps": []},
                {"id": "tests", "deps": []}, {"id": "elsewhere", "deps": []},
            ]},
        });
        let lock = "[[package]]\nname = \"used\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n";
        let linked = ["glibc=2.36".to_owned()];
        let time = "2026-01-31T00:00:00Z";
        let document = document(&metadata, &checksums(lock), time, &linked).unwrap();
        let packages = document["packages"].as_array().unwrap();
        let names: Vec<_> = packages.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["lateen-cli", "used", "glibc"]);
        assert_eq!(packages[1]["licenseDeclared"], "MIT OR Apache-2.0");
        assert_eq!(packages[1]["checksums"][0]["checksumValue"], "00ff");
        let kinds: Vec<_> = document["relationships"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["relationshipType"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["DESCRIBES", "DEPENDS_ON", "STATIC_LINK"]);
    }
}
