//! What annotation values look like. In: a text. Out: nothing, or what is wrong and how to write it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::Value;

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

/// Kubernetes' numbers have 32 bits with a sign.
pub fn number(text: &str) -> Result<(), String> {
    let parsed = text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
    parsed
        .map(|_| ())
        .ok_or_else(|| format!("{text:?} is not a whole number from 0 to {}", i32::MAX))
}

/// Kubernetes takes its own default for a 0.
pub fn count(text: &str) -> Result<(), String> {
    let parsed = text.trim().parse::<i32>().ok().filter(|number| *number >= 1);
    parsed
        .map(|_| ())
        .ok_or_else(|| format!("{text:?} is not a whole number from 1 to {}", i32::MAX))
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

/// Kubernetes' quantities: `100m`, `0.5`, `128Mi`, `1e3`.
pub fn quantity(text: &str) -> Result<(), String> {
    let wrong = || format!("{text:?} is not a quantity: write it as in 100m, 0.5 or 128Mi");
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let dots = number.bytes().filter(|byte| *byte == b'.').count();
    if dots > 1 || !number.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let units =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let exponent = suffix.strip_prefix(['e', 'E']).filter(|rest| rest.parse::<i32>().is_ok());
    if units.contains(&suffix) || exponent.is_some() { Ok(()) } else { Err(wrong()) }
}

/// The pod's own parts of injected containers, as the injector keeps them.
pub fn overrides(text: &str) -> Result<(), String> {
    let wrong = "is not JSON of the form {\"containers\": [{\"name\": \"istio-proxy\", …}]}: remove it, the \
                 injector writes it";
    let lists: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(text).map_err(|_| wrong.to_owned())?;
    let known = |field: &String| matches!(field.as_str(), "containers" | "initContainers");
    let named = |item: &Value| item["name"].as_str().is_some_and(|name| !name.is_empty());
    match lists.keys().all(known) && lists.values().flatten().all(named) {
        true => Ok(()),
        false => Err(wrong.to_owned()),
    }
}

/// A JSON map of name to content, or a list of objects with names: volumes and mounts.
pub fn named_objects(text: &str) -> Result<(), String> {
    objects(text).map(|_| ())
}

/// The same for mounts, each of which needs its place.
pub fn mounts(text: &str) -> Result<(), String> {
    let lacks = |item: &Value| item["mountPath"].as_str().is_none_or(str::is_empty);
    match objects(text)?.iter().find(|item| lacks(item)) {
        None => Ok(()),
        Some(item) => Err(format!("{} has no mountPath", item["name"])),
    }
}

/// The objects with their names in them, in the order of the text.
pub fn objects(text: &str) -> Result<Vec<Value>, String> {
    let wrong = "is not JSON of the form [{\"name\": \"x\", …}] or {\"x\": {…}}";
    let items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(Value::Object(map)) => map
            .into_iter()
            .map(|(name, mut item)| {
                if let Some(item) = item.as_object_mut() {
                    item.entry("name").or_insert(Value::String(name));
                }
                item
            })
            .collect(),
        _ => return Err(wrong.to_owned()),
    };
    if items.iter().any(|item| item["name"].as_str().is_none_or(str::is_empty)) {
        return Err(wrong.to_owned());
    }
    Ok(items)
}
