//! Regular expressions of RE2, as Istio's control plane takes them (<https://github.com/google/re2/wiki/Syntax>, without
//! `\C`).
//!
//! In: a pattern. Out: `Ok`, or what is wrong with it. Nothing is compiled: what matches is Envoy's matter.

use std::iter::Peekable;
use std::str::Chars;

/// What Istio allows for, lest Envoy's program grow too big.
const MOST_BYTES: usize = 1024;
/// How often a part may be repeated, repeated parts in it included.
const MOST_REPEATS: u64 = 1000;
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// A pattern that is not empty.
pub(super) fn pattern(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the text to match is empty, write it".into());
    }
    expression(text)
}

pub(super) fn expression(text: &str) -> Result<(), String> {
    if text.len() > MOST_BYTES {
        return Err(format!("a regular expression has at most {MOST_BYTES} characters"));
    }
    let parser = Parser { rest: text.chars().peekable(), has_classes: true, names: Vec::new() };
    parser.read().map_err(|wrong| format!("it is no regular expression of RE2: {wrong}"))
}

/// A group that is open.
#[derive(Default)]
struct Group {
    /// How often the last part, and any part, is repeated at most; there is no last part at the beginning.
    last: Option<u64>,
    most: u64,
    /// Whether a repetition came last.
    is_repeated: bool,
}

impl Group {
    fn part(&mut self, repeats: u64) {
        self.last = Some(repeats);
        self.most = self.most.max(repeats);
        self.is_repeated = false;
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    /// Whether a `:]` may be to come.
    has_classes: bool,
    names: Vec<String>,
}

impl Parser<'_> {
    fn read(mut self) -> Result<(), String> {
        let mut open = vec![Group::default()];
        while let Some(c) = self.rest.next() {
            let depth = open.len();
            let group = open.last_mut().ok_or("unexpected )")?;
            match c {
                '(' => match self.opens()? {
                    true => open.push(Group::default()),
                    false => group.is_repeated = false,
                },
                ')' if depth == 1 => return Err("unexpected )".into()),
                ')' => {
                    let most = group.most.max(1);
                    open.pop();
                    open.last_mut().ok_or("unexpected )")?.part(most);
                }
                '|' => *group = Group { most: group.most, ..Group::default() },
                '*' | '+' | '?' => self.repeat(group, 1)?,
                '{' => match self.counts()? {
                    Some(count) => self.repeat(group, count)?,
                    None => group.part(1),
                },
                '[' => {
                    self.class()?;
                    group.part(1);
                }
                '\\' if self.rest.next_if_eq(&'Q').is_some() => {
                    self.literal();
                    group.part(1);
                }
                '\\' => {
                    if self.rest.next_if(|c| "AbBz".contains(*c)).is_none() && !self.set()? {
                        self.escape()?;
                    }
                    group.part(1);
                }
                _ => group.part(1),
            }
        }
        if open.len() > 1 { Err("missing )".into()) } else { Ok(()) }
    }

