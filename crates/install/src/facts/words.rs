//! Words that Kubernetes' fields have. In: a text. Out: nothing, or what is wrong and how to write it.

use std::net::IpAddr;

use lateen_api::labels::{
    is_annotation_key, is_label, is_label_key, is_label_value, is_subdomain, no_label,
    no_label_key, no_label_value, no_name,
};
use serde_json::Value;

use super::Found;

type Checked = Result<(), String>;

fn told(fits: bool, reason: impl FnOnce() -> String) -> Checked {
    if fits { Ok(()) } else { Err(reason()) }
}

pub fn label(text: &str) -> Checked {
    told(is_label(text), || no_label(text))
}

/// The name of most objects.
pub fn domain_name(text: &str) -> Checked {
    told(is_subdomain(text), || no_name("", text))
}

pub fn label_key(text: &str) -> Checked {
    told(is_label_key(text), || no_label_key(text))
}

pub fn annotation_key(text: &str) -> Checked {
    told(is_annotation_key(text), || no_label_key(text))
}

pub fn label_value(text: &str) -> Checked {
    told(is_label_value(text), || no_label_value(text))
}

pub fn labels(field: &str, value: &Value, found: &mut Vec<Found>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let wrong = label_key(key).err();
        let wrong = wrong.or_else(|| value.as_str().and_then(|text| label_value(text).err()));
        found.extend(wrong.map(|message| (format!("{field}.{key}"), message)));
    }
}

/// As Kubernetes since 1.30 reads it: what older ones refuse, newer ones take.
pub fn variable(text: &str) -> Checked {
    let fits = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=');
    told(fits, || format!("{text:?} is no variable's name: write it as in LOG_LEVEL"))
}

/// RFC 6335's name of a service.
pub fn port_name(text: &str) -> Checked {
    let fits = is_label(text)
        && text.len() <= 15
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.contains("--");
    told(fits, || {
        format!(
            "{text:?} is no port's name: use at most 15 of a-z, 0-9 and hyphens, a letter among them"
        )
    })
}

pub fn ip(text: &str) -> Checked {
    told(text.parse::<IpAddr>().is_ok(), || format!("{text:?} is no IP address"))
}

pub fn cluster_ip(text: &str) -> Checked {
    if text == "None" { Ok(()) } else { ip(text) }
}

/// An address to which nodes can take traffic.
pub fn external_address(text: &str) -> Checked {
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(format!("{text:?} is no IP address"));
    };
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
        }
    };
    let fits = !(address.is_loopback() || address.is_unspecified() || is_link_local);
    told(fits, || format!("{text:?} is no address that others reach a node by"))
}

pub fn range(text: &str) -> Checked {
    let parts = text.trim().split_once('/');
    let parsed = parts.and_then(|(address, length)| {
        Some((address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?))
    });
    let fits =
        parsed.is_some_and(|(address, length)| length <= if address.is_ipv4() { 32 } else { 128 });
    told(fits, || format!("{text:?} is no range: write it as in 10.0.0.0/8"))
}

pub fn family(text: &str) -> Checked {
    told(matches!(text, "IPv4" | "IPv6"), || format!("{text:?} is none of IPv4, IPv6"))
}

/// What a container can have an amount of.
pub fn resource(name: &str) -> Checked {
    let own = ["cpu", "memory", "ephemeral-storage"];
    let fits = own.contains(&name)
        || name.starts_with("hugepages-")
        || (name.contains('/') && is_label_key(name));
    told(fits, || {
        format!(
            "{name:?} is no resource: it is one of {}, or as in example.com/gpu",
            own.join(", ")
        )
    })
}

pub fn mount_path(text: &str) -> Checked {
    told(!text.contains(':'), || format!("{text:?} has a colon, with which nothing is mounted"))
}

/// A path within something.
pub fn inner_path(text: &str) -> Checked {
    let fits = !text.starts_with('/') && !text.split('/').any(|step| step == "..");
    told(fits, || format!("{text:?} leads out of it: write a path without / first and without .."))
}
