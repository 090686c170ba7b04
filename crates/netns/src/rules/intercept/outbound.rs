//! The way out: which of the packets that programs and the proxy send are captured.

use std::net::Ipv6Addr;

use ipnet::IpNet;

use super::{
    Groups, IN_REDIRECT, INBOUND_SOURCES, Intercept, OUT_REDIRECT, TCP, goto, host, tcp_port,
};
use crate::rules::{Action, Match, Op, Protocol, Rule, counted, rule};

impl Intercept {
    pub(super) fn outbound(&self) -> Vec<Rule> {
        let excluded = self.exclude_interfaces.iter();
        let mut rules: Vec<Rule> = excluded
            .map(|name| rule(vec![Match::OutInterface(Op::Is, name.clone())], Action::Return))
            .collect();
        rules.extend(self.excluded_ports());
        rules.extend(self.loopback_traffic());
        rules.extend(self.proxys_own().map(|own| rule(vec![own], Action::Return)));
        rules.extend(self.other_groups());
        rules.extend(self.name_servers());
        for loopback in self.localhosts() {
            rules.push(rule(vec![Match::Destination(Op::Is, loopback)], Action::Return));
        }
        rules.extend(self.selection());
        rules
    }

    fn excluded_ports(&self) -> Vec<Rule> {
        let one = |port: &u16| {
            [Protocol::Tcp, Protocol::Udp].map(|protocol| {
                let matches =
                    vec![Match::Protocol(protocol), Match::DestinationPort(Op::Is, *port)];
                rule(matches, Action::Return)
            })
        };
        self.exclude_outbound_ports.iter().flat_map(one).collect()
    }

    /// What happens to packets that never leave the namespace.
    fn loopback_traffic(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = INBOUND_SOURCES
            .map(|source| {
                let matches = vec![on_loopback(), Match::Source(Op::Is, host(source))];
                rule(matches, Action::Return)
            })
            .into();
        // A program that calls its own Service: the proxy dials the namespace's own address, and
        // that has to enter like any other request.
        for localhost in self.localhosts() {
            for own in self.proxys_users(Op::Is) {
                let mut matches =
                    vec![on_loopback(), Match::Destination(Op::Not, localhost), own, TCP];
                matches.extend(self.but_questions());
                matches.push(Match::DestinationPort(Op::Not, self.tunnel_port));
                rules.push(rule(matches, goto(IN_REDIRECT)));
            }
        }
        if self.captures_loopback() {
            return rules;
        }
        // A program that calls itself without the mesh. DNS goes on to its own rule below, because
        // a name server on loopback is captured too.
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut matches = vec![on_loopback()];
            matches.extend(self.proxys_users(Op::Not));
            matches.push(Match::Protocol(protocol));
            matches.extend(self.but_questions());
            rules.push(rule(matches, Action::Return));
        }
        rules
    }

    /// A range on loopback asks for what a program sends to itself.
    fn captures_loopback(&self) -> bool {
        let mut ranges = self.include_outbound_ranges.iter().flatten();
        ranges.any(|range| range.addr().is_loopback())
    }

    fn but_questions(&self) -> Option<Match> {
        self.dns.as_ref().map(|_| Match::DestinationPort(Op::Not, 53))
    }

    fn other_groups(&self) -> Vec<Rule> {
        match &self.groups {
            Groups::AllBut(groups) => groups
                .iter()
                .map(|group| rule(vec![Match::Gid(Op::Is, *group)], Action::Return))
                .collect(),
            Groups::Only(groups) => {
                let none = groups.iter().map(|group| Match::Gid(Op::Not, *group)).collect();
                vec![rule(none, Action::Return)]
            }
        }
    }

    fn name_servers(&self) -> Vec<Rule> {
        let Some(dns) = &self.dns else { return Vec::new() };
        let mut rules = Vec::new();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            for server in dns.each_server(Match::Destination) {
                let mut matches =
                    vec![Match::Protocol(protocol), Match::DestinationPort(Op::Is, 53)];
                matches.extend(server);
                rules.push(counted(matches, Action::Redirect(dns.port)));
            }
        }
        rules
    }

    /// Which of the remaining connections are captured.
    fn selection(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for range in &self.exclude_outbound_ranges {
            rules.push(rule(vec![Match::Destination(Op::Is, *range)], Action::Return));
        }
        for port in &self.include_outbound_ports {
            rules.push(rule(tcp_port(*port), goto(OUT_REDIRECT)));
        }
        let Some(ranges) = &self.include_outbound_ranges else {
            rules.push(rule(vec![TCP], goto(OUT_REDIRECT)));
            return rules;
        };
        for range in ranges {
            rules.push(rule(vec![Match::Destination(Op::Is, *range), TCP], goto(OUT_REDIRECT)));
        }
        rules
    }

    pub(super) fn localhosts(&self) -> [IpNet; 2] {
        [IpNet::V4(self.loopback), host(Ipv6Addr::LOCALHOST)]
    }
}

pub(super) fn on_loopback() -> Match {
    Match::OutInterface(Op::Is, "lo".into())
}
