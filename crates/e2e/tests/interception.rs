//! The rules of an injected pod, laid by its own init container's command line, and what they do to real
//! connections: what the annotations ask, and nothing else, by nftables and by both kinds of iptables.

#[path = "interception/wires.rs"]
mod wires;

use anyhow::{Context, ensure};
use lateen_testkit::isolate::{isolated, replace_resolv_conf};

use wires::{Init, Way, Wires};

use Way::{Captured, Direct};

const OUT_RANGES: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";
const OUT_RANGES_BUT: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
const OUT_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";
const OUT_PORTS_BUT: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
const IN_PORTS: &str = "traffic.sidecar.istio.io/includeInboundPorts";
const IN_PORTS_BUT: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
const INTERFACES_BUT: &str = "traffic.sidecar.istio.io/excludeInterfaces";
const REROUTE: &str = "istio.io/reroute-virtual-interfaces";
const CONFIG: &str = "proxy.istio.io/config";
const TPROXY: (&str, &str) = ("sidecar.istio.io/interceptionMode", "TPROXY");

/// `None` is nftables.
const MEANS: [Option<&str>; 3] = [None, Some("legacy"), Some("nft")];

type Annotations = &'static [(&'static str, &'static str)];
type Expected = &'static [(&'static str, Way)];

/// Dials each address of `outbound` from the pod, and each of `inbound` from its neighbour.
fn check(annotations: Annotations, outbound: Expected, inbound: Expected) {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::new()?;
            Init::of(annotations)?.run(means)?;
            let described = |address: &str| format!("{address} with {annotations:?} by {means:?}");
            for (address, expected) in outbound {
                let way = wires.outbound(address).with_context(|| described(address))?;
                ensure!(way == *expected, "out to {} was {way:?}", described(address));
            }
            for (address, expected) in inbound {
                let way = wires.inbound(address).with_context(|| described(address))?;
                ensure!(way == *expected, "in to {} was {way:?}", described(address));
            }
            Ok(())
        });
    }
}

#[test]
fn without_annotations_all_but_the_sidecars_own_ports_is_captured() {
    check(
        &[],
        &[
            ("198.51.100.7:80", Captured),
            ("198.51.100.7:53", Captured),
            ("[2001:db8::7]:443", Captured),
            ("10.77.0.1:15008", Captured),
        ],
        &[
            ("10.77.0.2:80", Captured),
            ("[fd00:77::2]:80", Captured),
            ("10.77.0.2:15008", Direct),
            ("10.77.0.2:15020", Direct),
            ("10.77.0.2:15021", Direct),
            ("[fd00:77::2]:15090", Direct),
        ],
    );
}

#[test]
fn included_ranges_are_the_only_ones_and_excluded_ones_go_before() {
    check(
        &[(OUT_RANGES, "10.64.0.0/16, fd00:99::/64"), (OUT_RANGES_BUT, "10.64.9.0/24")],
        &[
            ("10.64.0.0:80", Captured),
            ("10.64.255.255:80", Captured),
            ("10.64.8.255:80", Captured),
            ("10.64.9.0:80", Direct),
            ("10.64.9.255:80", Direct),
            ("10.64.10.0:80", Captured),
            ("10.63.255.255:80", Direct),
            ("10.65.0.0:80", Direct),
            ("[fd00:99::1]:80", Captured),
            ("[fd00:99:0:1::1]:80", Direct),
        ],
        &[("10.77.0.2:80", Captured)],
    );
}

#[test]
fn excluded_ranges_of_both_families_are_left_alone() {
    check(
        &[(OUT_RANGES_BUT, "198.51.100.0/25,2001:db8::/33")],
        &[
            ("198.51.100.127:80", Direct),
            ("198.51.100.128:80", Captured),
            ("[2001:db8:7fff::1]:80", Direct),
            ("[2001:db8:8000::1]:80", Captured),
        ],
        &[],
    );
}

