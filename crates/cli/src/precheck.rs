//! `lateen precheck`: would an installation work here? In: an installation's settings, images to pull and a
//! cluster, or nodes that ssh reaches. Out: what is wrong, with the node that it is wrong on; exit code 1 if something is. A short-lived
//! DaemonSet lets every node pull the images and lay the rules of interception in a pod.

mod claims;
mod facts;
mod judge;
mod objects;
mod secrets;
mod sockets;
mod ssh;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lateen_api::kinds::{Kind, by_kind};
use lateen_install::Plan;
use lateen_kube::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::manifest::{ClusterArgs, InputArgs, Releases, all_live, foreign, rendered};
use crate::output::{note, printable, say, say_json};
use crate::process::unless_broken_off;
use crate::registry::Output;
use judge::{Finding, Verdict};
use objects::{Image, LABEL};
use ssh::{HOW, Question};

const PAUSE: Duration = Duration::from_millis(500);

/// How many nodes are checked over ssh at a time.
const AT_ONCE: usize = 16;

/// Check every node of a cluster before an installation
#[derive(Debug, Args)]
pub struct PrecheckCommand {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// An image that every node has to pull, as HOST/NAME:TAG or HOST/NAME@DIGEST: its registry is asked even by a node that
    /// has it. Lateen's own image is pulled as the installation would, by its imagePullPolicy
    #[arg(long = "pull", value_name = "IMAGE", value_parser = parse_image)]
    pull: Vec<String>,
    /// Check these nodes over ssh, as root, and no cluster: HOST or USER@HOST. Lateen's own image is pulled where an
    /// installation's settings name it
    #[arg(long, value_name = "NODES", value_delimiter = ',', value_parser = ssh::check_name,
          conflicts_with_all = ["kubeconfig", "context"])]
    nodes: Vec<String>,
    /// Start no pods: check only what the API tells of nodes, Services and pods
    #[arg(long, conflicts_with_all = ["pull", "nodes"])]
    no_pods: bool,
    /// Tell what this machine has; asked of each of the nodes
    #[arg(long, hide = true)]
    facts: bool,
    /// How many seconds the nodes have; over ssh, each of them
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    within: u64,
    /// How the result is printed
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,
}

/// As installations take images.
fn parse_image(text: &str) -> Result<String, String> {
    let checked = lateen_api::words::image(text);
    checked.map(|()| text.to_owned()).map_err(|reason| format!("{reason} ({HOW})"))
}

