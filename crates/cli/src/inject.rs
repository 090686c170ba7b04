//! `lateen inject`: sidecars into workloads from files, for clusters and pipelines without the webhook.
//! In: files or standard input, ProxyConfig objects among them, and the mesh's settings, or the cluster that has
//! them. Out: the same objects, workloads with their sidecars, on standard output; issues on standard error, and
//! with an error among them nothing else.

mod given;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use lateen_api::issue::{Issue, ObjectRef};
use lateen_api::kinds::{KINDS, Kind, split_api_version};
use lateen_api::resource::object_ref;
use lateen_control::cluster::webhook::{Nodes, named_node};
use lateen_inject::{
    Manual, Outcome, ProxyConfigs, Settings, injector_config, is_foreign_workload, mesh_config,
    misplaced, proxy_config_kind, take_items, workload,
};
use serde_json::{Value, json};

use crate::bootstrap::Format;
use crate::manifest::ClusterArgs;
use crate::output::{note, printable, text};
use crate::words::{Labels, LabelsParser, parse_name};
use crate::{bounded, yaml};
use given::Given;
use source::{Found, Texts, found, native};

/// Options of `lateen inject`.
#[derive(Debug, Args)]
pub struct InjectCommand {
    /// Objects as YAML or JSON; - is standard input
    #[arg(long = "filename", short, value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// MeshConfig, or the ConfigMap istio with its key mesh
    #[arg(long, alias = "meshConfigFile", value_name = "FILE")]
    mesh_config: Option<PathBuf>,
    /// The injector's values, or the ConfigMap istio-sidecar-injector with its keys values and config
    #[arg(long, alias = "valuesFile", value_name = "FILE")]
    values: Option<PathBuf>,
    /// Take both from the mesh of this home directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["mesh_config", "values"])]
    home: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The control plane's namespace in the cluster, which has what no file says: that of --kubeconfig or --context, or
    /// the one that kubectl uses
    #[arg(long, short = 'i', default_value = "istio-system", value_parser = parse_name)]
    istio_namespace: String,
    /// Inject only what the webhook would, in a namespace with these labels: istio-injection=enabled
    #[arg(long = "namespace-label", value_name = "KEY=VALUE,…", value_parser = LabelsParser)]
    namespace_labels: Option<Labels>,
    /// Namespace of objects that do not name theirs
    #[arg(long, short, default_value = "default", value_parser = parse_name)]
    namespace: String,
    /// The control plane's revision [default: the default one]
    #[arg(long, short, default_value = "", hide_default_value = true, value_parser = parse_revision)]
    revision: String,
    #[arg(long, short, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

/// A revision's name; an empty one is the default revision's, as in scripts whose variable is not set.
fn parse_revision(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { parse_name(text) }
}

impl InjectCommand {
    fn is_default(&self) -> bool {
        matches!(self.revision.as_str(), "" | "default")
    }

    /// What names of the revision's ConfigMaps end with.
    fn suffix(&self) -> String {
        if self.is_default() { String::new() } else { format!("-{}", self.revision) }
    }
}

/// False if an error was among the issues, which are told already.
pub fn execute(command: InjectCommand) -> Result<bool> {
    let settings = [&command.values, &command.mesh_config];
    bounded::check_once(command.files.iter().chain(settings.into_iter().flatten()))?;
    let (given, wrong) = Given::read(&command);
    if !wrong.is_empty() {
        wrong.iter().for_each(|line| note(printable_lines(line)));
        return Ok(false);
    }
    let Found { texts, mut proxy_configs, nodes, from_cluster } = found(&command, &given)?;
    let Texts { config, values, mesh } = texts;
    let (mut settings, issues) =
        Settings::from_config_map(&config, &values, &mesh, &command.revision);
    let nodes = nodes.map(|nodes| Nodes::new(native(&values), &nodes));
    if from_cluster {
        settings.istio_namespace.clone_from(&command.istio_namespace);
    }
    let mut run = Run { command: &command, given, settings, nodes, failed: false };
    run.tell(&issues);
    let mut objects = Vec::new();
    for path in &command.files {
        objects.extend(read_objects(&bounded::name(path), &bounded::read(path)?)?);
    }
    objects.iter().for_each(|object| run.proxy_configs(object, &mut proxy_configs));
    let (proxy_configs, issues) = ProxyConfigs::read(proxy_configs.into_values());
    run.tell(&issues);
    run.settings.proxy_configs = Arc::new(proxy_configs);
    let injected: Vec<Value> = objects.into_iter().map(|object| run.object(object)).collect();
    if run.failed {
        return Ok(false);
    }
    text(&render(&injected, command.output)?);
    Ok(true)
}

fn read_objects(name: &str, text: &str) -> Result<Vec<Value>> {
    let documents = match yaml::strict(text) {
        Ok(documents) => documents,
        Err(twice) => {
            let read = yaml::documents(text);
            let documents = read.with_context(|| format!("{name} is neither YAML nor JSON"))?;
            let twice = printable(&twice);
            note(format_args!("warning: {name}: {twice}; as for kubectl, the last one counts"));
            documents
        }
    };
    let objects = documents.into_iter().enumerate().filter(|(_, one)| !one.is_null());
    let object = |(index, one): (usize, Value)| {
        let named = ["apiVersion", "kind"].into_iter().find(|field| !one[*field].is_string());
        match named {
            None => Ok(one),
            Some(field) => {
                bail!("document {} of {name} is no Kubernetes object: it has no {field}", index + 1)
            }
        }
    };
    let objects: Vec<Value> = objects.map(object).collect::<Result<_>>()?;
    // A template that came out empty must not pass for one that was injected.
    ensure!(!objects.is_empty(), "{name} is empty: it must have Kubernetes objects");
    Ok(objects)
}

type Objects = BTreeMap<ObjectRef, Value>;

struct Run<'a> {
    command: &'a InjectCommand,
    given: Given,
    settings: Settings,
    /// Of the cluster, if there is one.
    nodes: Option<Nodes>,
    failed: bool,
}

