//! Interception and host rules as plain data.
//!
//! In: an [`Intercept`], the description of what a sidecar captures. Out: a [`Ruleset`], tables,
//! chains and rules as values, which [`crate::nft`] encodes for the kernel and `Display` prints in
//! nft's own syntax. The semantics are those of Istio's iptables chains
//! (<https://istio.io/latest/docs/ops/deployment/application-requirements/> for the ports).

mod display;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Mark and user that Istio gives to the proxy's own traffic.
pub const PROXY_ID: u32 = 1337;
/// The address from which a proxy connects to its own program, so that the answer is not captured.
pub const INBOUND_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
/// Ports that belong to the sidecar itself and are never captured: HBONE, merged metrics, health, Envoy metrics.
pub const RESERVED_INBOUND: [u16; 4] = [15008, 15020, 15021, 15090];

/// What a sidecar captures. `Default` is what Istio does without any annotation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intercept {
    pub outbound_port: u16,
    pub inbound_port: u16,
    /// `None` leaves DNS alone.
    pub dns_port: Option<u16>,
    /// Socket mark of the proxy's own connections.
    pub mark: u32,
    /// User and group of the proxy's own connections.
    pub uid: u32,
    /// When set, only these destination ports are captured on the way in.
    pub include_inbound_ports: Option<Vec<u16>>,
    /// Added to [`RESERVED_INBOUND`].
    pub exclude_inbound_ports: Vec<u16>,
    pub exclude_outbound_ports: Vec<u16>,
    /// Captured even when `include_outbound_ranges` does not cover the destination.
    pub include_outbound_ports: Vec<u16>,
    /// When set, only these destinations are captured on the way out.
    pub include_outbound_ranges: Option<Vec<IpNet>>,
    pub exclude_outbound_ranges: Vec<IpNet>,
}

impl Default for Intercept {
    fn default() -> Self {
        Intercept {
            outbound_port: 15001,
            inbound_port: 15006,
            dns_port: Some(15053),
            mark: PROXY_ID,
            uid: PROXY_ID,
            include_inbound_ports: None,
            exclude_inbound_ports: Vec::new(),
            exclude_outbound_ports: Vec::new(),
            include_outbound_ports: Vec::new(),
            include_outbound_ranges: None,
            exclude_outbound_ranges: Vec::new(),
        }
    }
}

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
    DestinationPort(Op, u16),
    Source(Op, IpNet),
    Destination(Op, IpNet),
    Mark(Op, u32),
    Uid(Op, u32),
    Gid(Op, u32),
    /// The packet belongs to a connection that conntrack knows, or is related to one.
    Established,
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
}

const IN_REDIRECT: &str = "in_redirect";
const OUT_REDIRECT: &str = "out_redirect";

impl Intercept {
    /// The table `lateen` of a workload's namespace.
    pub fn ruleset(&self) -> Ruleset {
        Ruleset {
            table: "lateen".into(),
            chains: vec![
                redirect_chain(IN_REDIRECT, self.inbound_port),
                redirect_chain(OUT_REDIRECT, self.outbound_port),
                Chain {
                    name: "prerouting".into(),
                    base: Some(Base::NatPrerouting),
                    rules: self.inbound(),
                },
                Chain {
                    name: "output".into(),
                    base: Some(Base::NatOutput),
                    rules: self.outbound(),
                },
            ],
        }
    }

    fn inbound(&self) -> Vec<Rule> {
        let excluded = RESERVED_INBOUND.iter().chain(&self.exclude_inbound_ports);
        let mut rules: Vec<_> =
            excluded.map(|port| rule(tcp_port(*port), Action::Return)).collect();
        match &self.include_inbound_ports {
            None => rules.push(rule(vec![TCP], goto(IN_REDIRECT))),
            Some(ports) => {
                rules.extend(ports.iter().map(|port| rule(tcp_port(*port), goto(IN_REDIRECT))));
            }
        }
        rules
    }

