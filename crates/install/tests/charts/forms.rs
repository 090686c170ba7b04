//! Forms of texts in a chart: a pattern takes and refuses what the form itself does.

use lateen_install::Form;
use regex::Regex;
use serde_json::Value;

use super::generate::patterns;

const SAMPLES: [&str; 58] = [
    "",
    "a",
    "A",
    "1",
    "-a",
    "a-",
    "a b",
    " a",
    "a\n",
    "\na",
    "\n",
    "a.b",
    "a..b",
    ".",
    "..",
    "a.",
    "a_b",
    "é",
    "*",
    "a/b",
    "a/b/c",
    "A.b/c",
    "A/b",
    "a/B",
    "a//b",
    "/",
    "/a",
    "/a/../b",
    "../a",
    "a/..",
    "a:b",
    "a:80",
    "a:0",
    "[::1]:80",
    "a@b",
    "65535",
    "65536",
    "0",
    "80, 443",
    "80,",
    "10.0.0.1",
    "127.0.0.1",
    "10.0.0.0/8",
    "10.0.0.0/33",
    "::1",
    "fd00::1/64",
    "::ffff:1.2.3.4",
    "None",
    "IPv6",
    "info",
    "a:info",
    "a:debug,b:info",
    "1h30m",
    "-1s",
    "https://a",
    "Zm9v",
    "Zm9vYg==",
    "hugepages-2Mi",
];

/// Whether a schema of a text takes one.
fn takes(schema: &Value, text: &str) -> bool {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().any(|word| word == text);
    }
    let fits = |pattern: &Value| Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text);
    let is_forbidden = schema["not"].is_object() && fits(&schema["not"]["pattern"]);
    let longest = schema["maxLength"].as_u64();
    fits(&schema["pattern"])
        && !is_forbidden
        && longest.is_none_or(|most| text.len() as u64 <= most)
}

#[test]
fn patterns_take_and_refuse_what_forms_do() {
    let long = [15, 16, 63, 64, 128, 129, 253, 254].map(|length| "a".repeat(length));
    let within = long
        .iter()
        .flat_map(|part| [format!("{part}.b/c"), format!("{part}.b"), format!("b/{part}")]);
    let samples = SAMPLES.map(str::to_owned).into_iter().chain(within).chain(long.clone());
    let mut wrong = Vec::new();
    for (form, text) in samples.flat_map(|text| Form::ALL.map(|form| (form, text.clone()))) {
        let item = takes(&patterns::of_item(form), &text) == form.check_item(&text).is_ok();
        let whole = takes(&patterns::of(form), &text) == form.check(&text).is_ok();
        if !item || !whole {
            wrong.push(format!("{form:?} {text:?}: {:?}", form.check_item(&text)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
