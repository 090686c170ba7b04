//! A precheck of nodes over ssh, without a cluster. In: names as ssh takes them, and images. Out: findings. The
//! own binary goes there through the connection, and is removed when it has answered.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::judge::{self, Finding};
use super::objects::RULES;

/// Checks one node.
pub async fn node(node: &str, pull: &[String], within: Duration) -> Result<Vec<Finding>> {
    let script = script(pull)?;
    let own = File::open("/proc/self/exe").context("cannot open the own binary")?;
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", node, &script]);
    let output = ssh.stdin(Stdio::from(own)).kill_on_drop(true).output();
    let output = match timeout(within, output).await {
        Ok(output) => output.context("cannot run ssh")?,
        Err(_) => return Ok(vec![finding(node, "no answer in time".to_owned())]),
    };
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Ok(vec![finding(node, format!("ssh fails: {}", reason.trim()))]);
    }
    Ok(judge_answer(node, &answer))
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

/// Finds a place for the binary from which programs can be started: `/tmp` is often one from which none can.
const PLACE: &str = "trap 'rm -f \"$f\"' EXIT; for d in /tmp /var/tmp /run \"$HOME\"; do \
                     f=$(mktemp \"$d/lateen.XXXXXX\" 2>/dev/null) || continue; echo '#!/bin/sh' >\"$f\"; \
                     chmod 700 \"$f\"; \"$f\" 2>/dev/null && break; rm -f \"$f\"; f=; done; [ -n \"$f\" ] || \
                     { echo 'no program can be started from /tmp, /var/tmp, /run and $HOME: mount one of them without \
                     noexec' >&2; exit 97; }";

/// What is run on the node: a line for the kernel, one for the rules, one for each image.
fn script(pull: &[String]) -> Result<String> {
    let mut script = format!(
        "{PLACE}; cat >\"$f\" || exit 97; echo \"kernel $(uname -r)\"; r=$(unshare -n \"$f\" {} 2>&1) && echo 'rules ok' || \
         echo \"rules $(echo \"$r\" | tail -n 1)\"",
        RULES.map(|word| format!("'{word}'")).join(" ")
    );
    for image in pull {
        let valid = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
        let parts = image.split_once('/').filter(|(host, _)| host.contains(['.', ':']));
        ensure!(image.chars().all(valid), "{image:?} is not an image: {HOW}");
        let (host, name) = parts
            .with_context(|| format!("{image} does not begin with a registry's host: {HOW}"))?;
        let check = format!("\"$f\" node registry check '{host}' --image '{name}' -o json");
        script += &format!("; echo \"pull {image} $({check} 2>&1 | tail -n 1)\"");
    }
    Ok(script)
}

fn finding(node: &str, text: String) -> Finding {
    Finding { place: format!("node {node}"), text, fatal: true }
}

fn judge_answer(node: &str, answer: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut rules = "they were not tried";
    for line in answer.lines() {
        match line.split_once(' ') {
            Some(("kernel", version)) => found.extend(judge::kernel(version)),
            Some(("rules", result)) => rules = result,
            Some(("pull", result)) => found.extend(pull_problems(result)),
            _ => {}
        }
    }
    if rules != "ok" {
        found.push(format!("the rules of interception cannot be laid: {rules}"));
    }
    found.into_iter().map(|text| finding(node, text)).collect()
}

/// `IMAGE JSON`, or `IMAGE` and the reason why there is none.
fn pull_problems(result: &str) -> Vec<String> {
    let (image, json) = result.split_once(' ').unwrap_or((result, ""));
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
mod tests {
    use super::{PLACE, check_name, judge_answer, script};

    #[test]
    fn a_nodes_answer_becomes_findings() {
        let texts = |answer: &str| -> Vec<String> {
            judge_answer("n1", answer).into_iter().map(|finding| finding.text).collect()
        };
        let fine = "kernel 6.1.0\nrules ok\npull r:5000/a:1 [{\"runtime\":\"docker\",\"result\":\"pulled\"}]\n";
        assert!(texts(fine).is_empty());
        let bad = "kernel 4.19.0-x\nrules no nf_tables\npull r:5000/a:1 [{\"runtime\":\"docker\",\"result\":\"fails\",\"reason\":\"x509\"}]\npull b nothing\n";
        let found = texts(bad);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[1], "docker cannot pull r:5000/a:1: x509");
        assert_eq!(texts("").len(), 1, "a node that says nothing is not fine");
    }

    #[test]
    fn a_place_is_found_where_programs_can_be_started() {
        let place = |folders: &str| {
            let script = PLACE.replace("/tmp /var/tmp /run \"$HOME\"", folders);
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &format!("{script}; echo \"$f\"")]).output().unwrap()
        };
        // Nothing can be made in the first one.
        let found = place("/proc /tmp");
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.status.success() && text.starts_with("/tmp/lateen."), "{text}");
        assert!(!std::path::Path::new(text.trim()).exists(), "it is removed at the end");
        let none = place("/proc");
        let told = String::from_utf8_lossy(&none.stderr).into_owned();
        assert!(!none.status.success() && told.contains("without noexec"), "{told}");
    }

    #[test]
    fn nothing_leaves_its_quotes() {
        assert!(
            script(&["r:5000/a:1".to_owned()]).unwrap().contains("check 'r:5000' --image 'a:1'")
        );
        let pinned = script(&["r:5000/a:1@sha256:1f".to_owned()]).unwrap();
        assert!(pinned.contains("check 'r:5000' --image 'a:1@sha256:1f'"), "{pinned}");
        for image in ["r:5000/a';reboot;'", "r:5000/$(x)", "alpine", "library/alpine"] {
            assert!(script(&[image.to_owned()]).is_err(), "{image}");
        }
        assert!(check_name("-oProxyCommand=x").is_err() && check_name("root@n1").is_ok());
    }
}
