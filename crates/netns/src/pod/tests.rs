//! Rules laid in namespaces of the test's own, by every means, and what is left of them.

use std::time::Duration;

use super::{Means, lay, remove};
use crate::iptables::Variant;
use crate::ns::Namespace;
use crate::rules::{Dns, Intercept, PROXY_ID, Transparent};
use crate::scratch;
use crate::validate::{Trial, ValidateError, validate};

const MEANS: [Means; 3] =
    [Means::Nftables, Means::Iptables(Variant::Legacy), Means::Iptables(Variant::Nft)];

fn every_table() -> Intercept {
    let dns = Dns { port: 15053, servers: None, zones: true };
    Intercept { dns: Some(dns), drop_invalid: true, mark: None, ..Intercept::default() }
}

fn trial(ipv6: bool) -> Trial {
    let patience = Duration::from_secs(5);
    Trial { ports: [15001, 15006], probe_port: 15002, uid: PROXY_ID, ipv6, patience }
}

/// The rules that are there, one a line.
fn listed(namespace: &Namespace, means: Means) -> String {
    let programs: &[(&str, &[&str])] = match means {
        Means::Nftables => &[("nft", &["list", "ruleset"])],
        Means::Iptables(Variant::Legacy) => {
            &[("iptables-legacy-save", &[]), ("ip6tables-legacy-save", &[])]
        }
        Means::Iptables(_) => &[("iptables-nft-save", &[]), ("ip6tables-nft-save", &[])],
    };
    let output = |(program, arguments): &(&str, &[&str])| {
        let text = scratch::output(namespace, program, arguments);
        let lines = text.lines().filter(|line| means == Means::Nftables || line.starts_with('-'));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    programs.iter().map(output).collect()
}

#[test]
fn every_means_captures_and_leaves_nothing_behind() {
    for means in MEANS {
        let Some(namespace) = scratch::namespace() else { return };
        for _ in 0..2 {
            let shortcomings = namespace.run(|| lay(&every_table(), means)).unwrap().unwrap();
            assert_eq!(shortcomings, []);
        }
        let laid = listed(&namespace, means);
        assert_eq!(laid.matches("15006").count(), expected_families(means), "{means:?}: {laid}");
        namespace.run(|| validate(&trial(false))).unwrap().unwrap();
        namespace.run(|| remove(means, None)).unwrap().unwrap();
        assert_eq!(listed(&namespace, means), "", "{means:?}");
    }
}

/// One table for both families, or one for each.
fn expected_families(means: Means) -> usize {
    match means {
        Means::Nftables => 1,
        Means::Iptables(_) => 2,
    }
}

#[test]
fn ipv6_gets_its_source_address_and_is_captured() {
    for means in MEANS {
        let Some(namespace) = scratch::namespace() else { return };
        let commands: [&[&str]; 3] = [
            &["link", "add", "eth0", "type", "veth"],
            &["-6", "addr", "add", "fd00:77::9/64", "dev", "eth0", "nodad"],
            &["link", "set", "eth0", "up"],
        ];
        for arguments in commands {
            scratch::output(&namespace, "ip", arguments);
        }
        namespace.run(|| lay(&every_table(), means)).unwrap().unwrap();
        let addresses = scratch::output(&namespace, "ip", &["-6", "-o", "addr", "show", "lo"]);
        assert!(addresses.contains("::6/128"), "{addresses}");
        namespace.run(|| validate(&trial(true))).unwrap().unwrap();
    }
}

#[test]
fn transparent_rules_bring_one_route_for_each_family_and_take_it_along() {
    let transparent = Some(Transparent::default());
    let intercept = Intercept { transparent, ..every_table() };
    for means in MEANS {
        let Some(namespace) = scratch::namespace() else { return };
        let commands: [&[&str]; 3] = [
            &["link", "add", "eth0", "type", "veth"],
            &["-6", "addr", "add", "fd00:77::9/64", "dev", "eth0", "nodad"],
            &["link", "set", "eth0", "up"],
        ];
        for arguments in commands {
            scratch::output(&namespace, "ip", arguments);
        }
        for _ in 0..2 {
            namespace.run(|| lay(&intercept, means)).unwrap().unwrap();
        }
        let ip = |arguments: &[&str]| scratch::output(&namespace, "ip", arguments);
        for family in ["-4", "-6"] {
            let rules = ip(&[family, "rule", "list"]);
            assert_eq!(rules.matches("fwmark 0x539 lookup 133").count(), 1, "{means:?}: {rules}");
            let routes = ip(&[family, "route", "list", "table", "133"]);
            assert!(routes.starts_with("local default dev lo"), "{means:?}: {routes}");
        }
        namespace.run(|| validate(&trial(false))).unwrap().unwrap();
        namespace.run(|| validate(&trial(true))).unwrap().unwrap();
        for _ in 0..2 {
            namespace.run(|| remove(means, transparent)).unwrap().unwrap();
        }
        assert_eq!(listed(&namespace, means), "", "{means:?}");
        for family in ["-4", "-6"] {
            let left =
                ip(&[family, "rule", "list"]) + &ip(&[family, "route", "list", "table", "all"]);
            assert!(!left.contains("133"), "{means:?}: {left}");
        }
    }
}

#[test]
fn without_rules_the_trial_fails() {
    let Some(namespace) = scratch::namespace() else { return };
    let trial = Trial { patience: Duration::from_millis(300), ..trial(false) };
    let error = namespace.run(|| validate(&trial)).unwrap().unwrap_err();
    let ValidateError::NotCaptured { target, .. } = &error else { panic!("{error}") };
    assert_eq!(target.to_string(), "127.0.0.6:15002");
}
