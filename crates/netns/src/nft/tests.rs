//! What the kernel made of the encoded rules, as Debian's `nft` reads them back.

use std::process::Command;

use super::{NftError, apply, remove};
use crate::ns::Namespace;
use crate::rules::{
    Action, Base, Chain, Dns, Groups, Intercept, Match, Op, Protocol, Ruleset, Transparent, rule,
};
use crate::scratch;

/// The rules of the namespace in nft's one normal form.
fn listed(namespace: &Namespace) -> String {
    scratch::output(namespace, "nft", &["list", "ruleset"])
}

fn every_setting() -> Intercept {
    Intercept {
        exclude_inbound_ports: vec![9002],
        exclude_outbound_ports: vec![25],
        include_outbound_ports: vec![9000],
        include_outbound_ranges: Some(vec![
            "10.0.0.0/8".parse().unwrap(),
            "fd00::/9".parse().unwrap(),
        ]),
        exclude_outbound_ranges: vec![
            "10.1.0.0/17".parse().unwrap(),
            "fd00:1::/64".parse().unwrap(),
        ],
        dns: Some(Dns {
            port: 15053,
            servers: Some(vec!["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()]),
            zones: true,
        }),
        uids: vec![1337, 1338],
        groups: Groups::Only(vec![7, 8]),
        exclude_interfaces: vec!["eth1".into()],
        reroute_interfaces: vec!["net1".into()],
        drop_invalid: true,
        ..Intercept::default()
    }
}

/// The same rules through our encoder, and as text through `nft -f`, must be the same to the kernel.
fn check(ruleset: &Ruleset) {
    let (Some(ours), Some(theirs)) = (scratch::namespace(), scratch::namespace()) else { return };
    ours.run(|| apply(ruleset)).unwrap().unwrap();
    let text = ruleset.to_string();
    theirs
        .run(|| {
            let file =
                std::env::temp_dir().join(format!("lateen-nft-{:?}", std::thread::current().id()));
            std::fs::write(&file, &text).unwrap();
            let status = Command::new("nft").arg("-f").arg(&file).status().unwrap();
            std::fs::remove_file(&file).unwrap();
            assert!(status.success(), "{text}");
        })
        .unwrap();
    let listed = listed(&ours);
    assert_eq!(listed, self::listed(&theirs));
    assert!(listed.contains(&format!("table inet {}", ruleset.table)), "{listed}");
}

#[test]
fn default_rules_arrive_as_their_text_says() {
    check(&Intercept::default().ruleset());
}

#[test]
fn every_setting_arrives_as_its_text_says() {
    check(&every_setting().ruleset());
}

#[test]
fn transparent_rules_arrive_as_their_text_says() {
    let transparent = Some(Transparent { mark: 7, table: 8 });
    check(&Intercept { transparent, ..every_setting() }.ruleset());
}

#[test]
fn host_side_conditions_and_actions_arrive_as_their_text_says() {
    let bridge = "ltn0123abcd";
    let forward = vec![
        rule(vec![Match::InInterface(Op::Not, bridge.into())], Action::Drop),
        rule(vec![Match::OutInterface(Op::Is, bridge.into()), Match::Established], Action::Accept),
        rule(vec![Match::Mark(Op::Is, 7)], Action::Jump("side".into())),
        rule(vec![Match::Protocol(Protocol::Udp), Match::SourcePort(Op::Not, 53)], Action::Accept),
    ];
    let masquerade =
        rule(vec![Match::Source(Op::Is, "10.201.3.0/24".parse().unwrap())], Action::Masquerade);
    check(&Ruleset {
        table: bridge.into(),
        chains: vec![
            Chain { name: "side".into(), base: None, rules: vec![] },
            Chain { name: "forward".into(), base: Some(Base::FilterForward), rules: forward },
            Chain {
                name: "post".into(),
                base: Some(Base::NatPostrouting),
                rules: vec![masquerade],
            },
        ],
    });
}

#[test]
fn applying_again_replaces_and_removing_leaves_nothing() {
    let Some(namespace) = scratch::namespace() else { return };
    let apply_it =
        |intercept: Intercept| namespace.run(|| apply(&intercept.ruleset())).unwrap().unwrap();
    apply_it(every_setting());
    apply_it(Intercept { dns: None, ..Intercept::default() });
    assert!(!listed(&namespace).contains("15053"));
    for _ in 0..2 {
        namespace.run(|| remove("lateen")).unwrap().unwrap();
        assert_eq!(listed(&namespace), "");
    }
}

#[test]
fn a_refused_rule_is_named_and_nothing_of_its_table_stays() {
    let Some(namespace) = scratch::namespace() else { return };
    let mut ruleset = Intercept::default().ruleset();
    ruleset.chains[2].rules.push(rule(vec![], Action::Goto("nowhere".into())));
    let error = namespace.run(|| apply(&ruleset)).unwrap().unwrap_err();
    let NftError::Refused { what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "rule \"goto nowhere\" of chain prerouting");
    assert_eq!(listed(&namespace), "");
}
