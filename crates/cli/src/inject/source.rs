//! What `lateen inject` injects with. In: files, a home directory or a cluster. Out: the texts of both
//! ConfigMaps, the API's ProxyConfig objects and a cluster's nodes.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use lateen_api::kinds;
use lateen_api::plain;
use lateen_api::resource::object_ref;
use lateen_control::cluster::webhook::NativeSidecars;
use lateen_inject::proxy_config_kind;
use lateen_kube::{Client, Source};
use serde_json::{Value, json};

use super::{InjectCommand, Objects, read};
use crate::home::Home;
use crate::output::note;

/// The texts of the two ConfigMaps; empty where there is none.
pub struct Texts {
    pub config: String,
    pub values: String,
    pub mesh: String,
}

impl Texts {
    /// Of the entries of `istio-sidecar-injector` and of `istio`.
    pub fn of(injector: &Value, mesh: &Value) -> Self {
        let entry = |data: &Value, key: &str| data[key].as_str().unwrap_or_default().to_owned();
        let (config, values) = (entry(injector, "config"), entry(injector, "values"));
        Texts { config, values, mesh: entry(mesh, "mesh") }
    }
}

/// What injection depends on.
pub struct Found {
    pub texts: Texts,
    /// Of the API, if there is one.
    pub proxy_configs: Objects,
    /// Of a cluster.
    pub nodes: Option<Vec<Value>>,
}

/// As the webhook's control plane reads its variable.
pub fn native(values: &str) -> NativeSidecars {
    let values: Value = serde_saphyr::from_str(values).unwrap_or_default();
    let variable = &values["pilot"]["env"]["ENABLE_NATIVE_SIDECARS"];
    let text = variable.as_str().map_or_else(|| variable.to_string(), str::to_owned);
    NativeSidecars::of_variable(&text)
}

pub fn found(command: &InjectCommand) -> Result<Found> {
    if let Some(home) = &command.home {
        ensure!(
            !command.cluster.is_given(),
            "--home is a cluster: leave --kubeconfig and --context out"
        );
        let home = Home::new(Some(home.clone()))?;
        home.running()?;
        return crate::on_one_thread(async {
            let source = Source::Kubeconfig(home.kubeconfig());
            from_api(&Client::connect(source).await?, command).await
        });
    }
    if command.cluster.is_given() {
        return crate::on_one_thread(from_cluster(command));
    }
    if command.mesh_config.is_none() && command.values.is_none() {
        note(
            "the built-in settings are used: name your mesh's with --mesh-config and --values, or a cluster with \
             --kubeconfig or --context, or --home",
        );
    }
    let (injector, mesh) = files(command)?;
    let texts = Texts::of(&injector.unwrap_or_default(), &mesh.unwrap_or_default());
    Ok(Found { texts, proxy_configs: Objects::new(), nodes: None })
}

/// The entries of the injector's and of the mesh's ConfigMap from the files that are named.
fn files(command: &InjectCommand) -> Result<(Option<Value>, Option<Value>)> {
    let data = |path: &Option<PathBuf>, key: &str| {
        let read = path.as_ref().map(|path| {
            of_config_map(read(path)?, key)
                .with_context(|| format!("{} cannot be used", path.display()))
        });
        read.transpose()
    };
    Ok((data(&command.values, "values")?, data(&command.mesh_config, "mesh")?))
}

async fn from_cluster(command: &InjectCommand) -> Result<Found> {
    let client = command.cluster.connect().await?;
    let mut found = from_api(&client, command).await?;
    let nodes = kinds::by_kind("", "Node").context("the kinds have a Node")?;
    found.nodes = Some(client.list(nodes, "", None).await.unwrap_or_else(|error| {
        note(format_args!(
            "the nodes' versions are not known, so sidecars are no native ones: {error}"
        ));
        Vec::new()
    }));
    Ok(found)
}

/// A ConfigMap's entries with this key among them; a text that is no ConfigMap is the entry itself.
pub fn of_config_map(text: String, key: &str) -> Result<Value> {
    let value: Value = serde_saphyr::from_str(&text)
        .map_err(|error| anyhow!("it is not YAML: {}", plain::yaml(&error)))?;
    if value["kind"] != "ConfigMap" {
        return Ok(json!({ key: text }));
    }
    ensure!(value["data"][key].is_string(), "the ConfigMap has no key {key}");
    Ok(value["data"].clone())
}

async fn from_api(client: &Client, command: &InjectCommand) -> Result<Found> {
    let (revision, namespace) = (&command.revision, Some(command.istio_namespace.as_str()));
    let (injector, mesh) = files(command)?;
    let kind = kinds::by_kind("", "ConfigMap").context("the kinds have a ConfigMap")?;
    let suffix = if revision.is_empty() { String::new() } else { format!("-{revision}") };
    let mut data = Vec::new();
    for (name, file) in [("istio-sidecar-injector", injector), ("istio", mesh)] {
        let Some(file) = file else {
            let name = format!("{name}{suffix}");
            let found = client.get(kind, namespace, &name).await?;
            if found.is_none() && command.cluster.is_given() {
                bail!(
                    "the cluster has no ConfigMap {}/{name}: check --istio-namespace and --revision",
                    command.istio_namespace
                );
            }
            data.push(found.map(|one| one["data"].clone()).unwrap_or_default());
            continue;
        };
        data.push(file);
    }
    let kind = proxy_config_kind();
    let objects = client.list(kind, "", None).await?.into_iter();
    let objects = objects.map(|object| (object_ref(kind, &object), object)).collect();
    Ok(Found { texts: Texts::of(&data[0], &data[1]), proxy_configs: objects, nodes: None })
}
