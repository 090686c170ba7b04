//! `lateen node registry` on a node's files alone, and with real runtimes: Docker and containerd that pull
//! from a real registry over plain HTTP, and over TLS with an authority of its own and passwords.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_testkit::cluster::Image;
use lateen_testkit::isolate::isolated;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use nix::mount::{MsFlags, mount};
use serde_json::Value;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);
/// Not loopback: Docker takes every registry there as insecure.
const REGISTRY: &str = "10.99.0.1:5000";

fn run(args: &[&str]) -> Result<Output> {
    let mut command = Command::new(tools::lateen()?);
    command.args(["node", "registry"]).args(args).env("PATH", tools::path()?);
    command.output().context("starting lateen")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that succeeds prints.
fn lateen(args: &[&str]) -> Result<String> {
    let output = run(args)?;
    ensure!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    Ok(text(&output.stdout) + &text(&output.stderr))
}

/// What a command that fails prints.
fn lateen_fails(args: &[&str]) -> Result<String> {
    let output = run(args)?;
    ensure!(output.status.code() == Some(1), "{args:?}: {}", text(&output.stdout));
    Ok(text(&output.stdout) + &text(&output.stderr))
}

fn sh(script: &str) -> Result<String> {
    let mut command = Command::new("sh");
    Process::spawn("sh", command.args(["-ec", script]).env("PATH", tools::path()?))?.success(SOON)
}

/// The files of a node that runs nothing.
struct Node(TempDir);

impl Node {
    fn new(files: &[(&str, &str)]) -> Result<Node> {
        let node = Node(tempfile::tempdir()?);
        for (path, text) in files {
            let path = node.path(path);
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(path, text)?;
        }
        Ok(node)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.path(path)).context(path.to_owned())
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let root = self.0.path().to_str().expect("a temporary folder's name is text");
        [args, &["--root", root]].concat()
    }

    /// Every file but backups and the lock, with its text.
    fn files(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.strip_prefix(self.0.path())?.display().to_string();
                match path.is_dir() {
                    true => folders.push(path),
                    false if name.ends_with(".bak") || name.ends_with(".lock") => {}
                    false => found.push((name, fs::read_to_string(path)?)),
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

const DAEMON_JSON: &str =
    "{\n\t\"debug\": false,\n\t\"insecure-registries\": [\n\t\t\"old:5000\"\n\t]\n}\n";
const CONFIG_TOML: &str =
    "version = 2\n# ours\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = 'p' # kept\n";

fn all_runtimes() -> Result<Node> {
    Node::new(&[
        ("etc/docker/daemon.json", DAEMON_JSON),
        ("etc/containerd/config.toml", CONFIG_TOML),
        ("etc/crio/crio.conf", ""),
        ("etc/containers/registries.conf", "unqualified-search-registries = ['docker.io']\n"),
    ])
}

#[test]
fn every_runtime_is_told_once_and_forgets_again() -> Result<()> {
    let node = all_runtimes()?;
    let before = node.files()?;
    let add = node.args(&["add", "r:5000", "--insecure"]);
    lateen(&add)?;
    assert_eq!(
        node.read("etc/docker/daemon.json")?,
        DAEMON_JSON.replace("\"old:5000\"", "\"old:5000\",\n\t\t\"r:5000\"")
    );
    assert!(node.read("etc/containerd/config.toml")?.starts_with(CONFIG_TOML));
    assert!(node.read("etc/containerd/certs.d/r:5000/hosts.toml")?.contains("skip_verify = true"));
    let entry = node.read("etc/containers/registries.conf.d/50-lateen-r_5000.conf")?;
    assert_eq!(entry, "[[registry]]\nlocation = \"r:5000\"\ninsecure = true\n");
    let after = node.files()?;
    assert!(lateen(&add)?.contains("nothing to change"));
    assert_eq!(node.files()?, after);
    let list: Value = serde_json::from_str(&lateen(&node.args(&["list", "-o", "json"]))?)?;
    let trust: Vec<_> =
        list.as_array().context("a list")?.iter().filter(|row| row["host"] == "r:5000").collect();
    assert_eq!(trust.len(), 3, "{list}");
    assert!(trust.iter().all(|row| row["trust"] == "insecure"), "{list}");
    let removed = lateen(&node.args(&["remove", "r:5000"]))?;
    assert!(!removed.contains("without checking who answers"), "{removed}");
    assert_eq!(node.files()?, before);
    Ok(())
}

#[test]
fn what_was_added_leaves_nothing_behind_and_what_others_need_stays() -> Result<()> {
    for daemon in ["{ }", "{\"debug\": true}\n"] {
        let node = Node::new(&[
            ("etc/docker/daemon.json", daemon),
            ("etc/containerd/config.toml", CONFIG_TOML),
        ])?;
        lateen(&node.args(&["add", "r:5000", "--insecure"]))?;
        lateen(&node.args(&["add", "s:5000", "--insecure"]))?;
        lateen(&node.args(&["remove", "r:5000"]))?;
        let config = node.read("etc/containerd/config.toml")?;
        ensure!(config.contains("config_path"), "s:5000 needs it: {config}");
        let said = lateen(&node.args(&["remove", "s:5000"]))?;
        let told = said.lines().filter(|line| line.starts_with("changed /etc/docker/daemon.json"));
        ensure!(told.count() == 1, "{said}");
        assert_eq!(node.read("etc/docker/daemon.json")?, daemon);
        assert_eq!(node.read("etc/containerd/config.toml")?, CONFIG_TOML);
    }
    Ok(())
}

#[test]
fn backups_of_a_file_stay_few_and_the_text_before_all_additions_comes_back() -> Result<()> {
    let node = Node::new(&[("etc/docker/daemon.json", "{ }")])?;
    lateen(&node.args(&["add", "r:5000", "--insecure"]))?;
    lateen(&node.args(&["remove", "r:5000"]))?;
    let own = "{\"debug\": true}\n";
    fs::write(node.path("etc/docker/daemon.json"), own)?;
    for verb in ["add", "remove"] {
        for at in 0..14 {
            let host = format!("r{at}:5000");
            let args = [verb, &host, "--runtime", "docker"];
            let trust = if verb == "add" { &["--insecure"][..] } else { &[] };
            lateen(&node.args(&[&args[..], trust].concat()))?;
        }
    }
    assert_eq!(node.read("etc/docker/daemon.json")?, own);
    let names = fs::read_dir(node.path("etc/docker"))?;
    let is_backup = |name: &str| name.starts_with("daemon.json.lateen-") && name.ends_with(".bak");
    let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let backups: Vec<String> = names.collect::<Result<_>>()?;
    let count = backups.iter().filter(|name| is_backup(name)).count();
    ensure!(count == 12, "{count}: {backups:?}");
    Ok(())
}

#[test]
fn a_registry_that_others_have_reached_without_tls_is_told_of_when_it_is_removed() -> Result<()> {
    let hosts = "[host.\"http://r:5000\"]\n  capabilities = [\"pull\"]\n";
    let node = Node::new(&[
        ("etc/containerd/config.toml", CONFIG_TOML),
        ("etc/containerd/certs.d/r:5000/hosts.toml", hosts),
    ])?;
    lateen(&node.args(&["add", "r:5000", "--insecure", "--runtime", "containerd"]))?;
    let removed = lateen(&node.args(&["remove", "r:5000", "--runtime", "containerd"]))?;
    assert!(removed.contains("still reaches r:5000 without checking who answers"), "{removed}");
    assert!(node.read("etc/containerd/certs.d/r:5000/hosts.toml")?.contains(hosts));
    Ok(())
}

#[test]
fn a_dry_run_shows_the_change_and_makes_none() -> Result<()> {
    let node = all_runtimes()?;
    let before = node.files()?;
    let shown = lateen(&node.args(&["add", "r:5000", "--insecure", "--dry-run"]))?;
    assert!(shown.contains("-\t\t\"old:5000\"\n+\t\t\"old:5000\",\n+\t\t\"r:5000\"\n"), "{shown}");
    assert!(shown.contains("+++ b/etc/containerd/certs.d/r:5000/hosts.toml"), "{shown}");
    assert_eq!(node.files()?, before);
    Ok(())
}

#[test]
fn a_file_that_is_not_valid_stops_all_changes() -> Result<()> {
    for (path, broken) in [
        ("etc/docker/daemon.json", "{\"debug\": false,}\n"),
        ("etc/containerd/config.toml", "version = \n"),
        ("etc/containers/registries.conf.d/x.conf", "[[registry]\n"),
        ("etc/containerd/certs.d/r:5000/hosts.toml", "server = 'a\n"),
    ] {
        let node = all_runtimes()?;
        fs::create_dir_all(node.path(path).parent().context("a folder")?)?;
        fs::write(node.path(path), broken)?;
        let before = node.files()?;
        let error = lateen_fails(&node.args(&["add", "r:5000", "--insecure"]))?;
        assert!(
            error.contains(&format!("/{path}: not valid ")) && error.contains("line 1"),
            "{error}"
        );
        assert_eq!(node.files()?, before);
    }
    Ok(())
}

#[test]
fn credentials_are_the_kubelets_and_are_not_shown() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let node = all_runtimes()?;
    let file = node.path("password");
    fs::write(&file, "me:secret\n")?;
    let file = file.display().to_string();
    let add = ["add", "r:5000", "--auth", &file];
    let dry = lateen(&node.args(&[&add[..], &["--dry-run"]].concat()))?;
    assert!(dry.contains("not shown") && !dry.contains("bWU6c2VjcmV0"), "{dry}");
    lateen(&node.args(&add))?;
    let path = "var/lib/kubelet/config.json";
    assert!(node.read(path)?.contains("bWU6c2VjcmV0"));
    assert_eq!(fs::metadata(node.path(path))?.permissions().mode() & 0o777, 0o600);
    assert_eq!(node.read("etc/docker/daemon.json")?, DAEMON_JSON, "trust is not changed");
    assert!(
        lateen_fails(&node.args(&["add", "r:5000"]))?
            .contains("--insecure, --ca FILE or --auth FILE")
    );
    Ok(())
}

#[test]
fn the_folder_of_a_file_counts_though_another_file_has_a_section() -> Result<()> {
    let node = Node::new(&[
        (
            "etc/containerd/config.toml",
            "version = 3\nimports = ['conf.d/*.toml']\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/srv/hosts'\n",
        ),
        (
            "etc/containerd/conf.d/x.toml",
            "version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'\n",
        ),
    ])?;
    let before = node.files()?;
    lateen(&node.args(&["add", "r:5000", "--insecure"]))?;
    let mut after = node.files()?;
    after.retain(|(name, _)| name != "srv/hosts/r:5000/hosts.toml");
    assert_eq!(after, before);
    Ok(())
}

#[test]
fn a_node_without_a_runtime_is_told_so() -> Result<()> {
    let node = Node::new(&[])?;
    fs::create_dir_all(node.path("etc/docker"))?;
    let error = lateen_fails(&node.args(&["add", "r:5000", "--insecure"]))?;
    assert!(error.contains("no container runtime found"), "{error}");
    lateen(&node.args(&["add", "r:5000", "--insecure", "--runtime", "docker"]))?;
    assert_eq!(
        node.read("etc/docker/daemon.json")?,
        "{\n  \"insecure-registries\": [\"r:5000\"]\n}\n"
    );
    Ok(())
}

#[test]
fn a_docker_that_would_not_start_again_is_left_alone() -> Result<()> {
    let add = ["add", "r:5000", "--insecure", "--runtime", "docker"];
    let unit =
        "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/bin/dockerd $OPTS\n";
    for (path, text) in [
        ("etc/default/docker", "OPTS='--insecure-registry=old:5000'\n"),
        (
            "etc/systemd/system/docker.service.d/x.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --insecure-registry old:5000\n",
        ),
    ] {
        let node = Node::new(&[("usr/lib/systemd/system/docker.service", unit), (path, text)])?;
        let before = node.files()?;
        let refused = lateen_fails(&node.args(&add))?;
        ensure!(
            refused.contains("docker.service starts dockerd with --insecure-registry"),
            "{refused}"
        );
        assert_eq!(node.files()?, before);
        fs::write(node.path(path), "")?;
        lateen(&node.args(&add))?;
    }
    Ok(())
}

#[test]
fn a_runtime_with_another_file_is_named_it() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        own_etc(folder.path())?;
        for (runtime, program, flag, settings) in [
            ("docker", "dockerd", "--config-file", "/etc/docker/daemon.json"),
            ("containerd", "containerd", "--config", "/etc/containerd/config.toml"),
        ] {
            // The process is found by its program's name and its flags.
            let program_file = folder.path().join(program);
            std::os::unix::fs::symlink("/bin/sh", &program_file)?;
            fs::write("/etc/other", "")?;
            let script = ["-c", "echo up; read line", flag, "/etc/other"];
            let mut command = Command::new(&program_file);
            command.args(script).stdin(std::process::Stdio::piped());
            let mut running = Process::spawn(program, &mut command)?;
            running.wait_for("up", SOON)?;
            let refused = lateen_fails(&["add", "r:5000", "--insecure", "--runtime", runtime])?;
            ensure!(
                refused.contains(&format!("{program} runs with the settings of /etc/other")),
                "{refused}"
            );
            ensure!(!Path::new(settings).exists(), "{settings} was written");
            let check = lateen_fails(&["check", "r:5000", "--runtime", runtime])?;
            ensure!(check.contains("it runs with the settings of /etc/other"), "{check}");
            running.stop()?;
        }
        Ok(())
    });
}

