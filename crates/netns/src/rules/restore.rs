//! Rules in the form of `iptables-restore`, for kernels without nf_tables and for people who look with
//! `iptables -S`. In: a [`Ruleset`] and a family. Out: the text, and the commands that take the chains away
//! again. Chains have Istio's names; one without a name there that is only jumped to is of the table `nat`.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use ipnet::IpNet;

use super::{Action, Base, Chain, Match, Op, Protocol, Rule, Ruleset};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

const TABLES: [&str; 4] = ["raw", "mangle", "nat", "filter"];

/// Our name of a chain, its table, where it is jumped to from, and its name there.
const CHAINS: [(&str, &str, Option<&str>, &str); 10] = [
    ("in_redirect", "nat", None, "ISTIO_IN_REDIRECT"),
    ("out_redirect", "nat", None, "ISTIO_REDIRECT"),
    ("prerouting", "nat", Some("PREROUTING"), "ISTIO_INBOUND"),
    ("output", "nat", Some("OUTPUT"), "ISTIO_OUTPUT"),
    ("invalid", "mangle", Some("PREROUTING"), "ISTIO_DROP"),
    ("in_tproxy", "mangle", None, "ISTIO_TPROXY"),
    ("transparent_prerouting", "mangle", Some("PREROUTING"), "ISTIO_INBOUND"),
    ("transparent_output", "mangle", Some("OUTPUT"), "ISTIO_OUTPUT"),
    ("dns_output", "raw", Some("OUTPUT"), "ISTIO_OUTPUT_DNS"),
    ("dns_prerouting", "raw", Some("PREROUTING"), "ISTIO_INBOUND"),
];

/// The text for `iptables-restore --noflush`.
pub fn text(ruleset: &Ruleset, family: Family) -> String {
    let mut text = String::new();
    for table in TABLES {
        let chains: Vec<&Chain> =
            ruleset.chains.iter().filter(|chain| table_of(chain) == table).collect();
        if chains.is_empty() {
            continue;
        }
        line(&mut text, &format!("*{table}"));
        for chain in &chains {
            line(&mut text, &format!(":{} - [0:0]", name(&chain.name)));
        }
        for chain in &chains {
            if let Some(base) = chain.base {
                line(&mut text, &format!("-A {} -j {}", place(base).1, name(&chain.name)));
            }
            let rules = chain.rules.iter().filter(|rule| fits(rule, family));
            rules.for_each(|rule| line(&mut text, &arguments(&chain.name, rule)));
        }
        line(&mut text, "COMMIT");
    }
    text
}

/// Arguments of `iptables`, one call each; those for what does not exist fail, which is fine.
pub fn removal() -> Vec<Vec<&'static str>> {
    let jumps = CHAINS.iter().filter_map(|(_, table, from, name)| {
        from.map(|from| vec!["-t", table, "-D", from, "-j", name])
    });
    let chains = |step: &'static str| {
        CHAINS.iter().map(move |(_, table, _, name)| vec!["-t", *table, step, *name])
    };
    jumps.chain(chains("-F")).chain(chains("-X")).collect()
}

fn table_of(chain: &Chain) -> &'static str {
    let known = || CHAINS.iter().find(|(known, ..)| *known == chain.name);
    match chain.base {
        Some(base) => place(base).0,
        None => known().map_or("nat", |(_, table, ..)| table),
    }
}

fn place(base: Base) -> (&'static str, &'static str) {
    match base {
        Base::NatPrerouting => ("nat", "PREROUTING"),
        Base::NatOutput => ("nat", "OUTPUT"),
        Base::NatPostrouting => ("nat", "POSTROUTING"),
        Base::FilterForward => ("filter", "FORWARD"),
        Base::RawPrerouting => ("raw", "PREROUTING"),
        Base::RawOutput => ("raw", "OUTPUT"),
        Base::ManglePrerouting => ("mangle", "PREROUTING"),
        Base::MangleOutput => ("mangle", "OUTPUT"),
    }
}

