//! Words that Istio's annotations, values and variables have in common: flags, ports, addresses, ranges. In: a
//! text. Out: nothing, or what is wrong and how to write it.

mod image;

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::duration::{Duration, DurationError};
use crate::labels::{is_label, no_label};

pub use image::image;

/// A check of one value.
pub type Check = fn(&str) -> Result<(), String>;

/// A flag as Go's `strconv.ParseBool` reads it, which is what Istio reads flags with.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

pub fn flag(text: &str) -> Result<(), String> {
    boolean(text).map(|_| ()).ok_or_else(|| format!("{text:?} is neither true nor false"))
}

/// A flag, or empty for one that is not set.
pub fn flag_or_unset(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { flag(text) }
}

/// `0` means that there is no such port.
pub fn port(text: &str) -> Result<(), String> {
    let parsed = text.trim().parse::<u16>();
    parsed.map(|_| ()).map_err(|_| format!("{text:?} is not a port: write a number up to 65535"))
}

const ADMINISTRATION: u16 = 15000;
const AGENT: u16 = 15020;
/// Ports of a sidecar, and what is there.
const TAKEN: [(u16, &str); 8] = [
    (ADMINISTRATION, "administration"),
    (15001, "captured outbound connections"),
    (15006, "captured inbound connections"),
    (15008, "tunnelled connections"),
    (AGENT, "probes and merged metrics"),
    (15021, "health"),
    (15053, "captured DNS"),
    (15090, "metrics"),
];

/// A port for the agent.
pub fn status_port(text: &str) -> Result<(), String> {
    free_port(text, AGENT).map_err(|message| format!("{message}, or 0 for none"))
}

/// A port for the proxy's administration.
pub fn admin_port(text: &str) -> Result<(), String> {
    free_port(text, ADMINISTRATION)
}

/// A port on which nothing of the sidecar but `own` listens.
fn free_port(text: &str, own: u16) -> Result<(), String> {
    port(text)?;
    let number = text.trim().parse::<u16>();
    match TAKEN.iter().find(|(taken, _)| *taken != own && number == Ok(*taken)) {
        None => Ok(()),
        Some((taken, what)) => Err(format!("{taken} is the proxy's port for {what}: take another")),
    }
}

/// `HOST:PORT`; empty is the default.
pub fn address(text: &str) -> Result<(), String> {
    let wrong =
        || format!("{text:?} is not host:port: write it as in \"istiod.istio-system.svc:15012\"");
    if text.is_empty() {
        return Ok(());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']),
    };
    match is_host && port.parse::<u16>().is_ok_and(|port| port != 0) {
        true => Ok(()),
        false => Err(wrong()),
    }
}

/// Comma-separated names of interfaces, as the step that lays the rules takes them: the kernel's names
/// have at most 15 bytes.
pub fn interfaces(text: &str) -> Result<(), String> {
    let mut names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let wrong = |name: &str| {
        name.len() > 15 || name.contains(['/', '"']) || name.contains(char::is_whitespace)
    };
    match names.find(|name| wrong(name)) {
        None => Ok(()),
        Some(name) => {
            Err(format!("{name:?} is not an interface's name: write names as in \"eth1,net1\""))
        }
    }
}

/// Comma-separated; empty is none.
pub fn ports(text: &str) -> Result<(), String> {
    let mut items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.try_for_each(|item| {
        port(item).map_err(|_| format!("{item:?} is not a port: write ports as in \"80,443\""))
    })
}

pub fn ports_or_all(text: &str) -> Result<(), String> {
    if text.trim() == "*" { Ok(()) } else { ports(text) }
}

/// Comma-separated CIDR blocks; empty is none.
pub fn ranges(text: &str) -> Result<(), String> {
    let mut items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.try_for_each(|item| match (item.parse::<IpNet>(), item.parse::<IpAddr>()) {
        (Ok(_), _) => Ok(()),
        (Err(_), Ok(IpAddr::V4(_))) => Err(format!("{item:?} has no prefix: write {item}/32")),
        (Err(_), Ok(IpAddr::V6(_))) => Err(format!("{item:?} has no prefix: write {item}/128")),
        (Err(_), Err(_)) => {
            Err(format!("{item:?} is not a range: write CIDR blocks as in \"10.0.0.0/8,fd00::/8\""))
        }
    })
}

pub fn ranges_or_all(text: &str) -> Result<(), String> {
    if text.trim() == "*" { Ok(()) } else { ranges(text) }
}

pub fn interception_mode(text: &str) -> Result<(), String> {
    match text {
        "REDIRECT" | "TPROXY" | "NONE" => Ok(()),
        other => Err(format!("{other:?} is not a mode: write REDIRECT, TPROXY or NONE")),
    }
}

/// Threads of a proxy; 0 is one for each core.
pub fn threads(text: &str) -> Result<(), String> {
    match text.trim().parse::<i32>() {
        Ok(number) if number >= 0 => Ok(()),
        _ => Err(format!("{text:?} is no number of threads: write 0 for one per core, or more")),
    }
}

/// Of SPIFFE identities (the SPIFFE ID specification, "Trust Domain"); empty is the usual one.
pub fn trust_domain(text: &str) -> Result<(), String> {
    let fits = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-_".contains(letter)
    };
    match text.len() <= 255 && text.chars().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "{text:?} is no trust domain: use at most 255 of a-z, 0-9, hyphens, dots and underscores"
        )),
    }
}

/// A namespace's name; empty is the usual one.
pub fn namespace(text: &str) -> Result<(), String> {
    if text.is_empty() || is_label(text) { Ok(()) } else { Err(no_label(text)) }
}

/// Not less than nothing.
pub fn duration(text: &str) -> Result<(), String> {
    let parsed: Duration = text.parse().map_err(|error: DurationError| error.to_string())?;
    match parsed.as_nanos() < 0 {
        false => Ok(()),
        true => Err(format!("{text:?} is less than nothing: write 0s or more")),
    }
}
