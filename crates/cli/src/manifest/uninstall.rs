//! `lateen uninstall`. In: a file, a revision, or everything. Out: a cluster without what the
//! installation put there; definitions and namespaces stay, users' objects would go with them.

use anyhow::{Result, bail};
use clap::Args;
use lateen_install::labels;

use super::apply::remove;
use super::cluster::{self, ClusterArgs, confirm, title};
use super::input::InputArgs;
use crate::output::say;

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
}

pub async fn execute(args: UninstallArgs) -> Result<()> {
    let selector = selector(&args)?;
    let client = args.cluster.connect().await?;
    let found = cluster::installed(&client, &selector).await?;
    if found.is_empty() {
        say(format_args!("nothing to remove: no object has the labels {selector}"));
        return Ok(());
    }
    for object in &found {
        say(format_args!("- {}", title(object)));
    }
    if args.dry_run {
        say("nothing was done: this was a dry run");
        return Ok(());
    }
    confirm(&format!("{} objects will be removed. Proceed?", found.len()), args.skip_confirmation)?;
    remove(&client, &found).await?;
    say("definitions and namespaces stay: users' objects would go with them");
    Ok(())
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
