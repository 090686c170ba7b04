//! `lateen tag`: other names for revisions, by which namespaces choose a control plane. In: a tag, a
//! revision and a cluster. Out: the MutatingWebhookConfiguration that makes the tag, and for the tag `default`
//! the validator of objects without a revision.

mod taken;
mod validator;

pub use taken::refuse_tag_as_revision;
pub use validator::tell_of_end as tell_of_no_validator;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lateen_api::issue::Issue;
use lateen_api::kinds::{Kind, by_kind};
use lateen_inject::Settings;
use lateen_install::{labels, tag as manifest};
use lateen_kube::{Client, DryRun};
use serde_json::{Value, json};

use crate::bootstrap::Format;
use crate::manifest::{ClusterArgs, confirm, yaml};
use crate::output::{note, say, say_json_lines, text};
use crate::words::parse_name;

/// Who applies, as managed fields name it.
const MANAGER: &str = "lateen-install";
const DEFAULT: &str = "default";
/// The default revision's own webhooks.
const UNTAGGED_DEFAULT: &str = "istio.io/rev=default,!istio.io/tag";
/// The default revision's webhooks, and the ConfigMap of its injector's settings.
const INJECTOR: &str = "istio-sidecar-injector";

/// Name revisions, so that namespaces need not be labelled anew at every upgrade
#[derive(Debug, Args)]
pub struct TagCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the manifest of a tag
    Generate(SetArgs),
    /// Point a tag at a revision
    Set(SetArgs),
    /// List tags, their revisions and the namespaces that use them
    List(ListArgs),
    /// Remove a tag
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct SetArgs {
    /// The tag
    #[arg(value_parser = parse_name)]
    name: String,
    /// The revision that the tag points at
    #[arg(long, short, value_parser = parse_name)]
    revision: String,
    /// Point a tag that is there already at another revision
    #[arg(long)]
    overwrite: bool,
    /// Inject where a namespace says nothing, too, as the revision's own enableNamespacesByDefault does
    #[arg(long)]
    auto_inject_namespaces: bool,
    /// The control plane's namespace
    #[arg(long, short = 'i', alias = "istioNamespace", default_value = "istio-system", value_parser = parse_name)]
    istio_namespace: String,
    /// Do not ask before changing the cluster
    #[arg(long, short = 'y')]
    skip_confirmation: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// As a table, or as JSON or YAML
    #[arg(long, short, value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    of_any: AnyNamespace,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A tag is found by its name, which the whole cluster has once.
#[derive(Debug, Args)]
struct AnyNamespace {
    /// Taken as istioctl takes it: tags of every control plane are looked through
    #[arg(long = "istio-namespace", short = 'i', alias = "istioNamespace", value_parser = parse_name)]
    _istio_namespace: Option<String>,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The tag
    name: String,
    /// Do not ask before changing the cluster
    #[arg(long, short = 'y')]
    skip_confirmation: bool,
    #[command(flatten)]
    of_any: AnyNamespace,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub async fn execute(command: TagCommand) -> Result<()> {
    match command.command {
        Command::Generate(args) => {
            let client = args.cluster.connect().await?;
            let mut objects = vec![checked(&client, &args).await?];
            objects.extend(default_validator(&client, &args).await?);
            text(&yaml(&objects));
            Ok(())
        }
        Command::Set(args) => set(args).await,
        Command::List(args) => list(args).await,
        Command::Remove(args) => remove(args).await,
    }
}

fn webhooks() -> Result<&'static Kind> {
    by_kind("admissionregistration.k8s.io", "MutatingWebhookConfiguration")
        .context("the table of kinds has webhooks")
}

fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["labels"][name].as_str().unwrap_or_default()
}

async fn tags(client: &Client) -> Result<Vec<Value>> {
    Ok(client.list(webhooks()?, labels::TAG, None).await?)
}

/// The tag's object, if the cluster has the revision and no revision of the tag's name.
async fn checked(client: &Client, args: &SetArgs) -> Result<Value> {
    let revision = |name: &str| format!("{}={name},!{}", labels::REVISION, labels::TAG);
    let injectors = client.list(webhooks()?, &revision(&args.revision), None).await?;
    let Some(injector) = injectors.first() else {
        bail!("there is no revision {}: install it first, or check its name", args.revision);
    };
    let same = client.list(webhooks()?, &revision(&args.name), None).await?;
    if args.name != DEFAULT && !same.is_empty() {
        bail!("{} is a revision's name: choose another one for the tag", args.name);
    }
    let found = tags(client).await?.into_iter().find(|tag| label(tag, labels::TAG) == args.name);
    let current = found.as_ref().map(|tag| label(tag, labels::REVISION));
    if let Some(current) = current.filter(|current| *current != args.revision && !args.overwrite) {
        bail!("the tag {} points at revision {current}: use --overwrite to change it", args.name);
    }
    let kind = by_kind("", "ConfigMap").context("the table of kinds has ConfigMaps")?;
    let config = client.get(kind, Some(&args.istio_namespace), &config_map(&args.revision)).await?;
    let settings = settings(&config.unwrap_or_default()["data"], args)?;
    let mut object = manifest(&settings, &args.name);
    copy_trust(injector, &mut object);
    Ok(object)
}