/// Docker and containerd as a machine has them, each with its settings in `/etc`, which is this test's own.
struct Machine {
    docker: Process,
    containerd: Process,
    folder: TempDir,
}

impl Machine {
    fn start() -> Result<Machine> {
        let folder = tempfile::Builder::new().prefix("lateen-registry.").tempdir()?;
        own_etc(folder.path())?;
        sh(&format!("ip addr add {}/24 dev lo", REGISTRY.trim_end_matches(":5000")))?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir_all("/etc/docker")?;
        fs::write(
            "/etc/docker/daemon.json",
            format!(
                "{{\n  \"iptables\": false,\n  \"bridge\": \"none\",\n  \"storage-driver\": \"vfs\",\n  \
                 \"containerd\": \"/run/containerd/containerd.sock\",\n  \"data-root\": \"{}\"\n}}\n",
                at("docker")
            ),
        )?;
        fs::create_dir_all("/etc/containerd")?;
        fs::write(
            "/etc/containerd/config.toml",
            format!(
                "version = 2\nroot = \"{}\"\n\n[debug]\n  level = \"info\"\n",
                at("containerd")
            ),
        )?;
        let containerd = containerd(tools::cached("containerd")?)?;
        let mut docker = Command::new(tools::cached("dockerd")?);
        let docker = Process::spawn("dockerd", docker.env("PATH", tools::path()?))?;
        wait_until("docker", SOON, || docker_cli("version"))?;
        Ok(Machine { docker, containerd, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn registry(&self, http: &str, rest: &str) -> Result<Process> {
        registry(self.folder.path(), http, rest)
    }

    fn restart_containerd(&mut self) -> Result<()> {
        self.containerd.stop()?;
        self.containerd = containerd(tools::cached("containerd")?)?;
        Ok(())
    }
}

/// Starts a registry with further settings of its `http` section.
fn registry(folder: &Path, http: &str, rest: &str) -> Result<Process> {
    let config = folder.join("registry.yml");
    let data = folder.join("registry").display().to_string();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp:\n  addr: {REGISTRY}\n{http}{rest}"
    );
    fs::write(&config, text)?;
    let mut command = Command::new(tools::cached("docker-registry")?);
    let mut registry = Process::spawn("docker-registry", command.arg("serve").arg(config))?;
    registry.wait_for("listening on", SOON)?;
    Ok(registry)
}

fn containerd(program: PathBuf) -> Result<Process> {
    let mut command = Command::new(program);
    let containerd = Process::spawn("containerd", command.env("PATH", tools::path()?))?;
    wait_until("containerd", SOON, || sh("ctr version"))?;
    Ok(containerd)
}

fn docker_cli(args: &str) -> Result<String> {
    sh(&format!("'{}' {args}", tools::cached("docker")?.display()))
}

/// A `/etc` and a `/run` in which changes are this test's.
fn own_etc(folder: &Path) -> Result<()> {
    let at = |name: &str| folder.join(name).display().to_string();
    for name in ["upper", "work"] {
        fs::create_dir(folder.join(name))?;
    }
    let options = format!("lowerdir=/etc,upperdir={},workdir={}", at("upper"), at("work"));
    let none = MsFlags::empty();
    mount(Some("overlay"), "/etc", Some("overlay"), none, Some(options.as_str()))
        .context("overlay")?;
    for name in ["docker", "containerd", "crio", "containers"] {
        // Of the machine that the tests run on.
        if Path::new("/etc").join(name).exists() {
            fs::remove_dir_all(Path::new("/etc").join(name))?;
        }
    }
    mount(Some("tmpfs"), "/run", Some("tmpfs"), none, None::<&str>).context("tmpfs")
}

/// Puts `REGISTRY/demo:1` there, by the way of a Docker that already knows the registry.
fn push() -> Result<()> {
    sh("tar -cf /run/image.tar -C /etc hostname")?;
    docker_cli(&format!("import /run/image.tar {REGISTRY}/demo:1"))?;
    docker_cli(&format!("push {REGISTRY}/demo:1"))?;
    docker_cli(&format!("rmi -f {REGISTRY}/demo:1"))?;
    Ok(())
}

#[test]
fn real_runtimes_pull_over_plain_http() {
    isolated(|| {
        let mut machine = Machine::start()?;
        let _registry = machine.registry("", "")?;
        let before = lateen_fails(&["check", REGISTRY])?;
        assert!(
            before.contains("docker does not pull") && before.contains("HTTP response to HTTPS"),
            "{before}"
        );
        let added = lateen(&["add", REGISTRY, "--insecure"])?;
        assert!(added.contains("docker has read its settings again"), "{added}");
        assert!(added.contains("containerd must be restarted"), "{added}");
        let again = lateen(&["add", REGISTRY, "--insecure"])?;
        assert!(again.contains("nothing to change") && again.contains("docker knows"), "{again}");
        push()?;
        machine.restart_containerd()?;
        let check = lateen(&["check", REGISTRY, "--image", "demo:1"])?;
        assert!(
            check.contains("docker pulls from") && check.contains("containerd pulls from"),
            "{check}"
        );
        let absent = lateen(&["check", REGISTRY])?;
        assert!(
            absent.contains("docker reaches") && absent.contains("containerd reaches"),
            "{absent}"
        );
        let hosts = format!("/etc/containerd/certs.d/{REGISTRY}/hosts.toml");
        let both = fs::read_to_string(&hosts)?;
        fs::write(&hosts, both.replace("server = \"http:", "server = \"https:"))?;
        let tls_alone = lateen_fails(&["check", REGISTRY, "--runtime", "containerd"])?;
        assert!(tls_alone.contains("containerd does not pull"), "{tls_alone}");
        fs::write(&hosts, both)?;
        let missing = lateen_fails(&["check", REGISTRY, "--image", "other:1"])?;
        let told =
            format!("containerd does not pull from {REGISTRY}: the registry has no image other:1");
        assert!(missing.contains(&told), "{missing}");
        // Now that containerd has a folder for hosts, it needs no restart, and neither lost a container.
        let removed = lateen(&["remove", REGISTRY])?;
        assert!(!removed.contains("must be restarted"), "{removed}");
        let after = lateen_fails(&["check", REGISTRY])?;
        assert!(
            after.contains("docker does not pull") && after.contains("containerd does not pull"),
            "{after}"
        );
        assert!(machine.docker.poll()?.is_none() && machine.containerd.poll()?.is_none());
        a_docker_that_is_off_is_not_asked(&mut machine)
    });
}

fn a_docker_that_is_off_is_not_asked(machine: &mut Machine) -> Result<()> {
    lateen(&["add", REGISTRY, "--insecure", "--runtime", "containerd"])?;
    machine.docker.stop()?;
    let image = ["check", REGISTRY, "--image", "demo:1"];
    let check = lateen(&image)?;
    ensure!(
        check.contains("docker does not run: not asked") && check.contains("containerd pulls"),
        "{check}"
    );
    let json = lateen(&[&image[..], &["-o", "json"]].concat())?;
    ensure!(json.contains("\"not-running\"") && !json.contains("\"fails\""), "{json}");
    let named = lateen_fails(&[&image[..], &["--runtime", "docker"]].concat())?;
    ensure!(named.contains("it does not run on this node"), "{named}");
    Ok(())
}

/// A registry over plain HTTP with `REGISTRY/demo:1`, and nothing else.
fn with_demo(folder: &Path) -> Result<Process> {
    own_etc(folder)?;
    sh(&format!("ip addr add {}/24 dev lo", REGISTRY.trim_end_matches(":5000")))?;
    fs::create_dir_all("/etc/containers")?;
    fs::write(
        "/etc/containers/policy.json",
        "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}",
    )?;
    let registry = registry(folder, "", "")?;
    Image::of_static(&format!("{REGISTRY}/demo:1"), &tools::cached("pause")?).push(folder)?;
    Ok(registry)
}

/// containerd's file before, none being an empty one, and where the registry's folders then are.
const CONFIGS: [(&str, &str); 4] = [
    ("", "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"),
    (
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  max_concurrent_downloads = 2\n",
        "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n",
    ),
    (
        "version = 3\n[plugins.'io.containerd.cri.v1.images']\n  max_concurrent_downloads = 2\n",
        "[plugins.'io.containerd.cri.v1.images'.registry]\n",
    ),
    ("version = 4\n", "[plugins.\"io.containerd.cri.v1.images\".registry]\n"),
];

#[test]
fn containerd_2_pulls_over_plain_http_whatever_its_files_version() {
    isolated(|| {
        let folder = tempfile::Builder::new().prefix("lateen-registry.").tempdir()?;
        let _registry = with_demo(folder.path())?;
        let program = tools::cached_folder("containerd-2")?.join("containerd");
        mount(Some("tmpfs"), "/var/lib", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        for (before, section) in CONFIGS {
            fs::create_dir_all("/etc/containerd")?;
            fs::write("/etc/containerd/config.toml", before)?;
            let mut running = containerd(program.clone())?;
            let refused = lateen_fails(&["check", REGISTRY, "--image", "demo:1"])?;
            assert!(refused.contains("HTTP response to HTTPS"), "{refused}");
            let added = lateen(&["add", REGISTRY, "--insecure"])?;
            assert!(added.contains("containerd must be restarted"), "{added}");
            let after = fs::read_to_string("/etc/containerd/config.toml")?;
            assert!(after.starts_with(before) && after.contains(section), "{after}");
            running.stop()?;
            running = containerd(program.clone())?;
            let check = lateen(&["check", REGISTRY, "--image", "demo:1"])?;
            assert!(check.contains("containerd pulls from"), "{check}");
            // No restart from here on.
            let removed = lateen(&["remove", REGISTRY])?;
            assert!(removed.contains("needs no reload"), "{removed}");
            running.stop()?;
            fs::remove_dir_all("/etc/containerd")?;
        }
        Ok(())
    });
}

#[test]
fn the_drop_in_of_crio_is_what_a_reader_of_its_format_goes_by() {
    isolated(|| {
        let folder = tempfile::Builder::new().prefix("lateen-registry.").tempdir()?;
        let _registry = with_demo(folder.path())?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let pull = format!(
            "buildah --root {} --runroot {} --storage-driver vfs pull --quiet --policy always {REGISTRY}/demo:1 2>&1",
            at("root"),
            at("runroot")
        );
        let refused = sh(&format!("{pull} || true"))?;
        assert!(refused.contains("server gave HTTP response to HTTPS client"), "{refused}");
        lateen(&["add", REGISTRY, "--insecure", "--runtime", "crio"])?;
        sh(&pull)?;
        lateen(&["remove", REGISTRY, "--runtime", "crio"])?;
        let refused = sh(&format!("{pull} || true"))?;
        assert!(refused.contains("server gave HTTP response to HTTPS client"), "{refused}");
        Ok(())
    });
}

/// In place of kube-controller-manager: `/healthz` over TLS, with the status that a file holds.
const MANAGER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(open(sys.argv[1] + "/status").read()))
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 10257), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/ca.pem", sys.argv[1] + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving", flush=True)
server.serve_forever()
"#;

