//! `lateen manifest diff`: what an installation would change. In: IstioOperator files and a cluster, or
//! two files of manifests. Out: a line for each object and field that differs, and kubectl diff's exit codes: 1 when
//! something differs, 2 when it cannot be told.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use lateen_install::{Change, ChangeKind};
use serde_json::Value;

use super::cluster::{self, ClusterArgs};
use super::helm::Releases;
use super::input::InputArgs;
use super::{owners, selector};
use crate::bounded;
use crate::output::{causes, note, say};
use crate::tag::keep_default_tag;

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Two files of manifests to compare; without them the cluster is compared
    #[arg(num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["filename", "set"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The exit code of what cannot be compared.
const CANNOT: u8 = 2;

pub async fn execute(args: DiffArgs) -> ExitCode {
    match differences(args).await {
        Ok(changes) if changes.is_empty() => ExitCode::SUCCESS,
        Ok(changes) => {
            for change in &changes {
                show(change, Detail::Fields);
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            note(causes(&error));
            ExitCode::from(CANNOT)
        }
    }
}

async fn differences(args: DiffArgs) -> Result<Vec<Change>> {
    Ok(match args.files.as_slice() {
        [old, new] => {
            bounded::check_once(&args.files)?;
            lateen_install::diff(&manifests(old)?, &manifests(new)?)
        }
        _ => {
            let plan = args.input.plan()?;
            let mut wanted = super::rendered(&plan)?;
            let client = args.cluster.connect().await?;
            keep_default_tag(&client, &mut wanted).await?;
            selector::keep(&client, &mut wanted).await?;
            let unwanted = cluster::unwanted(&client, &plan, &wanted).await?;
            let found = cluster::compare(&client, &wanted, &unwanted).await?;
            owners::foreign(&plan, &found.live, &found.applied)
                .iter()
                .for_each(|it| note(&it.told));
            Releases::of(&client, &found.live).await?.warn();
            found.changes
        }
    })
}

/// How much is told of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Objects,
    Fields,
}

/// Prints one change.
pub fn show(change: &Change, detail: Detail) {
    match &change.kind {
        ChangeKind::Added => say(format_args!("+ {}", change.object)),
        ChangeKind::Removed => say(format_args!("- {}", change.object)),
        ChangeKind::Changed(fields) if detail == Detail::Objects => {
            let first = fields.first().map(|field| field.path.as_str()).unwrap_or_default();
            let more = match fields.len() {
                0 | 1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            say(format_args!("~ {} ({first}{more})", change.object));
        }
        ChangeKind::Changed(fields) => {
            say(format_args!("~ {}", change.object));
            for field in fields {
                say(format_args!("    {field}"));
            }
        }
    }
}

fn manifests(path: &Path) -> Result<Vec<Value>> {
    let documents = lateen_install::documents(&bounded::read(path)?);
    let documents = documents.map_err(|reason| anyhow!("{} is {reason}", path.display()))?;
    let items = |document: Value| match document["kind"].as_str() {
        Some("List") => document["items"].as_array().cloned().unwrap_or_default(),
        _ => vec![document],
    };
    Ok(documents.into_iter().flat_map(items).collect())
}
