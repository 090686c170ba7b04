//! What Helm keeps of a release (<https://helm.sh/docs/topics/kubernetes_apis/>, `pkg/storage/driver` of its source):
//! a Secret or a ConfigMap for each version, with the release as JSON, compressed, in base 64. In: a cluster and a
//! release's name. Out: the objects of its last version.

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_kube::{Client, Error};
use serde_json::Value;

use crate::bounded;

/// Bytes of an uncompressed release: what is stored of it has at most one MiB.
const MOST: u64 = 32 << 20;

/// The records of a release, whichever of its stores Helm uses.
pub async fn all(client: &Client, namespace: &str, name: &str) -> Result<Vec<Value>, Error> {
    let selector = format!("owner=helm,name={name}");
    let mut records = Vec::new();
    for kind in ["Secret", "ConfigMap"].into_iter().filter_map(|kind| by_kind("", kind)) {
        records = client.list_in(kind, namespace, &selector).await?;
        if !records.is_empty() {
            break;
        }
    }
    Ok(records)
}

/// The objects of a release's last version.
pub async fn objects(client: &Client, namespace: &str, name: &str) -> Result<Vec<Value>> {
    let records = all(client, namespace, name).await?;
    let last = records.iter().max_by_key(|record| version(record)).context("it has no record")?;
    decode(last, namespace)
}

fn version(record: &Value) -> u64 {
    let label = record["metadata"]["labels"]["version"].as_str();
    label.and_then(|label| label.parse().ok()).unwrap_or_default()
}

fn decode(record: &Value, home: &str) -> Result<Vec<Value>> {
    let text = record["data"]["release"].as_str().context("its record has no release")?;
    // An API shows a Secret's data in base 64, which Helm's own is within.
    let inner = match record["kind"] == "ConfigMap" {
        true => text.as_bytes().to_vec(),
        false => STANDARD.decode(text)?,
    };
    let json = bounded::bytes(GzDecoder::new(STANDARD.decode(inner)?.as_slice()), MOST)?;
    let release: Value = serde_json::from_slice(&json)?;
    let manifest = release["manifest"].as_str().context("its record has no manifest")?;
    let objects = lateen_install::documents(manifest);
    let mut objects = objects.map_err(|reason| anyhow!("its manifest is {reason}"))?;
    objects.retain(|object| object["metadata"].is_object());
    objects.iter_mut().for_each(|object| settle(object, home));
    Ok(objects)
}

/// Writes the namespace that Helm put an object into, which manifests may leave out, or have where none is.
fn settle(object: &mut Value, home: &str) {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, _) = split_api_version(text("apiVersion"));
    let namespaced = by_kind(group, text("kind")).map(|kind| kind.namespaced);
    let metadata = &mut object["metadata"];
    match namespaced {
        Some(false) => metadata["namespace"] = Value::Null,
        Some(true) if metadata["namespace"].is_null() => metadata["namespace"] = home.into(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::decode;
    use crate::manifest::cluster::title;

    fn stored(manifest: &str) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        write!(gzip, "{}", json!({ "name": "r", "manifest": manifest })).unwrap();
        STANDARD.encode(gzip.finish().unwrap())
    }

    fn titles(record: &Value) -> Vec<String> {
        decode(record, "home").unwrap().iter().map(title).collect()
    }

    #[test]
    fn a_record_of_either_store_has_the_releases_objects() {
        let text = stored(
            "---\n# Source: a\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# nothing\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: b, namespace: other}\n---\n\
             apiVersion: example.com/v1\nkind: Own\nmetadata: {name: c, namespace: other}\n---\nkind: Broken\nmetadata: oops\n",
        );
        let expected = ["ConfigMap home/a", "ClusterRole b", "Own other/c"];
        let config = json!({ "kind": "ConfigMap", "data": { "release": text } });
        assert_eq!(titles(&config), expected);
        let secret = json!({ "kind": "Secret", "data": { "release": STANDARD.encode(&text) } });
        assert_eq!(titles(&secret), expected);
    }

    #[test]
    fn a_record_that_is_none_is_told_of() {
        for release in [json!(null), json!("%"), json!("AAAA"), json!(STANDARD.encode("AAAA"))] {
            let record = json!({ "kind": "Secret", "data": { "release": release } });
            assert!(decode(&record, "home").is_err(), "{record}");
        }
    }
}
