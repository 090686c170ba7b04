//! `lateen uninstall`. In: a file, a revision, or everything. Out: a cluster without what the
//! installation put there; what others applied, definitions and namespaces stay, users' objects would go with them.

use std::collections::BTreeSet;

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::Args;
use lateen_api::kinds::by_kind;
use lateen_install::labels;
use lateen_kube::Client;
use serde_json::Value;

use super::apply::remove;
use super::cluster::{self, ClusterArgs, confirm, is_control_plane, place, title};
use super::gateways::label;
use super::helm::Releases;
use super::input::InputArgs;
use super::{gateways, owners, pods};
use crate::output::{note, say};
use crate::process::unless_broken_off;
use crate::tag::{tell_of_ending_tags, tell_of_no_validator};

/// The Lease of the replica that writes for the whole mesh; a revision's has the revision's name after it.
const MESH_LEASE: &str = "istio-leader";
/// Where the control planes of a namespace have their authority.
const AUTHORITY: &str = "istio-ca-secret";
/// So many pods are named.
const NAMED: usize = 5;

#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Remove every revision and tag
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Do not ask before changing the cluster
    #[arg(long, short = 'y')]
    skip_confirmation: bool,
    /// Say what would be removed and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove a control plane even where gateways, whoever made them, stay without one
    #[arg(long)]
    force: bool,
}

pub async fn execute(args: UninstallArgs) -> Result<()> {
    let selector = selector(&args)?;
    let client = args.cluster.connect().await?;
    let mut found = cluster::installed(&client, &selector).await?;
    let others = owners::keep_others(&mut found);
    others.iter().for_each(note);
    let tags = tags(&client, &found).await?;
    found.splice(0..0, tags);
    if found.is_empty() && !others.is_empty() {
        let told = format!("lateen applied nothing that has the labels {selector}");
        if args.input.revision().is_some() && !args.purge {
            bail!("nothing was removed: {told}, who applied it removes it");
        }
        say(format_args!("nothing to remove: {told}"));
        return Ok(());
    }
    if found.is_empty() && !args.purge && !args.input.has_files() {
        return Err(no_revision(&client, args.input.revision()).await?);
    }
    if found.is_empty() {
        say(format_args!("nothing to remove: no object has the labels {selector}"));
        return Ok(());
    }
    Releases::of(&client, &found).await?.refuse_uninstall()?;
    for object in &found {
        say(format_args!("- {}", title(object)));
    }
    let control_planes: Vec<&Value> =
        found.iter().filter(|object| is_control_plane(object)).collect();
    let left = gateways::left(&client, &found, &control_planes).await?;
    left.iter().for_each(note);
    if !(left.is_empty() || args.force) {
        let wider = match args.purge || args.input.revision().is_some() {
            true => ", by who applied them",
            false => {
                ", by their own file or release or all that is of the revision by --revision REVISION"
            }
        };
        bail!(
            "nothing was removed: remove these gateways first{wider}, or let another revision have them, or leave them without a control \
             plane by --force"
        );
    }
    if !args.purge {
        warn_of_gateways(&found, !control_planes.is_empty());
        warn_of_node_agent(&found);
        tell_of_ending_tags(&client, &found).await?;
        tell_of_no_validator(&client, &found).await?;
    }
    warn_of_pods(&client, &found, &control_planes).await?;
    if args.dry_run {
        say("nothing was done: this was a dry run");
        return Ok(());
    }
    confirm(&format!("{} objects will be removed. Proceed?", found.len()), args.skip_confirmation)?;
    let removed = async {
        remove(&client, &found).await?;
        for control_plane in &control_planes {
            release(&client, control_plane).await?;
        }
        Ok(())
    };
    unless_broken_off(removed, "a part is removed, the same command removes the rest").await?;
    say("definitions and namespaces stay: users' objects would go with them");
    if keeps_authority(&client, &control_planes).await {
        say(
            "the mesh's authority stays, for the proxies that go on and for the next control plane: Secret istio-ca-secret, \
             and its root as ConfigMap istio-ca-root-cert in every namespace",
        );
    }
    Ok(())
}

/// Whether one of the control planes had made an authority; who may not look is told that there is one.
async fn keeps_authority(client: &Client, control_planes: &[&Value]) -> bool {
    let Some(kind) = by_kind("", "Secret") else { return false };
    for control_plane in control_planes {
        let (namespace, _) = place(control_plane);
        match client.get(kind, namespace, AUTHORITY).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return true,
        }
    }
    false
}

/// Why there is nothing to remove of a revision.
async fn no_revision(client: &Client, revision: Option<&str>) -> Result<Error> {
    let selector = format!("{}=Reconcile,{}=Pilot", labels::MANAGED, labels::COMPONENT);
    let found = cluster::installed(client, &selector).await?;
    let there: BTreeSet<&str> =
        found.iter().filter(|it| is_control_plane(it)).map(revision_of).collect();
    let there = match there.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there is {}", Vec::from_iter(there).join(", ")),
    };
    let revision = revision.unwrap_or_default();
    Ok(anyhow!("nothing was removed: no object is of revision {revision}, {there}: check its name"))
}

/// The webhooks of tags that point at the control planes, whoever made them: they would keep pods from starting.
async fn tags(client: &Client, found: &[Value]) -> Result<Vec<Value>> {
    let known: BTreeSet<String> = found.iter().map(title).collect();
    let revisions: BTreeSet<&str> =
        found.iter().filter(|object| is_control_plane(object)).map(revision_of).collect();
    let mut tags = cluster::installed(client, labels::TAG).await?;
    tags.retain(|tag| revisions.contains(revision_of(tag)) && !known.contains(&title(tag)));
    Ok(tags)
}

