//! Secrets by which an installation's pods pull their image. In: their names and a cluster. Out: the same Secrets in a
//! precheck's namespace, with which they go.

use anyhow::Result;
use lateen_kube::Client;
use serde_json::{Value, json};

use super::kind;
use super::objects::Image;
use crate::output::note;

/// Copies those that are there; one that is not is told of, since without it the image may not be had.
pub async fn copy(client: &Client, image: &Image, namespace: &str) -> Result<()> {
    let kind = kind("", "Secret")?;
    for name in &image.secrets {
        match client.get(kind, Some(&image.namespace), name).await? {
            Some(secret) => drop(client.create(kind, of(&secret, name, namespace)).await?),
            None => note(format_args!(
                "Secret {}/{name} of values.global.imagePullSecrets is not there: create it before an installation",
                image.namespace
            )),
        }
    }
    Ok(())
}

fn of(secret: &Value, name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": secret["type"], "data": secret["data"],
        "metadata": { "name": name, "namespace": namespace },
    })
}