#[test]
fn no_range_is_no_capture_but_of_included_ports() {
    check(
        &[(OUT_RANGES, ""), (OUT_PORTS, "9000,9002")],
        &[
            ("198.51.100.7:9000", Captured),
            ("[2001:db8::7]:9002", Captured),
            ("198.51.100.7:9001", Direct),
            ("198.51.100.7:80", Direct),
        ],
        &[],
    );
}

#[test]
fn excluded_outbound_ports_win_over_all() {
    check(
        &[(OUT_PORTS_BUT, "25,3306"), (OUT_PORTS, "3306")],
        &[
            ("198.51.100.7:25", Direct),
            ("[2001:db8::7]:3306", Direct),
            ("198.51.100.7:26", Captured),
        ],
        &[("10.77.0.2:3306", Captured)],
    );
}

#[test]
fn included_inbound_ports_are_the_only_ones() {
    check(
        &[(IN_PORTS, "80,15021"), (IN_PORTS_BUT, "80")],
        &[("198.51.100.7:81", Captured)],
        &[
            ("10.77.0.2:80", Captured),
            ("10.77.0.2:15021", Captured),
            ("[fd00:77::2]:80", Captured),
            ("10.77.0.2:81", Direct),
            ("10.77.0.2:15008", Direct),
        ],
    );
}

#[test]
fn excluded_inbound_ports_are_left_alone_and_no_port_is_none() {
    check(
        &[(IN_PORTS_BUT, "22, 2222")],
        &[],
        &[
            ("10.77.0.2:22", Direct),
            ("10.77.0.2:2222", Direct),
            ("[fd00:77::2]:22", Direct),
            ("10.77.0.2:23", Captured),
            ("10.77.0.2:15021", Direct),
        ],
    );
    check(&[(IN_PORTS, "")], &[("198.51.100.7:81", Captured)], &[("10.77.0.2:80", Direct)]);
}

#[test]
fn excluded_interfaces_are_left_alone_both_ways() {
    check(
        &[(INTERFACES_BUT, "eth1")],
        &[("192.0.2.9:80", Direct), ("198.51.100.7:80", Captured)],
        &[("10.78.0.2:80", Direct), ("10.77.0.2:80", Captured)],
    );
}

/// The inbound listener has nothing from there: what comes from a virtual machine is on its way out.
#[test]
fn what_comes_from_a_virtual_machine_is_outbound() {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::new()?;
            Init::of(&[(REROUTE, "eth1"), (OUT_RANGES, "10.78.0.0/25")])?.run(means)?;
            ensure!(wires.inbound_as_outbound("10.78.0.2:80")? == Captured);
            ensure!(wires.inbound("10.77.0.2:80")? == Captured);
            Init::of(&[(REROUTE, "eth1"), (OUT_RANGES, "10.64.0.0/16")])?.run(means)?;
            ensure!(wires.inbound("10.78.0.2:80")? == Direct, "nothing of it is captured");
            Ok(())
        });
    }
}

#[test]
fn the_proxys_own_and_what_a_program_says_to_itself_is_left_alone() {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::new()?;
            Init::of(&[])?.run(means)?;
            ensure!(wires.outbound_as(1337, "198.51.100.7:80")? == Direct);
            ensure!(wires.outbound_as(1337, "[2001:db8::7]:80")? == Direct);
            ensure!(wires.outbound_as(1338, "198.51.100.7:80")? == Captured);
            for address in ["127.0.0.1:8020", "[::1]:8021", "10.77.0.2:8022", "[fd00:77::2]:8023"] {
                ensure!(wires.to_itself(0, None, address)? == Direct, "{address}");
            }
            // The proxy's, to its own pod by its address, has to come in like any other.
            ensure!(wires.to_itself(1337, None, "10.77.0.2:8024")? == Captured);
            ensure!(wires.to_itself(1337, None, "[fd00:77::2]:8025")? == Captured);
            // Unless it comes from the inbound side already.
            ensure!(wires.to_itself(1337, Some("127.0.0.6"), "10.77.0.2:8026")? == Direct);
            ensure!(wires.to_itself(1337, Some("::6"), "[fd00:77::2]:8027")? == Direct);
            Ok(())
        });
    }
}

