//! Which container runtimes a node has, and where their settings are. In: a node's root. Out: runtimes and
//! paths on the node.

use std::fmt;

use anyhow::{Context, Result};
use lateen_registry::containerd::{Config, FOLDER, Registries};
use lateen_registry::{Host, Trust, docker, hosts};

use super::daemon::Daemon;
use super::files::Root;

pub const DOCKER_SETTINGS: &str = "/etc/docker/daemon.json";
pub const DOCKER_FOLDERS: &str = "/etc/docker/certs.d";
pub const CONTAINERD_SETTINGS: &str = "/etc/containerd/config.toml";
pub const CRIO_SETTINGS: &str = "/etc/containers/registries.conf";
pub const CRIO_DROP_INS: &str = "/etc/containers/registries.conf.d";
pub const CRIO_FOLDERS: &str = "/etc/containers/certs.d";
pub const KUBELET_CREDENTIALS: &str = "/var/lib/kubelet/config.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    Docker,
    Containerd,
    Crio,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::Docker => "docker",
            Runtime::Containerd => "containerd",
            Runtime::Crio => "crio",
        })
    }
}

/// Where the kubelet's runtime is named, and behind which words.
const KUBELET_SETTINGS: [(&str, &str); 2] = [
    ("/var/lib/kubelet/kubeadm-flags.env", "--container-runtime-endpoint="),
    ("/var/lib/kubelet/config.yaml", "containerRuntimeEndpoint:"),
];

/// What shows that a runtime is there. A folder of Docker's alone may be of another program.
const SIGNS: [(Runtime, &[&str]); 3] = [
    (
        Runtime::Docker,
        &[
            DOCKER_SETTINGS,
            "/usr/bin/dockerd",
            "/usr/sbin/dockerd",
            "/usr/local/bin/dockerd",
            "/run/docker.sock",
            "/etc/systemd/system/docker.service",
            "/usr/lib/systemd/system/docker.service",
            "/lib/systemd/system/docker.service",
        ],
    ),
    (
        Runtime::Containerd,
        &["/etc/containerd", "/usr/bin/containerd", "/usr/local/bin/containerd", "/run/containerd"],
    ),
    (Runtime::Crio, &["/etc/crio", "/usr/bin/crio", "/run/crio"]),
];

/// The runtimes of this node. A containerd that only serves Docker is a part of Docker.
pub fn present(root: &Root) -> Result<Vec<Runtime>> {
    let mut found = Vec::new();
    for (runtime, signs) in SIGNS {
        if signs.iter().any(|sign| root.exists(sign)) || daemon(root, runtime).is_some() {
            found.push(runtime);
        }
    }
    if found.contains(&Runtime::Docker) && !Containerd::read(root)?.serves_kubelet() {
        found.retain(|runtime| *runtime != Runtime::Containerd);
    }
    Ok(found)
}

/// The running daemon of a runtime that reads this node's settings.
pub fn daemon(root: &Root, runtime: Runtime) -> Option<Daemon> {
    let (program, flags, file) = settings(runtime);
    Daemon::find(root, program, flags, file)
}

/// The runtime that the kubelet's flags or its settings name.
pub fn of_kubelet(root: &Root) -> Option<Runtime> {
    let kubelet = Daemon::find(root, "kubelet", &[], "/var/lib/kubelet");
    let flag = kubelet.and_then(|kubelet| kubelet.value("--container-runtime-endpoint"));
    let in_files = || {
        KUBELET_SETTINGS.iter().find_map(|(path, key)| {
            let text = root.read(path).ok().flatten()?;
            let is_text = |c: char| c.is_whitespace() || c == '"' || c == '\'';
            let value = text.split_once(key)?.1.trim_start_matches(is_text);
            value.split(is_text).next().filter(|value| !value.is_empty()).map(str::to_owned)
        })
    };
    let socket = flag.or_else(in_files)?;
    let names =
        [("docker", Runtime::Docker), ("containerd", Runtime::Containerd), ("crio", Runtime::Crio)];
    names.into_iter().find(|(name, _)| socket.contains(name)).map(|(_, runtime)| runtime)
}

/// The file that a runtime reads in place of this node's settings, if none of its daemons reads those.
pub fn other_file(root: &Root, runtime: Runtime) -> Option<String> {
    let (program, flags, file) = settings(runtime);
    let others = Daemon::other_files(root, program, flags, file);
    // A containerd that Docker has started for itself has its file there, and serves nobody else.
    let is_dockers = |file: &String| file.trim_start_matches("/var").starts_with("/run/docker/");
    let found = others.into_iter().find(|file| !is_dockers(file));
    found.filter(|_| daemon(root, runtime).is_none())
}

