//! What a reader would stumble over in one Rust file: a missing head, and the lengths of the file and of
//! its functions, tests left out. In: a file's text. Out: numbers.

/// Lines of a file before its tests, and of its longest functions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub has_head: bool,
    pub lines: usize,
    /// Functions longer than the limit: name and lines.
    pub long_functions: Vec<(String, usize)>,
}

pub fn shape(text: &str, function_limit: usize) -> Shape {
    let body: Vec<&str> =
        text.lines().take_while(|line| line.trim_start() != "#[cfg(test)]").collect();
    let mut long_functions = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (at, line) in body.iter().enumerate() {
        let Some((start, indent, name)) = &open else {
            open = function_head(line)
                .filter(|_| !line.ends_with(';') && !line.ends_with('}'))
                .map(|(indent, name)| (at, indent, name));
            continue;
        };
        let rest = line.strip_prefix(indent.as_str()).unwrap_or(" ");
        let declared_only = rest.ends_with(';') && !rest.starts_with(' ');
        if rest == "}" && at - start + 1 > function_limit {
            long_functions.push((name.clone(), at - start + 1));
        }
        if rest == "}" || declared_only {
            open = None;
        }
    }
    Shape { has_head: text.starts_with("//!"), lines: body.len(), long_functions }
}

/// Indent and name when a function begins on this line.
fn function_head(line: &str) -> Option<(String, String)> {
    let trimmed = line.trim_start();
    let mut rest = trimmed;
    loop {
        let word = rest.split_whitespace().next()?;
        match word {
            "fn" => break,
            "async" | "const" | "unsafe" | "extern" | "\"C\"" => {}
            _ if word.starts_with("pub") => {}
            _ => return None,
        }
        rest = rest[word.len()..].trim_start();
    }
    let name: String = rest[2..]
        .trim_start()
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect();
    Some((line[..line.len() - trimmed.len()].to_owned(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_is_named_and_tests_do_not_count() {
        let text = "//! x\npub fn long() {\n    a();\n    b();\n}\nfn short() {}\n#[cfg(test)]\nmod tests {}\n";
        let shape = shape(text, 3);
        assert!(shape.has_head);
        assert_eq!(shape.lines, 6);
        assert_eq!(shape.long_functions, [("long".to_owned(), 4)]);
    }
}
