//! The host's side of a home: one bridge, one small nftables table, a few forwarding switches.
//!
//! In: the home's path, its bridge and subnet. Out: workloads that reach each other and, behind the
//! machine's address, the world. Changed outside of our own interface: `forwarding` of the
//! interface that the default route uses, and only if it was off. What it was is recorded in a
//! state file, and on the bridge for other homes to see, and put back by [`remove_bridge`] of the last
//! home; while it is on only because of us, our table drops what that interface would otherwise begin
//! to forward elsewhere.

mod sysctl;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};

use crate::links::{Bridge, LinkError, on_links};
use crate::nft::{self, NftError};
use crate::ns::{gateway, ingress};
use crate::rules::{Action, Base, Chain, Match, Op, Rule, Ruleset, rule};
use sysctl::Recorded;

/// Where subnets are looked for, best first.
const POOLS: [&str; 3] = ["10.201.0.0/16", "172.29.0.0/16", "100.72.0.0/16"];
const SUBNET_BITS: u8 = 24;
/// With this begins the name of every home's bridge.
const PREFIX: &str = "ltn";
/// Begins a bridge's alias; the interfaces follow that forward only because of Lateen.
const NOTE: &str = "lateen forwards ";

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error("no /24 is free for workloads: every one in {} overlaps a route or address of this machine", POOLS.join(", "))]
    NoSubnet,
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: io::Error },
}

