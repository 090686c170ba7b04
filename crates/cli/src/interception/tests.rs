//! The command line as istio-iptables' users write it.

use std::time::Duration;

use clap::Parser;
use lateen_netns::rules::{Groups, Intercept, Transparent};

use super::flags::{InterceptionCommand, Iptables, Mode};
use super::lists::intercept;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    command: InterceptionCommand,
}

fn parse(arguments: &[&str]) -> InterceptionCommand {
    Cli::try_parse_from([&["lateen"], arguments].concat()).unwrap().command
}

fn read(arguments: &[&str]) -> anyhow::Result<Intercept> {
    intercept(&parse(arguments), || Ok("nameserver 10.96.0.10\n".into()))
}

#[test]
fn long_flags_are_the_short_ones() {
    let short = "-p 1 -z 2 -e 3 -u 4,5 -g 6 -m REDIRECT -b 7 -d 8 -c eth1 -i 10.0.0.0/8 \
                 -x 10.1.0.0/16 -q 9 -o 10 -k net1";
    let long = "--envoy-port 1 --inbound-capture-port 2 --inbound-tunnel-port 3 --proxy-uid 4,5 \
                --proxy-gid 6 --istio-inbound-interception-mode REDIRECT --istio-inbound-ports 7 \
                --istio-local-exclude-ports 8 --istio-exclude-interfaces eth1 \
                --istio-service-cidr 10.0.0.0/8 --istio-service-exclude-cidr 10.1.0.0/16 \
                --istio-outbound-ports 9 --istio-local-outbound-ports-exclude 10 \
                --kube-virt-interfaces net1";
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let [short, long] = [words(short), words(long)].map(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        read(&words).unwrap()
    });
    assert_eq!(short, long);
    assert_eq!((short.uids, short.gids), (vec![4, 5], vec![6]));
    assert_eq!(short.include_inbound_ports, Some(vec![7]));
    assert_eq!(short.reroute_interfaces, ["net1"]);
}

#[test]
fn without_flags_only_the_proxys_ports_have_rules_as_in_istio() {
    let read = read(&[]).unwrap();
    assert_eq!((read.outbound_port, read.inbound_port), (15001, 15006));
    assert_eq!((read.uids, read.gids), (vec![1337], vec![1337]));
    assert_eq!(read.include_inbound_ports, Some(vec![]));
    assert_eq!(read.include_outbound_ranges, Some(vec![]));
    assert_eq!((read.dns, read.mark), (None, None));
}

#[test]
fn switches_are_true_alone_and_take_gos_words() {
    for (arguments, expected) in [
        (&["--redirect-dns"][..], true),
        (&["--redirect-dns=T"], true),
        (&["--redirect-dns=0"], false),
        (&["--redirect-dns="], false),
        (&[], false),
    ] {
        assert_eq!(parse(arguments).switches.redirect_dns, expected, "{arguments:?}");
    }
    assert!(Cli::try_parse_from(["lateen", "--redirect-dns=maybe"]).is_err());
    assert_eq!(parse(&["--iptables"]).iptables, Some(Iptables::Usual));
    assert_eq!(parse(&["-m", "TPROXY"]).mode, Mode::Tproxy);
    assert_eq!(parse(&["--probe-timeout", "1m30s"]).probe_timeout, Duration::from_secs(90));
}

#[test]
fn what_istio_takes_without_effect_here_is_taken() {
    let ignored = ["-f=true", "--dual-stack", "--cni-mode=true"];
    let more = ["--reconcile", "--force-apply=true", "--native-nftables", "--log_as_json"];
    parse(&[&ignored[..], &more, &["--log_output_level=default:info"]].concat());
}

#[test]
fn only_tproxy_keeps_addresses_and_its_numbers_must_make_sense() {
    assert_eq!(read(&["-t", "7", "-r", "8"]).unwrap().transparent, None);
    let read = |arguments: &[&str]| read(&[&["-m", "TPROXY"], arguments].concat());
    assert_eq!(read(&[]).unwrap().transparent, Some(Transparent { mark: 1337, table: 133 }));
    let own = read(&["-t", "7", "--istio-inbound-tproxy-route-table", "8"]).unwrap().transparent;
    assert_eq!(own, Some(Transparent { mark: 7, table: 8 }));
    for (arguments, words) in [
        (["-t", "0"], "\"0\" is not a mark"),
        (["-t", "1338"], "is the mark of the proxy's outbound connections"),
        (["-r", "x"], "\"x\" is not a routing table"),
        (["-r", "254"], "one of the kernel's own"),
    ] {
        let error = read(&arguments).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn dns_is_asked_of_the_pods_servers_or_of_all() {
    let servers = |arguments: &[&str]| read(arguments).unwrap().dns.unwrap().servers;
    assert_eq!(servers(&["--redirect-dns"]), Some(vec!["10.96.0.10".parse().unwrap()]));
    assert_eq!(servers(&["--redirect-dns", "--capture-all-dns"]), None);
    let none = intercept(&parse(&["--redirect-dns"]), || Ok("search a.example\n".into()));
    assert_eq!(none.unwrap().dns, None);
}

#[test]
fn owner_groups_are_numbers_or_names_and_one_of_two_lists() {
    let groups = |arguments: &[&str]| read(arguments).map(|read| read.groups);
    let only = "--istio-outbound-owner-groups";
    let but = "--istio-outbound-owner-groups-exclude";
    assert_eq!(groups(&[but, "7,root"]).unwrap(), Groups::AllBut(vec![7, 0]));
    assert_eq!(groups(&[only, "7"]).unwrap(), Groups::Only(vec![7]));
    let error = groups(&[only, "7", but, "8"]).unwrap_err().to_string();
    assert!(error.contains("are both set"), "{error}");
    assert!(groups(&[but, "no-such-group"]).unwrap_err().to_string().contains("write its number"));
}

#[test]
fn every_port_and_every_destination_are_a_star() {
    let all = read(&["-i", "*", "-b", "*"]).unwrap();
    assert_eq!((all.include_outbound_ranges, all.include_inbound_ports), (None, None));
    assert_eq!(read(&["-i", "", "-q", "*"]).unwrap().include_outbound_ranges, None);
    let error = read(&["--istio-outbound-ipv4-loopback-cidr", "10.0.0.0/8"]).unwrap_err();
    assert!(error.to_string().contains("is not in 127.0.0.0/8"), "{error}");
}
