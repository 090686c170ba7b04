//! Kubernetes' names and labels. In: a text. Out: whether it is one, and what to say if not.

use std::borrow::Cow;

use lateen_telemetry::labels::cut;

/// Bytes of a text that a message shows.
const SHOWN: usize = 100;

/// The letters of an RFC 1123 label, however many.
pub fn has_label_letters(name: &str) -> bool {
    let inner = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !name.starts_with('-') && !name.ends_with('-') && !name.is_empty()
}

/// An RFC 1123 label.
pub fn is_label(name: &str) -> bool {
    has_label_letters(name) && name.len() <= 63
}

/// Words of labels' letters with dots between them; as in Kubernetes, only the whole has a longest.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(has_label_letters)
}

/// The key of a label.
pub fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// The key of an annotation, which Kubernetes looks at in small letters.
pub fn is_annotation_key(key: &str) -> bool {
    is_label_key(&key.to_ascii_lowercase())
}

/// A label's value, which may be empty.
pub fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    inner && text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().next_back())
}

/// A text as messages show it: whoever wrote it knows the rest.
pub fn quoted(text: &str) -> Cow<'_, str> {
    cut(text, SHOWN)
}

/// Why a text is no label's key.
pub fn no_label_key(key: &str) -> String {
    let key = quoted(key);
    format!("{key:?} is no key: write it as in app or example.com/app")
}

/// Why a text is no label's value.
pub fn no_label_value(text: &str) -> String {
    let text = quoted(text);
    format!("{text:?} is no value of a label: use at most 63 letters, digits, '-', '_' and '.'")
}

/// Why a text is no RFC 1123 label.
pub fn no_label(name: &str) -> String {
    let name = quoted(name);
    format!("{name:?} is no name: use at most 63 of a-z, 0-9 and hyphens")
}

/// Why a text is no name of a kind's object.
pub fn no_name(kind: &str, name: &str) -> String {
    match kind {
        "Service" => format!("{}, a letter first", no_label(name)),
        _ => {
            let name = quoted(name);
            format!("{name:?} is no name: use at most 253 of a-z, 0-9, hyphens and dots")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        is_annotation_key, is_label, is_label_key, is_label_value, is_subdomain, no_label,
        no_label_key, no_label_value,
    };

    #[test]
    fn messages_show_the_beginning_of_what_is_long() {
        let long = "x".repeat(100_000);
        for message in [no_label_key(&long), no_label_value(&long), no_label(&long)] {
            assert!(message.starts_with("\"xxx") && message.len() < 300, "{}", message.len());
            assert!(message.contains("…\" is no"), "{message}");
        }
    }

    #[test]
    fn names_are_kubernetes() {
        assert!(is_label("a-1") && is_subdomain("a.b-c") && is_label_key("x.y/A_b"));
        assert!(is_label_value("") && is_label_value("A.b_c-1") && is_label_key("app"));
        for wrong in ["", "-a", "a-", "A", "a_b", "a b"] {
            assert!(!is_label(wrong) && !is_subdomain(wrong), "{wrong}");
        }
        for wrong in ["a b", "-a", "a/b/c", "/a", "a/"] {
            assert!(!is_label_key(wrong), "{wrong}");
        }
        assert!(!is_label_value("a/b") && !is_label_value(&"a".repeat(64)));
        assert!(is_annotation_key("Example.COM/A") && !is_label_key("Example.COM/A"));
        assert!(!is_annotation_key("a b"));
    }

    #[test]
    fn a_part_of_a_name_may_be_longer_than_a_label() {
        let long = "a".repeat(64);
        assert!(is_label(&long[1..]) && !is_label(&long));
        assert!(is_subdomain(&long) && is_label_key(&format!("{long}.b/c")));
        assert!(is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254)));
    }
}
