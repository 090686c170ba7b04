//! The way in with both addresses kept: to a transparent socket of the proxy, which connects to its program
//! with the client's address, so that the program's answers have to be brought back. A packet with the mark
//! stays here by a routing table of its own; a connection with the mark is one from the proxy to its program.
//! The marks are Istio's; its own traffic the proxy is told by user and group here, never by a mark.

use super::outbound::on_loopback;
use super::{INBOUND_SOURCES, Intercept, OUTBOUND_MARK, TCP, Transparent, base, coming_by, host};
use crate::rules::{Action, Base, Chain, Match, Op, Rule, counted, rule};

const TPROXY: &str = "in_tproxy";

impl Intercept {
    /// `None` also if no port is captured on the way in.
    pub(crate) fn captures_transparently(&self) -> Option<Transparent> {
        let none = self.include_inbound_ports.as_ref().is_some_and(Vec::is_empty);
        self.transparent.filter(|_| !none)
    }

    /// The routing that goes with the rules, as commands that would make it; empty without any.
    pub fn routes(&self) -> String {
        let Some(Transparent { mark, table }) = self.captures_transparently() else {
            return String::new();
        };
        let family = |ip: &str| {
            format!(
                "{ip} rule add fwmark {mark} lookup {table}\n{ip} route add local default dev lo table {table}\n"
            )
        };
        family("ip") + &family("ip -6")
    }

    pub(super) fn transparent(&self, it: Transparent) -> [Chain; 3] {
        let tproxy = Action::Tproxy { port: self.inbound_port, mark: it.mark };
        // Nobody listens yet: the client tries again, and reaches nobody past the proxy.
        let captured = vec![counted(vec![TCP], tproxy), counted(vec![TCP], Action::Drop)];
        [
            Chain { name: TPROXY.into(), base: None, rules: captured },
            base("transparent_prerouting", Base::ManglePrerouting, self.arriving(it)),
            base("transparent_output", Base::MangleOutput, self.leaving(it)),
        ]
    }

    fn arriving(&self, it: Transparent) -> Vec<Rule> {
        let interfaces = self.exclude_interfaces.iter().chain(&self.reroute_interfaces);
        let mut rules: Vec<Rule> =
            interfaces.map(|name| rule(vec![coming_by(name)], Action::Return)).collect();
        // Between the proxy and its program.
        rules.push(rule(vec![TCP, Match::Mark(Op::Is, it.mark)], Action::Return));
        for source in INBOUND_SOURCES {
            let matches = vec![coming_by("lo"), Match::Source(Op::Is, host(source))];
            rules.push(rule(matches, Action::Return));
        }
        // What a program says to itself.
        let matches = vec![coming_by("lo"), Match::Mark(Op::Not, OUTBOUND_MARK)];
        rules.push(rule(matches, Action::Return));
        // Of connections that were opened here. Those that were opened elsewhere are the proxy's, which
        // the kernel finds out for every packet of theirs.
        rules.push(rule(vec![TCP, Match::Reply], Action::Return));
        for localhost in self.localhosts() {
            rules.push(rule(vec![Match::Destination(Op::Is, localhost)], Action::Return));
        }
        rules.extend(self.selected_ports(TPROXY));
        rules
    }

    fn leaving(&self, it: Transparent) -> Vec<Rule> {
        let excluded = self.exclude_interfaces.iter();
        let mut rules: Vec<Rule> = excluded
            .map(|name| rule(vec![Match::OutInterface(Op::Is, name.clone())], Action::Return))
            .collect();
        let to_program = || vec![TCP, Match::Mark(Op::Is, it.mark)];
        rules.push(rule(to_program(), Action::SaveMark));
        rules.push(rule(to_program(), Action::Return));
        // A program that calls its own Service: the proxy dials the pod's own address, and that has to
        // enter like any other request.
        for localhost in self.localhosts() {
            for own in self.proxys_own() {
                let matches = vec![on_loopback(), Match::Destination(Op::Not, localhost), own, TCP];
                rules.push(rule(matches, Action::SetMark(OUTBOUND_MARK)));
            }
        }
        let answers = vec![TCP, Match::ConnectionMark(Op::Is, it.mark)];
        rules.push(rule(answers, Action::RestoreMark));
        rules
    }
}