/// A runtime's program, by what flags it is told of another file, and the file without them. What CRI-O is to know of
/// registries is in files that no flag names.
fn settings(runtime: Runtime) -> (&'static str, &'static [&'static str], &'static str) {
    match runtime {
        Runtime::Docker => ("dockerd", &["--config-file"], DOCKER_SETTINGS),
        Runtime::Containerd => ("containerd", &["--config", "-c"], CONTAINERD_SETTINGS),
        Runtime::Crio => ("crio", &[], "/etc/crio/crio.conf"),
    }
}

/// Whether containerd was started before its file was changed.
pub fn is_stale(root: &Root, daemon: &Daemon) -> Result<bool> {
    let (path, _) = Containerd::read(root)?.deciding();
    Ok(daemon.is_older_than(&root.join(&path)))
}

/// How containerd's files have a registry trusted.
pub fn containerd_trust(root: &Root, host: &Host) -> Result<Trust> {
    of_containerd(root, host, Config::inline_trust, hosts::trust)
}

/// Whether containerd's files have a registry asked without TLS.
pub fn containerd_tries_plain(root: &Root, host: &Host) -> Result<bool> {
    of_containerd(root, host, Config::tries_plain, hosts::tries_plain)
}

/// Whether containerd's files have a registry asked over TLS whoever it is.
pub fn containerd_takes_any(root: &Root, host: &Host) -> Result<bool> {
    of_containerd(root, host, Config::takes_any, hosts::takes_any)
}

/// Whether containerd's files have it ask a registry again without the authority that it has for it.
pub fn containerd_goes_on_unchecked(root: &Root, host: &Host) -> Result<bool> {
    of_containerd(root, host, |_, _| false, hosts::goes_on_unchecked)
}

/// What the file of containerd that says how a registry is reached has of it: its own, or that of the registry's folder.
fn of_containerd<T>(
    root: &Root,
    host: &Host,
    inline: fn(&Config, &Host) -> T,
    of_folder: fn(&str, &Host) -> Result<T, lateen_registry::Error>,
) -> Result<T> {
    let (_, config) = Containerd::read(root)?.deciding();
    let registries = config.registries();
    if registries == Registries::Inline {
        return Ok(inline(&config, host));
    }
    let path = format!("{}/hosts.toml", host_folder(root, &registries, host));
    let text = root.read(&path)?.unwrap_or_default();
    of_folder(&text, host).context(path)
}

/// The Unix socket that a runtime answers on.
pub fn socket(root: &Root, runtime: Runtime) -> Result<String> {
    let daemon = daemon(root, runtime);
    let flag = |names: &[&str]| {
        names.iter().find_map(|name| daemon.as_ref().and_then(|daemon| daemon.value(name)))
    };
    let unix = |address: String| address.strip_prefix("unix://").map(str::to_owned);
    let (named, usual) = match runtime {
        Runtime::Docker => {
            let text = root.read(DOCKER_SETTINGS)?.unwrap_or_default();
            let hosts = docker::hosts(&text).with_context(|| DOCKER_SETTINGS.to_owned())?;
            let listed = hosts.into_iter().find_map(unix);
            (flag(&["-H", "--host"]).and_then(unix).or(listed), "/run/docker.sock")
        }
        Runtime::Containerd => {
            let listed = Containerd::read(root)?.main().and_then(Config::address);
            (flag(&["--address", "-a"]).or(listed), "/run/containerd/containerd.sock")
        }
        Runtime::Crio => (flag(&["--listen"]), "/run/crio/crio.sock"),
    };
    Ok(named.unwrap_or_else(|| root.join(usual).display().to_string()))
}

/// containerd's settings: its file, then those that the file imports.
pub struct Containerd(Vec<(String, Config)>);

impl Containerd {
    pub fn read(root: &Root) -> Result<Containerd> {
        let mut files = Vec::new();
        let mut wanted = vec![CONTAINERD_SETTINGS.to_owned()];
        while let Some(path) = wanted.pop() {
            let known = files.iter().any(|(known, _): &(String, Config)| *known == path);
            let Some(text) = root.read(&path)?.filter(|_| !known) else { continue };
            let config = Config::parse(&text).with_context(|| path.clone())?;
            let imports = config.imports();
            files.push((path, config));
            wanted.extend(imports.iter().rev().flat_map(|pattern| matching(root, pattern)));
        }
        Ok(Containerd(files))
    }

    fn main(&self) -> Option<&Config> {
        self.0.first().map(|(_, config)| config)
    }

    fn serves_kubelet(&self) -> bool {
        self.0.iter().all(|(_, config)| config.serves_kubelet())
    }

    /// The file whose section about registries counts: the last one that has one.
    pub fn deciding(self) -> (String, Config) {
        let last =
            |counts: fn(&Config) -> bool| self.0.iter().rposition(|(_, config)| counts(config));
        let last = last(Config::overrules).or_else(|| last(Config::has_plugin)).unwrap_or_default();
        self.0.into_iter().nth(last).unwrap_or_else(|| {
            let empty = Config::parse("").expect("invariant: an empty text is a configuration");
            (CONTAINERD_SETTINGS.to_owned(), empty)
        })
    }
}

/// The files that a pattern names, last one first. As in containerd, a path without `/` in front begins in
/// the folder of its settings.
fn matching(root: &Root, pattern: &str) -> Vec<String> {
    let pattern = match pattern.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("etc/containerd/{pattern}"),
    };
    let mut found = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let below = |folder: String| match part.contains(['*', '?']) {
            false => vec![format!("{folder}/{part}")],
            true => {
                let names = root.names(&folder).into_iter().filter(|name| fits(part, name));
                names.map(|name| format!("{folder}/{name}")).collect()
            }
        };
        found = found.into_iter().flat_map(below).collect();
    }
    found.reverse();
    found
}