    /// After `(`: whether a group begins, or only flags were set.
    fn opens(&mut self) -> Result<bool, String> {
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(true);
        }
        let named = self.rest.next_if_eq(&'P').is_some();
        if named || self.rest.peek() == Some(&'<') {
            if self.rest.next() != Some('<') {
                return Err("a named group begins with (?P<name>".into());
            }
            let name: String = self.rest.by_ref().take_while(|c| *c != '>').collect();
            let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if name.is_empty() || !is_word || self.names.contains(&name) {
                return Err(format!("{name:?} names no group, or two"));
            }
            self.names.push(name);
            return Ok(true);
        }
        let (mut is_off, mut has_flag) = (false, false);
        loop {
            match self.rest.next() {
                Some('i' | 'm' | 's' | 'U') => has_flag = true,
                Some('-') if !is_off => (is_off, has_flag) = (true, false),
                Some(end @ (':' | ')')) if has_flag || !is_off => return Ok(end == ':'),
                _ => return Err("after (? come flags of i, m, s and U, a name or :".into()),
            }
        }
    }

    /// After a repetition of at most `count`.
    fn repeat(&mut self, group: &mut Group, count: u64) -> Result<(), String> {
        self.rest.next_if_eq(&'?');
        let last = group.last.ok_or("a repetition has nothing to repeat")?;
        if group.is_repeated {
            return Err("a repetition of a repetition, put the first one into ( )".into());
        }
        let repeats = last.saturating_mul(count.max(1));
        if count > 1 && repeats > MOST_REPEATS {
            return Err(format!("more than {MOST_REPEATS} repetitions"));
        }
        group.part(repeats);
        group.is_repeated = true;
        Ok(())
    }

    /// After `{`: the most repetitions of `{n}`, `{n,}` or `{n,m}`; anything else is text.
    fn counts(&mut self) -> Result<Option<u64>, String> {
        let is_count = |c: &char| c.is_ascii_digit() || *c == ',';
        let ahead: String = self.rest.clone().take_while(is_count).collect();
        let is_whole = self.rest.clone().nth(ahead.len()) == Some('}');
        let (least, most) = ahead.split_once(',').unwrap_or((&ahead, &ahead));
        let is_number = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_digit())
                && (text == "0" || !text.starts_with('0'))
        };
        if !is_whole || !is_number(least) || !(most.is_empty() || is_number(most)) {
            return Ok(None);
        }
        self.rest.nth(ahead.len());
        let number = |text: &str| text.parse().unwrap_or(u64::MAX);
        let least = number(least);
        let most = if most.is_empty() { least } else { number(most) };
        if least > most || most > MOST_REPEATS {
            return Err(format!("{{{ahead}}} is no count of repetitions, use 0 to {MOST_REPEATS}"));
        }
        Ok(Some(most))
    }

    /// After `[`.
    fn class(&mut self) -> Result<(), String> {
        const OPEN: &str = "missing ]";
        self.rest.next_if_eq(&'^');
        let mut is_first = true;
        loop {
            let c = self.rest.next().ok_or(OPEN)?;
            if c == ']' && !is_first {
                return Ok(());
            }
            is_first = false;
            if c == '[' && self.named()? || c == '\\' && self.set()? {
                continue;
            }
            let low = if c == '\\' { self.escape()? } else { c };
            let mut ahead = self.rest.clone();
            if ahead.next() != Some('-') || ahead.next() == Some(']') {
                continue;
            }
            self.rest.next();
            let c = self.rest.next().ok_or(OPEN)?;
            let high = if c == '\\' { self.escape()? } else { c };
            if high < low {
                return Err(format!("{low}-{high} is no range"));
            }
        }
    }

    /// After `[` in a class: whether it is `[:name:]`, which has been read then.
    fn named(&mut self) -> Result<bool, String> {
        if !self.has_classes || self.rest.peek() != Some(&':') {
            return Ok(false);
        }
        let mut ahead = self.rest.clone();
        let (mut name, mut last) = (String::new(), ahead.next());
        while let Some(c) = ahead.next() {
            if last == Some(':') && c == ']' && !name.is_empty() {
                name.pop();
                if !CLASSES.contains(&name.strip_prefix('^').unwrap_or(&name)) {
                    return Err(format!("[:{name}:] is no class of characters"));
                }
                self.rest = ahead;
                return Ok(true);
            }
            name.push(c);
            last = Some(c);
        }
        // One look at the rest is enough for all that come.
        self.has_classes = false;
        Ok(false)
    }

    /// After `\`: whether it stands for a set of characters, which has been read then.
    fn set(&mut self) -> Result<bool, String> {
        if self.rest.next_if(|c| "dDsSwW".contains(*c)).is_some() {
            return Ok(true);
        }
        if self.rest.next_if(|c| matches!(c, 'p' | 'P')).is_none() {
            return Ok(false);
        }
        const NAME: &str = "\\p needs the name of a class, as in \\pL or \\p{Greek}";
        match self.rest.next() {
            Some('{') => {
                let ahead: String = self.rest.clone().take_while(|c| *c != '}').collect();
                let name = ahead.strip_prefix('^').unwrap_or(&ahead);
                let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                let is_whole = self.rest.nth(ahead.chars().count()) == Some('}');
                if name.is_empty() || !is_name || !is_whole { Err(NAME.into()) } else { Ok(true) }
            }
            Some('C' | 'L' | 'M' | 'N' | 'P' | 'S' | 'Z') => Ok(true),
            _ => Err(NAME.into()),
        }
    }

    /// After `\Q`: text up to `\E` or the end.
    fn literal(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
        }
    }

    /// After `\`: the one character that is meant.
    fn escape(&mut self) -> Result<char, String> {
        let c = self.rest.next().ok_or("a \\ at the end")?;
        let unknown = || format!("there is no \\{c}");
        match c {
            '1'..='7' if !self.rest.peek().is_some_and(|c| ('0'..='7').contains(c)) => {
                Err(unknown())
            }
            '0'..='7' => {
                let mut value = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + digit;
                    self.rest.next();
                }
                char::from_u32(value).ok_or_else(unknown)
            }
            'x' => {
                let (digits, least): (String, _) = match self.rest.next_if_eq(&'{') {
                    Some(_) => (self.rest.by_ref().take_while(|c| *c != '}').collect(), 1),
                    None => (self.rest.by_ref().take(2).collect(), 2),
                };
                let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
                let value = Some(digits).filter(|digits| hex(digits) && digits.len() >= least);
                let value = value.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
                value.and_then(char::from_u32).ok_or_else(unknown)
            }
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn what_re2_takes_is_taken() {
        for good in [
            "a",
            "/api/v[0-9]+(/.*)?",
            "^.*$",
            "(?i)Foo",
            "(?P<a>x)(?<b>y)",
            "(?:a|b|)",
            "a{2,3}?",
            "x{",
            "{id}",
            "a{,5}",
            "a{02}",
            "[]a]",
            "[^]]",
            "[a-]",
            "[-a]",
            "[[:alpha:]_]",
            "[[:^space:]]",
            "[[:]",
            "[[:alpha:][:x]",
            "[a[b]",
            "\\d\\W\\pL\\p{Greek}",
            "\\x41\\x{1F600}\\012\\0",
            "\\Q(*[\\E",
            "\\Q(",
            "\\.\\-\\/",
            "[\\d\\-\\]]",
            "(?i-s:a)",
            "()",
            "(?i)",
            "é*",
            "(a{10}){100}",
            "\\bfoo\\b",
            "a*?b+?",
            "|",
            "^*",
            "(?s).",
            "[a-\\x7f]",
        ] {
            assert_eq!(pattern(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_it_does_not_is_refused() {
        let long = "a".repeat(1025);
        for (bad, why) in [
            ("(", "missing )"),
            ("a)", "unexpected )"),
            ("[a", "missing ]"),
            ("[]", "missing ]"),
            ("[a-", "missing ]"),
            ("*", "nothing to repeat"),
            ("(*)", "nothing to repeat"),
            ("a|+", "nothing to repeat"),
            ("a**", "of a repetition"),
            ("a{2}{3}", "of a repetition"),
            ("a*??", "of a repetition"),
            ("a{1001}", "no count"),
            ("a{3,2}", "no count"),
            ("a{10000000000000000000000}", "no count"),
            ("(a{100}){100}", "more than 1000"),
            ("[z-a]", "z-a is no range"),
            ("[[:nope:]]", "[:nope:]"),
            ("[[::]", "[::]"),
            ("[[:far]] away [:]", ":far]] away ["),
            ("\\", "at the end"),
            ("\\y", "\\y"),
            ("\\1", "\\1"),
            ("\\Z", "\\Z"),
            ("\\C", "\\C"),
            ("(?=a)", "flags"),
            ("(?!a)", "flags"),
            ("(?<=a)", "names"),
            ("(?P<a>x)(?P<a>y)", "names"),
            ("(?P=a)", "(?P<name>"),
            ("(?-)", "flags"),
            ("\\p{", "\\p"),
            ("\\pX", "\\p"),
            ("\\x1", "\\x"),
            ("[\\b]", "\\b"),
            ("(?i", "flags"),
            ("", "empty"),
            (long.as_str(), "1024"),
        ] {
            let found = pattern(bad).unwrap_err();
            assert!(found.contains(why), "{bad}: {found}");
        }
    }
}
