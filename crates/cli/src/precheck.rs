//! `lateen precheck`: would an installation work here? In: an installation's settings, images to pull and a
//! cluster, or nodes that ssh reaches. Out: what is wrong, with the node that it is wrong on; exit code 1 if something is. A short-lived
//! DaemonSet lets every node pull the images and lay the rules of interception in a pod.

mod judge;
mod objects;
mod ssh;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lateen_api::kinds::{Kind, by_kind};
use lateen_kube::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::manifest::{ClusterArgs, InputArgs, rendered};
use crate::output::{note, printable, say};
use judge::{Finding, Verdict};
use objects::{LABEL, NAMESPACE};

const PAUSE: Duration = Duration::from_millis(500);

/// Check every node of a cluster before an installation
#[derive(Debug, Args)]
pub struct PrecheckCommand {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// An image that every node has to pull, as HOST/NAME:TAG or HOST/NAME@DIGEST; Lateen's own is one of them
    #[arg(long = "pull", value_name = "IMAGE")]
    pull: Vec<String>,
    /// Check these nodes over ssh, as root, and no cluster: HOST or USER@HOST
    #[arg(long, value_name = "NODES", value_delimiter = ',', value_parser = ssh::check_name)]
    nodes: Vec<String>,
    /// Start no pods: check only what the API tells of nodes and Services
    #[arg(long, conflicts_with_all = ["pull", "nodes"])]
    no_pods: bool,
    /// How many seconds the nodes have
    #[arg(long, value_name = "SECONDS", default_value = "120")]
    within: u64,
}

pub async fn execute(args: PrecheckCommand) -> Result<ExitCode> {
    let (findings, nodes) = match args.nodes.is_empty() {
        true => cluster(&args).await?,
        false => (over_ssh(&args).await?, args.nodes.len()),
    };
    report(&findings, nodes);
    let failed = findings.iter().any(|finding| finding.fatal);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All nodes at once.
async fn over_ssh(args: &PrecheckCommand) -> Result<Vec<Finding>> {
    let within = Duration::from_secs(args.within);
    let checks = args.nodes.iter().map(|node| ssh::node(node, &args.pull, within));
    let found = futures::future::try_join_all(checks).await?;
    Ok(found.into_iter().flatten().collect())
}

/// What is wrong with a cluster, and how many nodes it has for pods.
async fn cluster(args: &PrecheckCommand) -> Result<(Vec<Finding>, usize)> {
    let plan = args.input.plan()?;
    let wanted = rendered(&plan)?;
    let client = args.cluster.connect().await?;
    let nodes = client.list(kind("", "Node")?, "", None).await?;
    if nodes.is_empty() {
        bail!("the cluster has no nodes: there is nothing to install on");
    }
    let mut findings: Vec<Finding> = nodes.iter().flat_map(judge::node).collect();
    let services = client.list(kind("", "Service")?, "", None).await?;
    findings.extend(judge::services(&wanted, &services));
    let names: Vec<String> = nodes.iter().filter(|node| judge::is_linux(node)).map(name).collect();
    if !args.no_pods {
        let image = objects::image(&wanted).context("the settings install nothing: check --set")?;
        findings.extend(on_nodes(&client, args, &image, &names).await?);
    }
    Ok((findings, names.len()))
}

fn kind(group: &str, name: &str) -> Result<&'static Kind> {
    by_kind(group, name).with_context(|| format!("the table of kinds has {name}"))
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Starts the pods, waits for every node's verdict, and removes the pods, also when it is broken off.
async fn on_nodes(
    client: &Client,
    args: &PrecheckCommand,
    image: &str,
    nodes: &[String],
) -> Result<Vec<Finding>> {
    namespace(client, Duration::from_secs(args.within)).await?;
    let work = async {
        let set = objects::daemon_set(image, &args.pull);
        client.create(kind("apps", "DaemonSet")?, set).await?;
        watch(client, nodes, Duration::from_secs(args.within)).await
    };
    let found = tokio::select! {
        found = work => found,
        broken_off = tokio::signal::ctrl_c() => {
            Err(broken_off.map_or_else(Into::into, |()| anyhow::anyhow!("broken off")))
        }
    };
    client.delete(kind("apps", "DaemonSet")?, Some(NAMESPACE), objects::NAME).await?;
    client.delete(kind("", "Namespace")?, None, NAMESPACE).await?;
    found
}

/// Makes the namespace; one that an earlier precheck has just deleted goes first.
async fn namespace(client: &Client, within: Duration) -> Result<()> {
    let (start, kind) = (Instant::now(), kind("", "Namespace")?);
    while !client.ensure(kind, objects::namespace()).await? {
        let found = client.get(kind, None, NAMESPACE).await?;
        let goes =
            found.is_none_or(|namespace| !namespace["metadata"]["deletionTimestamp"].is_null());
        if !goes || start.elapsed() > within {
            bail!(
                "the namespace {NAMESPACE} is there: another precheck is at work, or left it: delete it"
            );
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn watch(client: &Client, nodes: &[String], within: Duration) -> Result<Vec<Finding>> {
    let start = Instant::now();
    loop {
        let pods = client.list(kind("", "Pod")?, LABEL, None).await?;
        let mut verdicts: BTreeMap<&str, Verdict> = BTreeMap::new();
        for pod in &pods {
            if let Some(node) = pod["spec"]["nodeName"].as_str() {
                verdicts.insert(node, judge::pod(pod));
            }
        }
        let waits = |node: &String| {
            verdicts.get(node.as_str()).is_none_or(|verdict| matches!(verdict, Verdict::Waiting(_)))
        };
        let open = nodes.iter().any(waits);
        let late = start.elapsed() > within;
        if open && late {
            let events = client.list(kind("", "Event")?, "", None).await?;
            let set =
                client.get(kind("apps", "DaemonSet")?, Some(NAMESPACE), objects::NAME).await?;
            for node in nodes {
                verdicts.entry(node).or_insert_with(|| judge::no_pod(set.as_ref(), &pods, &events));
            }
            for pod in &pods {
                if let Some(node) = pod["spec"]["nodeName"].as_str()
                    && let Some(Verdict::Waiting(what)) = verdicts.get_mut(node)
                    && let Some(warning) = judge::warning(pod, &events)
                {
                    *what = warning;
                }
            }
        }
        if !open || late {
            let of =
                |node: &String| verdicts.remove(node.as_str()).map(|it| judge::findings(node, it));
            return Ok(nodes.iter().filter_map(of).flatten().collect());
        }
        sleep(PAUSE).await;
    }
}

fn report(findings: &[Finding], nodes: usize) {
    for finding in findings {
        let word = if finding.fatal { "error" } else { "warning" };
        say(format_args!("{word}: {}: {}", finding.place, printable(&finding.text)));
    }
    match (findings.iter().filter(|finding| finding.fatal).count(), nodes) {
        (0, 1) => say("1 node is ready for an installation"),
        (0, nodes) => say(format_args!("{nodes} nodes are ready for an installation")),
        (1, _) => note("1 error: correct it before an installation"),
        (errors, _) => note(format_args!("{errors} errors: correct them before an installation")),
    }
}
