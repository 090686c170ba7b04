//! The binary `lateen`: one thin command per file. In: the command line. Out: exit code 0, or 1 with
//! one line that says what to do (2 for a command line that makes no sense; `lateen run` ends as its
//! program does).

mod apply;
mod bootstrap;
mod bounded;
mod cni;
mod control_plane;
mod dashboard;
mod discovery;
mod explain;
mod gateway;
mod graph;
mod home;
mod inject;
mod interception;
mod lock;
mod manifest;
mod node;
mod output;
mod ports;
mod precheck;
mod process;
mod prometheus;
mod proxy;
mod registry;
mod remote;
mod run;
mod supervisor;
mod tag;
mod up;
mod words;
mod yaml;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use lateen_runtime::log;

use crate::output::note;

/// A service mesh with Istio's API, on one machine or on Kubernetes
#[derive(Debug, Parser)]
#[command(name = "lateen", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a mesh on this machine: Kubernetes API, control plane and ingress gateway
    Up(up::UpCommand),
    /// Run a program as a workload of the mesh, with its own address and sidecar
    Run(run::RunCommand),
    /// Show the way of the newest connection through the ingress gateway
    Explain(explain::ExplainCommand),
    Graph(graph::GraphCommand),
    Dashboard(dashboard::DashboardCommand),
    /// Print an Envoy bootstrap, to run stock Envoy in place of Lateen's proxy
    Bootstrap(bootstrap::BootstrapCommand),
    /// Install the mesh on a cluster, from IstioOperator files and settings
    Install(manifest::InstallArgs),
    /// Change the mesh on a cluster to this version and to new settings
    Upgrade(manifest::InstallArgs),
    /// Remove the mesh from a cluster
    Uninstall(manifest::UninstallArgs),
    Manifest(manifest::ManifestCommand),
    Tag(tag::TagCommand),
    /// Add sidecars to the workloads in files, as the webhook does to pods
    #[command(alias = "kube-inject")]
    Inject(inject::InjectCommand),
    Proxy(proxy::ProxyCommand),
    Interception(Box<interception::InterceptionCommand>),
    Node(registry::NodeCommand),
    Precheck(precheck::PrecheckCommand),
    /// Print a shell's completion script
    Completion {
        shell: clap_complete::Shell,
    },
    Discovery(Box<discovery::DiscoveryCommand>),
    Cni(Box<cni::CniCommand>),
    /// The control plane; started by `up`
    #[command(hide = true)]
    ControlPlane(control_plane::ControlPlaneCommand),
    /// The ingress gateway; started by `up`
    #[command(hide = true)]
    Gateway(gateway::GatewayCommand),
}

fn main() -> ExitCode {
    if cni::is_plugin(std::env::args_os().next().as_deref()) {
        return output::ended(cni::plugin::execute());
    }
    let cli = Cli::parse();
    let filter = std::env::var("LATEEN_LOG").ok();
    let (default, form) = logging(&cli.command);
    log::init(filter.as_deref().unwrap_or(&default), form, log_copy(&cli.command));
    let code = execute(cli.command).unwrap_or_else(|error| {
        note(output::causes(&error));
        ExitCode::FAILURE
    });
    output::ended(code)
}

/// What is logged unless `LATEEN_LOG` says otherwise, and in what form.
fn logging(command: &Command) -> (String, log::Form) {
    match command {
        Command::Discovery(command) => {
            let form = if command.log_as_json() { log::Form::Json } else { log::Form::Text };
            (command.log_filter(), form)
        }
        Command::Cni(command) => {
            let form = if command.log_as_json() { log::Form::Json } else { log::Form::Text };
            (command.log_filter(), form)
        }
        Command::Proxy(command) => {
            let (filter, as_json) = proxy::logging(command);
            (filter, if as_json { log::Form::Json } else { log::Form::Text })
        }
        _ => (default_filter(command).to_owned(), log::Form::Text),
    }
}

/// `run` shares its terminal with a program: it speaks up only when something is wrong. kube-rs tells
/// of each failed request what we tell of it anyway, with what it was for.
fn default_filter(command: &Command) -> &'static str {
    match command {
        Command::Run(_)
        | Command::Install(_)
        | Command::Upgrade(_)
        | Command::Uninstall(_)
        | Command::Manifest(_)
        | Command::Tag(_)
        | Command::Graph(_)
        | Command::Dashboard(_)
        | Command::Node(_)
        | Command::Precheck(_) => "warn,kube_client=off",
        _ => "info,kube_client=off",
    }
}

/// What the terminal of `run` is spared is in a file.
fn log_copy(command: &Command) -> Option<log::Copy> {
    match command {
        Command::Run(command) => run::log_copy(command),
        _ => None,
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(command) => on_one_thread(up::execute(command))?,
        Command::Run(command) => return run::execute(command),
        Command::Explain(command) => on_one_thread(explain::execute(command))?,
        Command::Graph(command) => on_one_thread(graph::execute(command))?,
        Command::Dashboard(command) => on_one_thread(dashboard::execute(command))?,
        Command::Bootstrap(command) => bootstrap::execute(command)?,
        Command::Install(args) => on_one_thread(manifest::install(args))?,
        Command::Upgrade(args) => on_one_thread(manifest::upgrade(args))?,
        Command::Uninstall(args) => on_one_thread(manifest::uninstall(args))?,
        Command::Manifest(command) => return on_one_thread(manifest::execute(command)),
        Command::Tag(command) => on_one_thread(tag::execute(command))?,
        Command::Inject(command) => {
            if !inject::execute(command)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Proxy(command) => proxy::execute(command)?,
        Command::Interception(command) => return interception::execute(*command),
        Command::Precheck(command) => return on_one_thread(precheck::execute(command)),
        Command::Node(command) => return on_one_thread(registry::execute(command)),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lateen", &mut script);
            output::text(&String::from_utf8_lossy(&script));
        }
        Command::Discovery(command) => discovery::execute(*command)?,
        Command::Cni(command) => on_one_thread(cni::execute(*command))?,
        Command::ControlPlane(command) => control_plane::execute(command)?,
        Command::Gateway(command) => on_one_thread(gateway::execute(command))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_one_thread<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(future)
}
