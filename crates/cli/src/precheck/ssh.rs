//! A precheck of nodes over ssh, without a cluster. In: names as ssh takes them, images, and ports of an installation. Out:
//! findings. The own binary goes there through the connection, and is removed when it has answered.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
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
    let script = script(&question.pull)?;
    let own = File::open("/proc/self/exe").context("cannot open the own binary")?;
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", node, &script]);
    let output = ssh.stdin(Stdio::from(own)).kill_on_drop(true).output();
    let output = match timeout(question.within, output).await {
        Ok(output) => output.context("cannot run ssh")?,
        Err(_) => {
            let text = format!(
                "no answer within {} s: give it more with --within",
                question.within.as_secs()
            );
            return Ok(vec![finding(node, (text, true))]);
        }
    };
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason: Vec<&str> = reason.lines().map(str::trim).collect();
        return Ok(vec![finding(node, (format!("ssh fails: {}", reason.join(" ")), true))]);
    }
    Ok(judge_answer(node, &answer, &question.claims))
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

/// Finds a place for the binary from which programs can be started: `/tmp` is often one from which none can. A shell that a
/// signal ends does not come to what it was to do at its exit.
const PLACE: &str = "trap 'rm -f \"$f\"' EXIT; trap 'exit 97' HUP INT PIPE TERM; for d in /tmp /var/tmp /run \"$HOME\"; do \
                     f=$(mktemp \"$d/lateen.XXXXXX\" 2>/dev/null) || continue; echo '#!/bin/sh' >\"$f\"; \
                     chmod 700 \"$f\"; \"$f\" 2>/dev/null && break; rm -f \"$f\"; f=; done; [ -n \"$f\" ] || \
                     { echo 'no program can be started from /tmp, /var/tmp, /run and $HOME: mount one of them without \
                     noexec' >&2; exit 97; }";