/// The name of the ConfigMap with the settings of a revision's injector.
fn config_map(revision: &str) -> String {
    match revision {
        DEFAULT => INJECTOR.to_owned(),
        revision => format!("{INJECTOR}-{revision}"),
    }
}

/// The tag selects pods as the revision's own webhooks do. Without a ConfigMap those go by the defaults.
fn settings(data: &Value, args: &SetArgs) -> Result<Settings> {
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    let (read, issues) =
        Settings::from_config_map(text("config"), text("values"), "", &args.revision);
    let errors = issues.iter().filter(|issue| issue.is_error());
    let errors: Vec<String> =
        errors.map(|Issue { path, message, .. }| format!("{path}: {message}")).collect();
    if !errors.is_empty() {
        let name = config_map(&args.revision);
        bail!(
            "the ConfigMap {}/{name} has errors, mend them first: {}",
            args.istio_namespace,
            errors.join("; ")
        );
    }
    Ok(Settings {
        istio_namespace: args.istio_namespace.clone(),
        namespaces_by_default: read.namespaces_by_default || args.auto_inject_namespaces,
        ..read
    })
}

/// What goes with the tag `default`.
async fn default_validator(client: &Client, args: &SetArgs) -> Result<Option<Value>> {
    if args.name != DEFAULT {
        return Ok(None);
    }
    let validator = validator::of_revision(client, &args.revision).await?;
    if validator.is_none() {
        note(format_args!(
            "revision {} has no validator (values.global.configValidation is off): who validates objects \
             without a revision stays as it is",
            args.revision
        ));
    }
    Ok(validator)
}

/// The tag's webhooks reach the revision's control plane by the revision's own address and CA, and as
/// often.
fn copy_trust(injector: &Value, object: &mut Value) {
    let model = &injector["webhooks"][0];
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        for field in ["clientConfig", "reinvocationPolicy"] {
            if let Some(value) = model.get(field).filter(|value| !value.is_null()) {
                webhook[field] = value.clone();
            }
        }
    }
}

async fn set(args: SetArgs) -> Result<()> {
    let client = args.cluster.connect().await?;
    let object = checked(&client, &args).await?;
    if args.name == DEFAULT {
        confirm(
            "The default revision's own webhooks will be switched off. Proceed?",
            args.skip_confirmation,
        )?;
        deactivate(&client, &args.istio_namespace).await?;
    }
    client.apply_object(&object, MANAGER, DryRun::No).await?;
    if let Some(validator) = default_validator(&client, &args).await? {
        client.apply_object(&validator, MANAGER, DryRun::No).await?;
    }
    say(format_args!(
        "tag {0} points at revision {1}: label namespaces with istio.io/rev={0}",
        args.name, args.revision
    ));
    Ok(())
}

/// With a tag `default`, the default revision must not be asked as well.
async fn deactivate(client: &Client, namespace: &str) -> Result<()> {
    let name = match namespace {
        "istio-system" => INJECTOR.to_owned(),
        namespace => format!("{INJECTOR}-{namespace}"),
    };
    let Some(mut injector) = client.get(webhooks()?, None, &name).await? else { return Ok(()) };
    select_nothing(&mut injector);
    let patch = json!({ "webhooks": injector["webhooks"] });
    Ok(client.patch(webhooks()?, None, &name, &patch).await?)
}

/// The webhooks keep their names and select nothing.
fn select_nothing(injector: &mut Value) {
    let never = json!({ "matchLabels": { "istio.io/deactivated": "never-match" } });
    for webhook in injector["webhooks"].as_array_mut().into_iter().flatten() {
        webhook["namespaceSelector"] = never.clone();
        webhook["objectSelector"] = never.clone();
    }
}

/// An installation leaves the default revision's webhooks switched off, and the validator where it is, while there
/// is a tag `default`.
pub async fn keep_default_tag(client: &Client, wanted: &mut Vec<Value>) -> Result<()> {
    let is_injector = |object: &&mut Value| {
        object["kind"] == "MutatingWebhookConfiguration"
            && label(object, labels::REVISION) == DEFAULT
            && label(object, labels::TAG).is_empty()
    };
    let tags = tags(client).await?;
    let Some(tag) = tags.iter().find(|tag| label(tag, labels::TAG) == DEFAULT) else {
        return Ok(());
    };
    if let Some(injector) = wanted.iter_mut().find(is_injector) {
        note("the tag default is set: the default revision's own webhooks stay switched off");
        select_nothing(injector);
    }
    validator::keep(client, wanted, label(tag, labels::REVISION)).await
}

