//! `lateen install` and `upgrade`. In: a plan and a cluster. Out: the cluster with the installation:
//! checked whole, shown, agreed to, applied in order, then waited for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{ArgAction, Args};
use lateen_api::duration::parse_span;
use lateen_api::kinds::by_kind;
use lateen_api::resource::object_ref;
use lateen_install::{Change, Plan};
use lateen_kube::{Client, DryRun};
use serde_json::{Value, json};

use super::cluster::{
    self, ClusterArgs, Comparison, confirm, is_control_plane, kind_of, place, title,
};
use super::diff::{Detail, show};
use super::helm::Releases;
use super::input::InputArgs;
use super::{managers, owners};
use super::{selector, wait};
use crate::output::{note, say};
use crate::process::unless_broken_off;
use crate::tag::{keep_default_tag, refuse_tag_as_revision, tell_of_no_default};

/// An object that takes longer than this is worth a line of its own.
const SLOW: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct InstallArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Do not ask before changing the cluster
    #[arg(long, short = 'y')]
    skip_confirmation: bool,
    /// Say what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Take objects over that others have (Istio, a Helm release, an installation of another name, or whoever applied them),
    /// instead of refusing to change any
    #[arg(long)]
    take_over: bool,
    /// Remove a control plane that the settings turn off
    #[arg(long)]
    force: bool,
    /// Wait until everything that was installed works; --wait=false for no waiting
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true")]
    wait: bool,
    /// How long to wait; 0s is no waiting
    #[arg(long, alias = "timeout", value_name = "DURATION", default_value = "300s",
          value_parser = parse_span)]
    readiness_timeout: Duration,
}

/// What must be there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Anything,
    /// A control plane of this revision.
    Installed,
}

