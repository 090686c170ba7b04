//! A Debian machine that a test boots by systemd-nspawn: systemd, Docker, containerd and sshd in
//! namespaces of their own. In: the folder that `scripts/test-deps.sh` unpacked, a name and an address.
//! Out: commands on it, and its files. It is switched off, and all of it removed, when it goes out of
//! scope.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::process::{Process, children};
use crate::tools;
use crate::wait::wait_until;

/// How long a machine may take to start on a busy computer.
const BOOT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);
/// Waits until all has started, or says what has not.
const UP: &str = "systemctl is-system-running --wait >/dev/null 2>&1 || \
                  { systemctl list-units --failed --no-legend >&2; exit 1; }";
const BRIDGE: &str = "machines";
const CGROUPS: &str = "/sys/fs/cgroup";

/// What connects the machines of a test with it.
#[derive(Debug)]
pub struct Network {
    folder: TempDir,
}

impl Network {
    /// Gives the test `address`, such as `10.99.0.1/24`, and a key that its machines let in.
    pub fn new(address: &str) -> Result<Network> {
        for args in [
            &["link", "add", BRIDGE, "type", "bridge"][..],
            &["addr", "add", address, "dev", BRIDGE],
            &["link", "set", BRIDGE, "up"],
        ] {
            finish("ip", Command::new("ip").args(args))?;
        }
        let folder = tempfile::Builder::new().prefix("lateen-machine.").tempdir()?;
        let none: Option<&str> = None;
        // What nspawn keeps there of running machines is this test's own.
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).context("tmpfs")?;
        if !Path::new(CGROUPS).join("cgroup.controllers").exists() {
            mount(Some("cgroup2"), CGROUPS, Some("cgroup2"), MsFlags::empty(), none)
                .context("mounting cgroups")?;
        }
        let network = Network { folder };
        keygen(&network.key())?;
        Ok(network)
    }

    /// The private key of the machines' root user.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }
}

/// Makes a private key at `path`, and the public one beside it.
pub fn keygen(path: &Path) -> Result<()> {
    finish(
        "ssh-keygen",
        Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-f"]).arg(path),
    )
    .map(drop)
}

fn finish(name: &str, command: &mut Command) -> Result<String> {
    Process::spawn(name, command.stdin(Stdio::null()))?.success(SOON)
}

/// The `lateen` under test in `folder`, without what a debugger needs: a tenth is left to copy to a machine.
pub fn lateen(folder: &Path) -> Result<PathBuf> {
    let stripped = folder.join("lateen");
    finish("strip", Command::new("strip").arg("-o").arg(&stripped).arg(tools::lateen()?))?;
    Ok(stripped)
}

pub struct Machine {
    // Fields are dropped in this order: nothing runs any more when its files are removed.
    power: Power,
    /// Its first process, as seen from here.
    init: i32,
    _folder: TempDir,
}

/// What has to be switched off and taken back.
struct Power {
    nspawn: Process,
    root: PathBuf,
    cgroup: PathBuf,
}

impl Machine {
    /// Boots a machine with `address`, such as `10.99.0.11/24`, and waits until its services are up.
    pub fn boot(network: &Network, name: &str, address: &str) -> Result<Machine> {
        let folder = tempfile::Builder::new().prefix("lateen-machine.").tempdir()?;
        settings(&folder.path().join("upper"), &network.key(), address)?;
        let root = overlay(folder.path())?;
        let cgroup = Path::new(CGROUPS).join(format!("lateen-{name}-{}", std::process::id()));
        fs::create_dir(&cgroup).with_context(|| format!("making {}", cgroup.display()))?;
        let mut nspawn = nspawn(folder.path(), &root, name, &cgroup)?;
        let power = Power { nspawn: Process::spawn(name, &mut nspawn)?, root, cgroup };
        let mut machine = Machine { power, init: 0, _folder: folder };
        machine.init = machine.first_process()?;
        wait_until(&format!("the services of {name}"), BOOT, || {
            ensure!(machine.power.nspawn.poll()?.is_none(), "{name} is off");
            machine.sh(UP)
        })?;
        Ok(machine)
    }

