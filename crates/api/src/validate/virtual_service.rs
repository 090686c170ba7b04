//! VirtualServices: hosts, gateways and the routes of the three protocols.
//!
//! In: a spec. Out: findings in the report.

use std::collections::BTreeMap;

use super::http_route::{self, Place};
use super::shared::{check_export_to, check_labels};
use super::{Report, names};
use crate::istio::networking::{
    Destination, L4MatchAttributes, RouteDestination, TcpRoute, TlsRoute, VirtualServiceSpec,
};

type IsHost = fn(&str) -> Result<(), String>;

pub(super) fn check(report: &mut Report, spec: &VirtualServiceSpec) {
    if spec.hosts.is_empty() {
        check_delegate(report, spec);
    }
    let hosts = Hosts::of(&spec.hosts);
    let has_sni =
        || spec.tls.iter().flat_map(|route| &route.r#match).any(|m| !m.sni_hosts.is_empty());
    let is_host =
        if !is_in_mesh(spec) && has_sni() { names::gateway_host } else { names::wildcard_host };
    check_hosts(report, spec, &hosts, is_host);
    for (index, gateway) in spec.gateways.iter().enumerate() {
        report.expect(format!("spec.gateways[{index}]"), names::gateway_name(gateway));
    }
    check_export_to(report, &spec.export_to, false);
    if spec.http.is_empty() && spec.tcp.is_empty() && spec.tls.is_empty() {
        report.error("spec", "there is no route, add http, tcp or tls");
    }
    let place = Place { at_gateways: !is_in_mesh(spec), is_delegate: spec.hosts.is_empty() };
    for (index, route) in spec.http.iter().enumerate() {
        http_route::check(report, &format!("spec.http[{index}]"), route, place);
    }
    for (index, route) in spec.tcp.iter().enumerate() {
        check_tcp(report, &format!("spec.tcp[{index}]"), route);
    }
    for (index, route) in spec.tls.iter().enumerate() {
        check_tls(report, &format!("spec.tls[{index}]"), route, &hosts, is_host);
    }
}

/// Without hosts it is a delegate: another VirtualService refers to its http routes.
fn check_delegate(report: &mut Report, spec: &VirtualServiceSpec) {
    if !spec.tcp.is_empty() || !spec.tls.is_empty() || spec.http.is_empty() {
        report.error("spec.hosts", "there is no host, add one, for example \"*\" with a gateway");
    } else if !spec.gateways.is_empty() {
        report.error("spec.gateways", "a delegate (without hosts) has no gateways, remove them");
    }
}

fn is_in_mesh(spec: &VirtualServiceSpec) -> bool {
    spec.gateways.is_empty() || spec.gateways.iter().any(|gateway| gateway == "mesh")
}

fn check_hosts(report: &mut Report, spec: &VirtualServiceSpec, hosts: &Hosts, is_host: IsHost) {
    let in_mesh = is_in_mesh(spec);
    for (index, host) in spec.hosts.iter().enumerate() {
        let path = format!("spec.hosts[{index}]");
        if host == "*" && in_mesh {
            let message = "the host * needs a gateway, name it in gateways and leave out mesh";
            report.error(&path, message);
        }
        let other = hosts.covering(host).filter(|other| *other != index);
        match other.map(|other| &spec.hosts[other]) {
            Some(same) if same.eq_ignore_ascii_case(host) => {
                report.error(&path, format!("the host {host:?} is listed twice"));
            }
            Some(other) => {
                let message = format!("it and {other:?} cover each other, keep the wider one");
                report.error(&path, message);
            }
            None => {}
        }
        report.expect(path, is_host(host));
    }
}

fn check_tcp(report: &mut Report, path: &str, route: &TcpRoute) {
    for (index, matcher) in route.r#match.iter().enumerate() {
        let at = format!("{path}.match[{index}]");
        let L4MatchAttributes { destination_subnets, port, gateways, source_subnet, .. } = matcher;
        check_l4(report, &at, destination_subnets, *port, gateways);
        if !source_subnet.is_empty() {
            report.expect(format!("{at}.sourceSubnet"), names::subnet(source_subnet));
        }
        check_labels(report, &format!("{at}.sourceLabels"), &matcher.source_labels);
    }
    check_destinations(report, path, &route.route);
}

fn check_tls(report: &mut Report, path: &str, route: &TlsRoute, hosts: &Hosts, is_host: IsHost) {
    if route.r#match.is_empty() {
        report.error(format!("{path}.match"), "a tls route needs a match with sniHosts, add it");
    }
    for (index, matcher) in route.r#match.iter().enumerate() {
        let at = format!("{path}.match[{index}]");
        if matcher.sni_hosts.is_empty() {
            report
                .error(format!("{at}.sniHosts"), "a tls match needs at least one SNI host, add it");
        }
        for (position, sni) in matcher.sni_hosts.iter().enumerate() {
            let sni_path = format!("{at}.sniHosts[{position}]");
            report.expect(&sni_path, is_host(sni));
            if hosts.covering(sni).is_none() {
                let message = format!("{sni:?} is not among the hosts, add it to spec.hosts");
                report.error(sni_path, message);
            }
        }
        check_labels(report, &format!("{at}.sourceLabels"), &matcher.source_labels);
        check_l4(report, &at, &matcher.destination_subnets, matcher.port, &matcher.gateways);
    }
    check_destinations(report, path, &route.route);
}

