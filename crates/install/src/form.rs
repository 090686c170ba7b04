//! Forms that texts of a file must have beyond being texts. In: a form and a text. Out: nothing, or what is wrong and
//! how to write it.

use lateen_api::words::{self, Check};

use crate::facts::words as kubernetes;

/// A form of a text; an empty one stands for the default, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A DNS domain.
    Domain,
    /// The name of most objects.
    Name,
    /// A name that a list may leave empty.
    Secret,
    /// A namespace, a tag of a revision.
    Label,
    /// A label's key.
    Key,
    AnnotationKey,
    /// A label's value.
    Value,
    /// An image, or its name alone.
    Image,
    /// A registry and a path in it.
    Hub,
    Tag,
    /// The level of a proxy's log, in Envoy's words.
    ProxyLevel,
    /// Levels of the parts of a proxy, in Envoy's words.
    ProxyLevels,
    /// Levels of the scopes of Istio's processes.
    Levels,
    /// HOST:PORT.
    Address,
    /// A length of time.
    Span,
    TrustDomain,
    /// CIDR blocks with commas between them.
    Ranges,
    /// The same, or `*`.
    RangesOrAll,
    /// Numbers with commas between them.
    Ports,
    PortsOrAll,
    /// Where something is called.
    Https,
    /// The path of a call.
    CallPath,
    Base64,
    /// A folder of a node.
    Folder,
    /// A file's name without its folder.
    FileName,
    /// A CIDR block.
    Range,
    Ip,
    /// An IP address, or `None`.
    ClusterIp,
    /// An IP address to which nodes can take traffic.
    ExternalIp,
    Family,
    PortName,
    /// The name of an environment variable.
    Variable,
    MountPath,
    /// A path within something.
    InnerPath,
    /// What a container has amounts of.
    Resource,
}

pub const PROXY_LEVELS: [&str; 8] =
    ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"];
pub const LEVELS: [&str; 6] = ["none", "fatal", "error", "warn", "info", "debug"];

impl Form {
    /// All of them; the last one's number tells how many.
    pub const ALL: [Form; Form::Resource as usize + 1] = [
        Form::Domain,
        Form::Name,
        Form::Secret,
        Form::Label,
        Form::Key,
        Form::AnnotationKey,
        Form::Value,
        Form::Image,
        Form::Hub,
        Form::Tag,
        Form::ProxyLevel,
        Form::ProxyLevels,
        Form::Levels,
        Form::Address,
        Form::Span,
        Form::TrustDomain,
        Form::Ranges,
        Form::RangesOrAll,
        Form::Ports,
        Form::PortsOrAll,
        Form::Https,
        Form::CallPath,
        Form::Base64,
        Form::Folder,
        Form::FileName,
        Form::Range,
        Form::Ip,
        Form::ClusterIp,
        Form::ExternalIp,
        Form::Family,
        Form::PortName,
        Form::Variable,
        Form::MountPath,
        Form::InnerPath,
        Form::Resource,
    ];

    pub fn check(self, text: &str) -> Result<(), String> {
        if text.is_empty() { Ok(()) } else { self.check_item(text) }
    }

    /// An item of a list stands for nothing but itself.
    pub fn check_item(self, text: &str) -> Result<(), String> {
        let check: Check = match self {
            Form::Domain => domain,
            Form::Name => kubernetes::domain_name,
            Form::Secret => secret,
            Form::Label => kubernetes::label,
            Form::Key => kubernetes::label_key,
            Form::AnnotationKey => kubernetes::annotation_key,
            Form::Value => kubernetes::label_value,
            Form::Image => words::image,
            Form::Hub => hub,
            Form::Tag => tag,
            Form::ProxyLevel => proxy_level,
            Form::ProxyLevels => proxy_levels,
            Form::Levels => levels,
            Form::Address => words::address,
            Form::Span => words::duration,
            Form::TrustDomain => words::trust_domain,
            Form::Ranges => words::ranges,
            Form::RangesOrAll => words::ranges_or_all,
            Form::Ports => words::ports,
            Form::PortsOrAll => words::ports_or_all,
            Form::Https => https,
            Form::CallPath => call_path,
            Form::Base64 => base64,
            Form::Folder => folder,
            Form::FileName => file_name,
            Form::Range => kubernetes::range,
            Form::Ip => kubernetes::ip,
            Form::ClusterIp => kubernetes::cluster_ip,
            Form::ExternalIp => kubernetes::external_address,
            Form::Family => kubernetes::family,
            Form::PortName => kubernetes::port_name,
            Form::Variable => kubernetes::variable,
            Form::MountPath => kubernetes::mount_path,
            Form::InnerPath => kubernetes::inner_path,
            Form::Resource => kubernetes::resource,
        };
        check(text)
    }
}

