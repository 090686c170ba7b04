//! `lateen node registry add` and `remove`. In: a wish. Out: a node's files changed, its runtimes told, and a
//! report: what was changed, who knows of it, and what is left to do.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use lateen_registry::{Host, Trust, diff, docker as daemon_json};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::files::{Edit, Root};
use super::manager::Manager;
use super::plan::{Wish, edits, is_original, leftovers};
use super::runtime::{self, CONTAINERD_SETTINGS, DOCKER_SETTINGS, KUBELET_CREDENTIALS, Runtime};
use super::{ChangeArgs, NodeArgs, Output, docker, unit};
use crate::output::{note, say, say_json, text};

const DOCKER_UNIT: &str = "docker.service";

/// What became of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// It reads the files anew for each image.
    Reads,
    /// It does not run, and will read the files when it starts.
    Off,
    /// It has read the files.
    Reloaded,
    /// And with it these units.
    Restarted(Vec<String>),
    /// It goes on by its old settings until it is restarted, and these units with it.
    NeedsRestart(Vec<String>),
}

pub async fn execute(
    host: &Host,
    wish: &Wish,
    node: &NodeArgs,
    args: &ChangeArgs,
) -> Result<ExitCode> {
    let root = node.root()?;
    let runtimes = node.runtimes(&root)?;
    let _alone = match args.dry_run {
        true => None,
        false => Some(root.lock()?),
    };
    let mut edits = edits(&root, host, wish, &runtimes)?;
    runtimes.iter().try_for_each(|runtime| check_file(&root, *runtime, wish))?;
    if runtimes.contains(&Runtime::Docker) && wish.trust() == Some(Trust::Insecure) {
        check_flag(&root)?;
    }
    if args.dry_run {
        show(&edits, args.output);
        return Ok(ExitCode::SUCCESS);
    }
    write(&root, &edits, &[], args.output)?;
    if matches!(wish, Wish::Remove) && runtimes.contains(&Runtime::Containerd) {
        tell_of_others(&root, host)?;
    }
    let mut told = Vec::new();
    for runtime in &runtimes {
        told.push((*runtime, tell(&root, *runtime, host, wish, &edits, args.restart).await?));
    }
    if matches!(wish, Wish::Remove) {
        // Whoever goes on by its old settings has to find what makes it forget when it reads them.
        let knows = |(runtime, told): &(Runtime, Told)| match told {
            Told::NeedsRestart(_) => None,
            _ => Some(*runtime),
        };
        let knowing: Vec<Runtime> = told.iter().filter_map(knows).collect();
        let left = leftovers(&root, host, &knowing)?;
        write(&root, &left, &edits, args.output)?;
        for left in left {
            match edits.iter_mut().find(|edit| edit.path == left.path) {
                Some(edit) => edit.after = left.after,
                None => edits.push(left),
            }
        }
    }
    report(host, &edits, &told, args.output);
    Ok(ExitCode::SUCCESS)
}

/// What others wrote of a registry stays, and may still have it reached without TLS.
fn tell_of_others(root: &Root, host: &Host) -> Result<()> {
    if runtime::containerd_trust(root, host)? == Trust::Insecure {
        note(format_args!(
            "containerd still reaches {host} without checking who answers, by lines that are not of this \
             command: see lateen node registry list"
        ));
    }
    Ok(())
}

/// A daemon with another file would not know what is written here. Docker's authorities are in no such file.
fn check_file(root: &Root, runtime: Runtime, wish: &Wish) -> Result<()> {
    let Wish::Add { trust: Some(trust), .. } = wish else { return Ok(()) };
    let (name, place) = match (runtime, trust) {
        (Runtime::Containerd, _) => (
            "containerd",
            "where its distribution has registries (k3s: /etc/rancher/k3s/registries.yaml, RKE2: \
             /etc/rancher/rke2/registries.yaml)",
        ),
        (Runtime::Docker, Trust::Insecure) => ("dockerd", "in that file"),
        (Runtime::Docker | Runtime::Crio, _) => return Ok(()),
    };
    match runtime::other_file(root, runtime) {
        Some(file) => bail!(
            "{name} runs with the settings of {file}, and would not read those that are written here: set the registry \
             {place}, start {name} without that file, or name this node's other runtimes with --runtime"
        ),
        None => Ok(()),
    }
}

