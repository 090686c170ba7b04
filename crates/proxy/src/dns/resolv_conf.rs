//! `resolv.conf`: reading the host's and writing a workload's. Pure; see resolv.conf(5).

use std::fmt::Write;
use std::net::IpAddr;

/// What matters of a host's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub nameservers: Vec<IpAddr>,
    pub search: Vec<String>,
}

/// Reads a file's text; lines that are not understood are left out. The last `search` or `domain` counts.
pub fn parse(text: &str) -> ResolvConf {
    let mut found = ResolvConf::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => found.nameservers.extend(words.next().and_then(nameserver)),
            Some("search" | "domain") => found.search = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    found
}

/// A scope (`fe80::1%eth0`) cannot be dialled without its interface; such a server is left out.
fn nameserver(word: &str) -> Option<IpAddr> {
    word.parse().ok()
}

/// A workload's file: Kubernetes' search domains of `namespace`, then the host's.
pub fn for_workload(nameserver: IpAddr, namespace: &str, host: &ResolvConf) -> String {
    let mut text = format!("nameserver {nameserver}\nsearch {namespace}.svc.cluster.local");
    for domain in ["svc.cluster.local", "cluster.local"].into_iter().chain(others(host)) {
        write!(text, " {domain}").expect("writing to a string does not fail");
    }
    text.push_str("\noptions ndots:5\n");
    text
}

/// `search .` of systemd-resolved means "none".
fn others(host: &ResolvConf) -> impl Iterator<Item = &str> {
    host.search.iter().map(String::as_str).filter(|domain| *domain != ".")
}

#[cfg(test)]
mod tests {
    use super::{ResolvConf, for_workload, parse};

    #[test]
    fn servers_and_the_last_search_line_are_read_and_the_rest_is_left_out() {
        let text = "# made by hand\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver\n\
                    domain old.example\nsearch a.example b.example\nnameserver 2001:db8::53\noptions rotate\n";
        let expected = ResolvConf {
            nameservers: vec!["10.0.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
            search: vec!["a.example".into(), "b.example".into()],
        };
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn a_workload_searches_its_namespace_first_and_the_hosts_domains_last() {
        let host =
            ResolvConf { nameservers: vec![], search: vec![".".into(), "corp.example".into()] };
        assert_eq!(
            for_workload("10.201.1.1".parse().unwrap(), "shop", &host),
            "nameserver 10.201.1.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local corp.example\n\
             options ndots:5\n",
        );
    }
}
