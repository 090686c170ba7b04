//! `lateen up -f`: objects from YAML files, applied to the embedded API as kubectl would. In: files and
//! folders. Out: documents in an order that works (namespaces first), applied server-side.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bounded;
use crate::output::say;
use crate::yaml;

/// One object and where it was read.
#[derive(Clone, Debug)]
pub struct Document {
    pub source: String,
    pub object: Value,
}

/// The field manager under which `lateen up -f` owns what it applies.
const FIELD_MANAGER: &str = "lateen-up";

/// Reads every object in `paths`; a folder's `.yaml`, `.yml` and `.json` files in order of name.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for path in paths {
        for file in files(path)? {
            read_file(&file, &mut documents)?;
        }
    }
    documents.sort_by_key(|document| document.object["kind"] != "Namespace");
    Ok(documents)
}

/// Applies the documents to the API behind `kubeconfig`; every refusal is reported, by its file.
pub async fn apply(kubeconfig: &Path, documents: &[Document]) -> Result<()> {
    if documents.is_empty() {
        return Ok(());
    }
    let client =
        lateen_kube::Client::connect(lateen_kube::Source::Kubeconfig(kubeconfig.into())).await?;
    let mut refused = Vec::new();
    for document in documents {
        match client.apply(&document.object, FIELD_MANAGER).await {
            Ok(()) => {
                say(format_args!("applied  {} ({})", title(&document.object), document.source))
            }
            Err(error) => refused.push(format!("{}: {error}", document.source)),
        }
    }
    if !refused.is_empty() {
        bail!("{} object(s) could not be applied:\n  {}", refused.len(), refused.join("\n  "));
    }
    Ok(())
}

fn title(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("?").to_lowercase();
    format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or("?"))
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let read = || format!("cannot read the folder {}", path.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(read)? {
        let file = entry.with_context(read)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path, documents: &mut Vec<Document>) -> Result<()> {
    let name = path.display();
    let text = bounded::read(path)?;
    let values = yaml::documents(&text).with_context(|| format!("{name} is not valid YAML"))?;
    for object in values.into_iter().filter(|value| !value.is_null()) {
        let items = match object["kind"].as_str() {
            Some("List") => object["items"].as_array().cloned().unwrap_or_default(),
            Some(_) if object["apiVersion"].is_string() => vec![object],
            _ => bail!("{name}: an object has no apiVersion and kind: add them"),
        };
        documents
            .extend(items.into_iter().map(|object| Document { source: name.to_string(), object }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_order_with_namespaces_first() {
        let folder = std::env::temp_dir().join(format!("lateen-apply-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config_map =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: n}\n---\n# nothing\n";
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n";
        std::fs::write(folder.join("a.yaml"), config_map).unwrap();
        std::fs::write(folder.join("b.yml"), namespace).unwrap();
        std::fs::write(folder.join("c.txt"), "not read").unwrap();
        let documents = read(std::slice::from_ref(&folder)).unwrap();
        let kinds: Vec<_> = documents.iter().map(|one| one.object["kind"].clone()).collect();
        assert_eq!(kinds, ["Namespace", "ConfigMap"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
