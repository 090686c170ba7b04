//! What a node has, as the program tells it that a precheck brings there. In: the machine that this runs on. Out: one line of
//! JSON: versions, addresses and what listens.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use super::sockets::{Socket, listening};
use crate::output::say_json;
use crate::registry::daemon::running;
use crate::registry::files::Root;
use crate::registry::runtime::{Runtime, present};

/// How long a program may take to say its version.
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kubelet, or what has one in it.
    pub kubelet: Option<Program>,
    /// containerd, if the kubelet can use it.
    pub containerd: Option<Program>,
    pub addresses: Vec<IpAddr>,
    pub sockets: Vec<Socket>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    pub version: String,
}

/// Whose version is Kubernetes', and how each says it.
const KUBELETS: [(&str, &str); 5] = [
    ("kubelet", "--version"),
    ("k3s", "--version"),
    ("rke2", "--version"),
    ("k0s", "version"),
    ("microk8s", "version"),
];

/// Where programs of a node are, beside the path of a shell without a terminal, which has few.
const FOLDERS: [&str; 10] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/opt/bin",
    "/snap/bin",
    "/var/lib/rancher/rke2/bin",
    "/var/lib/k0s/bin",
];

pub async fn tell() -> Result<()> {
    let facts = Facts {
        kubelet: kubelet().await,
        containerd: containerd().await,
        addresses: addresses()?,
        sockets: listening()?,
    };
    say_json(&serde_json::to_value(facts)?);
    Ok(())
}

async fn kubelet() -> Option<Program> {
    for (name, argument) in KUBELETS {
        for place in places(name) {
            if let Some(text) = ask(&place, argument).await
                && let Some(version) = kubernetes(&text)
            {
                return Some(Program { name: name.to_owned(), version });
            }
        }
    }
    None
}

/// Not one that serves Docker alone.
async fn containerd() -> Option<Program> {
    let found = Root::open(Path::new("/")).and_then(|root| present(&root)).ok()?;
    if !found.contains(&Runtime::Containerd) {
        return None;
    }
    let name = "containerd".to_owned();
    for place in places(&name) {
        if let Some(version) = ask(&place, "--version").await.as_deref().and_then(third_word) {
            return Some(Program { name, version });
        }
    }
    None
}

/// The program that runs comes before those that could. One in a container is not the node's.
fn places(name: &str) -> Vec<PathBuf> {
    let mounts = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = mounts("self");
    let running = running(name).into_iter().map(|daemon| daemon.pid.to_string());
    let running = running.filter(|pid| mounts(pid) == own);
    let running = running.map(|pid| PathBuf::from(format!("/proc/{pid}/exe")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    let files = folders.map(|folder| folder.join(name)).filter(|file| file.is_file());
    running.chain(files).collect()
}

async fn ask(program: &Path, argument: &str) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.arg(argument).kill_on_drop(true).output();
    let output = timeout(WITHIN, output).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first word that is a version of Kubernetes, as `v1.31.4+k3s1`: `k3s` tells that of Go, too, without the letter.
fn kubernetes(text: &str) -> Option<String> {
    let digit = |word: &&str| word[1..].starts_with(|c: char| c.is_ascii_digit());
    let mut words = text.split_whitespace().filter(|word| word.starts_with('v'));
    words.find(digit).map(str::to_owned)
}

/// `containerd PACKAGE VERSION …`
fn third_word(text: &str) -> Option<String> {
    text.split_whitespace().nth(2).map(|word| word.trim_start_matches('v').to_owned())
}

fn addresses() -> Result<Vec<IpAddr>> {
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    };
    let all = getifaddrs().context("cannot list the addresses")?;
    Ok(all.filter_map(|interface| ip(interface.address?)).collect())
}

#[cfg(test)]
mod tests {
    use super::{addresses, kubernetes, third_word};

    #[test]
    fn programs_say_their_versions_in_many_ways() {
        for (text, version) in [
            ("Kubernetes v1.31.2\n", Some("v1.31.2")),
            ("k3s version v1.31.4+k3s1 (a562d090)\ngo version go1.22.9\n", Some("v1.31.4+k3s1")),
            ("v1.30.0+k0s.0\n", Some("v1.30.0+k0s.0")),
            ("MicroK8s v1.31.3 revision 7449\n", Some("v1.31.3")),
            ("version of nothing\n", None),
            ("", None),
        ] {
            assert_eq!(kubernetes(text).as_deref(), version, "{text}");
        }
        for (text, version) in [
            ("containerd github.com/containerd/containerd v1.4.13 9cc61520\n", "1.4.13"),
            ("containerd containerd.io 1.6.9 1c90a442\n", "1.6.9"),
            ("containerd github.com/containerd/containerd 1.6.20~ds1 x\n", "1.6.20~ds1"),
        ] {
            assert_eq!(third_word(text).as_deref(), Some(version), "{text}");
        }
    }

    #[test]
    fn a_machine_has_addresses() {
        assert!(addresses().unwrap().contains(&"127.0.0.1".parse().unwrap()));
    }
}
