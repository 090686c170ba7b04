//! What `lateen inject` injects with. In: what files say, a home directory or a cluster. Out: the texts of both
//! ConfigMaps, the API's ProxyConfig objects and a cluster's nodes.

use anyhow::{Context, Result, bail, ensure};
use lateen_api::kinds;
use lateen_api::resource::object_ref;
use lateen_control::cluster::webhook::NativeSidecars;
use lateen_inject::proxy_config_kind;
use lateen_kube::{Client, Source};
use serde_json::Value;

use super::given::Given;
use super::{InjectCommand, Objects};
use crate::home::Home;
use crate::manifest::ClusterArgs;
use crate::output::{note, printable};

/// The ConfigMaps of the default revision.
const INJECTOR: &str = "istio-sidecar-injector";
const MESH: &str = "istio";

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
    /// Whether a cluster was asked.
    pub from_cluster: bool,
}

/// As the webhook's control plane reads its variable.
pub fn native(values: &str) -> NativeSidecars {
    let values: Value = lateen_api::yaml::one(values).unwrap_or_default();
    let variable = &values["pilot"]["env"]["ENABLE_NATIVE_SIDECARS"];
    let text = variable.as_str().map_or_else(|| variable.to_string(), str::to_owned);
    NativeSidecars::of_variable(&text)
}

/// What a cluster has where it is found without being named is not needed beside both files.
pub fn found(command: &InjectCommand, given: &Given) -> Result<Found> {
    if let Some(home) = &command.home {
        ensure!(
            !command.cluster.is_given(),
            "--home is a cluster: leave --kubeconfig and --context out"
        );
        let home = Home::new(Some(home.clone()))?;
        home.running()?;
        return crate::on_one_thread(async {
            let source = Source::Kubeconfig(home.kubeconfig());
            from_api(&Client::connect(source).await?, command, given).await
        });
    }
    let is_whole = given.values.is_some() && given.mesh.is_some();
    if command.cluster.is_given() {
        return crate::on_one_thread(async {
            from_cluster(&command.cluster.connect().await?, command, given).await
        });
    }
    if !is_whole && ClusterArgs::has_default() {
        let found = crate::on_one_thread(async {
            let client = command.cluster.connect().await?;
            tell_of(&client);
            from_cluster(&client, command, given).await
        });
        return found.context(
            "the kubeconfig that kubectl uses, too, names the mesh's cluster: with both --values and --mesh-config, or \
             with KUBECONFIG=/dev/null, none is asked",
        );
    }
    if given.values.is_none() && given.mesh.is_none() {
        note(
            "the built-in settings are used: name your mesh's with --mesh-config and --values, or a cluster with \
             --kubeconfig, --context or KUBECONFIG, or --home",
        );
    }
    let entries = |source: &Option<super::given::Source>| {
        source.as_ref().map(|source| source.entries.clone()).unwrap_or_default()
    };
    let texts = Texts::of(&entries(&given.values), &entries(&given.mesh));
    Ok(Found { texts, proxy_configs: Objects::new(), nodes: None, from_cluster: false })
}

/// Nobody named the cluster: it may not be the one that is meant.
fn tell_of(client: &Client) {
    let context = Client::current_context().map(|name| format!("context {} of ", printable(&name)));
    note(format_args!(
        "asking {}kubectl's configuration for the mesh's settings, at {}: with both --values and --mesh-config no \
         cluster is asked",
        context.unwrap_or_default(),
        printable(client.address()),
    ));
}

async fn from_cluster(client: &Client, command: &InjectCommand, given: &Given) -> Result<Found> {
    let mut found = from_api(client, command, given).await?;
    let nodes = kinds::by_kind("", "Node").context("the kinds have a Node")?;
    found.nodes = Some(client.list(nodes, "", None).await.unwrap_or_else(|error| {
        note(format_args!(
            "the nodes' versions are not known, so sidecars are no native ones: {error}"
        ));
        Vec::new()
    }));
    found.from_cluster = true;
    Ok(found)
}

async fn from_api(client: &Client, command: &InjectCommand, given: &Given) -> Result<Found> {
    let kind = kinds::by_kind("", "ConfigMap").context("the kinds have a ConfigMap")?;
    // A home's default revision has built-in settings where its API has no others.
    let may_lack = command.home.is_some() && command.is_default();
    let mut data = Vec::new();
    for (name, file) in [(INJECTOR, &given.values), (MESH, &given.mesh)] {
        if let Some(file) = file {
            data.push(file.entries.clone());
            continue;
        }
        let name = format!("{name}{}", command.suffix());
        let found = client.get(kind, Some(&command.istio_namespace), &name).await?;
        if found.is_none() && !may_lack {
            bail!("{}", missing(client, command, &name).await);
        }
        data.push(found.map(|one| one["data"].clone()).unwrap_or_default());
    }
    let kind = proxy_config_kind();
    let objects = client.list(kind, "", None).await?.into_iter();
    let objects = objects.map(|object| (object_ref(kind, &object), object)).collect();
    let texts = Texts::of(&data[0], &data[1]);
    Ok(Found { texts, proxy_configs: objects, nodes: None, from_cluster: false })
}

/// What to say of a ConfigMap that is not there, with the revisions that have one.
async fn missing(client: &Client, command: &InjectCommand, name: &str) -> String {
    let namespace = &command.istio_namespace;
    let list = match kinds::by_kind("", "ConfigMap") {
        Some(kind) => client.list_in(kind, namespace, "").await.unwrap_or_default(),
        None => Vec::new(),
    };
    let names = list.iter().filter_map(|one| one["metadata"]["name"].as_str());
    let revisions: Vec<&str> = names.filter_map(revision_of).collect();
    let there = match revisions.as_slice() {
        [] => String::new(),
        some => format!(" (the revisions there: {})", some.join(", ")),
    };
    format!(
        "there is no ConfigMap {namespace}/{name}: check --istio-namespace and --revision{there}"
    )
}

/// The revision whose injector reads a ConfigMap of this name.
fn revision_of(name: &str) -> Option<&str> {
    match name.strip_prefix(INJECTOR)? {
        "" => Some("default"),
        rest => rest.strip_prefix('-'),
    }
}