/// Docker refuses a file that repeats a flag of its command line, now or when it is started the next time.
fn check_flag(root: &Root) -> Result<()> {
    let daemon = runtime::daemon(root, Runtime::Docker);
    let runs_with = daemon.is_some_and(|daemon| daemon_json::has_flag(&daemon.arguments));
    if runs_with || daemon_json::has_flag(&unit::arguments(root, DOCKER_UNIT)) {
        let who = if runs_with { "dockerd runs" } else { "docker.service starts dockerd" };
        bail!(
            "{who} with --insecure-registry, and it would refuse {DOCKER_SETTINGS} with the same setting: move the \
             flag's registries into the file first"
        );
    }
    Ok(())
}

fn show(edits: &[Edit], output: Output) {
    if output == Output::Json {
        say_json(&json!({ "changed": !edits.is_empty(), "files": files(edits), "dry_run": true }));
        return;
    }
    for edit in edits {
        match edit.secret {
            true => say(format_args!(
                "{} would be {}: not shown, it has passwords",
                edit.path,
                edit.word()
            )),
            false => text(&diff(&edit.path, edit.before.as_deref(), edit.after.as_deref())),
        }
    }
    match edits.is_empty() {
        true => say("nothing to change: the files are as wanted"),
        false => note("nothing was done: this was a dry run"),
    }
}

/// What this run has made before is not kept beside its file, and told as one change with this one.
fn write(root: &Root, edits: &[Edit], made: &[Edit], output: Output) -> Result<()> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
    for (at, edit) in edits.iter().enumerate() {
        let backup = root.write(edit, &stamp).with_context(|| match at {
            0 => "nothing was changed".to_owned(),
            _ => format!("changed {at} of {} files: run this again", edits.len()),
        })?;
        if made.iter().any(|made| made.path == edit.path) {
            backup.map(std::fs::remove_file).transpose()?;
            continue;
        }
        root.prune(&edit.path, |text| is_original(&edit.path, text));
        if output == Output::Text {
            let before = backup.map(|path| format!(", before it {}", path.display()));
            say(format_args!("{} {}{}", edit.word(), edit.path, before.unwrap_or_default()));
        }
    }
    Ok(())
}

/// Lets a runtime know of the files, by the gentlest means that works.
async fn tell(
    root: &Root,
    runtime: Runtime,
    host: &Host,
    wish: &Wish,
    edits: &[Edit],
    restart: bool,
) -> Result<Told> {
    let Some(daemon) = runtime::daemon(root, runtime) else { return Ok(Told::Off) };
    let told = match runtime {
        Runtime::Docker => match wish.trust() {
            None => Told::Reads,
            Some(trust) => {
                let insecure = trust == Trust::Insecure;
                match docker::settle(root, &daemon, host, insecure).await? {
                    docker::Settled::Already => Told::Reads,
                    docker::Settled::Reloaded => Told::Reloaded,
                    docker::Settled::Refused => Told::NeedsRestart(bound(root, runtime).await),
                }
            }
        },
        Runtime::Containerd if is_stale(root, &daemon, wish, edits)? => {
            Told::NeedsRestart(bound(root, runtime).await)
        }
        Runtime::Crio
            if edits.iter().any(|edit| edit.path.starts_with("/etc/containers/registries")) =>
        {
            daemon.hang_up()?;
            Told::Reloaded
        }
        Runtime::Containerd | Runtime::Crio => Told::Reads,
    };
    match told {
        Told::NeedsRestart(with) if restart => {
            restart_runtime(root, runtime).await?;
            Ok(Told::Restarted(with))
        }
        told => Ok(told),
    }
}

/// Whether containerd goes by an older text of its file.
fn is_stale(root: &Root, daemon: &Daemon, wish: &Wish, edits: &[Edit]) -> Result<bool> {
    let (path, _) = runtime::Containerd::read(root)?.deciding();
    if edits.iter().any(|edit| edit.path == path) {
        return Ok(true);
    }
    // An earlier run may have changed the file and told nobody: its age tells. A registry's folder that is gone is gone
    // for an old text as well.
    Ok(!matches!(wish, Wish::Remove) && runtime::is_stale(root, daemon)?)
}

