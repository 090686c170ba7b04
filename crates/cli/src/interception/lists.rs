//! What the flags mean together. In: the flags, and the text of resolv.conf if name servers are asked for.
//! Out: an [`Intercept`], or which value is wrong and how to write it.

use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};
use ipnet::{IpNet, Ipv4Net};
use lateen_netns::rules::{Dns, Groups, Intercept, OUTBOUND_MARK, PROXY_ID, Transparent};
use lateen_proxy::dns::resolv_conf;
use nix::unistd::Group;

use super::flags::{InterceptionCommand, Mode};
use crate::output::note;

/// Where the sidecar answers questions.
const DNS_PORT: u16 = 15053;
const ALL: &str = "*";
/// `default`, `main` and `local`, see ip-rule(8).
const KERNELS_TABLES: [u32; 3] = [253, 254, 255];
/// As many as Istio takes.
const MOST_GROUPS: usize = 64;

pub fn intercept(
    command: &InterceptionCommand,
    resolv_conf: impl FnOnce() -> Result<String>,
) -> Result<Intercept> {
    let uids = ids(&command.proxy_uid, "-u")?;
    let gids = ids(&command.proxy_gid, "-g")?;
    let uids = if uids.is_empty() { vec![PROXY_ID] } else { uids };
    let (every_outbound_port, include_outbound_ports) =
        match ports_or_all(&command.istio_outbound_ports, "-q")? {
            None => (true, Vec::new()),
            Some(ports) => (false, ports),
        };
    let ranges = ranges_or_all(&command.istio_service_cidr, "-i")?;
    Ok(Intercept {
        outbound_port: command.envoy_port,
        inbound_port: command.inbound_capture_port,
        tunnel_port: command.inbound_tunnel_port,
        dns: dns(command, resolv_conf)?,
        // A pod's proxy has no right to set a mark, or marks what is for its program: its user tells it.
        mark: None,
        gids: if gids.is_empty() { uids.clone() } else { gids },
        uids,
        groups: groups(command)?,
        include_inbound_ports: ports_or_all(&command.istio_inbound_ports, "-b")?,
        exclude_inbound_ports: list(&command.istio_local_exclude_ports, "-d", PORT)?,
        exclude_outbound_ports: list(&command.istio_local_outbound_ports_exclude, "-o", PORT)?,
        include_outbound_ports,
        include_outbound_ranges: if every_outbound_port { None } else { ranges },
        exclude_outbound_ranges: ranges_of(&command.istio_service_exclude_cidr, "-x")?,
        exclude_interfaces: names(&command.istio_exclude_interfaces, "-c")?,
        reroute_interfaces: names(&command.kube_virt_interfaces, "-k")?,
        loopback: loopback(&command.istio_outbound_ipv4_loopback_cidr)?,
        drop_invalid: command.switches.drop_invalid,
        transparent: transparent(command)?,
    })
}

fn transparent(command: &InterceptionCommand) -> Result<Option<Transparent>> {
    if command.mode != Mode::Tproxy {
        return Ok(None);
    }
    let number = |text: &str, flag: &str, what: &str| match text.trim().parse() {
        Ok(0) | Err(_) => Err(anyhow!("{flag}: {text:?} is not {what}")),
        Ok(number) => Ok(number),
    };
    let mark = number(&command.istio_inbound_tproxy_mark, "-t", "a mark such as 1337")?;
    if mark == OUTBOUND_MARK {
        bail!("-t: {mark} is the mark of the proxy's outbound connections: write another one");
    }
    let table =
        number(&command.istio_inbound_tproxy_route_table, "-r", "a routing table such as 133")?;
    if KERNELS_TABLES.contains(&table) {
        bail!("-r: {table} is one of the kernel's own routing tables: write another one");
    }
    Ok(Some(Transparent { mark, table }))
}

fn dns(
    command: &InterceptionCommand,
    resolv_conf: impl FnOnce() -> Result<String>,
) -> Result<Option<Dns>> {
    if !command.switches.redirect_dns {
        return Ok(None);
    }
    let all = Dns { port: DNS_PORT, servers: None, zones: true };
    if command.switches.capture_all_dns {
        return Ok(Some(all));
    }
    let servers = resolv_conf::parse(&resolv_conf()?).nameservers;
    if servers.is_empty() {
        note("DNS is not captured: resolv.conf names no server, and --capture-all-dns is not set");
        return Ok(None);
    }
    Ok(Some(Dns { servers: Some(servers), ..all }))
}

fn groups(command: &InterceptionCommand) -> Result<Groups> {
    let include = command.istio_outbound_owner_groups.trim();
    let exclude: Vec<_> = items(&command.istio_outbound_owner_groups_exclude).collect();
    if include == ALL {
        return Ok(Groups::AllBut(group_ids(exclude)?));
    }
    if !exclude.is_empty() {
        bail!(
            "ISTIO_OUTBOUND_OWNER_GROUPS and ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE are both set: set one"
        );
    }
    Ok(Groups::Only(group_ids(items(include).collect())?))
}

fn group_ids(groups: Vec<&str>) -> Result<Vec<u32>> {
    if groups.len() > MOST_GROUPS {
        bail!("{} owner groups are too many: at most {MOST_GROUPS} are taken", groups.len());
    }
    let id = |group: &str| match group.parse() {
        Ok(id) => Ok(id),
        Err(_) => match Group::from_name(group) {
            Ok(Some(found)) => Ok(found.gid.as_raw()),
            _ => Err(anyhow!("there is no group {group:?} in /etc/group: write its number")),
        },
    };
    groups.into_iter().map(id).collect()
}

fn ports_or_all(text: &str, flag: &str) -> Result<Option<Vec<u16>>> {
    if text.trim() == ALL { Ok(None) } else { list(text, flag, PORT).map(Some) }
}

fn ranges_or_all(text: &str, flag: &str) -> Result<Option<Vec<IpNet>>> {
    if text.trim() == ALL { Ok(None) } else { ranges_of(text, flag).map(Some) }
}

fn ranges_of(text: &str, flag: &str) -> Result<Vec<IpNet>> {
    let ranges: Vec<IpNet> = list(text, flag, RANGE)?;
    Ok(ranges.iter().map(IpNet::trunc).collect())
}

fn ids(text: &str, flag: &str) -> Result<Vec<u32>> {
    list(text, flag, "a user or group number such as 1337")
}

fn loopback(text: &str) -> Result<Ipv4Net> {
    let range: IpNet = text.trim().parse().map_err(|_| {
        anyhow!("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: {text:?} is not a range: write 127.0.0.1/32")
    })?;
    match range {
        IpNet::V4(v4) if IpAddr::V4(v4.addr()).is_loopback() => Ok(v4.trunc()),
        _ => bail!("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: {text} is not in 127.0.0.0/8"),
    }
}

/// The kernel's names have at most 15 bytes.
fn names(text: &str, flag: &str) -> Result<Vec<String>> {
    let check = |name: &str| match name.len() > 15 || name.contains(['/', '"', ' ']) {
        true => Err(anyhow!("{flag}: {name:?} is not an interface's name: check it with ip link")),
        false => Ok(name.to_owned()),
    };
    items(text).map(check).collect()
}

const PORT: &str = "a port such as 8080";
const RANGE: &str = "a range such as 10.0.0.0/8 or fd00::/8";

fn list<T: FromStr>(text: &str, flag: &str, what: &str) -> Result<Vec<T>> {
    let parse = |item: &str| item.parse().map_err(|_| anyhow!("{flag}: {item:?} is not {what}"));
    items(text).map(parse).collect()
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
