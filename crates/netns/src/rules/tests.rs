//! The rules as text: defaults and each setting's effect.

use super::{Dns, Groups, Intercept, Ruleset, Transparent};

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
    let mut expected =
        vec![format!("{lo} ip saddr 127.0.0.6 return"), format!("{lo} ip6 saddr ::6 return")];
    for localhost in ["ip daddr != 127.0.0.1", "ip6 daddr != ::1"] {
        for own in ["meta mark 1337", "meta skuid 1337"] {
            let ports = "th dport != 53 th dport != 15008";
            expected
                .push(format!("{lo} {localhost} {own} meta l4proto tcp {ports} goto in_redirect"));
        }
    }
    let other = "meta mark != 1337 meta skuid != 1337";
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
    let text = Intercept { dns: None, ..Intercept::default() }.ruleset().to_string();
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
        rules[..2],
        ["meta l4proto tcp th dport 25 return", "meta l4proto udp th dport 25 return"]
    );
    assert_eq!(
        rules[rules.len() - 4..],
        [
            "ip daddr 10.1.0.0/17 return",
            "meta l4proto tcp th dport 9000 goto out_redirect",
            "ip daddr 10.0.0.0/8 meta l4proto tcp goto out_redirect",
            "ip6 daddr fd00::/9 meta l4proto tcp goto out_redirect",
        ]
    );
    let inbound = chain(&intercept.ruleset(), "prerouting");
    assert_eq!(
        inbound,
        ["meta l4proto tcp th dport 15008 return", "meta l4proto tcp th dport 80 goto in_redirect"]
    );
}

#[test]
fn interfaces_come_first_and_those_of_virtual_machines_before_all() {
    let mut intercept = Intercept {
        exclude_interfaces: vec!["eth1".into()],
        reroute_interfaces: vec!["net1".into()],
        ..Intercept::default()
    };
    let inbound = chain(&intercept.ruleset(), "prerouting");
    let first = [
        "iifname \"net1\" meta l4proto tcp goto out_redirect",
        "iifname \"net1\" return",
        "iifname \"eth1\" return",
    ];
    assert_eq!(inbound[..3], first);
    assert_eq!(chain(&intercept.ruleset(), "output")[0], "oifname \"eth1\" return");
    intercept.include_outbound_ranges = Some(vec!["10.0.0.0/8".parse().unwrap()]);
    let inbound = chain(&intercept.ruleset(), "prerouting");
    let ranged = "iifname \"net1\" ip daddr 10.0.0.0/8 meta l4proto tcp goto out_redirect";
    assert_eq!(inbound[..2], [ranged, "iifname \"net1\" return"]);
}

#[test]
fn only_the_named_servers_are_asked_for_dns_and_questions_have_zones() {
    let dns = Dns { port: 15053, servers: Some(vec!["10.96.0.10".parse().unwrap()]), zones: true };
    let intercept = Intercept { dns: Some(dns), mark: None, gids: vec![], ..Intercept::default() };
    let ruleset = intercept.ruleset();
    let output = chain(&ruleset, "output");
    let asked: Vec<_> = output.iter().filter(|rule| rule.contains("redirect to :15053")).collect();
    assert_eq!(
        asked,
        [
            "meta l4proto udp th dport 53 ip daddr 10.96.0.10 counter redirect to :15053",
            "meta l4proto tcp th dport 53 ip daddr 10.96.0.10 counter redirect to :15053",
        ]
    );
    assert_eq!(
        chain(&ruleset, "dns_output"),
        [
            "meta skuid 1337 meta l4proto udp th dport 53 ct zone set 1",
            "meta skuid 1337 meta l4proto udp th sport 15053 ct zone set 2",
            "meta l4proto udp th dport 53 ip daddr 10.96.0.10 ct zone set 2",
        ]
    );
    let answers = ["meta l4proto udp th sport 53 ip saddr 10.96.0.10 ct zone set 1"];
    assert_eq!(chain(&ruleset, "dns_prerouting"), answers);
}

