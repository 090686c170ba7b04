//! Others' words for a terminal. In: a text. Out: the same without what a terminal would obey.

use std::borrow::Cow;

/// Control characters, and those that begin lines or turn the order of others, are written as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_obeyed(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal would obey a character, or hide it.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_shown_and_all_else_stays() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}\u{7f}"), "a\\u{1b}[2Jb\\r\\u{9b}\\u{7f}");
        assert_eq!(printable("a\u{2028}\u{202e}b"), "a\\u{2028}\\u{202e}b");
        assert_eq!(printable("Grüße, \"b\""), "Grüße, \"b\"");
    }
}
