//! The forms that names have in Kubernetes: in, a text; out, what is wrong with it in the words that
//! kubectl users know. An empty answer means that nothing is.

use lateen_api::labels::has_label_letters;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
     '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
     used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
     'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const SERVICE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
     start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
     'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
     '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
     'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Names of parts: containers, ports of Services, namespaces.
pub fn label(text: &str) -> Vec<&'static str> {
    told(text, 63, "must be no more than 63 characters", has_label_letters, LABEL)
}

/// Names of most objects, and host names.
pub fn subdomain(text: &str) -> Vec<&'static str> {
    let good = |text: &str| text.split('.').all(has_label_letters);
    told(text, 253, "must be no more than 253 characters", good, SUBDOMAIN)
}

/// Names of Services.
pub fn service(text: &str) -> Vec<&'static str> {
    let good =
        |text: &str| has_label_letters(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    told(text, 63, "must be no more than 63 characters", good, SERVICE)
}

/// Values of labels.
pub fn label_value(text: &str) -> Vec<&'static str> {
    let good = |text: &str| text.is_empty() || is_word(text);
    told(text, 63, "must be no more than 63 characters", good, LABEL_VALUE)
}

/// Names of ports of containers (IANA's service names, RFC 6335).
pub fn port(text: &str) -> Vec<&'static str> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let rules = [
        (text.len() > 15, "must be no more than 15 characters"),
        (
            !text.bytes().all(letters),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !text.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, problem)| problem).collect()
}

/// Numbers of ports.
pub fn port_number(number: i64) -> Option<&'static str> {
    (!(1..=65535).contains(&number)).then_some("must be between 1 and 65535, inclusive")
}

fn told(
    text: &str,
    longest: usize,
    too_long: &'static str,
    good: impl Fn(&str) -> bool,
    problem: &'static str,
) -> Vec<&'static str> {
    let length = (text.len() > longest).then_some(too_long);
    length.into_iter().chain((!good(text)).then_some(problem)).collect()
}

fn is_word(text: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|byte| edge(byte) || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::{label, port, port_number, service, subdomain};

    #[test]
    fn names_are_taken_and_refused_as_kubernetes_does() {
        assert!(label("0-a").is_empty() && !label("A").is_empty() && !label("a.b").is_empty());
        assert!(subdomain("a.0b").is_empty() && !subdomain("a..b").is_empty());
        assert!(subdomain(&"a".repeat(253)).is_empty() && !subdomain(&"a".repeat(254)).is_empty());
        assert!(service("a0").is_empty() && !service("0a").is_empty() && !service("").is_empty());
        assert_eq!(label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    }

    #[test]
    fn ports_have_numbers_and_short_names() {
        assert!(port("http-2").is_empty() && port_number(65535).is_none());
        assert_eq!(port("123"), ["must contain at least one letter (a-z)"]);
        assert_eq!(port("-a--b").len(), 2);
        assert!(port_number(0).is_some() && port_number(65536).is_some());
    }
}
