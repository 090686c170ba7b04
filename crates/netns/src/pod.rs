//! Interception in the network namespace of the calling thread, which is a pod's. In: an [`Intercept`] and
//! the means. Out: the kernel's rules, in place of what was laid before; nothing else is touched.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use rtnetlink::packet_route::AddressFamily;

use crate::iptables::{self, Variant};
use crate::links::{LinkError, on_links};
use crate::nft::{self, NftError};
use crate::rules::{Dns, Intercept, Transparent};

/// From there a proxy connects to its own program over IPv6. For IPv4 all of 127.0.0.0/8 is there anyway.
const INBOUND_SOURCE: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);

/// Who brings the rules into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Nftables,
    Iptables(Variant),
}

#[derive(Debug, thiserror::Error)]
pub enum PodError {
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error(transparent)]
    Iptables(#[from] iptables::ProgramError),
    #[error("cannot list this namespace's addresses: {0}")]
    Addresses(#[source] io::Error),
    #[error("the pod has IPv6 addresses, and no address for the proxy's own calls: {0}")]
    Source(#[source] LinkError),
    #[error("transparent interception needs a routing rule: {0}")]
    Route(#[source] LinkError),
}

/// What was laid is what was asked, but for this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortcoming {
    /// The kernel has no conntrack zones; see [`Dns::zones`].
    NoZones(String),
    /// `ip6tables` did not work, and the pod has no IPv6 address.
    NoIpv6(String),
}

/// Lays the rules; again and again gives the same.
pub fn lay(intercept: &Intercept, means: Means) -> Result<Vec<Shortcoming>, PodError> {
    let ipv6 = has_ipv6()?;
    let mut shortcomings = Vec::new();
    let laid = lay_rules(intercept, means, ipv6, &mut shortcomings);
    match (laid, without_zones(intercept)) {
        (Ok(()), _) => {}
        (Err(error), Some(without)) if is_refusal(&error) => {
            lay_rules(&without, means, ipv6, &mut shortcomings)?;
            shortcomings.push(Shortcoming::NoZones(error.to_string()));
        }
        (Err(error), _) => return Err(error),
    }
    if ipv6 {
        add_inbound_source().map_err(PodError::Source)?;
    }
    if let Some(transparent) = intercept.captures_transparently() {
        keep_marked(transparent, ipv6).map_err(PodError::Route)?;
    }
    Ok(shortcomings)
}

/// Takes away what either means has laid, and the routes of `transparent`.
pub fn remove(means: Means, transparent: Option<Transparent>) -> Result<(), PodError> {
    match means {
        Means::Nftables => nft::remove(Intercept::TABLE)?,
        Means::Iptables(variant) => iptables::remove(variant)?,
    }
    match transparent {
        None => Ok(()),
        Some(transparent) => release_marked(transparent, has_ipv6()?).map_err(PodError::Route),
    }
}

/// Whether anybody outside can reach this namespace over IPv6.
pub fn has_ipv6() -> Result<bool, PodError> {
    let found = addresses()?;
    Ok(found.iter().any(|address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && *v6 != INBOUND_SOURCE,
    }))
}

/// Whether anybody outside can reach this namespace over IPv4.
pub fn has_ipv4() -> Result<bool, PodError> {
    let found = addresses()?;
    Ok(found.iter().any(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    }))
}

/// All addresses of this namespace.
pub(crate) fn addresses() -> Result<Vec<IpAddr>, PodError> {
    let all = getifaddrs().map_err(|error| PodError::Addresses(error.into()))?;
    let address = |storage: SockaddrStorage| match storage.as_sockaddr_in() {
        Some(v4) => Some(IpAddr::V4(v4.ip())),
        None => storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())),
    };
    Ok(all.filter_map(|interface| interface.address.and_then(address)).collect())
}

fn lay_rules(
    intercept: &Intercept,
    means: Means,
    ipv6: bool,
    shortcomings: &mut Vec<Shortcoming>,
) -> Result<(), PodError> {
    let ruleset = intercept.ruleset();
    match means {
        Means::Nftables => nft::apply(&ruleset)?,
        Means::Iptables(variant) => {
            if let Err(error) = iptables::apply(&ruleset, variant, ipv6)? {
                shortcomings.push(Shortcoming::NoIpv6(error.to_string()));
            }
        }
    }
    Ok(())
}

fn without_zones(intercept: &Intercept) -> Option<Intercept> {
    let dns = intercept.dns.as_ref().filter(|dns| dns.zones)?;
    let dns = Dns { zones: false, ..dns.clone() };
    Some(Intercept { dns: Some(dns), ..intercept.clone() })
}

/// Of the rules, and not of the caller.
fn is_refusal(error: &PodError) -> bool {
    match error {
        PodError::Nft(NftError::Refused { source, .. }) => {
            source.kind() != io::ErrorKind::PermissionDenied
        }
        PodError::Iptables(error) => matches!(error, iptables::ProgramError::Failed { .. }),
        PodError::Nft(NftError::Socket(_) | NftError::Silent(_))
        | PodError::Addresses(_)
        | PodError::Source(_)
        | PodError::Route(_) => false,
    }
}

fn add_inbound_source() -> Result<(), LinkError> {
    let source = Ipv6Net::from(INBOUND_SOURCE);
    on_links(async |links| links.ensure_address(links.required("lo").await?, source).await)
}

fn keep_marked(Transparent { mark, table }: Transparent, ipv6: bool) -> Result<(), LinkError> {
    on_links(async |links| {
        for family in families(ipv6) {
            links.ensure_marked_stay(family, (mark, table)).await?;
        }
        Ok(())
    })
}

fn release_marked(Transparent { mark, table }: Transparent, ipv6: bool) -> Result<(), LinkError> {
    on_links(async |links| {
        for family in families(ipv6) {
            links.let_marked_go(family, (mark, table)).await?;
        }
        Ok(())
    })
}

fn families(ipv6: bool) -> impl Iterator<Item = AddressFamily> {
    std::iter::once(AddressFamily::Inet).chain(ipv6.then_some(AddressFamily::Inet6))
}