    fn first_process(&mut self) -> Result<i32> {
        wait_until("systemd", BOOT, || {
            ensure!(self.power.nspawn.poll()?.is_none(), "systemd-nspawn ended");
            let found = children(self.power.nspawn.pid()).into_iter();
            let mut inits =
                found.filter(|(_, words)| words.first().is_some_and(|w| w.ends_with("/systemd")));
            inits.next().map(|(pid, _)| pid).context("it has not started")
        })
    }

    /// Runs a shell's script on the machine; returns what it prints.
    pub fn sh(&self, script: &str) -> Result<String> {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.init.to_string(), "--", "/bin/sh", "-ec", script]);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin");
        finish("nsenter", &mut command)
    }

    /// The path here of a file of the machine.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.init.to_string())
            .join("root")
            .join(path.trim_start_matches('/'))
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        // Best effort, as the test has its verdict: the namespaces end with it.
        let _ = self.nspawn.stop();
        let _ = umount2(&self.root, MntFlags::MNT_DETACH);
        // The kernel lets a group go a moment after its last process.
        let _ = wait_until("the end of a machine", SOON, || Ok(remove_groups(&self.cgroup)?));
    }
}

fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// What is this machine's own in its root folder.
fn settings(root: &Path, key: &Path, address: &str) -> Result<()> {
    for folder in ["etc/systemd/network", "etc/ssh", "root/.ssh"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700))?;
    let link =
        format!("[Match]\nName=host0\n[Network]\nAddress={address}\nLinkLocalAddressing=no\n");
    fs::write(root.join("etc/systemd/network/10-host0.network"), link)?;
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    fs::copy(key.with_extension("pub"), root.join("root/.ssh/authorized_keys"))?;
    keygen(&root.join("etc/ssh/ssh_host_ed25519_key"))
}

/// The unpacked machine with a layer of this one's own over it.
fn overlay(folder: &Path) -> Result<PathBuf> {
    let (root, lower) = (folder.join("root"), tools::cached_folder("machine")?);
    for name in ["root", "work", "docker", "containerd"] {
        fs::DirBuilder::new().mode(0o755).create(folder.join(name))?;
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), at("upper"), at("work"));
    let none = MsFlags::empty();
    mount(Some("overlay"), &root, Some("overlay"), none, Some(options.as_str()))
        .context("overlay")?;
    Ok(root)
}

/// The machine's own systemd-nspawn, with its own libraries: this computer need not have it.
fn nspawn(folder: &Path, root: &Path, name: &str, cgroup: &Path) -> Result<Command> {
    let machine = tools::cached_folder("machine")?;
    let libraries = libraries(&machine)?;
    let path = format!("{0}:{0}/systemd", libraries.display());
    let bind = |name: &str| format!("--bind={}:/var/lib/{name}", folder.join(name).display());
    let mut command = Command::new("sh");
    command.args(["-ec", "echo $$ >\"$0/cgroup.procs\"; exec \"$@\""]).arg(cgroup);
    command.arg(loader(&libraries)?).arg("--library-path").arg(path);
    command.arg(machine.join("usr/bin/systemd-nspawn")).arg("--directory").arg(root);
    command.args(["--boot", "--quiet", "--register=no", "--keep-unit", "--console=pipe"]);
    command.args([
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--kill-signal=SIGKILL",
    ]);
    command.args(["--machine", name, "--network-bridge", BRIDGE]);
    // Docker's layers cannot be on top of other layers.
    command.args([bind("docker"), bind("containerd")]);
    // What runc uses of the kernel.
    command.arg("--system-call-filter=@keyring bpf").arg("systemd.journald.forward_to_console=1");
    command.stdin(Stdio::null());
    Ok(command)
}

/// Where the machine has its libraries, which has another name on every architecture.
fn libraries(machine: &Path) -> Result<PathBuf> {
    let lib = machine.join("usr/lib");
    let mut folders = fs::read_dir(&lib)?.flatten().map(|entry| entry.path());
    folders.find(|path| path.join("systemd").is_dir()).context("the machine has no systemd")
}

/// The dynamic loader among them.
fn loader(libraries: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(libraries)?.flatten().map(|entry| entry.path());
    let is_loader = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("ld-linux-") && name.contains(".so.")
    };
    files.find(is_loader).context("the machine has no dynamic loader")
}
