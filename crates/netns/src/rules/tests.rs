//! The rules as text: defaults and each setting's effect.

use super::{Intercept, Ruleset};

fn chain(ruleset: &Ruleset, name: &str) -> Vec<String> {
    let chain = ruleset.chains.iter().find(|chain| chain.name == name).unwrap();
    chain.rules.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_but_the_sidecars_own_ports_is_captured_on_the_way_in() {
    let rules = chain(&Intercept::default().ruleset(), "prerouting");
    assert_eq!(
        rules,
        [
            "meta l4proto tcp th dport 15008 return",
            "meta l4proto tcp th dport 15020 return",
            "meta l4proto tcp th dport 15021 return",
            "meta l4proto tcp th dport 15090 return",
            "meta l4proto tcp goto in_redirect",
        ]
    );
}

#[test]
fn the_way_out_follows_istios_order() {
    let rules = chain(&Intercept::default().ruleset(), "output");
    let lo = "oifname \"lo\"";
    let mut expected = vec![format!("{lo} ip saddr 127.0.0.6 return")];
    for localhost in ["ip daddr != 127.0.0.1", "ip6 daddr != ::1"] {
        for own in ["meta mark 1337", "meta skuid 1337", "meta skgid 1337"] {
            let ports = "th dport != 53 th dport != 15008";
            expected
                .push(format!("{lo} {localhost} {own} meta l4proto tcp {ports} goto in_redirect"));
        }
    }
    let other = "meta mark != 1337 meta skuid != 1337 meta skgid != 1337";
    for protocol in ["tcp", "udp"] {
        expected.push(format!("{lo} {other} meta l4proto {protocol} th dport != 53 return"));
    }
    let tail = [
        "meta mark 1337 return",
        "meta skuid 1337 return",
        "meta skgid 1337 return",
        "meta l4proto udp th dport 53 counter redirect to :15053",
        "meta l4proto tcp th dport 53 counter redirect to :15053",
        "ip daddr 127.0.0.1 return",
        "ip6 daddr ::1 return",
        "meta l4proto tcp goto out_redirect",
    ];
    expected.extend(tail.map(str::to_owned));
    assert_eq!(rules, expected);
}

#[test]
fn without_a_dns_port_nothing_speaks_of_dns() {
    let text = Intercept { dns_port: None, ..Intercept::default() }.ruleset().to_string();
    assert!(!text.contains(" 53"), "{text}");
    assert!(!text.contains("15053"), "{text}");
}

#[test]
fn exclusions_come_before_the_capture_and_inclusions_replace_it() {
    let intercept = Intercept {
        include_inbound_ports: Some(vec![80]),
        exclude_outbound_ports: vec![25],
        include_outbound_ports: vec![9000],
        include_outbound_ranges: Some(vec![
            "10.0.0.0/8".parse().unwrap(),
            "fd00::/9".parse().unwrap(),
        ]),
        exclude_outbound_ranges: vec!["10.1.0.0/17".parse().unwrap()],
        ..Intercept::default()
    };
    let rules = chain(&intercept.ruleset(), "output");
    assert_eq!(
        rules[rules.len() - 5..],
        [
            "meta l4proto tcp th dport 25 return",
            "ip daddr 10.1.0.0/17 return",
            "meta l4proto tcp th dport 9000 goto out_redirect",
            "ip daddr 10.0.0.0/8 meta l4proto tcp goto out_redirect",
            "ip6 daddr fd00::/9 meta l4proto tcp goto out_redirect",
        ]
    );
    let inbound = chain(&intercept.ruleset(), "prerouting");
    assert_eq!(inbound.last().unwrap(), "meta l4proto tcp th dport 80 goto in_redirect");
}