impl Run<'_> {
    /// Takes ProxyConfigs out of an object or a list; they count over those of the API that they will replace.
    fn proxy_configs(&self, object: &Value, found: &mut Objects) {
        if object["kind"] == "List" && object["apiVersion"] == "v1" {
            let items = object["items"].as_array().into_iter().flatten();
            items.for_each(|item| self.proxy_configs(item, found));
        }
        let kind = proxy_config_kind();
        let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
        let is_one =
            object["kind"] == kind.kind && group.is_some_and(|(group, _)| group == kind.group);
        if is_one && object["metadata"].is_object() {
            let mut object = object.clone();
            if object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = json!(self.command.namespace);
            }
            found.insert(object_ref(kind, &object), object);
        }
    }

    fn object(&mut self, mut object: Value) -> Value {
        if let Some(items) = take_items(&mut object) {
            let items: Vec<Value> = items.into_iter().map(|item| self.object(item)).collect();
            object["items"] = Value::Array(items);
            return object;
        }
        let manual = Manual {
            namespace: &self.command.namespace,
            namespace_labels: self.command.namespace_labels.as_ref(),
        };
        self.tell(&misplaced(&object, &manual));
        if let Some(nodes) = &self.nodes {
            self.settings.native_sidecar = nodes.have_native_sidecars(pod_node(&object));
        }
        match workload(&object, &manual, &self.settings) {
            Outcome::Injected { object, issues } => {
                self.tell(&issues);
                object
            }
            Outcome::Refused { issues } => {
                self.tell(&issues);
                object
            }
            Outcome::Skipped { reason } => {
                note(format_args!("{} is not injected: {reason}", title(&object)));
                object
            }
            Outcome::NotSelected => {
                let why = "no webhook selects it by its labels and its namespace's";
                note(format_args!("{} is not injected: {why}", title(&object)));
                object
            }
            Outcome::Passed => {
                if is_foreign_workload(&object) {
                    let why = foreign(&object);
                    let group = printable(object["apiVersion"].as_str().unwrap_or_default());
                    note(format_args!("{} ({group}) is not injected: {why}", title(&object)));
                }
                object
            }
        }
    }

    fn tell(&mut self, issues: &[Issue]) {
        for issue in issues {
            self.failed |= issue.is_error();
            note(printable_lines(&self.line(issue)));
        }
    }

    /// An issue of a setting names what the setting was read from.
    fn line(&self, issue: &Issue) -> String {
        let Issue { object, path, severity, message, .. } = issue;
        if let Some(file) = self.given.file(object) {
            let dot = if path.is_empty() { "" } else { ": " };
            return format!("{severity}: {file}: {path}{dot}{message}");
        }
        if *object != injector_config() && *object != mesh_config() {
            return issue.to_string();
        }
        let name = format!("{}{}", object.name, self.command.suffix());
        let there =
            ObjectRef { namespace: self.command.istio_namespace.clone(), name, ..object.clone() };
        Issue { object: there, ..issue.clone() }.to_string()
    }
}

/// Several lines, each without what a terminal would obey.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Why a pod template is left as it is: its kind is somebody's own, or a slip of the pen.
fn foreign(object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, kind) = (split_api_version(text("apiVersion")).0, text("kind"));
    let is_meant = |one: &&Kind| {
        let near = one.group == group || (one.group, group) == ("apps", "extensions");
        near && one.kind.eq_ignore_ascii_case(kind) && (one.group, one.kind) != (group, kind)
    };
    match KINDS.iter().find(is_meant) {
        Some(meant) => {
            let version = meant.api_version(meant.storage_version());
            format!("did you mean {} of {version}?", meant.kind)
        }
        None => "a pod template of this kind is left to the webhook".to_owned(),
    }
}

/// The node that a workload's pods name.
fn pod_node(object: &Value) -> Option<&str> {
    let specs = ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    specs.iter().filter_map(|path| object.pointer(path)).find_map(named_node)
}

fn title(object: &Value) -> String {
    let text = |value: &Value| printable(value.as_str().unwrap_or("?")).into_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Several objects are several documents in YAML and one List in JSON.
fn render(objects: &[Value], format: Format) -> Result<String> {
    match format {
        Format::Yaml => {
            lateen_api::yaml::write_all(objects).context("cannot write the objects as YAML")
        }
        Format::Json => {
            let list;
            let whole = match objects {
                [one] => one,
                many => {
                    list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": many});
                    &list
                }
            };
            Ok(serde_json::to_string_pretty(whole).context("cannot write the objects as JSON")?
                + "\n")
        }
    }
}

#[cfg(test)]
mod tests;