#[test]
fn a_transparent_way_in_keeps_addresses_all_the_way_to_the_program_and_back() {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::transparent()?;
            Init::of(&[TPROXY, (IN_PORTS_BUT, "2222"), (INTERFACES_BUT, "eth1")])?.run(means)?;
            for (client, address) in
                [("10.77.0.1", "10.77.0.2:80"), ("fd00:77::1", "[fd00:77::2]:80")]
            {
                wires
                    .passes_on(client, address)
                    .with_context(|| format!("{address} by {means:?}"))?;
            }
            for address in [
                "10.77.0.2:2222",
                "[fd00:77::2]:2222",
                "10.77.0.2:15021",
                "10.77.0.2:15008",
                "10.78.0.2:80",
            ] {
                ensure!(wires.inbound(address)? == Direct, "{address} by {means:?}");
            }
            for (address, way) in [
                ("198.51.100.7:80", Captured),
                ("[2001:db8::7]:443", Captured),
                ("192.0.2.9:80", Direct),
            ] {
                ensure!(wires.outbound(address)? == way, "{address} by {means:?}");
            }
            Ok(())
        });
    }
}

#[test]
fn a_transparent_way_in_takes_included_ports_only_and_none_is_none() {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::transparent()?;
            Init::of(&[TPROXY, (IN_PORTS, "80")])?.run(means)?;
            wires.passes_on("10.77.0.1", "10.77.0.2:80")?;
            ensure!(wires.inbound("10.77.0.2:81")? == Direct);
            Init::of(&[TPROXY, (IN_PORTS, "")])?.run(means)?;
            ensure!(wires.inbound("10.77.0.2:82")? == Direct);
            Ok(())
        });
    }
}

/// The proxy is root there, and known by its group.
#[test]
fn a_transparent_proxy_enters_its_own_pod_like_any_other() {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::transparent()?;
            Init::of(&[TPROXY])?.run(means)?;
            let to_itself = |gid, source, address| wires.to_itself_as_group(gid, source, address);
            ensure!(to_itself(1337, None, "10.77.0.2:8024")? == Captured);
            ensure!(to_itself(1337, None, "[fd00:77::2]:8025")? == Captured);
            ensure!(to_itself(1337, Some("127.0.0.6"), "10.77.0.2:8026")? == Direct);
            ensure!(to_itself(1337, Some("::6"), "[fd00:77::2]:8027")? == Direct);
            ensure!(to_itself(1337, None, "127.0.0.1:8028")? == Direct);
            ensure!(to_itself(0, None, "10.77.0.2:8029")? == Direct);
            ensure!(to_itself(0, None, "[fd00:77::2]:8030")? == Direct);
            Ok(())
        });
    }
}

#[test]
fn where_nobody_listens_for_it_nothing_gets_past_a_transparent_way_in() {
    for means in MEANS {
        isolated(move || {
            let wires = Wires::without_listeners()?;
            Init::of(&[TPROXY])?.run(means)?;
            ensure!(wires.is_unreachable("10.77.0.2:80")?, "{means:?}");
            ensure!(wires.is_unreachable("[fd00:77::2]:80")?, "{means:?}");
            Ok(())
        });
    }
}

