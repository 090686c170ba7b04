//! What the program sees in place of the host's files, in a mount namespace of its own. In: its
//! `resolv.conf`. Out: mounts, made between fork and exec, and a guard that makes the one over
//! `/etc/resolv.conf` again when the host replaces the file (a new DHCP lease, NetworkManager): the
//! kernel takes mounts away from a name that another namespace gives to another file (rename(2)).

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::Pid;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Sockets of the host by which the C library would resolve names without DNS (nscd, nss-resolve).
const BYPASSES: [&str; 3] =
    ["/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/var/run/nscd/socket"];
/// How often the mount is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const NONE: Option<&str> = None;

/// Made ready before the fork.
pub(super) struct Mounts {
    over: Vec<(CString, CString)>,
}

impl Mounts {
    pub(super) fn new(resolv_conf: &Path) -> io::Result<Self> {
        let text = |path: &Path| Ok::<_, io::Error>(CString::new(path.as_os_str().as_bytes())?);
        let mut over = Vec::new();
        let target = Path::new(RESOLV_CONF);
        if target.exists() {
            over.push((text(resolv_conf)?, text(target)?));
        } else {
            tracing::warn!(
                "there is no /etc/resolv.conf to replace: the program finds full names only"
            );
        }
        for bypass in BYPASSES.map(Path::new).into_iter().filter(|path| path.exists()) {
            over.push((c"/dev/null".into(), text(bypass)?));
        }
        Ok(Mounts { over })
    }

    /// In a mount namespace of its own, from which nothing reaches the host's.
    pub(super) fn make(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
        for (source, target) in &self.over {
            mount(Some(source.as_c_str()), target.as_c_str(), NONE, MsFlags::MS_BIND, NONE)?;
        }
        Ok(())
    }
}

/// Keeps the mount over `/etc/resolv.conf` in place until it is dropped.
pub(super) struct Guard {
    _alive: Sender<()>,
}

impl Guard {
    /// Looks after the mount namespace of `program`, which has made its [`Mounts`].
    pub(super) fn start(program: Pid, resolv_conf: PathBuf) -> io::Result<Self> {
        let namespace = File::open(format!("/proc/{program}/ns/mnt"))?;
        let (alive, ended) = channel();
        let thread = std::thread::Builder::new().name("resolv.conf".into());
        thread.spawn(move || {
            if let Err(error) = look_after(&namespace, &resolv_conf, &ended) {
                tracing::warn!(%error, "the program may lose its /etc/resolv.conf to the host's");
            }
        })?;
        Ok(Guard { _alive: alive })
    }
}

fn look_after(namespace: &File, resolv_conf: &Path, ended: &Receiver<()>) -> io::Result<()> {
    // Only a thread with a root and a working directory of its own may change its mount namespace.
    unshare(CloneFlags::CLONE_FS)?;
    setns(namespace, CloneFlags::CLONE_NEWNS)?;
    let own = identity(resolv_conf)?;
    while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        // While it is missing there is nothing to mount over.
        if identity(Path::new(RESOLV_CONF)).is_ok_and(|seen| seen != own) && !is_mounted()? {
            mount(Some(resolv_conf), RESOLV_CONF, NONE, MsFlags::MS_BIND, NONE)?;
        }
    }
    Ok(())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether the file is some mount's: then the program has mounted its own, which is its affair.
fn is_mounted() -> io::Result<bool> {
    // Replaced at this very moment it counts as mounted, until the next look.
    let Ok(target) = fs::canonicalize(RESOLV_CONF) else { return Ok(true) };
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(4).map(Path::new) == Some(&target)))
}
