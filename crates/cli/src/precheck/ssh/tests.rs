//! Scripts, what they find, and what is made of answers.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{
    Child, Claim, Command, PLACE, Question, answer, check_name, claims, in_sh, judge_answer, line,
    script,
};

fn question(pull: &[&str], claims: Vec<Claim>) -> Question {
    let pull = pull.iter().map(|image| (*image).to_owned()).collect();
    Question { pull, claims, within: Duration::MAX }
}

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
    let asked = question(&["r:5000/a:1"], Vec::new());
    let texts = |answer: &str| -> Vec<String> {
        judge_answer("n1", answer, &asked).into_iter().map(|finding| finding.text).collect()
    };
    let facts = facts("v1.34.0");
    let fine = "kernel 6.1.0\nrules ok\npull r:5000/a:1 [{\"runtime\":\"docker\",\"result\":\"pulled\"}]\n";
    assert_eq!(texts(&format!("{fine}{facts}")), [""; 0]);
    let bad = "kernel 4.19.0-x\nrules no nf_tables\npull r:5000/a:1 [{\"runtime\":\"docker\",\"result\":\"fails\",\"reason\":\"x509\"}]\npull b nothing\n";
    let found = texts(&format!("{bad}{facts}"));
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[1], "docker cannot pull r:5000/a:1: x509");
    let silent = texts("");
    assert_eq!(silent[0], "nothing was said of r:5000/a:1");
    assert_eq!(silent.len(), 3, "a node that says nothing is not fine");
    let found = texts(&format!("{fine}facts Exec format error\n"));
    assert_eq!(found, ["its ports and versions cannot be looked at: Exec format error"]);
}

#[test]
fn versions_and_ports_become_findings() {
    let service = json!({
        "kind": "Service", "metadata": { "name": "g", "namespace": "n" },
        "spec": { "ports": [{ "port": 80, "nodePort": 30080 }] },
    });
    let asked = question(&[], claims::wanted(&[service]));
    let found = |facts: &str| {
        let found = judge_answer("n1", &format!("kernel 6.1.0\nrules ok\n{facts}"), &asked);
        found.into_iter().map(|it| (it.text, it.fatal)).collect::<Vec<_>>()
    };
    let [(old, true), (taken, true)] = &found(&facts("v1.24.9"))[..] else { panic!("two") };
    assert_eq!(old, "its kubelet is v1.24.9: 1.25 or newer is needed");
    assert!(taken.starts_with("node port 30080 (TCP), which Service n/g needs, is"), "{taken}");
    let bare = "facts {\"addresses\":[],\"sockets\":[],\"containerd\":{\"name\":\"c\",\"version\":\"1.4.1\"}}\n";
    let [(no, false), (old, false)] = &found(bare)[..] else { panic!("two warnings") };
    assert!(no.starts_with("no kubelet is found") && old.starts_with("its containerd is 1.4.1"));
}

#[test]
fn a_commands_last_line_comes_as_it_is() {
    let mut sh = std::process::Command::new("sh");
    let script = line("pull r:5000/a:1", "printf 'x\\n%s\\n' '{\"a\":\"b\\nc%d\"}'");
    let found = sh.args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "pull r:5000/a:1 {\"a\":\"b\\nc%d\"}\n");
}

/// What a shell says that looks for a place in folders.
fn place(first: &str, folders: &str, size: u64, then: &str) -> Output {
    let script = PLACE.replace("/tmp /var/tmp /run \"$HOME\"", folders);
    let script = in_sh(&format!("{first}n={size}; {script}; echo \"$f\"{then}"));
    std::process::Command::new("sh").args(["-c", &script]).output().unwrap()
}

#[test]
fn a_place_is_found_where_programs_can_be_started() {
    // Nothing can be made in the first one.
    let found = place("", "/proc /tmp", 9, "; wc -c <\"$f\"");
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let (file, size) = text.split_once('\n').unwrap();
    assert!(found.status.success() && file.starts_with("/tmp/lateen."), "{text}");
    assert_eq!(size.trim(), "9", "there is space for it");
    assert!(!std::path::Path::new(file).exists(), "it is removed at the end");
    for signal in ["PIPE", "TERM", "HUP"] {
        let ended = place("", "/tmp", 9, &format!("; kill -s {signal} $$; sleep 9"));
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let path = std::path::Path::new(text.trim());
        assert!(path.is_absolute() && !path.exists(), "{signal}: {text}");
    }
    // No file may become larger than a block.
    for (first, folders) in [("", "/proc"), ("ulimit -f 1; ", "/tmp")] {
        let none = place(first, folders, 4096, "");
        let told = String::from_utf8_lossy(&none.stderr).into_owned();
        assert!(!none.status.success() && told.contains("free space"), "{told}");
    }
}

/// What stands in for ssh.
fn spawn(script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

#[tokio::test]
async fn only_what_ssh_itself_ends_with_is_its_failure() {
    assert_eq!(answer(spawn("echo a; echo b >&2")).await.unwrap(), "a\n");
    for (script, told) in [
        ("echo refused >&2; exit 255", "ssh fails: refused"),
        ("echo no space >&2; exit 97", "no space"),
        ("exit 97", "its shell or ssh ends with exit status: 97: "),
        ("echo x >&2; exit 127", "its shell or ssh ends with exit status: 127: x"),
        ("yes", "it says more than 4 MiB: look at its shell"),
        ("yes >&2", "it says more than 4 MiB: look at its shell"),
    ] {
        assert_eq!(answer(spawn(script)).await.unwrap_err().to_string(), told, "{script}");
    }
}

#[test]
fn an_image_without_a_host_is_asked_of_docker_hub() {
    for (image, asked) in [
        ("lateen-mesh/lateen:0.1.0", "check 'docker.io' --image 'lateen-mesh/lateen:0.1.0'"),
        ("alpine:3", "check 'docker.io' --image 'library/alpine:3'"),
        ("localhost/a:1", "check 'localhost' --image 'a:1'"),
    ] {
        let script = script(&[image.to_owned()], 9).unwrap();
        assert!(script.contains(asked) && script.contains(&format!("pull {image} ")), "{script}");
    }
}

#[test]
fn nothing_leaves_its_quotes() {
    assert!(
        script(&["r:5000/a:1".to_owned()], 9).unwrap().contains("check 'r:5000' --image 'a:1'")
    );
    let pinned = script(&["r:5000/a:1@sha256:1f".to_owned()], 9).unwrap();
    assert!(pinned.contains("check 'r:5000' --image 'a:1@sha256:1f'"), "{pinned}");
    for image in ["r:5000/a';reboot;'", "r:5000/$(x)", "$(x)"] {
        assert!(script(&[image.to_owned()], 9).is_err(), "{image}");
    }
    assert!(!pinned.contains(['!', '\n']), "csh takes them for its own: {pinned}");
    assert!(check_name("-oProxyCommand=x").is_err() && check_name("root@n1").is_ok());
}
