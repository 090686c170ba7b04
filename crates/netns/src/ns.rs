//! Network namespaces of workloads.
//!
//! In: a bridge, an address and interception rules. Out: a [`Namespace`] that is only a file
//! descriptor: no name in the file system, so the kernel removes it with everything in it when the
//! last descriptor and the last process are gone, however they end.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, setns, unshare};

use crate::links::{LinkError, on_links};
use crate::nft::{self, NftError};
use crate::rules::Intercept;

/// The workload's interface, as in a pod.
const INTERFACE: &str = "eth0";

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("cannot create a network namespace; run as root (CAP_SYS_ADMIN): {0}")]
    Create(#[source] io::Error),
    #[error("cannot enter the workload's network namespace; run as root (CAP_SYS_ADMIN): {0}")]
    Enter(#[source] io::Error),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Nft(#[from] NftError),
}

/// A network namespace, alive at least as long as this value.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

/// Where a namespace is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub bridge: String,
    pub subnet: Ipv4Net,
    pub address: Ipv4Addr,
}

impl Namespace {
    /// A new, empty namespace with loopback up.
    pub fn create() -> Result<Self, NamespaceError> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
        };
        let made = thread::scope(|scope| scope.spawn(make).join());
        let fd =
            made.expect("making a namespace does not panic").map_err(NamespaceError::Create)?;
        let namespace = Namespace { fd };
        namespace.run(|| on_links(async |links| links.up(links.required("lo").await?).await))??;
        Ok(namespace)
    }

    /// Plugs the namespace into the bridge and gives it its address and default route.
    pub fn attach(&self, attachment: &Attachment) -> Result<(), NamespaceError> {
        let outside = attachment.interface();
        on_links(async |links| {
            let bridge = links.required(&attachment.bridge).await?;
            // The address is ours now; an interface of this name is what a killed owner left, kept
            // by a process that outlived it.
            links.remove(&outside).await?;
            links.add_veth(&outside, (INTERFACE, attachment.address), self.fd.as_fd(), bridge).await
        })?;
        let subnet = attachment.subnet;
        let address = Ipv4Net::new(attachment.address, subnet.prefix_len())
            .expect("the prefix length is that of a network");
        self.run(|| {
            on_links(async |links| {
                let index = links.required(INTERFACE).await?;
                links.ensure_address(index, address).await?;
                links.up(index).await?;
                links.add_default_route(gateway(subnet)).await
            })
        })??;
        Ok(())
    }

    /// Puts the interception rules in place.
    pub fn intercept(&self, intercept: &Intercept) -> Result<(), NamespaceError> {
        let ruleset = intercept.ruleset();
        Ok(self.run(|| nft::apply(&ruleset))??)
    }

    /// Runs `work` inside, see [`in_netns`].
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        in_netns(self.fd.as_fd(), work)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Attachment {
    /// Unplugs at once what the kernel would otherwise unplug some time after the namespace ends.
    pub fn detach(&self) -> Result<(), NamespaceError> {
        let outside = self.interface();
        Ok(on_links(async |links| links.remove(&outside).await)?)
    }

    /// The name of the bridge's end of the pair, unique per bridge and address.
    pub fn interface(&self) -> String {
        let [_, _, _, last] = self.address.octets();
        let tail = self.bridge.strip_prefix("ltn").unwrap_or(&self.bridge);
        let tail = &tail[tail.len().saturating_sub(8)..];
        format!("ltv{tail}-{last}")
    }
}

/// The bridge's own address: the first of the subnet.
pub fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + 1)
}

/// By which workloads know the ingress gateway, which shares the machine with whoever dials from the bridge's
/// address: the last of the subnet.
pub fn ingress(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.broadcast()) - 1)
}

/// Runs `work` in a short-lived thread inside the namespace `netns`. Sockets made there stay in the
/// namespace and can be used from anywhere afterwards.
pub fn in_netns<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NamespaceError> {
    let enter = || {
        setns(netns, CloneFlags::CLONE_NEWNET)
            .map_err(|error| NamespaceError::Enter(error.into()))?;
        Ok(work())
    };
    match thread::scope(|scope| scope.spawn(enter).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
