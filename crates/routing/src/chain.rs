//! Filter-chain matching with Envoy's precedence. In: what is known of a connection. Out: the index
//! of the chain. Source of the rules: Envoy's `FilterChainMatch` reference page.

use std::net::{IpAddr, SocketAddr};

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use ipnet::IpNet;

use crate::convert;
use crate::reject::{Refusal, refuse};

/// What the first bytes were found to be; without an inspector it is [`Transport::RawBuffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    RawBuffer,
    Tls,
}

/// What a chain is chosen by. `destination` is the original destination where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    pub destination: SocketAddr,
    pub source: SocketAddr,
    pub transport: Transport,
    pub server_name: Option<&'a str>,
    pub application_protocols: &'a [&'a str],
}

impl Connection<'_> {
    /// A connection of whose bytes nothing is known.
    pub fn tcp(source: SocketAddr, destination: SocketAddr) -> Self {
        Connection {
            destination,
            source,
            transport: Transport::RawBuffer,
            server_name: None,
            application_protocols: &[],
        }
    }
}

/// A compiled `FilterChainMatch`. Empty lists match everything, with the least precedence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    destination_port: Option<u16>,
    destination_prefixes: Vec<IpNet>,
    server_names: Vec<String>,
    transport: String,
    application_protocols: Vec<String>,
    direct_source_prefixes: Vec<IpNet>,
    source_type: SourceType,
    source_prefixes: Vec<IpNet>,
    source_ports: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SourceType {
    #[default]
    Any,
    Local,
    External,
}

/// One criterion: how specifically a match meets a connection, `None` if not at all.
type Criterion = fn(&Match, &Connection) -> Option<usize>;

/// In Envoy's order. Each narrows what the one before left; there is no way back.
const CRITERIA: [Criterion; 9] = [
    |rule, connection| match rule.destination_port {
        None => Some(0),
        Some(port) => (port == connection.destination.port()).then_some(1),
    },
    |rule, connection| longest(&rule.destination_prefixes, connection.destination.ip()),
    server_name,
    |rule, connection| match rule.transport.as_str() {
        "" => Some(0),
        "raw_buffer" => (connection.transport == Transport::RawBuffer).then_some(1),
        "tls" => (connection.transport == Transport::Tls).then_some(1),
        _ => None,
    },
    application_protocol,
    |rule, connection| longest(&rule.direct_source_prefixes, connection.source.ip()),
    source_type,
    |rule, connection| longest(&rule.source_prefixes, connection.source.ip()),
    |rule, connection| match rule.source_ports.as_slice() {
        [] => Some(0),
        ports => ports.contains(&connection.source.port()).then_some(1),
    },
];

/// The index of the chain that takes the connection.
pub fn select<'a>(
    matches: impl ExactSizeIterator<Item = &'a Match>,
    connection: &Connection,
) -> Option<usize> {
    let mut left: Vec<(usize, &Match)> = matches.enumerate().collect();
    for criterion in CRITERIA {
        let score = |(_, rule): &(usize, &Match)| criterion(rule, connection);
        let best = left.iter().filter_map(score).max()?;
        left.retain(|candidate| score(candidate) == Some(best));
    }
    left.first().map(|(index, _)| *index)
}

impl Match {
    pub(crate) fn compile(source: &listener::FilterChainMatch) -> Result<Self, Refusal> {
        if !source.address_suffix.is_empty() || source.suffix_len.is_some() {
            return Err(refuse("address_suffix", "not supported", "use prefix_ranges"));
        }
        let destination_port = match &source.destination_port {
            None => None,
            Some(port) => Some(self::port("destination_port", port.value)?),
        };
        let source_ports = source.source_ports.iter().map(|port| self::port("source_ports", *port));
        Ok(Self {
            destination_port,
            destination_prefixes: prefixes("prefix_ranges", &source.prefix_ranges)?,
            server_names: source.server_names.iter().map(|name| name.to_lowercase()).collect(),
            transport: source.transport_protocol.clone(),
            application_protocols: source.application_protocols.clone(),
            direct_source_prefixes: prefixes(
                "direct_source_prefix_ranges",
                &source.direct_source_prefix_ranges,
            )?,
            source_type: match ConnectionSourceType::try_from(source.source_type) {
                Ok(ConnectionSourceType::SameIpOrLoopback) => SourceType::Local,
                Ok(ConnectionSourceType::External) => SourceType::External,
                Ok(ConnectionSourceType::Any) => SourceType::Any,
                Err(_) => return Err(refuse("source_type", "unknown", "use ANY")),
            },
            source_prefixes: prefixes("source_prefix_ranges", &source.source_prefix_ranges)?,
            source_ports: source_ports.collect::<Result<_, _>>()?,
        })
    }

    /// True if what HTTP clients offer decides, which only TLS tells.
    pub(crate) fn needs_protocols(&self) -> bool {
        !self.application_protocols.is_empty()
    }

    /// True if only the first bytes of a connection can decide.
    pub(crate) fn needs_inspection(&self) -> bool {
        !self.server_names.is_empty()
            || !self.application_protocols.is_empty()
            || !self.transport.is_empty()
    }

    pub(crate) fn accepts_anything(&self) -> bool {
        *self == Self::default()
    }
}

fn port(field: &str, value: u32) -> Result<u16, Refusal> {
    u16::try_from(value).map_err(|_| refuse(field, format!("{value} is no port"), "use 1 to 65535"))
}

fn prefixes(field: &str, ranges: &[CidrRange]) -> Result<Vec<IpNet>, Refusal> {
    let compiled = ranges.iter().enumerate().map(|(index, range)| {
        convert::prefix(range).map_err(|refused| refused.within(&format!("{field}[{index}]")))
    });
    compiled.collect()
}

/// The longest prefix that contains the address; no prefixes at all come last.
fn longest(prefixes: &[IpNet], ip: IpAddr) -> Option<usize> {
    if prefixes.is_empty() {
        return Some(0);
    }
    let containing = prefixes.iter().filter(|prefix| prefix.contains(&ip));
    containing.map(|prefix| 1 + usize::from(prefix.prefix_len())).max()
}

/// An exact name before the longest `*.` suffix before none.
fn server_name(rule: &Match, connection: &Connection) -> Option<usize> {
    if rule.server_names.is_empty() {
        return Some(0);
    }
    let name = connection.server_name?.to_lowercase();
    let scores = rule.server_names.iter().filter_map(|pattern| {
        if *pattern == name {
            return Some(usize::MAX);
        }
        let suffix = pattern.strip_prefix('*')?;
        (name.len() > suffix.len() && name.ends_with(suffix)).then_some(pattern.len())
    });
    scores.max()
}

/// The client's order of protocols decides.
fn application_protocol(rule: &Match, connection: &Connection) -> Option<usize> {
    if rule.application_protocols.is_empty() {
        return Some(0);
    }
    let offered = connection.application_protocols;
    let first = offered
        .iter()
        .position(|protocol| rule.application_protocols.iter().any(|rule| rule == protocol))?;
    Some(offered.len() - first)
}

fn source_type(rule: &Match, connection: &Connection) -> Option<usize> {
    let source = connection.source.ip();
    let local = source.is_loopback() || source == connection.destination.ip();
    match rule.source_type {
        SourceType::Any => Some(0),
        SourceType::Local => local.then_some(1),
        SourceType::External => (!local).then_some(1),
    }
}

#[cfg(test)]
mod tests;