/// What is run on the node: a line for the kernel, one for the rules, one for what it has, and one for each image.
fn script(pull: &[String]) -> Result<String> {
    let rules = RULES.map(|word| format!("'{word}'")).join(" ");
    let mut script = format!(
        "{PLACE}; cat >\"$f\" || exit 97; echo \"kernel $(uname -r)\"; r=$(unshare -n \"$f\" {rules} 2>&1) && \
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

fn judge_answer(node: &str, answer: &str, claims: &[Claim]) -> Vec<Finding> {
    let mut found = Vec::new();
    let (mut rules, mut facts) = ("they were not tried", "nothing was said");
    for line in answer.lines() {
        match line.split_once(' ') {
            Some(("kernel", version)) => {
                found.extend(judge::kernel(version).map(|text| (text, true)));
            }
            Some(("rules", result)) => rules = result,
            Some(("facts", result)) => facts = result,
            Some(("pull", result)) => {
                found.extend(pull_problems(result).into_iter().map(|text| (text, true)));
            }
            _ => {}
        }
    }
    if rules != "ok" {
        found.push((format!("the rules of interception cannot be laid: {rules}"), true));
    }
    match serde_json::from_str(facts) {
        Ok(facts) => found.extend(judge_facts(&facts, claims)),
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
    use serde_json::json;

    use super::{PLACE, check_name, claims, judge_answer, line, script};

    /// What a node with a kubelet says.
    fn facts(version: &str) -> String {
        let kubelet = json!({ "name": "kubelet", "version": version });
        let socket = json!({
            "protocol": "TCP", "address": "0.0.0.0:30080", "process": { "name": "nginx", "pid": 7 },
        });
        let facts =
            json!({ "kubelet": kubelet, "containerd": null, "addresses": [], "sockets": [socket] });
        format!("facts {facts}\n")
    }

    #[test]
    fn a_nodes_answer_becomes_findings() {
        let texts = |answer: &str| -> Vec<String> {
            judge_answer("n1", answer, &[]).into_iter().map(|finding| finding.text).collect()
        };
        let facts = facts("v1.34.0");
        let fine = "kernel 6.1.0\nrules ok\npull r:5000/a:1 [{\"runtime\":\"docker\",\"result\":\"pulled\"}]\n";
        assert_eq!(texts(&format!("{fine}{facts}")), [""; 0]);
        let bad = "kernel 4.19.0-x\nrules no nf_tables\npull r:5000/a:1 [{\"runtime\":\"docker\",\"result\":\"fails\",\"reason\":\"x509\"}]\npull b nothing\n";
        let found = texts(&format!("{bad}{facts}"));
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[1], "docker cannot pull r:5000/a:1: x509");
        assert_eq!(texts("").len(), 2, "a node that says nothing is not fine");
        let found = texts(&format!("{fine}facts Exec format error\n"));
        assert_eq!(found, ["its ports and versions cannot be looked at: Exec format error"]);
    }

    #[test]
    fn versions_and_ports_become_findings() {
        let service = json!({
            "kind": "Service", "metadata": { "name": "g", "namespace": "n" },
            "spec": { "ports": [{ "port": 80, "nodePort": 30080 }] },
        });
        let claims = claims::wanted(&[service]);
        let found = |facts: &str| {
            let found = judge_answer("n1", &format!("kernel 6.1.0\nrules ok\n{facts}"), &claims);
            found.into_iter().map(|it| (it.text, it.fatal)).collect::<Vec<_>>()
        };
        let [(old, true), (taken, true)] = &found(&facts("v1.24.9"))[..] else { panic!("two") };
        assert_eq!(old, "its kubelet is v1.24.9: 1.25 or newer is needed");
        assert!(taken.starts_with("node port 30080 (TCP), which Service n/g needs, is"), "{taken}");
        let bare = "facts {\"addresses\":[],\"sockets\":[],\"containerd\":{\"name\":\"c\",\"version\":\"1.4.1\"}}\n";
        let [(no, false), (old, false)] = &found(bare)[..] else { panic!("two warnings") };
        assert!(
            no.starts_with("no kubelet is found") && old.starts_with("its containerd is 1.4.1")
        );
    }

    #[test]
    fn a_commands_last_line_comes_as_it_is() {
        let mut sh = std::process::Command::new("sh");
        let script = line("pull r:5000/a:1", "printf 'x\\n%s\\n' '{\"a\":\"b\\nc%d\"}'");
        let found = sh.args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "pull r:5000/a:1 {\"a\":\"b\\nc%d\"}\n");
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
        for signal in ["PIPE", "TERM", "HUP"] {
            let script = format!("{PLACE}; echo \"$f\"; kill -s {signal} $$; sleep 9");
            let ended = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let text = String::from_utf8_lossy(&ended.stdout).into_owned();
            let path = std::path::Path::new(text.trim());
            assert!(path.is_absolute() && !path.exists(), "{signal}: {text}");
        }
        let none = place("/proc");
        let told = String::from_utf8_lossy(&none.stderr).into_owned();
        assert!(!none.status.success() && told.contains("without noexec"), "{told}");
    }

    #[test]
    fn an_image_without_a_host_is_asked_of_docker_hub() {
        for (image, asked) in [
            ("lateen-mesh/lateen:0.1.0", "check 'docker.io' --image 'lateen-mesh/lateen:0.1.0'"),
            ("alpine:3", "check 'docker.io' --image 'library/alpine:3'"),
            ("localhost/a:1", "check 'localhost' --image 'a:1'"),
        ] {
            let script = script(&[image.to_owned()]).unwrap();
            assert!(
                script.contains(asked) && script.contains(&format!("pull {image} ")),
                "{script}"
            );
        }
    }

    #[test]
    fn nothing_leaves_its_quotes() {
        assert!(
            script(&["r:5000/a:1".to_owned()]).unwrap().contains("check 'r:5000' --image 'a:1'")
        );
        let pinned = script(&["r:5000/a:1@sha256:1f".to_owned()]).unwrap();
        assert!(pinned.contains("check 'r:5000' --image 'a:1@sha256:1f'"), "{pinned}");
        for image in ["r:5000/a';reboot;'", "r:5000/$(x)", "$(x)"] {
            assert!(script(&[image.to_owned()]).is_err(), "{image}");
        }
        assert!(check_name("-oProxyCommand=x").is_err() && check_name("root@n1").is_ok());
    }
}