/// Whether a name is of a pattern in which `*` is any text and `?` any character.
fn fits(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '*' => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| fits(rest, &name[at..]))
        }
        _ => {
            let mut chars = name.chars();
            chars.next().is_some_and(|next| first == '?' || first == next)
                && fits(rest, chars.as_str())
        }
    }
}

/// containerd's folder of a host: the one that is there, or that would be made.
pub fn host_folder(root: &Root, registries: &Registries, host: &Host) -> String {
    let folders = match registries {
        Registries::Folders(folders) => folders.clone(),
        Registries::Unset | Registries::Inline => vec![FOLDER.to_owned()],
    };
    let all = folders
        .iter()
        .flat_map(|folder| host.folders().into_iter().map(move |name| format!("{folder}/{name}")));
    let made = format!("{}/{host}", folders.first().map_or(FOLDER, String::as_str));
    all.into_iter().find(|folder| root.exists(folder)).unwrap_or(made)
}

#[cfg(test)]
mod tests {
    use super::super::files::Root;
    use super::{Runtime, fits, of_kubelet, present};

    #[test]
    fn a_folder_alone_is_no_docker_and_the_kubelets_files_name_its_runtime() {
        let dir = std::env::temp_dir().join(format!("lateen-runtime-{}", std::process::id()));
        for folder in ["etc/docker", "etc/crio", "var/lib/kubelet"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let root = Root::open(&dir).unwrap();
        assert_eq!((present(&root).unwrap(), of_kubelet(&root)), (vec![Runtime::Crio], None));
        std::fs::write(dir.join("etc/docker/daemon.json"), "").unwrap();
        assert_eq!(present(&root).unwrap(), [Runtime::Docker, Runtime::Crio]);
        let kubelet = |name: &str, text: &str| {
            std::fs::write(dir.join("var/lib/kubelet").join(name), text).unwrap();
            of_kubelet(&root)
        };
        let settings = "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: ";
        let of = |endpoint: &str| kubelet("config.yaml", &format!("{settings}{endpoint}\na: b\n"));
        assert_eq!(of("\"\""), None);
        assert_eq!(of("\"unix:///run/crio/crio.sock\""), Some(Runtime::Crio));
        assert_eq!(of("unix:///run/containerd/containerd.sock"), Some(Runtime::Containerd));
        let flags = "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/cri-dockerd.sock --x=containerd\"\n";
        assert_eq!(kubelet("kubeadm-flags.env", flags), Some(Runtime::Docker));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn patterns_are_those_of_paths() {
        for (pattern, name) in
            [("*.toml", "a.toml"), ("*", ""), ("a*b*c", "a-b-b-c"), ("?.toml", "ü.toml")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.toml", "a.toml.bak"), ("a*b*c", "abb"), ("?", ""), ("a", "ab")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
