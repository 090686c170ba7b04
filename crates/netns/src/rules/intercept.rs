//! What a sidecar captures. In: an [`Intercept`]. Out: its rules, in the order of Istio's iptables
//! chains (<https://istio.io/latest/docs/ops/deployment/application-requirements/> for the ports).

mod outbound;
mod transparent;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Action, Base, Chain, Match, Op, Protocol, Rule, Ruleset, counted, rule};

/// Mark and user that Istio gives to the proxy's own traffic.
pub const PROXY_ID: u32 = 1337;
/// Mark of what the proxy sends to its own pod by its address, where the way in is transparent.
pub const OUTBOUND_MARK: u32 = 1338;
/// Ports of the sidecar itself that are not captured: merged metrics, health, Envoy metrics.
pub const OWN_PORTS: [u16; 3] = [15020, 15021, 15090];
/// The addresses from which a proxy connects to its own program, so that the answer is not captured.
const INBOUND_SOURCES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)), IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6))];
/// Conntrack zones that keep a program's questions apart from the proxy's own.
const ZONE_UPSTREAM: u16 = 1;
const ZONE_PROGRAM: u16 = 2;

/// What a sidecar captures. `Default` is what Istio does without any annotation, and all DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intercept {
    pub outbound_port: u16,
    pub inbound_port: u16,
    /// Where tunnelled connections arrive, which are never captured.
    pub tunnel_port: u16,
    /// `None` leaves DNS alone.
    pub dns: Option<Dns>,
    /// The proxy's own connections: by socket mark, user or group.
    pub mark: Option<u32>,
    pub uids: Vec<u32>,
    pub gids: Vec<u32>,
    /// Whose connections are captured.
    pub groups: Groups,
    /// When set, only these destination ports are captured on the way in, whatever is excluded.
    pub include_inbound_ports: Option<Vec<u16>>,
    pub exclude_inbound_ports: Vec<u16>,
    /// For TCP and UDP, DNS included.
    pub exclude_outbound_ports: Vec<u16>,
    /// Captured even when `include_outbound_ranges` does not cover the destination.
    pub include_outbound_ports: Vec<u16>,
    /// When set, only these destinations are captured on the way out.
    pub include_outbound_ranges: Option<Vec<IpNet>>,
    pub exclude_outbound_ranges: Vec<IpNet>,
    /// Nothing is captured that comes in or goes out by these.
    pub exclude_interfaces: Vec<String>,
    /// What comes in by these, from a virtual machine, is captured as if it were going out.
    pub reroute_interfaces: Vec<String>,
    /// What a program calls itself by, and is not captured.
    pub loopback: Ipv4Net,
    /// Drop packets that conntrack can make nothing of, which the kernel would answer with a reset.
    pub drop_invalid: bool,
    /// Leave the addresses of what comes in as they are; `None` redirects it.
    pub transparent: Option<Transparent>,
}

/// Inbound connections keep both addresses on their way to the proxy, and from there to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transparent {
    /// Of packets that stay here, whatever their destination.
    pub mark: u32,
    /// The routing table of such packets.
    pub table: u32,
}

impl Default for Transparent {
    fn default() -> Self {
        Transparent { mark: PROXY_ID, table: 133 }
    }
}

/// Which questions are captured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dns {
    pub port: u16,
    /// `None` is every server.
    pub servers: Option<Vec<IpAddr>>,
    /// Without zones a question of the proxy is taken for one of the program if both come from the same
    /// port within conntrack's memory, and sent back to the proxy.
    pub zones: bool,
}

/// The groups whose connections are captured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Groups {
    AllBut(Vec<u32>),
    Only(Vec<u32>),
}

impl Default for Intercept {
    fn default() -> Self {
        Intercept {
            outbound_port: 15001,
            inbound_port: 15006,
            tunnel_port: 15008,
            dns: Some(Dns { port: 15053, servers: None, zones: false }),
            mark: Some(PROXY_ID),
            uids: vec![PROXY_ID],
            gids: vec![PROXY_ID],
            groups: Groups::AllBut(Vec::new()),
            include_inbound_ports: None,
            exclude_inbound_ports: OWN_PORTS.to_vec(),
            exclude_outbound_ports: Vec::new(),
            include_outbound_ports: Vec::new(),
            include_outbound_ranges: None,
            exclude_outbound_ranges: Vec::new(),
            exclude_interfaces: Vec::new(),
            reroute_interfaces: Vec::new(),
            loopback: Ipv4Net::from(Ipv4Addr::LOCALHOST),
            drop_invalid: false,
            transparent: None,
        }
    }
}

const IN_REDIRECT: &str = "in_redirect";
const OUT_REDIRECT: &str = "out_redirect";

impl Intercept {
    /// Its name in every namespace.
    pub const TABLE: &str = "lateen";