fn revision_of(object: &Value) -> &str {
    label(object, labels::REVISION)
}

/// As in Istio, the gateways of a revision go with it: after an upgrade in place those are all there are.
fn warn_of_gateways(found: &[Value], with_control_plane: bool) {
    let names = [
        names(found, "Deployment", "IngressGateways"),
        names(found, "Deployment", "EgressGateways"),
    ]
    .concat();
    if !names.is_empty() {
        let remedy = match with_control_plane {
            true => {
                ", gateways go with their revision: to keep them, install them with another --revision first"
            }
            false => "",
        };
        note(format_args!("traffic through {} ends{remedy}", names.join(", ")));
    }
}

/// There is one node agent for all revisions, and it belongs to the one that was installed last.
fn warn_of_node_agent(found: &[Value]) {
    for name in names(found, "DaemonSet", "Cni") {
        note(format_args!(
            "the node agent {name} goes too: injected pods that count on it do not start any more, to keep \
             it, install it with another --revision first"
        ));
    }
}

/// The objects of a kind that belong to a component.
fn names<'a>(found: &'a [Value], kind: &str, component: &str) -> Vec<&'a str> {
    let of = |object: &&Value| {
        object["kind"] == kind && object["metadata"]["labels"][labels::COMPONENT] == component
    };
    found.iter().filter(of).filter_map(|object| object["metadata"]["name"].as_str()).collect()
}

/// Proxies go on without their control plane, and stay behind: nobody tells them of changes.
async fn warn_of_pods(client: &Client, found: &[Value], control_planes: &[&Value]) -> Result<()> {
    let kind = by_kind("", "Pod").context("the table of kinds has pods")?;
    let all = client.list(kind, "", None).await?;
    let removed: Vec<&Value> =
        found.iter().filter(|object| object["kind"] == "Deployment").collect();
    for revision in control_planes.iter().map(|control_plane| revision_of(control_plane)) {
        let left = pods::of_revision(&all, revision, &removed);
        if left.is_empty() {
            continue;
        }
        let more = match left.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        note(format_args!(
            "pods with a proxy of revision {revision} go on by what they know and learn no change \
             until they are restarted: {named}{more}"
        ));
    }
    Ok(())
}

/// Removes the Leases that a removed control plane held: it may have lost its rights before it could give
/// them back, and the next one would wait for their end.
async fn release(client: &Client, control_plane: &Value) -> Result<()> {
    let kind = by_kind("coordination.k8s.io", "Lease").context("the table of kinds has leases")?;
    let text = |field: &str| control_plane["metadata"][field].as_str().unwrap_or_default();
    let namespace = Some(text("namespace"));
    let own = format!("{MESH_LEASE}-{}", revision_of(control_plane));
    client.delete(kind, namespace, &own).await?;
    if let Some(lease) = client.get(kind, namespace, MESH_LEASE).await?
        && is_held_by(&lease, text("name"))
    {
        client.delete(kind, namespace, MESH_LEASE).await?;
    }
    Ok(())
}

/// Whether a Lease's holder is a pod of the Deployment, or nobody.
fn is_held_by(lease: &Value, deployment: &str) -> bool {
    match lease["spec"]["holderIdentity"].as_str().unwrap_or_default() {
        "" => true,
        holder => holder.rsplitn(3, '-').nth(2) == Some(deployment),
    }
}

fn selector(args: &UninstallArgs) -> Result<String> {
    let managed = format!("{}=Reconcile", labels::MANAGED);
    if args.purge {
        return Ok(managed);
    }
    if args.input.has_files() {
        let plan = args.input.plan()?;
        let (owner, home) = (plan.owner(), plan.namespace());
        let names = format!("{}={owner},{}={home}", labels::OWNER, labels::OWNER_NAMESPACE);
        return Ok(format!("{managed},{names}"));
    }
    match args.input.revision() {
        Some(revision) => Ok(format!("{managed},{}={revision}", labels::REVISION)),
        None => {
            bail!("say what to remove: --revision REVISION, -f FILE, or --purge for everything")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_held_by, names};

    #[test]
    fn gateways_and_the_node_agent_are_told_apart_by_their_component() {
        let object = |kind: &str, name: &str, component: &str| {
            let labels = json!({ "operator.istio.io/component": component });
            json!({ "kind": kind, "metadata": { "name": name, "labels": labels } })
        };
        let found = [
            object("Deployment", "istiod", "Pilot"),
            object("Deployment", "gw", "IngressGateways"),
            object("Service", "gw", "IngressGateways"),
            object("DaemonSet", "istio-cni-node", "Cni"),
        ];
        assert_eq!(names(&found, "Deployment", "IngressGateways"), ["gw"]);
        assert_eq!(names(&found, "DaemonSet", "Cni"), ["istio-cni-node"]);
        assert!(names(&found, "Deployment", "EgressGateways").is_empty());
    }

    #[test]
    fn a_lease_of_another_control_plane_stays() {
        let held = |holder: &str, deployment: &str| {
            is_held_by(&json!({ "spec": { "holderIdentity": holder } }), deployment)
        };
        assert!(held("istiod-1-1-84c9d5d478-h9mdn", "istiod-1-1"));
        assert!(held("", "istiod-1-1"));
        assert!(!held("istiod-1-1-84c9d5d478-h9mdn", "istiod-1"));
        assert!(!held("istiod-1-1-84c9d5d478-h9mdn", "istiod"));
    }
}
