//! Rules as text, in nft's syntax: what `nft -f` would take and people can read.

use std::fmt::{Display, Formatter, Result};

use ipnet::IpNet;

use super::{Action, Base, Chain, Match, Op, Protocol, Rule, Ruleset};

impl Display for Ruleset {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "table inet {} {{", self.table)?;
        for chain in &self.chains {
            write!(f, "{chain}")?;
        }
        writeln!(f, "}}")
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "  chain {} {{", self.name)?;
        if let Some(base) = self.base {
            writeln!(f, "    {base}")?;
        }
        for rule in &self.rules {
            writeln!(f, "    {rule}")?;
        }
        writeln!(f, "  }}")
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Base::NatPrerouting => "type nat hook prerouting priority -100; policy accept;",
            Base::NatOutput => "type nat hook output priority -100; policy accept;",
            Base::NatPostrouting => "type nat hook postrouting priority 100; policy accept;",
            Base::FilterForward => "type filter hook forward priority 0; policy accept;",
            Base::RawPrerouting => "type filter hook prerouting priority -300; policy accept;",
            Base::RawOutput => "type filter hook output priority -300; policy accept;",
            Base::ManglePrerouting => "type filter hook prerouting priority -150; policy accept;",
            Base::MangleOutput => "type route hook output priority -150; policy accept;",
        })
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for condition in &self.matches {
            write!(f, "{condition} ")?;
        }
        if self.counter {
            f.write_str("counter ")?;
        }
        write!(f, "{}", self.action)
    }
}

impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Match::InInterface(op, name) => write!(f, "iifname {op}\"{name}\""),
            Match::OutInterface(op, name) => write!(f, "oifname {op}\"{name}\""),
            Match::OutInterfacePrefix(op, name) => write!(f, "oifname {op}\"{name}*\""),
            Match::Protocol(Protocol::Tcp) => f.write_str("meta l4proto tcp"),
            Match::Protocol(Protocol::Udp) => f.write_str("meta l4proto udp"),
            Match::SourcePort(op, port) => write!(f, "th sport {op}{port}"),
            Match::DestinationPort(op, port) => write!(f, "th dport {op}{port}"),
            Match::Source(op, net) => write!(f, "{} saddr {op}{}", family(net), Brief(net)),
            Match::Destination(op, net) => write!(f, "{} daddr {op}{}", family(net), Brief(net)),
            Match::Mark(op, mark) => write!(f, "meta mark {op}{mark}"),
            Match::ConnectionMark(op, mark) => write!(f, "ct mark {op}{mark}"),
            Match::Uid(op, id) => write!(f, "meta skuid {op}{id}"),
            Match::Gid(op, id) => write!(f, "meta skgid {op}{id}"),
            Match::Established => f.write_str("ct state established,related"),
            Match::Reply => f.write_str("ct direction reply"),
            Match::Invalid => f.write_str("ct state invalid"),
        }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Op::Is => Ok(()),
            Op::Not => f.write_str("!= "),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Action::Accept => f.write_str("accept"),
            Action::Drop => f.write_str("drop"),
            Action::Return => f.write_str("return"),
            Action::Jump(chain) => write!(f, "jump {chain}"),
            Action::Goto(chain) => write!(f, "goto {chain}"),
            Action::Redirect(port) => write!(f, "redirect to :{port}"),
            Action::Masquerade => f.write_str("masquerade"),
            Action::Zone(zone) => write!(f, "ct zone set {zone}"),
            Action::SetMark(mark) => write!(f, "meta mark set {mark}"),
            Action::SaveMark => f.write_str("ct mark set meta mark"),
            Action::RestoreMark => f.write_str("meta mark set ct mark"),
            Action::Tproxy { port, mark } => {
                write!(f, "tproxy to :{port} meta mark set {mark} accept")
            }
        }
    }
}

fn family(net: &IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "ip",
        IpNet::V6(_) => "ip6",
    }
}

/// A network without the prefix length of a single address, as nft prints it.
struct Brief<'a>(&'a IpNet);

impl Display for Brief<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}