    /// The table of a workload's namespace.
    pub fn ruleset(&self) -> Ruleset {
        let mut chains = vec![
            redirect_chain(IN_REDIRECT, self.inbound_port),
            redirect_chain(OUT_REDIRECT, self.outbound_port),
            base("prerouting", Base::NatPrerouting, self.inbound()),
            base("output", Base::NatOutput, self.outbound()),
        ];
        if self.drop_invalid {
            let drop = vec![counted(vec![Match::Invalid], Action::Drop)];
            chains.push(base("invalid", Base::ManglePrerouting, drop));
        }
        chains
            .extend(self.captures_transparently().into_iter().flat_map(|it| self.transparent(it)));
        if let Some(dns) = self.dns.as_ref().filter(|dns| dns.zones) {
            chains.push(base("dns_output", Base::RawOutput, self.questions(dns)));
            chains.push(base("dns_prerouting", Base::RawPrerouting, answers(dns)));
        }
        Ruleset { table: Self::TABLE.into(), chains }
    }

    fn inbound(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for interface in &self.reroute_interfaces {
            rules.extend(self.reroute(interface));
        }
        let excluded = self.exclude_interfaces.iter();
        rules.extend(excluded.map(|name| rule(vec![coming_by(name)], Action::Return)));
        if self.transparent.is_none() {
            rules.extend(self.selected_ports(IN_REDIRECT));
        }
        rules
    }

    /// Which inbound ports go to a chain.
    fn selected_ports(&self, chain: &str) -> Vec<Rule> {
        let mut rules = vec![rule(tcp_port(self.tunnel_port), Action::Return)];
        match &self.include_inbound_ports {
            None => {
                let excluded = self.exclude_inbound_ports.iter();
                rules.extend(excluded.map(|port| rule(tcp_port(*port), Action::Return)));
                rules.push(rule(vec![TCP], goto(chain)));
            }
            Some(ports) => {
                rules.extend(ports.iter().map(|port| rule(tcp_port(*port), goto(chain))));
            }
        }
        rules
    }

    fn reroute(&self, interface: &str) -> Vec<Rule> {
        let mut rules = Vec::new();
        match &self.include_outbound_ranges {
            None => rules.push(rule(vec![coming_by(interface), TCP], goto(OUT_REDIRECT))),
            Some(ranges) => rules.extend(ranges.iter().map(|range| {
                let matches = vec![coming_by(interface), Match::Destination(Op::Is, *range), TCP];
                rule(matches, goto(OUT_REDIRECT))
            })),
        }
        rules.push(rule(vec![coming_by(interface)], Action::Return));
        rules
    }

    /// Of packets that leave for a name server, or that answer a program.
    fn questions(&self, dns: &Dns) -> Vec<Rule> {
        let mut rules = Vec::new();
        for own in self.proxys_own() {
            let asks = vec![own.clone(), UDP, Match::DestinationPort(Op::Is, 53)];
            rules.push(rule(asks, Action::Zone(ZONE_UPSTREAM)));
            let answers = vec![own, UDP, Match::SourcePort(Op::Is, dns.port)];
            rules.push(rule(answers, Action::Zone(ZONE_PROGRAM)));
        }
        for server in dns.each_server(Match::Destination) {
            let mut matches = vec![UDP, Match::DestinationPort(Op::Is, 53)];
            matches.extend(server);
            rules.push(rule(matches, Action::Zone(ZONE_PROGRAM)));
        }
        rules
    }

    fn proxys_own(&self) -> impl Iterator<Item = Match> + use<'_> {
        let groups = self.gids.iter().map(|gid| Match::Gid(Op::Is, *gid));
        self.proxys_users(Op::Is).chain(groups)
    }

    /// Without groups: a program that shares its group with the proxy may call itself without the mesh.
    fn proxys_users(&self, op: Op) -> impl Iterator<Item = Match> + use<'_> {
        let mark = self.mark.map(|mark| Match::Mark(op, mark));
        mark.into_iter().chain(self.uids.iter().map(move |uid| Match::Uid(op, *uid)))
    }
}

/// Of the answers of name servers.
fn answers(dns: &Dns) -> Vec<Rule> {
    let servers = dns.each_server(Match::Source).into_iter();
    servers
        .map(|server| {
            let mut matches = vec![UDP, Match::SourcePort(Op::Is, 53)];
            matches.extend(server);
            rule(matches, Action::Zone(ZONE_UPSTREAM))
        })
        .collect()
}

impl Dns {
    /// A condition for each server; one empty condition for all.
    fn each_server(&self, condition: fn(Op, IpNet) -> Match) -> Vec<Option<Match>> {
        match &self.servers {
            None => vec![None],
            Some(servers) => {
                servers.iter().map(|server| Some(condition(Op::Is, host(*server)))).collect()
            }
        }
    }
}

const TCP: Match = Match::Protocol(Protocol::Tcp);
const UDP: Match = Match::Protocol(Protocol::Udp);

fn base(name: &str, base: Base, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), base: Some(base), rules }
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

fn coming_by(interface: &str) -> Match {
    Match::InInterface(Op::Is, interface.into())
}

fn host(address: impl Into<IpAddr>) -> IpNet {
    IpNet::from(address.into())
}
