//! The network namespace of a pod that runs already. In: a proc file system of the node and the pod's
//! addresses. Out: the one namespace, of a process on this node, that has all of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::ns::in_netns;
use crate::pod::addresses;

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("cannot list the node's processes in {path}: {reason}")]
    List { path: String, reason: io::Error },
    #[error("no process of this node is in a network namespace with {0}")]
    None(String),
    #[error("{count} network namespaces of this node have {addresses}")]
    Several { count: usize, addresses: String },
}

/// Looks at every network namespace but the node's own and the caller's.
pub fn of_addresses(proc: &Path, wanted: &[IpAddr]) -> Result<OwnedFd, FindError> {
    let text = || wanted.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let mut found: Vec<OwnedFd> =
        namespaces(proc)?.into_values().filter(|one| has_all(one, wanted)).collect();
    match found.len() {
        0 => Err(FindError::None(text())),
        1 => Ok(found.remove(0)),
        count => Err(FindError::Several { count, addresses: text() }),
    }
}

/// The namespaces of all processes, by what tells them apart.
fn namespaces(proc: &Path) -> Result<BTreeMap<(u64, u64), OwnedFd>, FindError> {
    let failed = |reason| FindError::List { path: proc.display().to_string(), reason };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(proc).map_err(failed)?.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // Processes end while they are looked at.
        let Ok(file) = File::open(entry.path().join("ns/net")) else { continue };
        let Ok(identity) = identity(&file) else { continue };
        found.entry(identity).or_insert_with(|| OwnedFd::from(file));
    }
    for own in [proc.join("1/ns/net"), "/proc/self/ns/net".into()] {
        if let Ok(identity) = File::open(own).and_then(|file| identity(&file)) {
            found.remove(&identity);
        }
    }
    Ok(found)
}

/// Whether both are one namespace.
pub fn is_same(one: &File, other: &File) -> io::Result<bool> {
    Ok(identity(one)? == identity(other)?)
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn has_all(namespace: &OwnedFd, wanted: &[IpAddr]) -> bool {
    let inside = in_netns(namespace.as_fd(), addresses);
    let inside = inside.ok().and_then(Result::ok).unwrap_or_default();
    !wanted.is_empty() && wanted.iter().all(|address| inside.contains(address))
}
