//! What libraries say of texts that they cannot read, in words for those who wrote the texts. In: an error's text.
//! Out: what is wrong and, as far as it can be known, what to write.

/// Why a text is no YAML: the first line of what the parser says, without its terms.
pub fn yaml(error: &impl ToString) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.split_once(": ").filter(|(place, _)| place.starts_with("line ")) {
        Some((place, reason)) => {
            format!("{}: {}", place.replace(" column", ", column"), grammar(reason))
        }
        None => grammar(line),
    }
}

fn grammar(reason: &str) -> String {
    if let Some(rest) = reason.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(", set DuplicateKeyPolicy").next().unwrap_or(rest);
        return format!("the key {key} is there twice, keep one of them");
    }
    if let Some(rest) = reason.strip_prefix("budget breached: ") {
        return beyond(rest).to_owned();
    }
    let known = [
        ("recursion limit exceeded", TOO_DEEP),
        (
            "unexpected character: `%'",
            "there is a % first: put the text in quotes, and fill in a template before",
        ),
        (
            "mapping values are not allowed",
            "there is a second colon in the line: put the text in quotes",
        ),
        ("tabs disallowed", "there is a tab: indent with spaces"),
        (
            "alias references unknown anchor",
            "there is no such anchor: put a text that begins with * in quotes",
        ),
        (TAG, "the tag does not fit the value: leave it out"),
        ("unexpected end of input", "it ends too early: check brackets, quotes and indentation"),
    ];
    if let Some((_, plain)) = known.iter().find(|(begin, _)| reason.starts_with(begin)) {
        return (*plain).to_owned();
    }
    if reason.starts_with("unclosed ") { format!("{reason}, close it") } else { mismatch(reason) }
}

const TAG: &str = "cannot deserialize tagged scalar into string";
const TOO_DEEP: &str = "it is nested too deeply: write it with at most 60 levels";

/// What the parser has enough of, so that no text makes a program grow without end.
fn beyond(breach: &str) -> &'static str {
    match breach.split([' ', '{']).next().unwrap_or_default() {
        "Nodes" | "Events" => {
            "it has too many values, those behind aliases counted at each use: write less, or split it"
        }
        "Aliases" | "Anchors" | "AliasAnchorRatio" | "MergeKeys" => {
            "it has too many aliases (*name): write out what they stand for"
        }
        "Depth" | "InclusionDepth" => TOO_DEEP,
        "Documents" => "it has more than 1,024 documents: split it",
        _ => "it has more than 64 MiB of text: write less, or split it",
    }
}

/// Why a value does not fit its type.
pub fn mismatch(reason: &str) -> String {
    for kind in ["invalid type: ", "invalid value: "] {
        let parts = reason.strip_prefix(kind).and_then(|rest| rest.rsplit_once(", expected "));
        if let Some((found, wanted)) = parts {
            return format!("it is {} and must be {}", found_words(found), wanted_words(wanted));
        }
    }
    if let Some((found, known)) =
        reason.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected "))
    {
        let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return format!("{found:?} is none of {}", names.join(", "));
    }
    match reason.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => format!("the field {field} is missing, write it"),
        None => reason.to_owned(),
    }
}

fn found_words(found: &str) -> String {
    match found {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" | "unit value" | "Option value" => "null".to_owned(),
        _ => {
            let value = found.split_once('`').map(|(_, rest)| rest.trim_end_matches('`'));
            match (found.strip_prefix("string "), value) {
                (Some(text), _) => format!("the text {text}"),
                (None, Some(value)) if found.starts_with("boolean") => value.to_owned(),
                (None, Some(value)) => format!("the number {value}"),
                (None, None) => found.to_owned(),
            }
        }
    }
}

fn wanted_words(wanted: &str) -> &str {
    match wanted {
        "a string" | "string" | "a borrowed string" => {
            "a text (in quotes, if it looks like something else)"
        }
        "a boolean" => "true or false",
        "i8" | "i16" | "i32" | "i64" => "a whole number that is not too large",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 that is not too large",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{mismatch, yaml};

    #[test]
    fn a_parsers_terms_are_said_in_plain_words() {
        for (text, said) in [
            ("a: [1\n", "line 1, column 4: unclosed bracket '[', close it"),
            ("a: 1\na: 2\n", "line 2, column 1: the key a is there twice, keep one of them"),
            (
                "a: b: c\n",
                "line 1, column 5: there is a second colon in the line: put the text in quotes",
            ),
            ("a:\n\t- b\n", "line 2, column 2: there is a tab: indent with spaces"),
            (
                "a: *x\n",
                "line 1, column 4: there is no such anchor: put a text that begins with * in quotes",
            ),
        ] {
            let error = serde_saphyr::from_str::<Value>(text).unwrap_err();
            assert_eq!(yaml(&error), said);
        }
    }

    #[test]
    fn a_text_that_is_too_much_is_told_with_a_remedy() {
        let said = |text: &str| yaml(&serde_saphyr::from_str::<Value>(text).unwrap_err());
        let flow = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(said(&flow(5000)).ends_with("nested too deeply: write it with at most 60 levels"));
        let maps = format!("{}1{}", "{a: ".repeat(99), "}".repeat(99));
        assert!(said(&maps).ends_with("nested too deeply: write it with at most 60 levels"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..9 {
            let items = vec![format!("*a{}", at - 1); 9].join(", ");
            bomb.push_str(&format!("a{at}: &a{at} [{items}]\n"));
        }
        assert!(said(&bomb).contains("too many values"), "{}", said(&bomb));
        let aliases = format!("a: &a 1\nb: [{}]\n", vec!["*a"; 500].join(", "));
        assert!(said(&aliases).contains("too many aliases"), "{}", said(&aliases));
        assert!(said("{% if x %}\na: 1\n").contains("fill in a template before"));
    }

    #[test]
    fn a_value_of_a_wrong_type_is_told_with_the_right_one() {
        fn said<T: serde::de::DeserializeOwned>(value: Value) -> String {
            mismatch(&serde_json::from_value::<T>(value).err().unwrap().to_string())
        }
        let text = "a text (in quotes, if it looks like something else)";
        assert_eq!(
            said::<String>(serde_json::json!({})),
            format!("it is an object and must be {text}")
        );
        assert_eq!(said::<String>(5.into()), format!("it is the number 5 and must be {text}"));
        assert_eq!(said::<bool>("a`b".into()), "it is the text \"a`b\" and must be true or false");
        assert_eq!(
            said::<u32>((-1).into()),
            "it is the number -1 and must be a whole number from 0 that is not too large"
        );
        assert_eq!(said::<Vec<u8>>(true.into()), "it is true and must be a list");
        let unknown = "unknown variant `FOO`, expected one of `A`, `B`";
        assert_eq!(mismatch(unknown), "\"FOO\" is none of A, B");
        assert_eq!(mismatch("missing field `port`"), "the field port is missing, write it");
    }
}