fn secret(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { kubernetes::domain_name(text) }
}

fn https(text: &str) -> Result<(), String> {
    match text.starts_with("https://") {
        true => Ok(()),
        false => Err(format!("{text:?} does not begin with https://")),
    }
}

fn call_path(text: &str) -> Result<(), String> {
    match text.starts_with('/') {
        true => Ok(()),
        false => Err(format!("{text:?} does not begin with /")),
    }
}

/// As Go reads it: line breaks do not count.
fn base64(text: &str) -> Result<(), String> {
    let whole: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let inner = whole.trim_end_matches('=');
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let fits = whole.len().is_multiple_of(4) && whole.len() - inner.len() <= 2;
    if fits && inner.bytes().all(known) {
        return Ok(());
    }
    let shown: String = text.chars().take(20).collect();
    Err(format!("{shown:?} is not base64: encode the PEM text"))
}

fn folder(text: &str) -> Result<(), String> {
    match text.starts_with('/') && !text.split('/').any(|step| step == "..") {
        true => Ok(()),
        false => Err(format!("{text:?} is no folder of a node: write its whole path, from /")),
    }
}

fn file_name(text: &str) -> Result<(), String> {
    match text.contains('/') || matches!(text, "." | "..") {
        true => Err(format!("{text:?} is no file's name: its folder is cniConfDir")),
        false => Ok(()),
    }
}

fn domain(text: &str) -> Result<(), String> {
    let domain = text.strip_suffix('.').unwrap_or(text);
    match lateen_api::labels::is_subdomain(domain) {
        true => Ok(()),
        false => Err(format!("{text:?} is no DNS domain such as cluster.local")),
    }
}

fn hub(text: &str) -> Result<(), String> {
    words::image(&format!("{text}/lateen")).map_err(|_| {
        format!("{text:?} is no place of images: write it as in registry.example:5000/mesh")
    })
}

fn tag(text: &str) -> Result<(), String> {
    words::image(&format!("lateen:{text}")).map_err(|_| {
        format!("{text:?} is no tag of an image: use at most 128 letters, digits, '_', '.' and '-'")
    })
}

fn proxy_level(text: &str) -> Result<(), String> {
    no_level(text, &PROXY_LEVELS)
}

fn proxy_levels(text: &str) -> Result<(), String> {
    text.split(',').map(str::trim).try_for_each(|part| match part.split_once(':') {
        Some((name, level)) if !name.is_empty() => proxy_level(level),
        _ => Err(format!("{part:?} is no level of a part: write it as in misc:error")),
    })
}

fn levels(text: &str) -> Result<(), String> {
    text.split(',').map(str::trim).try_for_each(|part| {
        let level = part.split_once(':').map_or(part, |(_, level)| level);
        no_level(level, &LEVELS)
    })
}

fn no_level(text: &str, known: &[&str]) -> Result<(), String> {
    match known.contains(&text) {
        true => Ok(()),
        false => Err(format!("{text:?} is no level of a log: write one of {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn texts_have_the_form_that_their_readers_want() {
        for (form, right, wrong) in [
            (Form::Domain, "k8s.corp.example.", "a b"),
            (Form::Name, "pull.secret-1", "a b"),
            (Form::Label, "mesh-1", "a.b"),
            (Form::Value, "Network_1", "a b"),
            (Form::Image, "proxyv2", "a b"),
            (Form::Hub, "registry.example:5000/mesh", "é.example/mesh"),
            (Form::Hub, "docker.io", "https://docker.io"),
            (Form::Tag, "1.10-distroless", "a b"),
            (Form::ProxyLevel, "warning", "noisy"),
            (Form::ProxyLevels, "misc:error, upstream:debug", "error"),
            (Form::Levels, "default:info,ads:debug", "foo:bar"),
            (Form::Levels, "warn", "warning"),
            (Form::Address, "istiod.istio-system.svc:15012", "istiod"),
            (Form::Span, "1h30m", "30"),
            (Form::Key, "example.com/app", "-app-"),
            (Form::RangesOrAll, "10.0.0.0/8, fd00::/8", "abc"),
            (Form::PortsOrAll, "80,443", "80,http"),
            (Form::Https, "https://there.example/inject", "http://there.example"),
            (Form::CallPath, "/inject", "inject"),
            (Form::Base64, "Zm9v\nYmFy\n", "Zm9"),
            (Form::Folder, "/opt/cni/bin", "/opt/../bin"),
            (Form::FileName, "10-x.conflist", "a/b"),
        ] {
            assert_eq!(form.check(right), Ok(()), "{form:?}");
            assert_eq!(form.check(""), Ok(()), "{form:?}");
            assert!(form.check(wrong).is_err(), "{form:?}: {wrong}");
        }
    }
}
