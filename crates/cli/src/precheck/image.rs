//! Names of images. In: a word of the command line. Out: the same, if a runtime would take it
//! (<https://github.com/distribution/reference/blob/main/reference.go>).

use lateen_registry::Host;

const LONGEST: usize = 255;

pub fn parse(text: &str) -> Result<String, String> {
    match fits(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not an image: write HOST/NAME:TAG or HOST/NAME@DIGEST, the name in lower-case letters, digits, \
             and . _ - between them"
        )),
    }
}

fn fits(text: &str) -> bool {
    let (tagged, digest) = match text.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (tagged, None),
    };
    let path = match name.split_once('/') {
        Some((host, path)) if is_host(host) => match host.parse::<Host>() {
            Ok(_) => path,
            Err(_) => return false,
        },
        _ => name,
    };
    path.len() <= LONGEST
        && path.split('/').all(is_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// As runtimes tell a registry from the first part of a name on Docker Hub.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.contains(|c: char| c.is_uppercase())
}

fn is_part(part: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(outer)
        && part.ends_with(outer)
        && part.chars().all(|c| outer(c) || matches!(c, '.' | '_' | '-'))
}

fn is_tag(tag: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len())
        && tag.starts_with(inner)
        && tag.chars().all(|c| inner(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, sum)| {
        is_part(algorithm) && !sum.is_empty() && sum.chars().all(|c| c.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_of_images_are_taken_and_other_words_are_refused() {
        for image in [
            "alpine",
            "library/alpine:3.20",
            "r:5000/a:1",
            "localhost/pause:1",
            "r.example/team/a-b__c:V1.2_x",
            "r:5000/a@sha256:1f",
            "r:5000/a:1@sha256:1f",
            "[fd00::1]:5000/a:1",
        ] {
            assert_eq!(parse(image).as_deref(), Ok(image));
        }
        for word in [
            "",
            "A B",
            "r:5000/a b",
            "a:",
            "a:b c",
            "a@",
            "a@sha256",
            "a@sha256:x",
            "/a",
            "a/",
            "r:5000//a",
            "http://r:5000/a",
            "r:5000/A",
            "-a",
            "a'",
            "r:x/a",
            "a:-1",
        ] {
            let error = parse(word).unwrap_err();
            assert!(error.contains("HOST/NAME:TAG"), "{word}: {error}");
        }
    }
}
