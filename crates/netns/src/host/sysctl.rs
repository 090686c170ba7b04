//! `net.ipv4.conf.IF.forwarding`, and the record of the interfaces on which it was off before.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::HostError;

/// With `.lock` behind it, the lock file of the whole machine.
const HOST: &str = "/run/lateen";

/// Whether the kernel forwards IPv4 packets that come in on `interface`.
pub(super) fn forwards(interface: &str) -> bool {
    fs::read_to_string(switch(interface)).is_ok_and(|value| value.trim() == "1")
}

pub(super) fn set_forwarding(interface: &str, on: bool) -> Result<(), HostError> {
    let path = switch(interface);
    fs::write(&path, if on { "1" } else { "0" })
        .map_err(|source| HostError::File { path: path.into(), source })
}

fn switch(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/forwarding")
}

/// Held while the bridge and its record are changed, so that of two processes, one coming and one
/// going, neither acts on what the other is about to change. The lock file stays: whoever waits for
/// it has it open.
pub(super) fn lock(state: &Path) -> Result<Flock<File>, HostError> {
    let path = beside(state, ".lock");
    let failed = |source| HostError::File { path: path.clone(), source };
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| failed(error.into()))
}

/// Homes share interfaces, so what they do to them is one after the other. Taken after [`lock`].
pub(super) fn lock_host() -> Result<Flock<File>, HostError> {
    lock(Path::new(HOST))
}

fn beside(state: &Path, suffix: &str) -> PathBuf {
    let mut path = state.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Interfaces that did not forward before; one name a line in the state file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded(Vec<String>);

impl Recorded {
    pub(super) fn read(state: &Path) -> Result<Self, HostError> {
        match fs::read_to_string(state) {
            Ok(text) => Ok(Recorded(text.lines().map(str::to_owned).collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recorded::default()),
            Err(source) => Err(HostError::File { path: state.into(), source }),
        }
    }

    pub(super) fn with<'a>(mut self, more: impl Iterator<Item = &'a String>) -> Self {
        self.0.extend(more.cloned());
        self.0.sort();
        self.0.dedup();
        self
    }

    pub(super) fn interfaces(&self) -> &[String] {
        &self.0
    }

    /// Renamed into place, so that a process killed here leaves the old record whole.
    pub(super) fn write(&self, state: &Path) -> Result<(), HostError> {
        let fresh = beside(state, ".new");
        let text: String = self.0.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, state))
            .map_err(|source| HostError::File { path: state.into(), source })
    }

    pub(super) fn forget(state: &Path) -> Result<(), HostError> {
        match fs::remove_file(state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HostError::File { path: state.into(), source: error })
            }
            _ => Ok(()),
        }
    }
}