#[test]
fn the_pods_name_servers_are_captured_and_no_others() {
    const DNS: Annotations = &[(CONFIG, "proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}")];
    for means in MEANS {
        isolated(move || {
            let wires = Wires::new()?;
            let folder = wires.folder();
            replace_resolv_conf(folder, "nameserver 10.96.0.10\nnameserver fd00:96::a\n")?;
            Init::of(DNS)?.run(means)?;
            for (server, way) in [
                ("10.96.0.10:53", Captured),
                ("[fd00:96::a]:53", Captured),
                ("8.8.8.8:53", Direct),
                ("10.96.0.10:54", Direct),
            ] {
                ensure!(wires.question(0, None, server)? == way, "{server} by {means:?}");
            }
            ensure!(wires.question(1337, None, "10.96.0.10:53")? == Direct, "the proxy's own");
            // A program's port, taken again by the proxy within conntrack's memory.
            ensure!(wires.question(0, Some(40_053), "10.96.0.10:53")? == Captured);
            ensure!(wires.question(1337, Some(40_053), "10.96.0.10:53")? == Direct, "{means:?}");
            Ok(())
        });
    }
}

#[test]
fn dns_is_left_alone_without_the_setting_and_on_excluded_port_53() {
    const EXCLUDED: Annotations =
        &[(CONFIG, "proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}"), (OUT_PORTS_BUT, "53")];
    for annotations in [&[], EXCLUDED] {
        isolated(move || {
            let wires = Wires::new()?;
            replace_resolv_conf(wires.folder(), "nameserver 10.96.0.10\n")?;
            Init::of(annotations)?.run(None)?;
            ensure!(wires.question(0, None, "10.96.0.10:53")? == Direct);
            Ok(())
        });
    }
}

#[test]
fn a_validation_tells_whether_rules_are_there_and_they_can_be_taken_away() {
    isolated(|| {
        let _wires = Wires::without_listeners()?;
        let init = Init::of(&[])?;
        let validation = ["--run-validation", "--skip-rule-apply", "--probe-timeout=300ms"];
        let (code, said) = init.with(&validation)?;
        ensure!(code == 126 && said.contains("did not reach 127.0.0.1:15001"), "{code}: {said}");
        let (code, said) = init.with(&["--dry-run"])?;
        ensure!(code == 0 && said.contains("redirect to :15006"), "{code}: {said}");
        ensure!(init.with(&validation)?.0 == 126, "a dry run has laid rules");
        ensure!(init.with(&["--run-validation"])?.0 == 0);
        ensure!(init.with(&validation)?.0 == 0);
        ensure!(init.with(&["--cleanup-only"])?.0 == 0);
        ensure!(init.with(&validation)?.0 == 126, "rules are left");
        let transparent = Init::of(&[TPROXY])?;
        let (_, said) = transparent.with(&["--dry-run"])?;
        for line in ["tproxy to :15006 meta mark set 1337", "ip -6 rule add fwmark 1337 lookup 133"]
        {
            ensure!(said.contains(line), "{said}");
        }
        ensure!(transparent.with(&["--run-validation"])?.0 == 0);
        ensure!(transparent.with(&["--cleanup-only"])?.0 == 0);
        ensure!(transparent.with(&validation)?.0 == 126, "rules are left");
        Ok(())
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_lays_nothing() {
    isolated(|| {
        let _wires = Wires::without_listeners()?;
        let (code, said) = Init::of(&[TPROXY])?.with(&["-t", "1338"])?;
        ensure!(code == 1 && said.contains("-t: 1338 is the mark of"), "{said}");
        let init = Init::of(&[])?;
        for (arguments, words) in [
            (["-d", "8o"], "-d: \"8o\" is not a port"),
            (["-i", "10.0.0.0"], "-i: \"10.0.0.0\" is not a range"),
            (["-c", "a-name-too-long-for-linux"], "is not an interface's name"),
            (["-u", "istio-proxy"], "-u: \"istio-proxy\" is not a user"),
        ] {
            let (code, said) = init.only(&arguments)?;
            ensure!(code == 1 && said.contains(words), "{code}: {said}");
        }
        ensure!(init.with(&["--iptables=usual", "--dry-run"])?.1.contains("*nat"));
        let check = ["--run-validation", "--skip-rule-apply", "--probe-timeout=300ms"];
        ensure!(init.with(&check)?.0 == 126, "rules are there");
        Ok(())
    });
}