/// Units that systemd restarts with a runtime's. Docker's was bound to containerd's for some years.
async fn bound(root: &Root, runtime: Runtime) -> Vec<String> {
    if !root.is_live() {
        return Vec::new();
    }
    let properties = "--property=RequiredBy,BoundBy,ConsistsOf";
    let show = ["show", "--value", properties, &format!("{runtime}.service")].map(str::to_owned);
    let output = tokio::process::Command::new("systemctl").args(show).output().await;
    // Without systemd there are no units.
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let mut units: Vec<String> =
        text.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    units.retain(|unit| unit.ends_with(".service"));
    units.sort();
    units.dedup();
    units
}

/// Restarts a runtime's unit, and makes sure that the control plane on this node survives it.
async fn restart_runtime(root: &Root, runtime: Runtime) -> Result<()> {
    if !root.is_live() {
        bail!("{runtime} of {} cannot be restarted from here: restart it there", root.display());
    }
    let manager = Manager::find();
    if let Some(manager) = &manager {
        manager.healthy().await.with_context(|| {
            format!("{runtime} was not restarted: kube-controller-manager is not well before it")
        })?;
    }
    let unit = format!("{runtime}.service");
    let output = tokio::process::Command::new("systemctl").args(["restart", &unit]).output().await;
    let output = output.context("cannot run systemctl")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{unit} does not restart: {}: see journalctl -u {unit}", reason.trim());
    }
    match manager {
        Some(manager) => manager.recovers().await,
        None => Ok(()),
    }
}

fn files(edits: &[Edit]) -> Vec<Value> {
    let file = |edit: &Edit| {
        let mut file = json!({ "path": edit.path, "change": edit.word() });
        if !edit.secret {
            file["diff"] = diff(&edit.path, edit.before.as_deref(), edit.after.as_deref()).into();
        }
        file
    };
    edits.iter().map(file).collect()
}

fn report(host: &Host, edits: &[Edit], told: &[(Runtime, Told)], output: Output) {
    if output == Output::Json {
        let word = |told: &Told| match told {
            Told::Reads => "reads",
            Told::Off => "off",
            Told::Reloaded => "reloaded",
            Told::Restarted(_) => "restarted",
            Told::NeedsRestart(_) => "needs-restart",
        };
        let told: serde_json::Map<String, Value> =
            told.iter().map(|(runtime, told)| (runtime.to_string(), word(told).into())).collect();
        let acted = told.values().any(|told| told == "reloaded" || told == "restarted");
        let changed = !edits.is_empty() || acted;
        say_json(
            &json!({ "host": host.as_str(), "changed": changed, "files": files(edits), "runtimes": told }),
        );
        return;
    }
    if edits.is_empty() {
        say(format_args!("nothing to change: the files for {host} are as wanted"));
    }
    for (runtime, told) in told {
        match told {
            Told::Reads => say(format_args!("{runtime} knows: it needs no reload")),
            Told::Off => say(format_args!("{runtime} does not run: it will know when it starts")),
            Told::Reloaded => say(format_args!("{runtime} has read its settings again")),
            Told::Restarted(with) if with.is_empty() => {
                say(format_args!("{runtime} was restarted"));
            }
            Told::Restarted(with) => {
                say(format_args!("{runtime} was restarted, and with it {}", with.join(", ")));
            }
            Told::NeedsRestart(with) => note(needs_restart(*runtime, with)),
        }
    }
    let waiting = told.iter().filter(|(_, told)| matches!(told, Told::NeedsRestart(_)));
    let waiting: Vec<String> = waiting.map(|(runtime, _)| runtime.to_string()).collect();
    if !waiting.is_empty() {
        say(format_args!("not in effect yet: {} must be restarted first", waiting.join(" and ")));
    }
    if edits.iter().any(|edit| edit.path == KUBELET_CREDENTIALS) {
        say("the kubelet reads credentials again within five minutes");
    }
}

fn needs_restart(runtime: Runtime, with: &[String]) -> String {
    match runtime {
        Runtime::Containerd => format!(
            "containerd must be restarted to read {CONTAINERD_SETTINGS} again ({}): use --restart, or systemctl \
             restart containerd",
            match with {
                [] => "containers go on running".to_owned(),
                units => format!("with it systemd restarts {}", units.join(", ")),
            }
        ),
        Runtime::Docker => {
            "docker did not take the change: see its log; a restart ends its containers \
                            unless live-restore is on: use --restart, or systemctl restart docker"
                .to_owned()
        }
        Runtime::Crio => {
            "crio must be restarted: use --restart, or systemctl restart crio".to_owned()
        }
    }
}