    fn outbound(&self) -> Vec<Rule> {
        let mut rules = self.loopback();
        rules.extend(self.proxys_own().map(|own| rule(vec![own], Action::Return)));
        if let Some(port) = self.dns_port {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let matches = vec![Match::Protocol(protocol), Match::DestinationPort(Op::Is, 53)];
                rules.push(counted(matches, Action::Redirect(port)));
            }
        }
        for loopback in [host(Ipv4Addr::LOCALHOST), host(Ipv6Addr::LOCALHOST)] {
            rules.push(rule(vec![Match::Destination(Op::Is, loopback)], Action::Return));
        }
        rules.extend(self.selection());
        rules
    }

    /// What happens to packets that never leave the namespace.
    fn loopback(&self) -> Vec<Rule> {
        let mut rules = vec![rule(
            vec![on_loopback(), Match::Source(Op::Is, host(INBOUND_SOURCE))],
            Action::Return,
        )];
        // A program that calls its own Service: the proxy dials the namespace's own address, and
        // that has to enter like any other request.
        for localhost in [host(Ipv4Addr::LOCALHOST), host(Ipv6Addr::LOCALHOST)] {
            for own in self.proxys_own() {
                let mut matches =
                    vec![on_loopback(), Match::Destination(Op::Not, localhost), own, TCP];
                matches.extend(self.dns_port.map(|_| Match::DestinationPort(Op::Not, 53)));
                matches.push(Match::DestinationPort(Op::Not, RESERVED_INBOUND[0]));
                rules.push(rule(matches, goto(IN_REDIRECT)));
            }
        }
        // A program that calls itself without the mesh. DNS goes on to its own rule below, because
        // a name server on loopback is captured too.
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut matches = vec![
                on_loopback(),
                Match::Mark(Op::Not, self.mark),
                Match::Uid(Op::Not, self.uid),
                Match::Gid(Op::Not, self.uid),
                Match::Protocol(protocol),
            ];
            matches.extend(self.dns_port.map(|_| Match::DestinationPort(Op::Not, 53)));
            rules.push(rule(matches, Action::Return));
        }
        rules
    }

    /// Which of the remaining connections are captured.
    fn selection(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for port in &self.exclude_outbound_ports {
            rules.push(rule(tcp_port(*port), Action::Return));
        }
        for range in &self.exclude_outbound_ranges {
            rules.push(rule(vec![Match::Destination(Op::Is, *range)], Action::Return));
        }
        let Some(ranges) = &self.include_outbound_ranges else {
            rules.push(rule(vec![TCP], goto(OUT_REDIRECT)));
            return rules;
        };
        for port in &self.include_outbound_ports {
            rules.push(rule(tcp_port(*port), goto(OUT_REDIRECT)));
        }
        for range in ranges {
            rules.push(rule(vec![Match::Destination(Op::Is, *range), TCP], goto(OUT_REDIRECT)));
        }
        rules
    }

    fn proxys_own(&self) -> impl Iterator<Item = Match> + use<> {
        [Match::Mark(Op::Is, self.mark), Match::Uid(Op::Is, self.uid), Match::Gid(Op::Is, self.uid)]
            .into_iter()
    }
}

const TCP: Match = Match::Protocol(Protocol::Tcp);

/// A rule without a counter.
pub(crate) fn rule(matches: Vec<Match>, action: Action) -> Rule {
    Rule { matches, counter: false, action }
}

/// A rule with a counter.
pub(crate) fn counted(matches: Vec<Match>, action: Action) -> Rule {
    Rule { matches, counter: true, action }
}

fn redirect_chain(name: &str, port: u16) -> Chain {
    // The protocol is asked for again here: the kernel takes a port redirect for tcp only.
    Chain { name: name.into(), base: None, rules: vec![counted(vec![TCP], Action::Redirect(port))] }
}

fn goto(chain: &str) -> Action {
    Action::Goto(chain.into())
}

fn tcp_port(port: u16) -> Vec<Match> {
    vec![TCP, Match::DestinationPort(Op::Is, port)]
}

fn on_loopback() -> Match {
    Match::OutInterface(Op::Is, "lo".into())
}

fn host(address: impl Into<IpAddr>) -> IpNet {
    IpNet::from(address.into())
}
