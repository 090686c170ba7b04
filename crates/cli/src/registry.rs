//! `lateen node registry`: private registries of this node's container runtimes. In: a host and how it is
//! trusted. Out: the runtimes' files with it, the runtimes told by the gentlest means that works, and what a
//! person has to know.

mod access;
mod authority;
mod change;
mod check;
mod cri;
pub mod daemon;
mod docker;
pub mod files;
mod http;
mod list;
mod manager;
mod plan;
pub mod runtime;
mod unit;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use lateen_registry::auth::Credentials;
use lateen_registry::{Host, Trust};

use files::Root;
use plan::Wish;
use runtime::Runtime;

use crate::output::note;

/// Look after this node of a cluster
#[derive(Debug, Args)]
pub struct NodeCommand {
    #[command(subcommand)]
    command: Node,
}

#[derive(Debug, Subcommand)]
enum Node {
    Registry(RegistryCommand),
}

/// Tell this node's container runtimes about private registries
///
/// What a changed file was is kept beside it, as FILE.lateen-TIME.bak: the last 10 times, the first time, and the last
/// time without a setting of registries, which `remove` may give back.
#[derive(Debug, Args)]
struct RegistryCommand {
    #[command(subcommand)]
    command: Registry,
}

#[derive(Debug, Subcommand)]
enum Registry {
    /// Let this node pull from a registry; the last line says if a runtime must be restarted first
    Add(AddArgs),
    /// List the registries that this node's runtimes have settings for
    List(ListArgs),
    /// Take back the settings for a registry
    Remove(RemoveArgs),
    /// Ask each runtime that runs to pull from a registry
    Check(CheckArgs),
}

/// Where the runtimes are.
#[derive(Debug, Args)]
struct NodeArgs {
    /// The runtimes to tell; auto is every one that this node has
    #[arg(long, value_enum, value_delimiter = ',', default_value = "auto")]
    runtime: Vec<Choice>,
    /// The root folder of the node's files
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Auto,
    Docker,
    Containerd,
    Crio,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// How changes are made.
#[derive(Debug, Args)]
struct ChangeArgs {
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Restart a runtime that cannot learn of a change otherwise
    #[arg(long)]
    restart: bool,
    /// How the result is printed
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The registry, as images' names begin: HOST or HOST:PORT
    host: Host,
    /// Accept any certificate, and no TLS
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// The file with the certificate of the registry's authority
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file with USER:PASSWORD, or a Docker config.json; - is standard input
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// How the result is printed
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The registry
    host: Host,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The registry
    host: Host,
    /// An image of it to pull, without the host; otherwise the registry is only asked
    #[arg(long, value_name = "NAME[:TAG]")]
    image: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
    /// How the result is printed
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,
}

pub async fn execute(command: NodeCommand) -> Result<ExitCode> {
    let Node::Registry(RegistryCommand { command }) = command.command;
    match command {
        Registry::Add(args) => {
            let wish = args.wish()?;
            change::execute(&args.host, &wish, &args.node, &args.change).await
        }
        Registry::Remove(args) => {
            change::execute(&args.host, &Wish::Remove, &args.node, &args.change).await
        }
        Registry::List(args) => list::execute(&args),
        Registry::Check(args) => check::execute(&args).await,
    }
}

/// The names of Docker Hub. Runtimes ask another address for it, and the kubelet has another name for its
/// credentials.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

impl AddArgs {
    fn wish(&self) -> Result<Wish> {
        if !self.insecure && self.ca.is_none() && self.auth.is_none() {
            bail!("say how {} is to be used: --insecure, --ca FILE or --auth FILE", self.host);
        }
        if HUB.contains(&self.host.name()) {
            bail!(
                "{} is Docker Hub, which every runtime knows: other settings would end that",
                self.host
            );
        }
        if self.host.as_str().chars().any(|c| c.is_ascii_uppercase()) {
            note(format_args!("capital letters count: images must name the host as {}", self.host));
        }
        let authority = self.ca.as_deref().map(read_authority).transpose()?;
        let credentials =
            self.auth.as_deref().map(|path| read_credentials(path, &self.host)).transpose()?;
        let trust = match (self.insecure, &authority) {
            (true, _) => Some(Trust::Insecure),
            (false, Some(_)) => Some(Trust::Authority),
            (false, None) => None,
        };
        Ok(Wish::Add { trust, authority, credentials })
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_authority(path: &Path) -> Result<String> {
    let read = || -> Result<String> {
        // What is around certificates may be in any encoding.
        let text = String::from_utf8_lossy(&files::read_bytes(open(path)?)?).into_owned();
        authority::check(&text)?;
        Ok(text)
    };
    read().with_context(|| format!("--ca {}", path.display()))
}

fn read_credentials(path: &Path, host: &Host) -> Result<Credentials> {
    let read = || -> Result<Credentials> {
        let text = match path.as_os_str() == "-" {
            true => files::read_text(std::io::stdin())?,
            false => files::read_text(open(path)?)?,
        };
        Ok(Credentials::parse(&text, host)?)
    };
    read().with_context(|| format!("--auth {}", path.display()))
}

impl NodeArgs {
    fn root(&self) -> Result<Root> {
        Root::open(&self.root)
    }

    /// The runtimes that are meant by their names.
    fn named(&self) -> Vec<Runtime> {
        let named = |choice: &Choice| match choice {
            Choice::Auto => None,
            Choice::Docker => Some(Runtime::Docker),
            Choice::Containerd => Some(Runtime::Containerd),
            Choice::Crio => Some(Runtime::Crio),
        };
        self.runtime.iter().filter_map(named).collect()
    }

    /// The runtimes that are meant; a node without any is an error.
    fn runtimes(&self, root: &Root) -> Result<Vec<Runtime>> {
        let mut found = self.named();
        if self.runtime.contains(&Choice::Auto) {
            found.extend(runtime::present(root)?);
        }
        found.sort_unstable();
        found.dedup();
        ensure!(
            !found.is_empty(),
            "no container runtime found in {}: name it with --runtime docker, containerd or crio",
            root.display()
        );
        Ok(found)
    }
}