/// With revisions of other names alone, `istio-injection=enabled` asks nobody: that is said, not guessed.
pub async fn tell_of_no_default(client: &Client, wanted: &[Value], revision: &str) -> Result<()> {
    let is_injector = |object: &Value| {
        object["kind"] == "MutatingWebhookConfiguration" && label(object, labels::TAG).is_empty()
    };
    if revision.is_empty() || !wanted.iter().any(is_injector) {
        return Ok(());
    }
    for name in [labels::REVISION, labels::TAG] {
        if !client.list(webhooks()?, &format!("{name}={DEFAULT}"), None).await?.is_empty() {
            return Ok(());
        }
    }
    note(format_args!(
        "no revision is the default one: label namespaces with istio.io/rev={revision}, or make \
         istio-injection=enabled mean it with lateen tag set default --revision {revision}"
    ));
    Ok(())
}

/// A tag ends with the revision that it points at.
pub async fn tell_of_ending_tags(client: &Client, removed: &[Value]) -> Result<()> {
    let is_tag = |object: &&Value| {
        object["kind"] == "MutatingWebhookConfiguration" && !label(object, labels::TAG).is_empty()
    };
    for ending in removed.iter().filter(is_tag) {
        let name = label(ending, labels::TAG);
        let users = match namespaces(client, name).await? {
            users if users.is_empty() => String::new(),
            users => format!(", which namespaces {} use", users.join(", ")),
        };
        let default = match name {
            DEFAULT => {
                ": nobody injects by istio-injection=enabled or validates objects without a revision"
            }
            _ => "",
        };
        note(format_args!(
            "the tag {name}{users} ends with its revision{default}: to keep it, point it at another one first, \
             lateen tag set {name} --overwrite --revision REVISION"
        ));
    }
    Ok(())
}

/// The namespaces that choose a tag.
async fn namespaces(client: &Client, tag: &str) -> Result<Vec<String>> {
    let kind = by_kind("", "Namespace").context("the table of kinds has namespaces")?;
    let mut found = client.list(kind, &format!("{}={tag}", labels::REVISION), None).await?;
    if tag == DEFAULT {
        found.extend(client.list(kind, "istio-injection=enabled", None).await?);
    }
    let name = |object: &Value| object["metadata"]["name"].as_str().map(str::to_owned);
    Ok(found.iter().filter_map(name).collect())
}

async fn list(args: ListArgs) -> Result<()> {
    let client = args.cluster.connect().await?;
    let mut rows = Vec::new();
    for tag in tags(&client).await? {
        let name = label(&tag, labels::TAG).to_owned();
        let namespaces = namespaces(&client, &name).await?;
        rows.push((name, label(&tag, labels::REVISION).to_owned(), namespaces));
    }
    let view = || -> Vec<Value> {
        let row = |(tag, revision, namespaces): &(String, String, Vec<String>)| json!({ "tag": tag, "revision": revision, "namespaces": namespaces });
        rows.iter().map(row).collect()
    };
    match args.output {
        Some(Format::Json) => say_json_lines(&json!(view())),
        Some(Format::Yaml) => text(&lateen_install::yaml_text(&json!(view()))),
        None if rows.is_empty() => note("no tags: make one with lateen tag set"),
        None => table(&rows),
    }
    Ok(())
}

fn table(rows: &[(String, String, Vec<String>)]) {
    let width = |title: &str, of: fn(&(String, String, Vec<String>)) -> usize| {
        rows.iter().map(of).chain([title.len()]).max().unwrap_or_default()
    };
    let (tags, revisions) = (width("TAG", |row| row.0.len()), width("REVISION", |row| row.1.len()));
    say(format_args!("{:tags$} {:revisions$} NAMESPACES", "TAG", "REVISION"));
    for (tag, revision, namespaces) in rows {
        say(format_args!("{tag:tags$} {revision:revisions$} {}", namespaces.join(",")));
    }
}

async fn remove(args: RemoveArgs) -> Result<()> {
    let client = args.cluster.connect().await?;
    let all = tags(&client).await?;
    let Some(tag) = all.iter().find(|tag| label(tag, labels::TAG) == args.name) else {
        bail!("there is no tag {}: see lateen tag list", args.name);
    };
    let users = namespaces(&client, &args.name).await?;
    if !users.is_empty() {
        let question =
            format!("The tag {} is used by namespaces {}. Remove it?", args.name, users.join(", "));
        confirm(&question, args.skip_confirmation)?;
    }
    let name = tag["metadata"]["name"].as_str().unwrap_or_default();
    client.delete(webhooks()?, None, name).await?;
    say(format_args!("removed tag {}", args.name));
    if args.name == DEFAULT && !client.list(webhooks()?, UNTAGGED_DEFAULT, None).await?.is_empty() {
        note(
            "the default revision's own webhooks stay switched off: lateen install with its settings \
             switches them on again",
        );
    }
    if args.name == DEFAULT
        && let Some(revision) = validator::revision(&client).await?
    {
        note(format_args!(
            "revision {revision} goes on validating objects without a revision, as long as it is there: lateen install \
             of the default revision, or lateen tag set default, changes that"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
