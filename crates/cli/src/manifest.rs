//! `lateen manifest`, `install`, `uninstall` and `upgrade`: an installation from IstioOperator files. In:
//! files, settings and a cluster. Out: manifests, differences, or a cluster with the installation.

mod apply;
mod cluster;
mod diff;
mod gateways;
mod helm;
mod input;
mod managers;
mod owners;
mod pods;
#[cfg(test)]
mod scripted;
mod selector;
mod uninstall;
mod validators;
mod wait;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lateen_api::issue::Issue;
use serde_json::{Value, json};

pub use apply::InstallArgs;
pub use cluster::{ClusterArgs, all_live, confirm};
pub use helm::Releases;
pub use input::InputArgs;
pub use owners::foreign;
pub use pods::of_pod as pod_trouble;
pub use uninstall::UninstallArgs;

use crate::bootstrap::Format;
use crate::output::told;

/// Generate, compare and apply the manifests of an installation
#[derive(Debug, Args)]
pub struct ManifestCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the manifests
    Generate(GenerateArgs),
    /// Compare the manifests with the cluster, or two files; exit code 1 when they differ, 2 when that cannot be told
    Diff(diff::DiffArgs),
    /// Apply the manifests to the cluster
    Install(InstallArgs),
    /// Change an installation to this version and these settings
    Upgrade(InstallArgs),
    /// Remove an installation from the cluster
    Uninstall(UninstallArgs),
}

#[derive(Debug, Args)]
struct GenerateArgs {
    #[command(flatten)]
    input: InputArgs,
    #[arg(long, short, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

pub async fn execute(command: ManifestCommand) -> Result<ExitCode> {
    match command.command {
        Command::Generate(args) => generate(&args)?,
        Command::Diff(args) => return Ok(diff::execute(args).await),
        Command::Install(args) => install(args).await?,
        Command::Upgrade(args) => upgrade(args).await?,
        Command::Uninstall(args) => uninstall(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn install(args: InstallArgs) -> Result<()> {
    apply::execute(args, apply::Expect::Anything).await
}

pub async fn upgrade(args: InstallArgs) -> Result<()> {
    apply::execute(args, apply::Expect::Installed).await
}

pub async fn uninstall(args: UninstallArgs) -> Result<()> {
    uninstall::execute(args).await
}

fn generate(args: &GenerateArgs) -> Result<()> {
    let plan = args.input.plan()?;
    let objects = rendered(&plan)?;
    let text = match args.output {
        Format::Yaml => yaml(&objects),
        Format::Json => {
            format!("{:#}\n", json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
        }
    };
    crate::output::text(&text);
    Ok(())
}

/// Objects as one YAML text.
pub fn yaml(objects: &[Value]) -> String {
    let texts: Vec<String> = objects.iter().map(lateen_install::yaml_text).collect();
    texts.iter().map(|text| format!("---\n{text}")).collect()
}

/// The plan's objects; what its author should know is told on standard error.
pub fn rendered(plan: &lateen_install::Plan) -> Result<Vec<Value>> {
    let (objects, issues) = lateen_install::render(plan);
    tell(issues)?;
    Ok(objects)
}

/// Tells issues, the worst first. Errors end the command, and nothing else is told beside them.
pub fn tell(issues: Vec<Issue>) -> Result<()> {
    let errors = issues.iter().filter(|issue| issue.is_error()).count();
    for issue in issues.iter().filter(|issue| errors == 0 || issue.is_error()) {
        told(format_args!("{}: {}: {}", issue.severity, issue.path, issue.message));
    }
    match errors {
        0 => Ok(()),
        1 => bail!("nothing was done because of the error above"),
        errors => bail!("nothing was done because of the {errors} errors above"),
    }
}
