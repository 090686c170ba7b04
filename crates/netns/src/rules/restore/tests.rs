//! The text for `iptables-restore`, by family.

use super::{Family, removal, text};
use crate::rules::{Dns, Intercept, Transparent};

#[test]
fn each_family_has_its_own_addresses_and_the_chains_have_istios_names() {
    let intercept = Intercept { mark: None, dns: None, ..Intercept::default() };
    let v4 = text(&intercept.ruleset(), Family::V4);
    let expected = "*nat
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_REDIRECT - [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A PREROUTING -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -g ISTIO_IN_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -m owner --uid-owner 1337 -p tcp ! --dport 15008 -g ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -p tcp -j RETURN
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -p udp -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -p tcp -g ISTIO_REDIRECT
COMMIT
";
    assert_eq!(v4, expected);
    let v6 = text(&intercept.ruleset(), Family::V6);
    assert!(v6.contains("-s ::6/128 -j RETURN") && !v6.contains("127.0.0"), "{v6}");
}

#[test]
fn tables_are_apart_and_several_ports_are_one_condition() {
    let dns = Some(Dns { port: 15053, servers: None, zones: true });
    let intercept = Intercept { dns, drop_invalid: true, ..Intercept::default() };
    let text = text(&intercept.ruleset(), Family::V4);
    let heads: Vec<_> = text.lines().filter(|line| line.starts_with('*')).collect();
    assert_eq!(heads, ["*raw", "*mangle", "*nat"]);
    assert!(
        text.contains("-p tcp -m multiport ! --dports 53,15008 -g ISTIO_IN_REDIRECT"),
        "{text}"
    );
    assert!(text.contains("-A ISTIO_OUTPUT_DNS -p udp --dport 53 -j CT --zone 2"), "{text}");
    assert!(text.contains("-A ISTIO_DROP -m conntrack --ctstate INVALID -j DROP"), "{text}");
}

#[test]
fn jumps_go_before_the_chains_that_they_lead_to() {
    let steps: Vec<_> = removal().into_iter().map(|arguments| arguments[2]).collect();
    let first = |step| steps.iter().position(|one| *one == step).unwrap();
    assert!(first("-D") < first("-F") && first("-F") < first("-X"), "{steps:?}");
}

#[test]
fn transparent_interception_is_in_the_table_mangle_under_istios_names() {
    let transparent = Some(Transparent::default());
    let intercept = Intercept { transparent, mark: None, dns: None, ..Intercept::default() };
    let text = text(&intercept.ruleset(), Family::V6);
    let (mangle, nat) = text.split_once("COMMIT").unwrap();
    let expected = "*mangle
:ISTIO_TPROXY - [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_TPROXY -p tcp -j TPROXY --on-port 15006 --tproxy-mark 1337/0xffffffff
-A ISTIO_TPROXY -p tcp -j DROP
-A PREROUTING -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp -m mark --mark 1337 -j RETURN
-A ISTIO_INBOUND -i lo -s ::6/128 -j RETURN
-A ISTIO_INBOUND -i lo -m mark ! --mark 1338 -j RETURN
-A ISTIO_INBOUND -p tcp -m conntrack --ctdir REPLY -j RETURN
-A ISTIO_INBOUND -d ::1/128 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -g ISTIO_TPROXY
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -p tcp -m mark --mark 1337 -j CONNMARK --save-mark
-A ISTIO_OUTPUT -p tcp -m mark --mark 1337 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d ::1/128 -m owner --uid-owner 1337 -p tcp -j MARK --set-mark 1338
-A ISTIO_OUTPUT -o lo ! -d ::1/128 -m owner --gid-owner 1337 -p tcp -j MARK --set-mark 1338
-A ISTIO_OUTPUT -p tcp -m connmark --mark 1337 -j CONNMARK --restore-mark
";
    assert_eq!(mangle, expected);
    assert!(!nat.contains("-A ISTIO_INBOUND"), "{nat}");
}
