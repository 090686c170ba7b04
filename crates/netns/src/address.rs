//! Which workload owns which address of a home's subnet.
//!
//! In: `DIR/run` and the subnet. Out: a [`Lease`] on a free address. The record
//! (`DIR/run/addresses`, one line `ADDRESS PID START NAME` each) names the owning process with its
//! start time, so an owner that was killed loses its address at the next request, and a lock file
//! makes a request one step.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use lateen_runtime::process::ProcessId;
use nix::fcntl::{Flock, FlockArg};

use crate::ns::{gateway, ingress};

#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("all addresses of {0} are taken by living workloads")]
    Exhausted(Ipv4Net),
}

/// An address that belongs to this process until dropped.
#[derive(Debug)]
pub struct Lease {
    run: PathBuf,
    address: Ipv4Addr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    address: Ipv4Addr,
    owner: ProcessId,
    name: String,
}

/// Takes an address of `subnet` for the workload `name`: the one it had last, if that is free.
pub fn lease(run: &Path, subnet: Ipv4Net, name: &str) -> Result<Lease, AddressError> {
    let _lock = lock(run)?;
    let entries = read(run)?;
    let address = choose(subnet, &entries, name, ProcessId::is_alive)
        .ok_or(AddressError::Exhausted(subnet))?;
    let mut kept: Vec<_> = entries.into_iter().filter(|entry| entry.address != address).collect();
    kept.push(Entry { address, owner: ProcessId::current(), name: name.into() });
    write(run, &kept)?;
    Ok(Lease { run: run.into(), address })
}

/// Prefers the address that `name` had, then one that nobody ever had, then the dead owner's that was given back, or
/// taken, longest ago: others still know the newest ones by the names of those that are gone.
fn choose(
    subnet: Ipv4Net,
    entries: &[Entry],
    name: &str,
    alive: impl Fn(ProcessId) -> bool,
) -> Option<Ipv4Addr> {
    // Two host addresses are the bridge's.
    let free: Vec<_> = subnet
        .hosts()
        .filter(|address| {
            ![gateway(subnet), ingress(subnet)].contains(address)
                && !entries.iter().any(|entry| entry.address == *address && alive(entry.owner))
        })
        .collect();
    let had = |entry: &&Entry| entry.name == name && free.contains(&entry.address);
    let fresh = |address: &&Ipv4Addr| !entries.iter().any(|entry| entry.address == **address);
    entries
        .iter()
        .find(had)
        .map(|entry| entry.address)
        .or_else(|| free.iter().find(fresh).copied())
        .or_else(|| entries.iter().map(|entry| entry.address).find(|one| free.contains(one)))
}

impl Lease {
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The line stays, with a dead owner, so that the next workload of this name gets the address.
    fn release(&self) -> Result<(), AddressError> {
        let _lock = lock(&self.run)?;
        let mut entries = read(&self.run)?;
        let current = ProcessId::current();
        let is_own = |entry: &Entry| entry.address == self.address && entry.owner == current;
        if let Some(own) = entries.iter().position(is_own).map(|own| entries.remove(own)) {
            entries.push(Entry { owner: ProcessId { pid: 0, start: 0 }, ..own });
        }
        write(&self.run, &entries)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(address = %self.address, %error, "the address stays taken until this process ends");
        }
    }
}

fn lock(run: &Path) -> Result<Flock<File>, AddressError> {
    let path = run.join("addresses.lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| AddressError::File { path: path.clone(), source })?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| AddressError::File { path, source: error.into() })
}

/// A line that cannot be read is dropped: it owns nothing.
fn read(run: &Path) -> Result<Vec<Entry>, AddressError> {
    let path = run.join("addresses");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(parse).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(AddressError::File { path, source }),
    }
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.splitn(4, ' ');
    let address = words.next()?.parse().ok()?;
    let pid = words.next()?.parse().ok()?;
    let start = words.next()?.parse().ok()?;
    Some(Entry { address, owner: ProcessId { pid, start }, name: words.next()?.into() })
}

fn write(run: &Path, entries: &[Entry]) -> Result<(), AddressError> {
    let mut text = String::new();
    for Entry { address, owner, name } in entries {
        writeln!(text, "{address} {} {} {name}", owner.pid, owner.start)
            .expect("writing to a string does not fail");
    }
    let (path, fresh) = (run.join("addresses"), run.join("addresses.new"));
    // Renamed into place, so that a process killed here leaves the old record whole.
    fs::write(&fresh, text)
        .and_then(|()| fs::rename(&fresh, &path))
        .map_err(|source| AddressError::File { path, source })
}

#[cfg(test)]
mod tests;
