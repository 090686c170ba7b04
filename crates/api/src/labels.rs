//! Kubernetes' names and labels. In: a text. Out: whether it is one, and what to say if not.

/// An RFC 1123 label.
pub fn is_label(name: &str) -> bool {
    let inner = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = !name.starts_with('-') && !name.ends_with('-');
    inner && ends && !name.is_empty() && name.len() <= 63
}

/// RFC 1123 labels with dots between them.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The key of a label or an annotation.
pub fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// A label's value, which may be empty.
pub fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    inner && text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().next_back())
}

/// Why a text is no label's key.
pub fn no_label_key(key: &str) -> String {
    format!("{key:?} is no key: write it as in app or example.com/app")
}

/// Why a text is no label's value.
pub fn no_label_value(text: &str) -> String {
    format!("{text:?} is no value of a label: use at most 63 letters, digits, '-', '_' and '.'")
}

/// Why a text is no RFC 1123 label.
pub fn no_label(name: &str) -> String {
    format!("{name:?} is no name: use at most 63 of a-z, 0-9 and hyphens")
}

/// Why a text is no name of a kind's object.
pub fn no_name(kind: &str, name: &str) -> String {
    match kind {
        "Service" => format!("{}, a letter first", no_label(name)),
        _ => format!("{name:?} is no name: use at most 253 of a-z, 0-9, hyphens and dots"),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_label, is_label_key, is_label_value, is_subdomain};

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
    }
}
