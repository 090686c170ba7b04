//! A precheck of nodes over ssh, without a cluster. In: names as ssh takes them, images, and ports of an installation. Out:
//! findings. The own binary goes there through the connection, and is removed when it has answered.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::claims::{self, Claim};
use super::facts::Facts;
use super::judge::{self, Finding};
use super::objects::RULES;

/// What is asked of every node.
pub struct Question {
    pub pull: Vec<String>,
    pub claims: Vec<Claim>,
    pub within: Duration,
}

/// Checks one node.
pub async fn node(node: &str, question: &Question) -> Result<Vec<Finding>> {
    let own = File::open("/proc/self/exe").context("cannot open the own binary")?;
    let size = own.metadata().context("cannot look at the own binary")?.len();
    let script = in_sh(&script(&question.pull, size)?);
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", node, &script]);
    ssh.stdin(own).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ssh = ssh.spawn().context("cannot run ssh")?;
    Ok(match timeout(question.within, answer(ssh)).await {
        Ok(Ok(answer)) => judge_answer(node, &answer, question),
        Ok(Err(error)) => vec![finding(node, (format!("{error:#}"), true))],
        Err(_) => {
            let within = question.within.as_secs();
            let text = format!("no answer within {within} s: give it more with --within");
            vec![finding(node, (text, true))]
        }
    })
}

/// What the script prints, or why it does not.
async fn answer(mut ssh: Child) -> Result<String> {
    let (stdout, stderr) = (ssh.stdout.take(), ssh.stderr.take());
    let (answer, reason) = tokio::try_join!(text(stdout), text(stderr))?;
    let status = ssh.wait().await.context("cannot wait for ssh")?;
    let reason = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match status.code() {
        Some(0) => Ok(answer),
        Some(NO_PLACE) if !reason.is_empty() => bail!("{reason}"),
        Some(255) => bail!("ssh fails: {reason}"),
        _ => bail!("its shell or ssh ends with {status}: {reason}"),
    }
}