fn name(ours: &str) -> &str {
    CHAINS.iter().find(|(known, ..)| *known == ours).map_or(ours, |(.., theirs)| theirs)
}

/// A rule about addresses is of its family only.
fn fits(rule: &Rule, family: Family) -> bool {
    rule.matches.iter().all(|condition| match condition {
        Match::Source(_, IpNet::V4(_)) | Match::Destination(_, IpNet::V4(_)) => {
            family == Family::V4
        }
        Match::Source(_, IpNet::V6(_)) | Match::Destination(_, IpNet::V6(_)) => {
            family == Family::V6
        }
        _ => true,
    })
}

fn arguments(chain: &str, rule: &Rule) -> String {
    let mut text = format!("-A {}", name(chain));
    for condition in &rule.matches {
        if !matches!(condition, Match::DestinationPort(Op::Not, _)) {
            text.push(' ');
            text.push_str(&match_arguments(condition));
        }
    }
    text.push_str(&other_ports(rule));
    text.push(' ');
    text.push_str(&action_arguments(&rule.action));
    text
}

/// One rule can say "not this port" once only; several go together.
fn other_ports(rule: &Rule) -> String {
    let ports: Vec<String> = rule
        .matches
        .iter()
        .filter_map(|condition| match condition {
            Match::DestinationPort(Op::Not, port) => Some(port.to_string()),
            _ => None,
        })
        .collect();
    match ports.as_slice() {
        [] => String::new(),
        [port] => format!(" ! --dport {port}"),
        many => format!(" -m multiport ! --dports {}", many.join(",")),
    }
}

fn match_arguments(condition: &Match) -> String {
    let not = |op: &Op| match op {
        Op::Is => "",
        Op::Not => "! ",
    };
    match condition {
        Match::InInterface(op, name) => format!("{}-i {name}", not(op)),
        Match::OutInterface(op, name) => format!("{}-o {name}", not(op)),
        Match::OutInterfacePrefix(op, name) => format!("{}-o {name}+", not(op)),
        Match::Protocol(Protocol::Tcp) => "-p tcp".into(),
        Match::Protocol(Protocol::Udp) => "-p udp".into(),
        Match::SourcePort(op, port) => format!("{}--sport {port}", not(op)),
        Match::DestinationPort(op, port) => format!("{}--dport {port}", not(op)),
        Match::Source(op, net) => format!("{}-s {net}", not(op)),
        Match::Destination(op, net) => format!("{}-d {net}", not(op)),
        Match::Mark(op, mark) => format!("-m mark {}--mark {mark}", not(op)),
        Match::ConnectionMark(op, mark) => format!("-m connmark {}--mark {mark}", not(op)),
        Match::Uid(op, uid) => format!("-m owner {}--uid-owner {uid}", not(op)),
        Match::Gid(op, gid) => format!("-m owner {}--gid-owner {gid}", not(op)),
        Match::Established => "-m conntrack --ctstate RELATED,ESTABLISHED".into(),
        Match::Reply => "-m conntrack --ctdir REPLY".into(),
        Match::Invalid => "-m conntrack --ctstate INVALID".into(),
    }
}

fn action_arguments(action: &Action) -> String {
    match action {
        Action::Accept => "-j ACCEPT".into(),
        Action::Drop => "-j DROP".into(),
        Action::Return => "-j RETURN".into(),
        Action::Jump(chain) => format!("-j {}", name(chain)),
        Action::Goto(chain) => format!("-g {}", name(chain)),
        Action::Redirect(port) => format!("-j REDIRECT --to-ports {port}"),
        Action::Masquerade => "-j MASQUERADE".into(),
        Action::Zone(zone) => format!("-j CT --zone {zone}"),
        Action::SetMark(mark) => format!("-j MARK --set-mark {mark}"),
        Action::SaveMark => "-j CONNMARK --save-mark".into(),
        Action::RestoreMark => "-j CONNMARK --restore-mark".into(),
        Action::Tproxy { port, mark } => {
            format!("-j TPROXY --on-port {port} --tproxy-mark {mark}/0xffffffff")
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}