pub async fn execute(args: InstallArgs, expect: Expect) -> Result<()> {
    let plan = args.input.plan()?;
    let mut wanted = super::rendered(&plan)?;
    let client = args.cluster.connect().await?;
    refuse_tag_as_revision(&client, &wanted, plan.revision()).await?;
    keep_default_tag(&client, &mut wanted).await?;
    selector::keep(&client, &mut wanted).await?;
    if expect == Expect::Installed {
        check_installed(&client, &plan, &wanted).await?;
    }
    let unwanted = cluster::unwanted(&client, &plan, &wanted).await?;
    if !args.force {
        keep_control_plane(&plan, &unwanted)?;
    }
    let found = match cluster::compare(&client, &wanted, &unwanted).await {
        Ok(found) => found,
        // Whose an object is says more than what cannot be changed about it.
        Err(error) if !args.take_over => {
            refuse_foreign(&plan, &cluster::all_live(&client, &wanted).await?, &wanted)?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let releases = Releases::of(&client, &found.live).await?;
    let left = allow(args.take_over, &plan, &found, &releases)?;
    let changes = &found.changes;
    for change in changes {
        show(change, Detail::Objects);
    }
    let (count, owner) = (wanted.len(), plan.owner());
    let known = [&wanted[..], &unwanted].concat();
    let is_same = changes.is_empty() && left.is_empty();
    let done = match is_same {
        true => {
            format!("nothing to change: all {count} objects of {owner} are as the settings say")
        }
        false => format!("installed {count} objects for {owner}"),
    };
    if args.dry_run {
        releases.tell_of_rest(&client, &known).await;
        say(if is_same { &done } else { "nothing was done: this was a dry run" });
        return Ok(());
    }
    if !is_same {
        let question = format!("{} of {count} objects differ. Install?", changes.len());
        confirm(&question, args.skip_confirmation)?;
    }
    let changed = async {
        ensure_namespaces(&client, &plan, &wanted).await?;
        let mut differing = differing(&wanted, changes)?;
        if args.take_over {
            differing = take(&client, &wanted, differing).await?;
        }
        apply_all(&client, &differing).await?;
        remove(&client, &unwanted).await?;
        releases.take_over(&client, &known).await
    };
    let leaves = "the installation is not complete, the same command completes it";
    unless_broken_off(changed, leaves).await?;
    say(done);
    tell_of_no_default(&client, &wanted, plan.revision()).await?;
    if !args.wait || args.readiness_timeout.is_zero() {
        return Ok(());
    }
    let works = wait::wait(&client, &wanted, args.readiness_timeout);
    unless_broken_off(works, "everything is applied, nobody waits for it any more").await
}

/// Refuses to change what others installed, unless it is to be taken over. Out: a line, told already, for each object
/// with fields that are lost then.
fn allow(
    take_over: bool,
    plan: &Plan,
    found: &Comparison,
    releases: &Releases,
) -> Result<Vec<String>> {
    if !take_over {
        refuse_foreign(plan, &found.live, &found.applied)?;
        releases.refuse_install()?;
        return Ok(Vec::new());
    }
    owners::foreign(plan, &found.live, &found.applied).iter().for_each(|it| note(&it.told));
    releases.warn();
    let left = owners::left(found);
    left.iter().for_each(note);
    Ok(left)
}

/// Tells each object that others installed, before it refuses.
fn refuse_foreign(plan: &Plan, live: &[Value], applied: &[Value]) -> Result<()> {
    let foreign = owners::foreign(plan, live, applied);
    foreign.iter().for_each(|it| note(&it.told));
    owners::refuse(&foreign)
}

/// An upgrade changes what is there.
async fn check_installed(client: &Client, plan: &Plan, wanted: &[Value]) -> Result<()> {
    if let Some(control_plane) = wanted.iter().find(|object| is_control_plane(object))
        && cluster::live(client, control_plane).await?.is_none()
    {
        bail!("there is no {} to upgrade: use lateen install", title(control_plane));
    }
    if wanted.is_empty() {
        bail!("the settings of {} enable nothing to upgrade", plan.owner());
    }
    Ok(())
}

/// Files without a name are one installation. One with gateways alone must not take the control plane of
/// another for its own that is not wanted any more, and a slip in a file must not end a mesh.
fn keep_control_plane(plan: &Plan, unwanted: &[Value]) -> Result<()> {
    if let Some(found) = unwanted.iter().find(|object| is_control_plane(object)) {
        bail!(
            "this would remove {}, which was installed under the same name, {}: give the file a \
             metadata.name of its own; lateen uninstall removes a control plane, and so does --force",
            title(found),
            plan.owner()
        );
    }
    Ok(())
}

/// Creates the namespaces that are not there; those that are stay as they are.
async fn ensure_namespaces(client: &Client, plan: &Plan, wanted: &[Value]) -> Result<()> {
    let kind = by_kind("", "Namespace").context("the table of kinds has namespaces")?;
    let mut names: BTreeSet<&str> = wanted.iter().filter_map(|object| place(object).0).collect();
    if !wanted.is_empty() {
        names.insert(plan.namespace());
    }
    for name in names {
        if client.get(kind, None, name).await?.is_some() {
            continue;
        }
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        if client.ensure(kind, namespace).await? {
            say(format_args!("created Namespace {name}"));
        }
    }
    Ok(())
}

/// The objects that are to change. What others change in the others since is theirs to say.
fn differing<'a>(wanted: &'a [Value], changes: &[Change]) -> Result<Vec<&'a Value>> {
    let mut found = Vec::new();
    for object in wanted {
        let named = object_ref(kind_of(object)?, object);
        if changes.iter().any(|change| change.object == named) {
            found.push(object);
        }
    }
    Ok(found)
}

/// Takes over what other installers applied of the objects. Out: those that are to be applied, in order.
async fn take<'a>(
    client: &Client,
    wanted: &'a [Value],
    differing: Vec<&'a Value>,
) -> Result<Vec<&'a Value>> {
    let mut found = Vec::new();
    for object in wanted {
        let is_taken = managers::take(client, object).await?;
        if is_taken || differing.contains(&object) {
            found.push(object);
        }
    }
    Ok(found)
}

/// Applies in order. Applying again what is there changes nothing, so a run that was cut short is
/// finished by the next one.
async fn apply_all(client: &Client, wanted: &[&Value]) -> Result<()> {
    for object in wanted {
        let start = Instant::now();
        cluster::apply(client, object, DryRun::No).await.context(
            "the installation is not complete, the same command completes it when this is mended",
        )?;
        if start.elapsed() > SLOW {
            say(format_args!(
                "applied {} in {:.1} s",
                title(object),
                start.elapsed().as_secs_f32()
            ));
        }
    }
    Ok(())
}

/// Removes objects, saying which.
pub async fn remove(client: &Client, objects: &[Value]) -> Result<()> {
    for object in objects {
        let (namespace, name) = place(object);
        if client.delete(kind_of(object)?, namespace, name).await? {
            say(format_args!("removed {}", title(object)));
        }
    }
    Ok(())
}