/// The name of the bridge and of the nftables table of the home at `home` (an absolute path).
pub fn bridge_name(home: &Path) -> String {
    let [a, b, c, d, ..] = hash(home).to_be_bytes();
    format!("{PREFIX}{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// A /24 for the home that overlaps none of `existing`; the same one each time if it is free.
/// Default routes in `existing` do not count.
pub fn pick_subnet(home: &Path, existing: &[Ipv4Net]) -> Option<Ipv4Net> {
    let first = u32::from(hash(home).to_be_bytes()[7]);
    let free = |subnet: &Ipv4Net| {
        let mut taken = existing.iter().filter(|net| net.prefix_len() > 0);
        !taken.any(|net| net.contains(subnet) || subnet.contains(net))
    };
    POOLS.iter().find_map(|pool| {
        let pool: Ipv4Net = pool.parse().expect("the pools are networks");
        let base = u32::from(pool.network());
        (0..256)
            .map(|step| base + ((first + step) % 256) * 256)
            .map(|network| Ipv4Net::new_assert(network.into(), SUBNET_BITS))
            .find(free)
    })
}

/// [`pick_subnet`] on this machine as it is now. Needs no privilege.
pub fn choose_subnet(home: &Path) -> Result<Ipv4Net, HostError> {
    pick_subnet(home, &existing_networks(&bridge_name(home))?).ok_or(HostError::NoSubnet)
}

/// Every IPv4 network that this machine has an address in or a route to, but for `bridge`'s own.
pub fn existing_networks(bridge: &str) -> Result<Vec<Ipv4Net>, HostError> {
    Ok(on_links(async |links| {
        let own = links.index(bridge).await?;
        let mut networks = links.routes().await?;
        networks.extend(links.addresses().await?);
        let others = networks.into_iter().filter(|network| Some(network.interface) != own);
        Ok(others.map(|network| network.net.trunc()).collect())
    })?)
}

/// Makes the bridge, its addresses, its rules and the forwarding switches what they should be.
/// Safe to repeat, and from several processes at once. `state` is the file that remembers what has
/// to be put back; `state.lock` is its lock.
pub fn ensure_bridge(bridge: &str, subnet: Ipv4Net, state: &Path) -> Result<(), HostError> {
    let of_subnet = |address| {
        Ipv4Net::new(address, subnet.prefix_len()).expect("the prefix length is that of a network")
    };
    let (address, ingress) = (of_subnet(gateway(subnet)), of_subnet(ingress(subnet)));
    let _locks = (sysctl::lock(state)?, sysctl::lock_host()?);
    let (index, uplinks, homes) = on_links(async |links| {
        let index = links.ensure_bridge(bridge, address.addr()).await?;
        // What this machine dials comes from the first of them.
        links.ensure_address(index, address).await?;
        links.ensure_address(index, ingress).await?;
        links.up(index).await?;
        let mut uplinks = Vec::new();
        for route in links.routes().await?.iter().filter(|route| route.net.prefix_len() == 0) {
            uplinks.extend(links.name(route.interface).await?);
        }
        Ok((index, uplinks, links.bridges(PREFIX).await?))
    })?;
    // What any home has switched on is on because of all of them: the last one switches it off.
    let shared: Vec<String> = homes.iter().flat_map(forwarded).collect();
    let off = uplinks.iter().filter(|name| !sysctl::forwards(name));
    let opened = Recorded::read(state)?.with(off).with(shared.iter());
    // The rules come before the switch, so that nothing is forwarded unguarded in between.
    nft::apply(&ruleset(bridge, subnet, opened.interfaces()))?;
    opened.write(state)?;
    on_links(async |links| links.set_alias(index, &alias(opened.interfaces())).await)?;
    for interface in opened.interfaces().iter().map(String::as_str).chain([bridge]) {
        sysctl::set_forwarding(interface, true)?;
    }
    Ok(())
}

/// Takes away all that [`ensure_bridge`] made and puts back what it changed, unless workloads are
/// still plugged in; then it answers `false` and changes nothing. While another home has a bridge here, the
/// switches stay and are that one's to put back. Safe to repeat.
pub fn remove_bridge(bridge: &str, state: &Path) -> Result<bool, HostError> {
    let _locks = (sysctl::lock(state)?, sysctl::lock_host()?);
    let (in_use, homes) = on_links(async |links| {
        let in_use = match links.index(bridge).await? {
            Some(index) => links.has_members(index).await?,
            None => false,
        };
        Ok((in_use, links.bridges(PREFIX).await?))
    })?;
    if in_use {
        return Ok(false);
    }
    let (own, others): (Vec<_>, Vec<_>) = homes.into_iter().partition(|home| home.name == bridge);
    let noted: Vec<String> = own.iter().flat_map(forwarded).collect();
    let opened = Recorded::read(state)?.with(noted.iter());
    match others.first() {
        Some(heir) => hand_over(&opened, heir)?,
        None => put_back(&opened),
    }
    on_links(async |links| links.remove(bridge).await)?;
    nft::remove(bridge)?;
    Recorded::forget(state)?;
    Ok(true)
}

fn put_back(opened: &Recorded) {
    for interface in opened.interfaces() {
        // An interface that is gone has nothing to put back.
        if let Err(error) = sysctl::set_forwarding(interface, false) {
            tracing::warn!(interface, %error, "forwarding could not be switched off again");
        }
    }
}

/// Makes another home guard what is forwarded, and put it back at its end.
fn hand_over(opened: &Recorded, heir: &Bridge) -> Result<(), HostError> {
    let theirs: Vec<String> = forwarded(heir).collect();
    if opened.interfaces().iter().all(|interface| theirs.contains(interface)) {
        return Ok(());
    }
    let all = opened.clone().with(theirs.iter());
    let addresses = on_links(async |links| links.addresses().await)?;
    let subnet = addresses.iter().find(|network| network.interface == heir.index);
    if let Some(subnet) = subnet {
        nft::apply(&ruleset(&heir.name, subnet.net.trunc(), all.interfaces()))?;
    }
    Ok(on_links(async |links| links.set_alias(heir.index, &alias(all.interfaces())).await)?)
}

/// What a home notes on its bridge, where every other home and `ip link` see it.
fn alias(opened: &[String]) -> String {
    format!("{NOTE}{}", opened.join(" "))
}

fn forwarded(bridge: &Bridge) -> impl Iterator<Item = String> {
    let names = bridge.alias.strip_prefix(NOTE).unwrap_or_default();
    names.split_ascii_whitespace().map(str::to_owned)
}

/// `opened` are the interfaces that forward only because of this table.
fn ruleset(bridge: &str, subnet: Ipv4Net, opened: &[String]) -> Ruleset {
    let from_bridge = |op| Match::InInterface(op, bridge.into());
    let to_bridge = |op| Match::OutInterface(op, bridge.into());
    let masquerade = rule(
        vec![Match::Source(Op::Is, IpNet::V4(subnet)), to_bridge(Op::Not)],
        Action::Masquerade,
    );
    // Answers come back in; nobody outside begins a connection to a workload.
    let mut forward: Vec<Rule> = vec![
        rule(vec![to_bridge(Op::Is), Match::Established], Action::Accept),
        rule(vec![from_bridge(Op::Not), to_bridge(Op::Is)], Action::Drop),
    ];
    // Answers to the workloads of other homes pass: their own tables guard them.
    let to_no_home = Match::OutInterfacePrefix(Op::Not, PREFIX.into());
    forward.extend(opened.iter().map(|interface| {
        rule(vec![Match::InInterface(Op::Is, interface.clone()), to_no_home.clone()], Action::Drop)
    }));
    Ruleset {
        table: bridge.into(),
        chains: vec![
            Chain {
                name: "postrouting".into(),
                base: Some(Base::NatPostrouting),
                rules: vec![masquerade],
            },
            Chain { name: "forward".into(), base: Some(Base::FilterForward), rules: forward },
        ],
    }
}

/// FNV-1a: stable across builds and versions, which the names made from it must be.
fn hash(home: &Path) -> u64 {
    let bytes = home.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
