//! Forms that texts of a file must have beyond being texts. In: a form and a text. Out: nothing, or what is wrong and
//! how to write it.

use lateen_api::words::{self, Check};

use crate::facts;

/// A form of a text; an empty one stands for the default, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A DNS domain.
    Domain,
    /// The name of most objects.
    Name,
    /// A namespace, a tag of a revision.
    Label,
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
}

const PROXY_LEVELS: [&str; 8] =
    ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"];
const LEVELS: [&str; 6] = ["none", "fatal", "error", "warn", "info", "debug"];

impl Form {
    pub fn check(self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let check: Check = match self {
            Form::Domain => domain,
            Form::Name => facts::domain_name,
            Form::Label => words::namespace,
            Form::Value => facts::label_value,
            Form::Image => facts::image,
            Form::Hub => hub,
            Form::Tag => tag,
            Form::ProxyLevel => proxy_level,
            Form::ProxyLevels => proxy_levels,
            Form::Levels => levels,
            Form::Address => words::address,
            Form::Span => words::duration,
        };
        check(text)
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
    facts::image(&format!("{text}/lateen")).map_err(|_| {
        format!("{text:?} is no place of images: write it as in registry.example:5000/mesh")
    })
}

fn tag(text: &str) -> Result<(), String> {
    facts::image(&format!("lateen:{text}")).map_err(|_| {
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
        ] {
            assert_eq!(form.check(right), Ok(()), "{form:?}");
            assert_eq!(form.check(""), Ok(()), "{form:?}");
            assert!(form.check(wrong).is_err(), "{form:?}: {wrong}");
        }
    }
}
