//! The host's side: the choice of a subnet, and a bridge in a namespace that plays the host.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ipnet::Ipv4Net;

use super::{bridge_name, ensure_bridge, existing_networks, pick_subnet, remove_bridge, sysctl};
use crate::scratch;

fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_home_keeps_its_name_and_subnet_and_homes_differ() {
    let (a, b) = (Path::new("/home/a/.lateen"), Path::new("/home/b/.lateen"));
    assert_eq!(bridge_name(a), bridge_name(a));
    assert_ne!(bridge_name(a), bridge_name(b));
    assert!(bridge_name(a).len() <= 11);
    assert_eq!(pick_subnet(a, &[]), pick_subnet(a, &nets(&["0.0.0.0/0", "192.168.0.0/16"])));
}

#[test]
fn a_taken_subnet_is_passed_over_whether_larger_or_smaller() {
    let home = Path::new("/h");
    let mut taken = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..256 {
        let subnet = pick_subnet(home, &taken).unwrap();
        assert!(seen.insert(subnet));
        assert!(subnet.to_string().starts_with("10.201."), "{subnet}");
        taken.push(Ipv4Net::new(subnet.broadcast(), 32).unwrap());
    }
    let next = pick_subnet(home, &nets(&["10.0.0.0/8"])).unwrap();
    assert!(next.to_string().starts_with("172.29."), "{next}");
    assert_eq!(
        pick_subnet(home, &taken).map(|subnet| subnet.to_string().starts_with("172.29.")),
        Some(true)
    );
    assert_eq!(pick_subnet(home, &nets(&["10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10"])), None);
}

#[test]
fn a_bridge_comes_twice_and_goes_without_a_trace() {
    let Some(host) = host_with_uplink() else { return };
    let state = std::env::temp_dir().join(format!("lateen-host-{}", std::process::id()));
    let forwarding = || scratch::output(&host, "cat", &["/proc/sys/net/ipv4/conf/up0/forwarding"]);
    assert_eq!(forwarding(), "0\n", "a new namespace forwards nothing");

    host.run(|| {
        for _ in 0..2 {
            ensure_bridge("ltntest", "10.201.4.0/24".parse().unwrap(), &state).unwrap();
        }
        assert!(existing_networks("ltntest").unwrap().contains(&"192.0.2.0/24".parse().unwrap()));
        assert!(!existing_networks("ltntest").unwrap().contains(&"10.201.4.0/24".parse().unwrap()));
        assert!(existing_networks("other").unwrap().contains(&"10.201.4.0/24".parse().unwrap()));
    })
    .unwrap();
    assert_eq!(forwarding(), "1\n");
    assert_eq!(fs::read_to_string(&state).unwrap(), "up0\n");
    let addresses = scratch::output(&host, "ip", &["-o", "-4", "address", "show", "ltntest"]);
    let addresses: Vec<_> = addresses.lines().map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(addresses, [Some("10.201.4.1/24"), Some("10.201.4.254/24")], "the host's first");
    let rules = scratch::output(&host, "nft", &["list", "ruleset"]);
    assert!(rules.contains("ip saddr 10.201.4.0/24 oifname != \"ltntest\" masquerade"), "{rules}");
    assert!(rules.contains("iifname \"up0\" oifname != \"ltn*\" drop"), "{rules}");

    scratch::output(&host, "ip", &["link", "set", "up1", "master", "ltntest"]);
    host.run(|| assert!(!remove_bridge("ltntest", &state).unwrap(), "a member keeps it")).unwrap();
    assert_eq!(forwarding(), "1\n");
    scratch::output(&host, "ip", &["link", "set", "up1", "nomaster"]);
    host.run(|| {
        for _ in 0..2 {
            assert!(remove_bridge("ltntest", &state).unwrap());
        }
    })
    .unwrap();
    assert_eq!(forwarding(), "0\n");
    assert!(!state.exists());
    assert_eq!(scratch::output(&host, "nft", &["list", "ruleset"]), "");
    assert!(!scratch::output(&host, "ip", &["-o", "link"]).contains("ltntest"));
    fs::remove_file(state.with_added_extension("lock")).unwrap();
}

/// A namespace that plays a host with the uplink `up0`.
fn host_with_uplink() -> Option<crate::ns::Namespace> {
    let host = scratch::namespace()?;
    let commands: [&[&str]; 5] = [
        &["link", "add", "up0", "type", "veth", "peer", "name", "up1"],
        &["addr", "add", "192.0.2.10/24", "dev", "up0"],
        &["link", "set", "up0", "up"],
        &["link", "set", "up1", "up"],
        &["route", "add", "default", "via", "192.0.2.1"],
    ];
    for command in commands {
        scratch::output(&host, "ip", command);
    }
    Some(host)
}

