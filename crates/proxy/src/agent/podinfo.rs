//! The files of a downward API volume: a pod's labels and annotations. In: their text. Out: the pairs.
//! Source: the kubelet writes one `key="value"` per line, the value quoted as Go's strconv.Quote does.

use std::collections::BTreeMap;
use std::str::Chars;

/// Lines that are not such pairs are left out.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        Some((key.to_owned(), unquote(value.trim_end())?))
    });
    pairs.collect()
}

fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            escape(&mut characters, &mut bytes)?;
        } else {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    // A value that is not UTF-8 cannot have come from the API.
    String::from_utf8(bytes).ok()
}

fn escape(characters: &mut Chars<'_>, out: &mut Vec<u8>) -> Option<()> {
    let first = characters.next()?;
    let digits = match first {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => {
            out.push(plain(first)?);
            return Some(());
        }
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)?.checked_add(characters.next()?.to_digit(16)?)?;
    }
    if digits == 2 {
        out.push(u8::try_from(code).ok()?);
    } else {
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(())
}

/// The escapes of one letter.
fn plain(letter: char) -> Option<u8> {
    Some(match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '"' | '\'' => letter as u8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use lateen_testkit::fuzz::{bytes, fuzz};

    use super::parse;

    const SAMPLE: &str = "app=\"web\"\npath=\"a=\\\"b\\\"\\n\\tc\\\\ \\u00e9\\x41é\"\nempty=\"\"\n";

    #[test]
    fn values_are_unquoted_as_go_quotes_them() {
        let parsed = parse(SAMPLE);
        assert_eq!(parsed["app"], "web");
        assert_eq!(parsed["path"], "a=\"b\"\n\tc\\ éAé");
        assert_eq!(parsed["empty"], "");
    }

    #[test]
    fn a_line_that_is_no_pair_hurts_no_other() {
        let parsed = parse("nonsense\na=b\nc=\"\\q\"\nd=\"\\U99999999\"\nright=\"yes\"");
        assert_eq!(parsed.into_iter().collect::<Vec<_>>(), [("right".into(), "yes".into())]);
    }

    #[test]
    fn no_text_makes_it_panic() {
        fuzz(500, bytes(vec![SAMPLE.into()]), |text| {
            let _ = parse(&String::from_utf8_lossy(&text));
        });
    }
}
