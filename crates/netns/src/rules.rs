//! Interception and host rules as plain data.
//!
//! In: an [`Intercept`], the description of what a sidecar captures. Out: a [`Ruleset`], tables,
//! chains and rules as values, which [`crate::nft`] encodes for the kernel, `Display` prints in
//! nft's own syntax and [`restore`] prints in that of iptables.

mod display;
mod intercept;
pub mod restore;
#[cfg(test)]
mod tests;

use ipnet::IpNet;

pub use intercept::{Dns, Groups, Intercept, OUTBOUND_MARK, OWN_PORTS, PROXY_ID, Transparent};

/// One table of family `inet`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ruleset {
    pub table: String,
    pub chains: Vec<Chain>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    pub name: String,
    /// `None` for a chain that is only jumped to.
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

/// Where the kernel calls a base chain. The policy is always accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    NatPrerouting,
    NatOutput,
    NatPostrouting,
    FilterForward,
    /// Before connections are tracked.
    RawPrerouting,
    RawOutput,
    /// After connections are tracked, before addresses are changed.
    ManglePrerouting,
    /// The same on the way out; a packet whose mark changes is routed anew.
    MangleOutput,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// All must hold.
    pub matches: Vec<Match>,
    /// Count packets and bytes, for people who look with `nft list`.
    pub counter: bool,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Is,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// One condition. A port needs a [`Match::Protocol`] before it in the same rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    InInterface(Op, String),
    OutInterface(Op, String),
    /// An outgoing interface whose name begins so.
    OutInterfacePrefix(Op, String),
    Protocol(Protocol),
    SourcePort(Op, u16),
    DestinationPort(Op, u16),
    Source(Op, IpNet),
    Destination(Op, IpNet),
    Mark(Op, u32),
    /// The mark that was saved with the packet's connection.
    ConnectionMark(Op, u32),
    Uid(Op, u32),
    Gid(Op, u32),
    /// The packet belongs to a connection that conntrack knows, or is related to one.
    Established,
    /// The packet answers whoever opened its connection.
    Reply,
    /// Conntrack can make nothing of the packet.
    Invalid,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// To this port of the address the packet came in on; of loopback on the way out.
    Redirect(u16),
    Masquerade,
    /// Track the packet in this conntrack zone, and go on; the first such rule counts.
    Zone(u16),
    /// Mark the packet, and go on.
    SetMark(u32),
    /// Save the packet's mark with its connection, and go on.
    SaveMark,
    /// Mark the packet as was saved with its connection, and go on.
    RestoreMark,
    /// Mark the packet and give it to the transparent socket of its connection, or to the one that listens
    /// on this port; where there is none, go on or drop it. It needs a [`Match::Protocol`].
    Tproxy {
        port: u16,
        mark: u32,
    },
}

/// A rule without a counter.
pub(crate) fn rule(matches: Vec<Match>, action: Action) -> Rule {
    Rule { matches, counter: false, action }
}

/// A rule with a counter.
pub(crate) fn counted(matches: Vec<Match>, action: Action) -> Rule {
    Rule { matches, counter: true, action }
}