/// What comes through a pipe: a node may say things without an end.
async fn text(pipe: Option<impl AsyncRead + Unpin>) -> Result<String> {
    let mut bytes = Vec::new();
    let pipe = pipe.context("ssh has no pipe")?;
    pipe.take(MOST + 1).read_to_end(&mut bytes).await.context("cannot read what ssh prints")?;
    ensure!(bytes.len() as u64 <= MOST, "it says more than {} MiB: look at its shell", MOST >> 20);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// For whatever shell root has there.
fn in_sh(script: &str) -> String {
    format!("exec sh -c '{}'", script.replace('\'', "'\\''"))
}

/// Names that ssh could take for options are refused.
pub fn check_name(name: &str) -> Result<String, String> {
    match name.is_empty() || name.starts_with('-') {
        true => Err(format!("{name:?} is no node: write HOST or USER@HOST")),
        false => Ok(name.to_owned()),
    }
}

/// How an image is written of which a registry is asked.
pub const HOW: &str = "write HOST/NAME:TAG or HOST/NAME@DIGEST";

/// The longest answer.
const MOST: u64 = 4 << 20;

/// How the script ends where the binary has no place, or is cut off.
const NO_PLACE: i32 = 97;

/// Finds a place for the `$n` bytes of the binary from which programs can be started: `/tmp` is often one from which none can,
/// or is full, of which zeros tell before anything is read. A shell that a signal ends does not come to what it was to do at
/// its exit. So the file is left where the shell is killed (SIGKILL, no memory); where the connection breaks, it stays until
/// the check that is at work has ended, as a shell without a terminal is not told. csh has a use for `!` in quotes: it is \041.
const PLACE: &str = "trap 'rm -f \"$f\"' EXIT; trap 'exit 97' HUP INT PIPE TERM; for d in /tmp /var/tmp /run \"$HOME\"; do \
                     f=$(mktemp \"$d/lateen.XXXXXX\" 2>/dev/null) || continue; printf '#\\041/bin/sh\\n' >\"$f\"; \
                     chmod 700 \"$f\"; \"$f\" 2>/dev/null && head -c \"$n\" /dev/zero 2>/dev/null >\"$f\" && break; \
                     rm -f \"$f\"; f=; done; [ -n \"$f\" ] || { echo \"no program of $n bytes can be put into /tmp, \
                     /var/tmp, /run or $HOME and started: free space, or mount one of them without noexec\" >&2; exit 97; }";

/// What is run on the node: a line for the kernel, one for the rules, one for what it has, and one for each image.
fn script(pull: &[String], size: u64) -> Result<String> {
    let rules = RULES.map(|word| format!("'{word}'")).join(" ");
    let mut script = format!(
        "n={size}; {PLACE}; cat >\"$f\" || exit 97; echo \"kernel $(uname -r)\"; r=$(unshare -n \"$f\" {rules} 2>&1) && \
         echo 'rules ok' || {}; {}",
        line("rules", "printf '%s\\n' \"$r\""),
        line("facts", "\"$f\" precheck --facts 2>&1")
    );
    for image in pull {
        let valid = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
        ensure!(image.chars().all(valid), "{image:?} is not an image: {HOW}");
        let (host, name) = parts(image);
        let check = format!("\"$f\" node registry check '{host}' --image '{name}' -o json");
        script += &format!("; {}", line(&format!("pull {image}"), &format!("{check} 2>&1")));
    }
    Ok(script)
}

/// An image's registry and its name there: one that begins with no host is Docker Hub's, as runtimes have it.
fn parts(image: &str) -> (&str, String) {
    const HUB: &str = "docker.io";
    let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
    match image.split_once('/') {
        Some((host, name)) if is_host(host) => (host, name.to_owned()),
        Some(_) => (HUB, image.to_owned()),
        None => (HUB, format!("library/{image}")),
    }
}

/// Prints words and, as it is, the last line of what a command prints: a shell's `echo` may take signs in it for others.
fn line(words: &str, command: &str) -> String {
    format!("printf '{words} %s\\n' \"$({command} | tail -n 1)\"")
}

/// A text, and whether an installation does not work with what it says.
fn finding(node: &str, (text, fatal): (String, bool)) -> Finding {
    Finding { place: format!("node {node}"), text, fatal }
}

fn judge_answer(node: &str, answer: &str, question: &Question) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut unsaid: Vec<&str> = question.pull.iter().map(String::as_str).collect();
    let (mut rules, mut facts) = ("they were not tried", "nothing was said");
    for line in answer.lines() {
        match line.split_once(' ') {
            Some(("kernel", version)) => {
                found.extend(judge::kernel(version).map(|text| (text, true)));
            }
            Some(("rules", result)) => rules = result,
            Some(("facts", result)) => facts = result,
            Some(("pull", result)) => {
                let (image, json) = result.split_once(' ').unwrap_or((result, ""));
                unsaid.retain(|asked| *asked != image);
                found.extend(pull_problems(image, json).into_iter().map(|text| (text, true)));
            }
            _ => {}
        }
    }
    found.extend(unsaid.into_iter().map(|image| (format!("nothing was said of {image}"), true)));
    if rules != "ok" {
        found.push((format!("the rules of interception cannot be laid: {rules}"), true));
    }
    match serde_json::from_str(facts) {
        Ok(facts) => found.extend(judge_facts(&facts, &question.claims)),
        Err(_) => {
            found.push((format!("its ports and versions cannot be looked at: {facts}"), true))
        }
    }
    found.into_iter().map(|it| finding(node, it)).collect()
}

fn judge_facts(facts: &Facts, claims: &[Claim]) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    match &facts.kubelet {
        Some(kubelet) => found.extend(judge::kubernetes(&kubelet.name, &kubelet.version)),
        None => {
            let text = "no kubelet is found: the version of its Kubernetes is not known";
            found.push((text.to_owned(), false));
        }
    }
    let containerd = facts.containerd.as_ref();
    let old = containerd.and_then(|it| judge::containerd(&it.version));
    found.extend(old.map(|text| (text, false)));
    found.extend(claims::listeners(claims, facts));
    found
}

/// What the runtimes say of an image, or the reason why they do not.
fn pull_problems(image: &str, json: &str) -> Vec<String> {
    let Ok(Value::Array(runtimes)) = serde_json::from_str::<Value>(json) else {
        return vec![format!("it cannot be asked to pull {image}: {json}")];
    };
    let failing = runtimes.iter().filter(|runtime| runtime["result"] == "fails");
    let word = |runtime: &Value, key: &str| runtime[key].as_str().unwrap_or_default().to_owned();
    let problem = |runtime: &Value| {
        format!("{} cannot pull {image}: {}", word(runtime, "runtime"), word(runtime, "reason"))
    };
    failing.map(problem).collect()
}

#[cfg(test)]
mod tests;
