//! Host names, namespaces, ports, protocols and addresses.
//!
//! In: one scalar of a user's object. Out: `Ok`, or what to write instead.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::duration::Duration;

/// The protocols that a port may have, as Istio spells them; upper and lower case are the same.
const PROTOCOLS: [&str; 13] = [
    "TCP",
    "UDP",
    "HTTP",
    "HTTPS",
    "HTTP2",
    "GRPC",
    "GRPC-WEB",
    "GRPC-Web",
    "HTTP_PROXY",
    "TLS",
    "MONGO",
    "REDIS",
    "MYSQL",
];

/// A DNS label of RFC 1123.
pub(super) fn label(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    if bytes.len() <= 63 && bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last()) {
        Ok(())
    } else {
        Err(format!(
            "{text:?} is not a DNS label, use at most 63 lower-case letters, digits and inner hyphens"
        ))
    }
}

/// A fully qualified or short host name without a wildcard.
pub(super) fn fqdn(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host is empty, write a host name".into());
    }
    if host.len() > 255 {
        return Err("the host is longer than 255 characters, shorten it".into());
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    for part in host.split('.') {
        label(part).map_err(|_| format!("{host:?} is not a host name, check the part {part:?}"))?;
    }
    let top = host.rsplit('.').next().unwrap_or_default();
    if host.contains('.') && top.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{host:?} is not a host name, its last part is all digits"));
    }
    Ok(())
}

/// A host name whose first label may be or begin with a wildcard, or an IP address.
pub(super) fn wildcard_host(host: &str) -> Result<(), String> {
    if host == "*" || host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let Some(rest) = host.strip_prefix('*') else { return fqdn(host) };
    let rest = rest.strip_prefix('.').or_else(|| rest.strip_prefix('-')).unwrap_or(rest);
    if rest.contains('*') {
        return Err(format!("{host:?} has a second wildcard, only the first character may be one"));
    }
    fqdn(rest)
        .map_err(|_| format!("{host:?} is not a host name with a wildcard, write *.example.com"))
}

/// A host as [`wildcard_host`] takes it, or the server name by which proxies of another network name one:
/// `outbound_.80_.SUBSET_.HOST`.
pub(super) fn gateway_host(host: &str) -> Result<(), String> {
    let parts: Vec<&str> = host.splitn(5, '_').collect();
    match parts.as_slice() {
        ["outbound", port, _, name, ..]
            if port.contains(|c: char| c.is_ascii_digit())
                && name.contains(|c: char| c.is_ascii_alphabetic())
                && host.len() <= 255 =>
        {
            Ok(())
        }
        _ => wildcard_host(host),
    }
}

/// `host` or `namespace/host`; the namespace may be `*`, `.` or, for a sidecar, `~`.
pub(super) fn namespaced_host(text: &str, sidecar: bool) -> Result<(), String> {
    let Some((namespace, host)) = text.split_once('/') else {
        if sidecar {
            return Err(format!(
                "{text:?} has no namespace, write namespace/host, for example ./*"
            ));
        }
        return full_host(text);
    };
    // What a sidecar leaves out is ~NAMESPACE/HOST.
    let left_out = namespace.strip_prefix('~').filter(|_| sidecar);
    match left_out.unwrap_or(namespace) {
        "*" | "." => {}
        "" if left_out.is_some() => {}
        namespace => label(namespace)?,
    }
    full_host(host)
}

/// A host name that is not short, maybe with a wildcard for whole labels, or an IP address.
fn full_host(host: &str) -> Result<(), String> {
    let partial = host.starts_with('*') && !host.starts_with("*.");
    if host != "*" && (partial || !host.contains('.')) {
        return Err(format!(
            "{host:?} is no full host name, write one such as a.example.com or *.example.com"
        ));
    }
    wildcard_host(host)
}

pub(super) fn port(number: u32) -> Result<(), String> {
    if (1..=65535).contains(&number) {
        Ok(())
    } else {
        Err(format!("{number} is not a port, use 1 to 65535"))
    }
}

pub(super) fn protocol(text: &str) -> Result<(), String> {
    if PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(text)) {
        Ok(())
    } else {
        Err(format!(
            "{text:?} is not a protocol, use one of HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, REDIS, MYSQL"
        ))
    }
}

/// An address or an address range.
pub(super) fn subnet(text: &str) -> Result<(), String> {
    if text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
        Ok(())
    } else {
        Err(format!("{text:?} is neither an address nor a range, write 10.0.0.1 or 10.0.0.0/8"))
    }
}

/// The name of a gateway, `name` or `namespace/name`, or `mesh`.
pub(super) fn gateway_name(text: &str) -> Result<(), String> {
    let (namespace, name) = text.split_once('/').unwrap_or((".", text));
    if namespace != "." {
        label(namespace)?;
    }
    // A short name in a form older than namespace/name is a host name.
    fqdn(name).map_err(|_| format!("{text:?} is not a gateway, write name or namespace/name"))
}

/// The path of a socket, or an abstract one's name.
pub(super) fn is_socket(path: &str) -> bool {
    path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/'))
}

/// A duration that Envoy can count in milliseconds.
pub(super) fn lasting(duration: &Duration) -> Result<(), String> {
    match duration.as_nanos() {
        ..1_000_000 => Err("it is too short, use at least 1ms".into()),
        nanos if nanos % 1_000_000 != 0 => Err("it is no whole number of milliseconds".into()),
        _ => Ok(()),
    }
}

/// The name of a header.
pub(super) fn header(name: &str) -> Result<(), String> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(is_name) {
        Ok(())
    } else {
        Err(format!("{name:?} is no header, use letters, digits, - and _"))
    }
}

/// The scheme of what Go's net/url takes for the target of a request: a URL with a scheme, or a path.
pub fn url_scheme(url: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = url.find(|c| !is_part(c)).unwrap_or(url.len());
    let (scheme, rest) = match url[end..].strip_prefix(':') {
        Some(rest) if url.starts_with(|c: char| c.is_ascii_alphabetic()) => (&url[..end], rest),
        Some(_) if end == 0 => return None,
        _ => ("", url),
    };
    let rooted = rest.starts_with('/');
    let authority = rest.strip_prefix("//").filter(|_| !scheme.is_empty()).unwrap_or_default();
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let sound = !url.contains(|c: char| c.is_ascii_control())
        && !authority.contains([' ', '"', '#', '<', '>', '\\', '^', '`', '{', '|', '}'])
        && (port.ends_with(']') || port.bytes().all(|b| b.is_ascii_digit()))
        && (host.starts_with('[') || host.matches(':').count() < 2)
        && url.split('?').next().is_some_and(|path| path.split('%').skip(1).all(is_escape));
    (sound && (rooted || !scheme.is_empty())).then(|| scheme.to_ascii_lowercase())
}
