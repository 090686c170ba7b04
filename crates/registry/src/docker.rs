//! Docker's `daemon.json`. In: its text. Out: the text with a registry added or removed, or the registries
//! in it (<https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file>).

use crate::{Error, Host, Trust, json};

const LIST: &str = "insecure-registries";

/// The text in which the registry is trusted so. An authority is known by its file alone.
pub fn set(text: &str, host: &Host, trust: Trust) -> Result<String, Error> {
    match trust {
        Trust::Insecure if host.is_bare_ipv6() => Err(Error::BareIpv6(host.to_string())),
        Trust::Insecure => json::push(text, LIST, host.as_str()),
        // An empty list stays: when told to read its file again, Docker forgets registries only if
        // the list is there.
        Trust::Authority | Trust::System => json::pull(text, LIST, host.as_str()),
    }
}

/// Whether `now` is what is left of `original` when the registry has come and gone: the original with an empty list,
/// which it did not have.
pub fn is_left_of(now: &str, original: &str, host: &Host) -> bool {
    let came = set(original, host, Trust::Insecure);
    let gone = came.and_then(|text| set(&text, host, Trust::System));
    !has_list(original) && original != now && gone.is_ok_and(|gone| gone == now)
}

/// Whether `now` is what is left of a file that was made for the registry, as it was `before` the registry had gone.
pub fn is_left_of_nothing(now: &str, before: &str, host: &Host) -> bool {
    let came = set("", host, Trust::Insecure);
    came.is_ok_and(|text| text == before)
        && set(before, host, Trust::System).is_ok_and(|gone| gone == now)
}

/// Whether a text says which registries need no valid certificate, be it none.
pub fn has_list(text: &str) -> bool {
    json::parse(text).is_ok_and(|value| !value[LIST].is_null())
}

/// The registries that need no valid certificate.
pub fn insecure(text: &str) -> Result<Vec<String>, Error> {
    json::listed(text, LIST)
}

/// The addresses that the daemon listens on, if the file says so.
pub fn hosts(text: &str) -> Result<Vec<String>, Error> {
    json::listed(text, "hosts")
}

/// Whether a command line of the daemon has the flag that the file must not repeat: Docker then refuses
/// the file as a whole.
pub fn has_flag(arguments: &[String]) -> bool {
    let flag = format!("--{}", LIST.replace("registries", "registry"));
    arguments.iter().any(|word| *word == flag || word.starts_with(&format!("{flag}=")))
}

#[cfg(test)]
mod tests {
    use super::{has_flag, hosts, insecure, is_left_of, set};
    use crate::{Host, Trust};

    #[test]
    fn the_notes_file_is_made_and_unmade() {
        let host: Host = "grd-dev.example.com".parse().unwrap();
        let before = "{\n    \"insecure-registries\": [],\n    \"debug\": false\n}\n";
        let after = set(before, &host, Trust::Insecure).unwrap();
        assert_eq!(after, before.replace("[]", "[\"grd-dev.example.com\"]"));
        assert_eq!(insecure(&after).unwrap(), ["grd-dev.example.com"]);
        assert_eq!(set(&after, &host, Trust::Authority).unwrap(), before);
        assert_eq!(set(&after, &host, Trust::System).unwrap(), before);
    }

    #[test]
    fn what_is_left_is_known_by_its_original() {
        let host: Host = "r:5000".parse().unwrap();
        for original in ["{ }", "{\"debug\": false}\n"] {
            let added = set(original, &host, Trust::Insecure).unwrap();
            let now = set(&added, &host, Trust::System).unwrap();
            assert!(is_left_of(&now, original, &host) && now != original, "{now}");
            assert!(!is_left_of(original, original, &host) && !is_left_of(&added, original, &host));
        }
        let with_list = "{\"insecure-registries\": []}";
        assert!(!is_left_of(with_list, with_list, &host));
    }

    #[test]
    fn what_docker_would_not_start_with_is_refused() {
        let bare: Host = "[fd00::1]".parse().unwrap();
        let error = set("", &bare, Trust::Insecure).unwrap_err().to_string();
        assert!(error.contains("write [fd00::1]:443"), "{error}");
        assert!(set("", &"[fd00::1]:443".parse().unwrap(), Trust::Insecure).is_ok());
    }

    #[test]
    fn addresses_are_found() {
        assert_eq!(hosts("{\"hosts\": [\"unix:///x\"]}").unwrap(), ["unix:///x"]);
        assert!(hosts("").unwrap().is_empty());
        let twice = "{\"insecure-registries\": [\"a\"], \"insecure-registries\": []}";
        assert!(insecure(twice).unwrap_err().to_string().contains("is there twice"));
    }

    #[test]
    fn the_flag_of_the_same_meaning_is_noticed() {
        let flag =
            |words: &[&str]| has_flag(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert!(
            flag(&["dockerd", "--insecure-registry=a"])
                && flag(&["dockerd", "--insecure-registry", "a"])
        );
        assert!(!flag(&["dockerd", "--insecure"]));
    }
}