#[test]
fn a_restart_spares_a_control_plane_that_is_not_well() {
    isolated(|| {
        let machine = Machine::start()?;
        let folder = machine.folder.path().display().to_string();
        sh(&certificate(&folder))?;
        // The unit's restart is told to a file: there is no systemd in a test.
        let systemctl = format!("#!/bin/sh\n[ $1 = show ] || echo \"$@\" >>{folder}/restarts\n");
        fs::write(machine.path("systemctl"), systemctl)?;
        sh(&format!("chmod 755 {folder}/systemctl"))?;
        // The process is found by the name of its program.
        let python = sh("python3 -c 'import sys; print(sys.executable)'")?;
        let program = machine.path("kube-controller-manager");
        std::os::unix::fs::symlink(python.trim(), &program)?;
        let mut manager = Command::new(program);
        manager.args(["-c", MANAGER, &folder]);
        let mut manager = Process::spawn("kube-controller-manager", &mut manager)?;
        manager.wait_for("serving", SOON)?;
        let restarts = || fs::read_to_string(machine.path("restarts")).unwrap_or_default();
        let add = |host: &str| -> Result<(bool, String)> {
            let mut command = Command::new(tools::lateen()?);
            command.args(["node", "registry", "add", host, "--insecure", "--restart"]);
            let path = format!("{folder}:{}", tools::path()?.display());
            let output = command.args(["--runtime", "containerd"]).env("PATH", path).output()?;
            Ok((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
        };
        fs::write(machine.path("status"), "500")?;
        let (ok, output) = add(REGISTRY)?;
        assert!(
            !ok && output.contains("kube-controller-manager is not well before it"),
            "{output}"
        );
        assert_eq!(restarts(), "");
        // The file was changed, and containerd does not know: the next run finds out.
        wait_until("a later second", SOON, || {
            let config = fs::read_to_string("/etc/containerd/config.toml")?;
            fs::write("/etc/containerd/config.toml", config)?;
            ensure!(
                lateen(&["add", REGISTRY, "--insecure"])?.contains("must be restarted"),
                "not yet"
            );
            Ok(())
        })?;
        fs::write(machine.path("status"), "200")?;
        let (ok, output) = add(REGISTRY)?;
        assert!(ok && output.contains("containerd was restarted"), "{output}");
        assert_eq!(restarts(), "restart containerd.service\n");
        Ok(())
    });
}

/// Makes a certificate for the registry's address, and its key.
fn certificate(folder: &str) -> String {
    format!(
        "cd {folder}; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
         -subj /CN=registry -addext subjectAltName=IP:10.99.0.1 -keyout key.pem -out ca.pem 2>/dev/null"
    )
}

/// The bcrypt hash of `abc123xyz`.
const HASH: &str = "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";

#[test]
fn real_runtimes_pull_over_tls_with_an_authority_and_passwords() {
    isolated(|| {
        let mut machine = Machine::start()?;
        let folder = machine.folder.path().display().to_string();
        sh(&certificate(&folder))?;
        sh(&format!(
            "cd {folder}; printf 'me:%s\\n' '{HASH}' >htpasswd; printf 'me:abc123xyz' >password"
        ))?;
        let tls = format!("  tls: {{certificate: {folder}/ca.pem, key: {folder}/key.pem}}\n");
        let auth = format!("auth: {{htpasswd: {{realm: r, path: {folder}/htpasswd}}}}\n");
        let _registry = machine.registry(&tls, &auth)?;
        let before = lateen_fails(&["check", REGISTRY])?;
        assert!(before.contains("x509: certificate signed by unknown authority"), "{before}");
        let (ca, password) = (format!("{folder}/ca.pem"), format!("{folder}/password"));
        let added = lateen(&["add", REGISTRY, "--ca", &ca])?;
        assert!(added.contains("docker knows: it needs no reload"), "{added}");
        machine.restart_containerd()?;
        let unauthorized = lateen_fails(&["check", REGISTRY, "--image", "demo:1"])?;
        assert!(unauthorized.contains("no basic auth credentials"), "{unauthorized}");
        let asks = lateen(&["check", REGISTRY])?;
        for runtime in ["docker", "containerd"] {
            let told = format!("{runtime} reaches {REGISTRY}, which asks for credentials");
            assert!(asks.contains(&told), "{asks}");
        }
        docker_cli(&format!("login -u me -p abc123xyz {REGISTRY} 2>&1"))?;
        push()?;
        own_kubelet(machine.folder.path())?;
        let wrong = format!("{folder}/wrong");
        fs::write(&wrong, "me:no")?;
        lateen(&["add", REGISTRY, "--auth", &wrong])?;
        let refused = lateen_fails(&["check", REGISTRY])?;
        for runtime in ["docker", "containerd"] {
            let told = format!("{runtime} does not pull from {REGISTRY}: the registry refuses");
            assert!(refused.contains(&told), "{refused}");
        }
        lateen(&["add", REGISTRY, "--auth", &password])?;
        let reaches = || -> Result<()> {
            let check = lateen(&["check", REGISTRY])?;
            ensure!(
                check.contains("docker reaches") && check.contains("containerd reaches"),
                "{check}"
            );
            Ok(())
        };
        reaches()?;
        // As a file that somebody wrote may be: this containerd tells of the server's certificate alone.
        let hosts = format!("/etc/containerd/certs.d/{REGISTRY}/hosts.toml");
        let own = "ca = \"lateen-ca.crt\"\n\n";
        let both = fs::read_to_string(&hosts)?;
        fs::write(&hosts, both.replacen(own, "\n", 1))?;
        let unchecked = lateen_fails(&["check", REGISTRY, "--runtime", "containerd"])?;
        assert!(
            unchecked.contains("x509") && unchecked.contains("and none for the server"),
            "{unchecked}"
        );
        lateen(&["add", REGISTRY, "--ca", &ca])?;
        assert_eq!(fs::read_to_string(&hosts)?.matches("ca = ").count(), 2);
        reaches()?;
        lateen(&["add", REGISTRY, "--insecure"])?;
        reaches()?;
        let missing = lateen_fails(&["check", REGISTRY, "--image", "other:1"])?;
        let told =
            format!("containerd does not pull from {REGISTRY}: the registry has no image other:1");
        assert!(missing.contains(&told), "{missing}");
        lateen(&["add", REGISTRY, "--ca", &ca])?;
        let check = lateen(&["check", REGISTRY, "--image", "demo:1"])?;
        assert!(
            check.contains("docker pulls from") && check.contains("containerd pulls from"),
            "{check}"
        );
        Ok(())
    });
}

/// A `/var/lib/kubelet` and a home of this test's own.
fn own_kubelet(folder: &Path) -> Result<()> {
    let lib = folder.join("lib");
    fs::create_dir(&lib)?;
    mount(Some(&lib), "/var/lib", None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .context("binding /var/lib")
}