#[test]
fn a_range_on_loopback_captures_what_a_program_sends_to_itself() {
    let ranges = Some(vec!["127.0.0.0/8".parse().unwrap()]);
    let ruleset = Intercept { include_outbound_ranges: ranges, ..Intercept::default() }.ruleset();
    assert!(!ruleset.to_string().contains("skuid != 1337"));
}

#[test]
fn groups_are_left_alone_or_are_the_only_captured_ones() {
    let with = |groups| {
        let ruleset = Intercept { groups, ..Intercept::default() }.ruleset();
        ruleset.to_string()
    };
    assert!(with(Groups::AllBut(vec![42])).contains("meta skgid 42 return"));
    let only = with(Groups::Only(vec![42, 43]));
    assert!(only.contains("meta skgid != 42 meta skgid != 43 return"), "{only}");
}

fn transparent() -> Intercept {
    Intercept { mark: None, transparent: Some(Transparent::default()), ..Intercept::default() }
}

#[test]
fn the_transparent_way_in_gives_what_others_opened_to_the_proxy_as_it_is() {
    let ruleset = transparent().ruleset();
    assert_eq!(chain(&ruleset, "prerouting"), [""; 0]);
    assert_eq!(
        chain(&ruleset, "transparent_prerouting"),
        [
            "meta l4proto tcp meta mark 1337 return",
            "iifname \"lo\" ip saddr 127.0.0.6 return",
            "iifname \"lo\" ip6 saddr ::6 return",
            "iifname \"lo\" meta mark != 1338 return",
            "meta l4proto tcp ct direction reply return",
            "ip daddr 127.0.0.1 return",
            "ip6 daddr ::1 return",
            "meta l4proto tcp th dport 15008 return",
            "meta l4proto tcp th dport 15020 return",
            "meta l4proto tcp th dport 15021 return",
            "meta l4proto tcp th dport 15090 return",
            "meta l4proto tcp goto in_tproxy",
        ]
    );
    assert_eq!(
        chain(&ruleset, "in_tproxy"),
        [
            "meta l4proto tcp counter tproxy to :15006 meta mark set 1337 accept",
            "meta l4proto tcp counter drop",
        ]
    );
}

#[test]
fn answers_of_the_program_come_back_to_the_proxy_and_what_it_sends_to_itself_enters() {
    let mut expected = vec![
        "meta l4proto tcp meta mark 1337 ct mark set meta mark".to_owned(),
        "meta l4proto tcp meta mark 1337 return".to_owned(),
    ];
    for localhost in ["ip daddr != 127.0.0.1", "ip6 daddr != ::1"] {
        for own in ["meta skuid 1337", "meta skgid 1337"] {
            expected.push(format!(
                "oifname \"lo\" {localhost} {own} meta l4proto tcp meta mark set 1338"
            ));
        }
    }
    expected.push("meta l4proto tcp ct mark 1337 meta mark set ct mark".to_owned());
    assert_eq!(chain(&transparent().ruleset(), "transparent_output"), expected);
}

#[test]
fn interfaces_and_ports_choose_for_the_transparent_way_in_too() {
    let intercept = Intercept {
        include_inbound_ports: Some(vec![80]),
        exclude_interfaces: vec!["eth1".into()],
        reroute_interfaces: vec!["net1".into()],
        ..transparent()
    };
    let ruleset = intercept.ruleset();
    let inbound = chain(&ruleset, "transparent_prerouting");
    assert_eq!(inbound[..2], ["iifname \"eth1\" return", "iifname \"net1\" return"]);
    assert_eq!(inbound[inbound.len() - 1], "meta l4proto tcp th dport 80 goto in_tproxy");
    assert_eq!(chain(&ruleset, "transparent_output")[0], "oifname \"eth1\" return");
    assert_eq!(
        chain(&ruleset, "prerouting")[0],
        "iifname \"net1\" meta l4proto tcp goto out_redirect"
    );
    assert_eq!(intercept.routes().lines().count(), 4);
    let none = Intercept { include_inbound_ports: Some(vec![]), ..intercept };
    assert!(!none.ruleset().to_string().contains("tproxy"));
    assert_eq!(none.routes(), "");
}