pub async fn execute(args: PrecheckCommand) -> Result<ExitCode> {
    if args.facts {
        return facts::tell().await.map(|()| ExitCode::SUCCESS);
    }
    let (findings, nodes) = match args.nodes.is_empty() {
        true => cluster(&args).await?,
        false => {
            let nodes = once(&args.nodes);
            (over_ssh(&args, &nodes).await?, nodes.len())
        }
    };
    report(&findings, nodes, args.output);
    let failed = findings.iter().any(|finding| finding.fatal);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Each node once, in the order in which they are named.
fn once(nodes: &[String]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    nodes.iter().map(String::as_str).filter(|node| seen.insert(*node)).collect()
}

async fn over_ssh(args: &PrecheckCommand, nodes: &[&str]) -> Result<Vec<Finding>> {
    let wanted = rendered(&args.input.plan()?)?;
    let mut pull = args.pull.clone();
    if args.input.is_given() {
        let image = objects::image(&wanted);
        pull.push(image.context("the settings install nothing: check --set")?.name);
    }
    let (claims, within) = (claims::wanted(&wanted), Duration::from_secs(args.within));
    let question = Question { pull, claims, within };
    let checks = nodes.iter().map(|node| ssh::node(node, &question));
    Ok(some_at_once(checks).await?.into_iter().flatten().collect())
}

/// All of them in their order, a few at a time: each check sends the whole binary, and has some files open.
async fn some_at_once<T>(
    checks: impl Iterator<Item = impl Future<Output = Result<T>>>,
) -> Result<Vec<T>> {
    let free = Semaphore::new(AT_ONCE);
    let in_turn = checks.map(|check| async {
        let _place = free.acquire().await?;
        check.await
    });
    futures::future::try_join_all(in_turn).await
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
    findings.extend(claims::services(&wanted, &services));
    // The list of all pods may be long.
    if claims::are_of_pods(&wanted) {
        let pods = client.list(kind("", "Pod")?, "", None).await?;
        findings.extend(claims::pods(&wanted, &pods, &nodes));
    }
    findings.extend(of_others(&client, &plan, &wanted).await?);
    let names: Vec<String> = nodes.iter().filter(|node| judge::is_linux(node)).map(name).collect();
    if !args.no_pods {
        let image = objects::image(&wanted).context("the settings install nothing: check --set")?;
        findings.extend(on_nodes(&client, args, &image, &names).await?);
    }
    Ok((findings, names.len()))
}

/// Objects of the installation that a Helm release, another installation or somebody else has.
async fn of_others(client: &Client, plan: &Plan, wanted: &[Value]) -> Result<Vec<Finding>> {
    let there = all_live(client, wanted).await?;
    let releases = Releases::of(client, &there).await?;
    let helms = releases.told().into_iter().map(|told| {
        format!("{told}: remove them by {}, or install with --take-over", releases.uninstall())
    });
    let others = foreign(plan, &there, wanted)
        .into_iter()
        .map(|it| format!("{}: {}; or install with --take-over", it.told, it.remedy));
    let finding = |text| Finding { place: "cluster".to_owned(), text, fatal: true };
    Ok(helms.chain(others).map(finding).collect())
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
    image: &Image,
    nodes: &[String],
) -> Result<Vec<Finding>> {
    tell_of_others(client).await?;
    let namespace = name(&client.create(kind("", "Namespace")?, objects::namespace()).await?);
    let work = async {
        secrets::copy(client, image, &namespace).await?;
        let set = objects::daemon_set(&namespace, image, &args.pull);
        client.create(kind("apps", "DaemonSet")?, set).await?;
        watch(client, &namespace, nodes, Duration::from_secs(args.within)).await
    };
    let found = unless_broken_off(work, "not every node has told how it is").await;
    let removed = async {
        client.delete(kind("apps", "DaemonSet")?, Some(&namespace), objects::NAME).await?;
        client.delete(kind("", "Namespace")?, None, &namespace).await?;
        anyhow::Ok(())
    };
    let removed = removed.await.with_context(|| format!("delete namespace {namespace} yourself"));
    let found = found?;
    removed.map(|()| found)
}

/// A precheck that was killed leaves its pods running.
async fn tell_of_others(client: &Client) -> Result<()> {
    let others = client.list(kind("", "Namespace")?, LABEL, None).await?;
    for other in others.iter().filter(|one| one["metadata"]["deletionTimestamp"].is_null()) {
        let name = name(other);
        note(format_args!(
            "the namespace {name} is another precheck's, at work or killed: if none is at work, kubectl delete \
             namespace {name}"
        ));
    }
    Ok(())
}

async fn watch(
    client: &Client,
    namespace: &str,
    nodes: &[String],
    within: Duration,
) -> Result<Vec<Finding>> {
    let start = Instant::now();
    loop {
        let pods = client.list_in(kind("", "Pod")?, namespace, LABEL).await?;
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
            let events = client.list_in(kind("", "Event")?, namespace, "").await?;
            let set =
                client.get(kind("apps", "DaemonSet")?, Some(namespace), objects::NAME).await?;
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

fn word(finding: &Finding) -> &'static str {
    if finding.fatal { "error" } else { "warning" }
}

fn report(findings: &[Finding], nodes: usize, output: Output) {
    if output == Output::Json {
        let view = |finding: &Finding| json!({ "place": finding.place, "severity": word(finding), "message": finding.text });
        let findings: Vec<Value> = findings.iter().map(view).collect();
        return say_json(&json!({ "nodes": nodes, "findings": findings }));
    }
    for finding in findings {
        say(format_args!("{}: {}: {}", word(finding), finding.place, printable(&finding.text)));
    }
    match (findings.iter().filter(|finding| finding.fatal).count(), nodes) {
        (0, 1) => say("1 node is ready for an installation"),
        (0, nodes) => say(format_args!("{nodes} nodes are ready for an installation")),
        (1, _) => note("1 error: correct it before an installation"),
        (errors, _) => note(format_args!("{errors} errors: correct them before an installation")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{AT_ONCE, PrecheckCommand, once, some_at_once};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        _command: PrecheckCommand,
    }

    #[tokio::test]
    async fn a_few_checks_at_a_time_end_in_their_order() {
        let running = std::cell::Cell::new(0);
        let check = |number: usize| {
            let running = &running;
            async move {
                running.set(running.get() + 1);
                assert!(running.get() <= AT_ONCE);
                // The first ones end last.
                for _ in number..2 * AT_ONCE {
                    tokio::task::yield_now().await;
                }
                running.set(running.get() - 1);
                Ok(number)
            }
        };
        let all = 0..2 * AT_ONCE;
        let found = some_at_once(all.clone().map(check)).await.unwrap();
        assert_eq!(found, all.collect::<Vec<_>>());
    }

    #[test]
    fn a_node_that_is_named_twice_is_one() {
        let nodes = ["root@a", "b", "root@a"].map(str::to_owned);
        assert_eq!(once(&nodes), ["root@a", "b"]);
    }

    #[test]
    fn times_and_images_that_make_no_sense_are_refused() {
        for (option, value, told) in [
            ("--within", "0", "0 is not in 1..=86400"),
            ("--within", "-1", "-1"),
            ("--pull", "A B", "the image \"A B\" has a space in it (write HOST/NAME:TAG"),
            ("--pull", "", "the image \"\" has no path"),
            // As an installation refuses them.
            ("--pull", "r:5000/a@sha256:1f", "has no digest behind its @"),
            ("--pull", "r:5000/a..b", "has no path"),
        ] {
            let parsed = Line::try_parse_from(["precheck", &format!("{option}={value}")]);
            let error = parsed.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(told), "{option} {value}: {error}");
        }
        for option in ["--kubeconfig=a", "--context=a"] {
            let error = Line::try_parse_from(["precheck", "--nodes=n1", option]).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("cannot be used with"), "{option}: {error}");
        }
        for options in [["--within=1", "--pull=r:5000/a:1"], ["--nodes=n1", "--set=hub=r:5000"]] {
            assert!(Line::try_parse_from(["precheck"].iter().chain(&options)).is_ok());
        }
    }
}