/// Positions of hosts, each under its name from the end: a wildcard without its `*` begins the keys of all that it stands
/// for, and of these the widest alone is here.
struct Hosts(BTreeMap<Vec<u8>, usize>);

impl Hosts {
    fn of(hosts: &[String]) -> Hosts {
        let mut all = BTreeMap::new();
        for (index, host) in hosts.iter().enumerate() {
            let mut key = Hosts::key(host);
            if host.starts_with('*') {
                key.truncate(host.len() - 1);
            }
            all.entry(key).or_insert(index);
        }
        let mut widest: Option<Vec<u8>> = None;
        all.retain(|key, _| {
            let is_covered = widest.as_ref().is_some_and(|widest| key.starts_with(widest));
            if !is_covered {
                widest = Some(key.clone());
            }
            !is_covered
        });
        Hosts(all)
    }

    /// A 0 ends it, so that no whole name begins another one's.
    fn key(host: &str) -> Vec<u8> {
        host.bytes().rev().map(|byte| byte.to_ascii_lowercase()).chain([0]).collect()
    }

    /// The position of the host that stands for one, which may be itself.
    fn covering(&self, host: &str) -> Option<usize> {
        let key = Hosts::key(host);
        let (before, index) = self.0.range::<Vec<u8>, _>(..=&key).next_back()?;
        key.starts_with(before).then_some(*index)
    }
}

pub(super) fn check_l4(
    report: &mut Report,
    path: &str,
    subnets: &[String],
    port: Option<u32>,
    gateways: &[String],
) {
    for (index, subnet) in subnets.iter().enumerate() {
        report.expect(format!("{path}.destinationSubnets[{index}]"), names::subnet(subnet));
    }
    if let Some(port) = port.filter(|port| *port != 0) {
        report.expect(format!("{path}.port"), names::port(port));
    }
    for (index, gateway) in gateways.iter().enumerate() {
        report.expect(format!("{path}.gateways[{index}]"), names::gateway_name(gateway));
    }
}

fn check_destinations(report: &mut Report, path: &str, routes: &[RouteDestination]) {
    if routes.is_empty() {
        report.error(format!("{path}.route"), "it leads nowhere, add a destination");
    }
    let weighted = routes.iter().map(|r| (r.destination.as_ref(), r.weight)).collect();
    check_weighted(report, path, weighted);
}

/// Weights are shares of their sum; of several destinations at least one must have a share.
pub(super) fn check_weighted(
    report: &mut Report,
    path: &str,
    routes: Vec<(Option<&Destination>, Option<i32>)>,
) {
    let mut total: i64 = 0;
    for (index, (destination, weight)) in routes.iter().enumerate() {
        let weight = weight.unwrap_or_default();
        if weight < 0 {
            let message = format!("{weight} is negative, use 0 or more");
            report.error(format!("{path}.route[{index}].weight"), message);
        }
        total += i64::from(weight.max(0));
        let at = format!("{path}.route[{index}].destination");
        check_destination(report, &at, *destination);
    }
    if routes.len() > 1 && total == 0 {
        report.error(format!("{path}.route"), "the weights sum up to 0, give one a weight");
    }
    if total > i64::from(u32::MAX) {
        report.error(format!("{path}.route"), "the weights sum up to more than 4294967295");
    }
}

pub(super) fn check_destination(
    report: &mut Report,
    path: &str,
    destination: Option<&Destination>,
) {
    let Some(destination) = destination else {
        report.error(path, "a route needs a destination, add it");
        return;
    };
    let host = &destination.host;
    // A wildcard other than * is a ServiceEntry's host.
    let result = if host == "*" { names::fqdn(host) } else { names::wildcard_host(host) };
    report.expect(format!("{path}.host"), result);
    if let Some(port) = &destination.port {
        report.expect(format!("{path}.port.number"), names::port(port.number.unwrap_or_default()));
    }
    if !destination.subset.is_empty() {
        report.expect(format!("{path}.subset"), names::label(&destination.subset.to_lowercase()));
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn the_widest_wildcard_and_the_first_of_its_name_cover_a_host() {
        let hosts = ["b.a", "*.c.a", "*.d.c.a", "x.c.a", "B.a", "*e", "*.b.a"];
        let found = Hosts::of(&hosts.map(str::to_owned));
        for (host, index) in [
            ("b.A", Some(0)),
            ("y.c.a", Some(1)),
            ("x.c.a", Some(1)),
            ("*.d.c.a", Some(1)),
            ("c.a", None),
            ("*.a", None),
            ("e", Some(5)),
            ("xe", Some(5)),
            ("a.b.a", Some(6)),
            ("", None),
        ] {
            assert_eq!(found.covering(host), index, "{host}");
        }
    }
}
