//! A registry's host as image names begin with it. In: text. Out: a checked host and the names of its
//! folders.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Longer ones would give files names that are longer than file systems allow.
const MOST: usize = 190;

/// `name`, `name:port`, `address:port` or `[address]:port`, as image names may begin
/// (<https://pkg.go.dev/github.com/distribution/reference>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Host {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without its port.
    pub fn name(&self) -> &str {
        split(&self.0).0
    }

    /// Whether it is an IPv6 address without a port, which Docker does not start with.
    pub fn is_bare_ipv6(&self) -> bool {
        self.0.ends_with(']')
    }

    pub fn port(&self) -> Option<u16> {
        split(&self.0).1.and_then(|port| port.parse().ok())
    }

    /// The names under which containerd looks for the host's folder, first one first.
    pub fn folders(&self) -> Vec<String> {
        match self.0.rsplit_once(':') {
            Some((name, port)) => vec![format!("{name}_{port}_"), self.0.clone()],
            None => vec![self.0.clone()],
        }
    }

    /// The host as a part of a file's name.
    pub fn file_name(&self) -> String {
        self.0.replace([':', '[', ']'], "_")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Host, Error> {
        if text.len() > MOST {
            return Err(Error::LongHost { bytes: text.len(), most: MOST });
        }
        let (name, port) = split(text);
        let valid = port.is_none_or(is_port) && (is_address(name) || is_name(name));
        valid.then(|| Host(text.to_owned())).ok_or_else(|| Error::Host(text.to_owned()))
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, port)) if !name.starts_with('[') || name.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    }
}

/// In the one spelling that is compared: no sign, no zero in front.
fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
}

fn is_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_name(name: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.starts_with(outer)
            && label.ends_with(outer)
            && label.chars().all(|c| outer(c) || c == '-')
    };
    // A name that ends with a number is an IPv4 address (<https://url.spec.whatwg.org/#host-parsing>).
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.chars().all(|c| c.is_ascii_digit());
    name.split('.').all(label) && (!number || name.parse::<std::net::Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn hosts_are_names_and_addresses_with_and_without_a_port() {
        for text in
            ["grd-dev.example.com", "localhost:5000", "10.0.1.9:5000", "[fd00::9]:5000", "[::1]"]
        {
            assert_eq!(text.parse::<Host>().unwrap().as_str(), text);
        }
        let bad = [
            "",
            "http://a",
            "a/b",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            "-a",
            "a..b",
            "fd00::9",
            "[a]:1",
            "..",
            "a b",
            "a\"b",
            "a\nb",
            "_default",
            "a_b",
            "a.",
            "*.a",
            "a:+1",
            "a:01",
            "256.1.1.1",
            "1.2.3",
            "[fe80::1%eth0]:1",
            "a:1:2",
        ];
        for text in bad {
            assert!(text.parse::<Host>().unwrap_err().to_string().contains("HOST:PORT"), "{text}");
        }
    }

    #[test]
    fn a_host_that_no_file_could_be_named_after_is_refused_without_repeating_it() {
        let longest = format!("{}.example:5000", "a.".repeat(88) + "abc");
        assert_eq!((longest.len(), longest.parse::<Host>().is_ok()), (192, false));
        assert!(longest[2..].parse::<Host>().is_ok());
        let error = "a".repeat(100_000).parse::<Host>().unwrap_err().to_string();
        assert!(error.contains("100000 bytes") && error.len() < 100, "{error}");
    }

    #[test]
    fn a_host_with_a_port_has_two_folders() {
        let folders = |text: &str| text.parse::<Host>().unwrap().folders();
        assert_eq!(folders("a"), ["a"]);
        assert_eq!(folders("a:5000"), ["a_5000_", "a:5000"]);
    }

    #[test]
    fn name_and_port_are_told_apart() {
        let parts = |text: &str| {
            let host: Host = text.parse().unwrap();
            (host.name().to_owned(), host.port())
        };
        assert_eq!(parts("a:5000"), ("a".to_owned(), Some(5000)));
        assert_eq!(parts("[::1]"), ("[::1]".to_owned(), None));
        assert_eq!(parts("[::1]:5000"), ("[::1]".to_owned(), Some(5000)));
    }
}
