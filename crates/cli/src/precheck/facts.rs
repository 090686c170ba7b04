//! What a node has, as the program tells it that a precheck brings there. In: the machine that this runs on. Out: one line of
//! JSON: versions, addresses and what listens.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use super::sockets::{Socket, listening};
use crate::output::say_json;
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

/// A program, and the argument with which it says its version.
type Asked = (&'static str, &'static str);

/// Whose version is Kubernetes'.
const KUBELETS: [Asked; 5] = [
    ("kubelet", "--version"),
    ("k3s", "--version"),
    ("rke2", "--version"),
    ("k0s", "version"),
    ("microk8s", "version"),
];

/// Where programs of a node are, beside the path of a shell without a terminal, which has few.
const FOLDERS: [&str; 11] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/opt/bin",
    "/snap/bin",
    "/var/lib/rancher/rke2/bin",
    // What `k3s` unpacks, and runs in its own place.
    "/var/lib/rancher/k3s/data/current/bin",
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
    version(&KUBELETS, kubernetes).await
}

/// Not one that serves Docker alone.
async fn containerd() -> Option<Program> {
    let found = Root::open(Path::new("/")).and_then(|root| present(&root)).ok()?;
    if !found.contains(&Runtime::Containerd) {
        return None;
    }
    version(&[("containerd", "--version")], third_word).await
}

/// What the first of these programs says that has a version in it.
async fn version(programs: &[Asked], read: fn(&str) -> Option<String>) -> Option<Program> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    let (folders, running) = (folders.collect::<Vec<_>>(), running());
    let runs = |file: &Path| identity(file).is_some_and(|file| running.contains(&file));
    for (file, (name, argument)) in places(programs, &folders, runs) {
        let answer = ask(&file, argument).await;
        if let Some(version) = answer.as_deref().and_then(read) {
            return Some(Program { name: name.to_owned(), version });
        }
    }
    None
}

/// Where the programs may be. One that runs comes before all that could.
fn places(
    programs: &[Asked],
    folders: &[PathBuf],
    runs: impl Fn(&Path) -> bool,
) -> Vec<(PathBuf, Asked)> {
    let of = |program: Asked| folders.iter().map(move |folder| (folder.join(program.0), program));
    let mut places: Vec<(PathBuf, Asked)> = programs.iter().copied().flat_map(of).collect();
    places.sort_by_cached_key(|(file, _)| !runs(file));
    places
}

/// The files that processes have for their programs: what they call themselves is for anybody to choose.
fn running() -> BTreeSet<(u64, u64)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|process| identity(&process.path().join("exe"))).collect()
}

fn identity(file: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(file).map(|file| (file.dev(), file.ino())).ok()
}

/// Root asks, so only a file that nobody else can write is started.
async fn ask(program: &Path, argument: &str) -> Option<String> {
    let file = std::fs::metadata(program).ok()?;
    if !file.is_file() || !is_roots(file.uid(), file.mode()) {
        return None;
    }
    let mut command = Command::new(program);
    let output = command.arg(argument).kill_on_drop(true).output();
    let output = timeout(WITHIN, output).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_roots(owner: u32, mode: u32) -> bool {
    owner == 0 && mode & 0o022 == 0
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
    use std::path::{Path, PathBuf};

    use super::{KUBELETS, addresses, identity, is_roots, kubernetes, places, running, third_word};

    #[test]
    fn a_program_that_runs_comes_before_whatever_is_left_of_others() {
        let folders = ["/usr/bin", "/k3s/bin"].map(PathBuf::from);
        let runs = |file: &Path| file == Path::new("/k3s/bin/k3s");
        let found: Vec<PathBuf> =
            places(&KUBELETS, &folders, runs).into_iter().map(|(file, _)| file).collect();
        let first = ["/k3s/bin/k3s", "/usr/bin/kubelet", "/k3s/bin/kubelet", "/usr/bin/k3s"];
        assert_eq!(found[..4], first.map(PathBuf::from));
        assert!(running().contains(&identity(&std::env::current_exe().unwrap()).unwrap()));
    }

    #[test]
    fn only_what_root_alone_can_write_is_started() {
        assert!(is_roots(0, 0o100755));
        for (owner, mode) in [(1000, 0o100755), (0, 0o100775), (0, 0o100757)] {
            assert!(!is_roots(owner, mode), "{owner} {mode:o}");
        }
    }

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
