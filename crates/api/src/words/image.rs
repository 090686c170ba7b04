//! References of images. In: a text. Out: nothing, or what is wrong.

use crate::labels::is_subdomain;

/// A reference of an image as registries read it: `HOST[:PORT]/PATH[:TAG][@DIGEST]`, of which all but the path's
/// last part may be left out.
pub fn image(text: &str) -> Result<(), String> {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(a, b)| (a, Some(b)));
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let wrong = if text.contains(char::is_whitespace) {
        Some("has a space in it".to_owned())
    } else if tag.is_some_and(|tag| !is_tag(tag)) {
        Some(format!(
            "has no tag behind its colon: use letters, digits, '_', '.' and '-', at most 128, not {:?}",
            tag.unwrap_or_default()
        ))
    } else if digest.is_some_and(|digest| !is_digest(digest)) {
        Some("has no digest behind its @: write sha256: and its hexadecimal digits".to_owned())
    } else {
        no_repository(name).map(str::to_owned)
    };
    wrong.map_or(Ok(()), |reason| Err(format!("the image {text:?} {reason}")))
}

/// Of an image's tag.
fn is_tag(tag: &str) -> bool {
    let inner = tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    inner && !tag.is_empty() && tag.len() <= 128 && !tag.starts_with(['.', '-'])
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        let known = !algorithm.is_empty()
            && algorithm.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b));
        known && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// What is wrong with an image's name without tag and digest.
fn no_repository(name: &str) -> Option<&'static str> {
    let (host, path) = match name.split_once('/') {
        // As docker and containerd tell a registry from a path.
        Some((first, path))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), path)
        }
        _ => (None, name),
    };
    if host.is_some_and(|host| !is_registry(host)) {
        return Some("has no registry's host first: write it as in registry.example:5000");
    }
    let fits = path.split('/').all(is_path_part) && name.len() <= 255;
    (!fits).then_some("has no path of a-z, 0-9, '.', '_' and '-', with / between its parts")
}

fn is_registry(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    is_subdomain(&name.to_ascii_lowercase()) && port.is_none_or(is_port)
}

/// Letters and digits, with one dot, one or two underscores or any hyphens between them.
fn is_path_part(part: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends =
        part.bytes().next().is_some_and(known) && part.bytes().next_back().is_some_and(known);
    let mut runs = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && runs.all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::image;

    #[test]
    fn an_image_has_the_grammar_of_registries() {
        let digest = format!("a/b@sha256:{}", "0a".repeat(32));
        for text in [
            "lateen",
            "a/b_c/d-e.f:1.0_x-y",
            "registry.example:5000/a/b",
            "localhost/a",
            "[fd00::1]:5000/a:1",
            "10.0.0.1:5000/a",
            &digest,
            "registry.example/a:1@sha256:00112233445566778899aabbccddeeff",
        ] {
            assert_eq!(image(text), Ok(()));
        }
        for text in [
            "a b",
            "é.example/a",
            "a/é",
            "a/B",
            "a:",
            "a:-b",
            "a@sha256:xy",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a...b",
            "https://a/b",
            "registry.example:port/a",
            "a:b:c",
            "",
        ] {
            assert!(image(text).is_err(), "{text}");
        }
    }
}