#[test]
fn of_two_homes_on_one_uplink_the_last_one_switches_forwarding_off() {
    let names = ["ltnaaaa", "ltnbbbb"];
    let subnets = ["10.201.8.0/24", "10.201.9.0/24"].map(|text| text.parse().unwrap());
    for first_to_end in [0, 1] {
        let Some(host) = host_with_uplink() else { return };
        let forwarding =
            || scratch::output(&host, "cat", &["/proc/sys/net/ipv4/conf/up0/forwarding"]);
        let rules = || scratch::output(&host, "nft", &["list", "ruleset"]);
        let state = [0, 1].map(|at| {
            let name = format!("lateen-two-{at}-{first_to_end}-{}", std::process::id());
            std::env::temp_dir().join(name)
        });
        let ensure = |at: usize| {
            host.run(|| ensure_bridge(names[at], subnets[at], &state[at]).unwrap()).unwrap();
        };
        let remove = |at: usize| {
            host.run(|| assert!(remove_bridge(names[at], &state[at]).unwrap())).unwrap();
        };
        let second = 1 - first_to_end;
        [0, 1].into_iter().for_each(ensure);
        remove(first_to_end);
        assert_eq!(forwarding(), "1\n", "the other home's workloads need it");
        let guard = "iifname \"up0\" oifname != \"ltn*\" drop";
        assert!(rules().contains(guard), "{}", rules());
        remove(second);
        assert_eq!(forwarding(), "0\n", "the last one puts it back");
        assert_eq!(rules(), "");
        for file in state {
            fs::remove_file(file.with_added_extension("lock")).unwrap();
        }
    }
}

#[test]
fn a_home_that_came_before_the_uplink_inherits_what_another_opened_for_it() {
    let Some(host) = scratch::namespace() else { return };
    let state = ["early", "late"]
        .map(|name| std::env::temp_dir().join(format!("lateen-{name}-{}", std::process::id())));
    let [early, late] = &state;
    host.run(|| ensure_bridge("ltneeee", "10.201.8.0/24".parse().unwrap(), early).unwrap())
        .unwrap();
    let commands: [&[&str]; 4] = [
        &["link", "add", "up0", "type", "veth", "peer", "name", "up1"],
        &["addr", "add", "192.0.2.10/24", "dev", "up0"],
        &["link", "set", "up0", "up"],
        &["route", "add", "default", "via", "192.0.2.1"],
    ];
    for command in commands {
        scratch::output(&host, "ip", command);
    }
    let forwarding = || scratch::output(&host, "cat", &["/proc/sys/net/ipv4/conf/up0/forwarding"]);
    host.run(|| {
        ensure_bridge("ltnffff", "10.201.9.0/24".parse().unwrap(), late).unwrap();
        assert!(remove_bridge("ltnffff", late).unwrap());
    })
    .unwrap();
    assert_eq!(forwarding(), "1\n");
    let rules = scratch::output(&host, "nft", &["list", "ruleset"]);
    assert!(rules.contains("iifname \"up0\" oifname != \"ltn*\" drop"), "{rules}");
    assert!(rules.contains("ip saddr 10.201.8.0/24 oifname != \"ltneeee\" masquerade"), "{rules}");
    host.run(|| assert!(remove_bridge("ltneeee", early).unwrap())).unwrap();
    assert_eq!(forwarding(), "0\n");
    for file in state {
        fs::remove_file(file.with_added_extension("lock")).unwrap();
    }
}

/// Whether somebody waits for a lock on the file, as proc_locks(5) shows it.
fn is_waited_for(path: &Path) -> bool {
    let inode = format!(":{} ", fs::metadata(path).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("->") && line.contains(&inode))
}

#[test]
fn of_two_that_change_the_bridge_one_waits() {
    let Some(host) = scratch::namespace() else { return };
    let directory = std::env::temp_dir().join(format!("lateen-host-lock-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let state = directory.join("record");
    let subnet = "10.201.5.0/24".parse().unwrap();
    let changes: [&(dyn Fn() + Sync); 2] =
        [&|| ensure_bridge("ltnlock", subnet, &state).unwrap(), &|| {
            assert!(remove_bridge("ltnlock", &state).unwrap())
        }];
    for change in changes {
        let held = sysctl::lock(&state).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| host.run(change).unwrap());
            while !is_waited_for(&state.with_added_extension("lock")) {
                assert!(!other.is_finished(), "the change did not wait");
                std::thread::yield_now();
            }
            drop(held);
        });
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_record_is_replaced_whole() {
    let directory = std::env::temp_dir().join(format!("lateen-record-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let state = directory.join("record");
    let names = ["up0".to_owned(), "up1".to_owned()];
    sysctl::Recorded::default().with(names[..1].iter()).write(&state).unwrap();
    // Who has the old one open, reads it to its end, whatever is written meanwhile.
    let mut old = fs::File::open(&state).unwrap();
    sysctl::Recorded::default().with(names.iter()).write(&state).unwrap();
    let mut text = String::new();
    old.read_to_string(&mut text).unwrap();
    assert_eq!(text, "up0\n");
    assert_eq!(fs::read_to_string(&state).unwrap(), "up0\nup1\n");
    fs::remove_dir_all(&directory).unwrap();
}
