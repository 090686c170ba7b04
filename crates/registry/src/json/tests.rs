//! Edits of JSON texts: their layout, and what must survive them.

use lateen_testkit::fuzz::{bytes, fuzz};
use serde_json::{Value, json};

use super::{parse, pull, push, set, unset};
use crate::Error;

const KEY: &str = "insecure-registries";

#[track_caller]
fn check_push(before: &str, after: &str) {
    let found = push(before, KEY, "new:5000").unwrap();
    assert_eq!(found, after);
    assert_eq!(push(&found, KEY, "new:5000").unwrap(), found, "a second time");
}

#[test]
fn a_list_grows_in_its_own_layout() {
    check_push(
        "{\n    \"insecure-registries\": [\"old\"],\n    \"debug\": false\n}\n",
        "{\n    \"insecure-registries\": [\"old\", \"new:5000\"],\n    \"debug\": false\n}\n",
    );
    check_push(
        "{\"insecure-registries\":[\"old\"],\"debug\":false}",
        "{\"insecure-registries\":[\"old\",\"new:5000\"],\"debug\":false}",
    );
    check_push(
        "{\r\n\t\"insecure-registries\" : [\r\n\t\t\"old\"\r\n\t]\r\n}\r\n",
        "{\r\n\t\"insecure-registries\" : [\r\n\t\t\"old\",\r\n\t\t\"new:5000\"\r\n\t]\r\n}\r\n",
    );
    check_push("{ \"insecure-registries\": [ ] }", "{ \"insecure-registries\": [\"new:5000\"] }");
    check_push("{\"insecure-registries\": null}", "{\"insecure-registries\": [\"new:5000\"]}");
}

#[test]
fn a_list_that_is_not_there_is_made_behind_the_last_setting() {
    check_push("", "{\n  \"insecure-registries\": [\"new:5000\"]\n}\n");
    check_push("{}", "{\n  \"insecure-registries\": [\"new:5000\"]\n}");
    check_push("{\"a\":1}", "{\"a\":1,\"insecure-registries\":[\"new:5000\"]}");
    check_push(
        "{\n\t\"log-opts\": {\n\t\t\"max-size\": \"1m\"\n\t}\n}",
        "{\n\t\"log-opts\": {\n\t\t\"max-size\": \"1m\"\n\t},\n\t\"insecure-registries\": [\"new:5000\"]\n}",
    );
}

#[test]
fn keys_in_texts_and_deeper_objects_are_not_taken_for_the_setting() {
    check_push(
        r#"{"a": "\"insecure-registries\": [1]", "b": {"insecure-registries": 1}}"#,
        r#"{"a": "\"insecure-registries\": [1]", "b": {"insecure-registries": 1}, "insecure-registries": ["new:5000"]}"#,
    );
    check_push(
        r#"{"insecure\u002dregistries":[]}"#,
        r#"{"insecure\u002dregistries":["new:5000"]}"#,
    );
}

#[test]
fn a_key_that_is_there_twice_is_not_edited() {
    let doubled = r#"{"insecure-registries": ["x"], "a": 1, "insecure-registries": ["x"]}"#;
    let list = [
        push(doubled, KEY, "x"),
        push(doubled, KEY, "y"),
        pull(doubled, KEY, "x"),
        pull(doubled, KEY, "y"),
    ];
    let path = ["auths", "r:5000"];
    let inner = r#"{"auths": {"r:5000": {}, "r:5000": {}}}"#;
    let outer = r#"{"auths": {"r:5000": {}}, "auths": {}}"#;
    let tree = [
        set(inner, &path, &json!({})),
        unset(inner, &path),
        set(outer, &path, &json!({})),
        unset(outer, &path),
    ];
    let told = |found: Result<String, Error>| found.unwrap_err().to_string();
    for found in list {
        assert_eq!(told(found), "insecure-registries is there twice: keep one of them first");
    }
    let tree: Vec<String> = tree.into_iter().map(told).collect();
    assert!(
        tree[..2].iter().all(|told| told.starts_with("auths.r:5000 is there twice")),
        "{tree:?}"
    );
    assert!(tree[2..].iter().all(|told| told.starts_with("auths is there twice")), "{tree:?}");
    assert_eq!(
        push(r#"{"a": 1, "a": 2}"#, KEY, "x").unwrap(),
        r#"{"a": 1, "a": 2, "insecure-registries": ["x"]}"#
    );
}

#[test]
fn a_list_shrinks_in_its_own_layout() {
    let check = |before: &str, after: &str| assert_eq!(pull(before, KEY, "x").unwrap(), after);
    check("{\"insecure-registries\": [\"a\", \"x\"]}", "{\"insecure-registries\": [\"a\"]}");
    check("{\"insecure-registries\": [\"x\", \"a\"]}", "{\"insecure-registries\": [\"a\"]}");
    check("{\"insecure-registries\": [\"x\", \"a\", \"x\"]}", "{\"insecure-registries\": [\"a\"]}");
    check("{\"insecure-registries\": [\n  \"x\"\n]}", "{\"insecure-registries\": []}");
    check("{\"insecure-registries\": [\"a\"]}", "{\"insecure-registries\": [\"a\"]}");
    check("{ }", "{ }");
    check("", "");
}

#[test]
fn values_are_set_and_removed_at_a_path() {
    let path = ["auths", "new:5000"];
    let made = set("{}", &path, &json!({"auth": "YTpi"})).unwrap();
    assert_eq!(
        made,
        "{\n  \"auths\": {\n    \"new:5000\": {\n      \"auth\": \"YTpi\"\n    }\n  }\n}"
    );
    let changed = set(&made, &path, &json!({"auth": "Yzpk"})).unwrap();
    assert_eq!(changed, made.replace("YTpi", "Yzpk"));
    assert_eq!(unset(&made, &path).unwrap(), "{\n  \"auths\": {}\n}");
    assert_eq!(unset("{\"auths\": 1}", &path).unwrap(), "{\"auths\": 1}");
    let error = set("{\"auths\": 1}", &path, &json!(1)).unwrap_err();
    assert_eq!(error.to_string(), "auths is not an object: correct it first");
}

#[test]
fn what_is_not_valid_is_refused_with_its_place() {
    for text in ["{\"a\": 1,}", "{", "nothing", "{} {}", "{\"a\": 1 // why\n}"] {
        let error = push(text, KEY, "x").unwrap_err().to_string();
        assert!(
            error.starts_with("not valid JSON: ") && error.contains("line 1"),
            "{text}: {error}"
        );
    }
    assert!(push("\u{feff}{}", KEY, "x").unwrap_err().to_string().contains("byte order mark"));
    assert!(push("[]", KEY, "x").unwrap_err().to_string().contains("a JSON object"));
    for list in ["{}", "\"x\"", "[1]"] {
        let text = format!("{{\"insecure-registries\": {list}}}");
        assert!(
            push(&text, KEY, "x").unwrap_err().to_string().contains("a list of texts"),
            "{text}"
        );
    }
}

#[test]
fn every_other_setting_survives_any_edit() {
    let samples = [
        "{\n  \"insecure-registries\": [\"a\", \"b\"],\n  \"x\": {\"y\": [1, {}, \"é\\\"\"]}\n}\n",
        "{\"a\":1,\"b\":[[],{}],\"insecure-registries\":[\"x\"]}",
    ];
    fuzz(2000, bytes(samples.iter().map(|text| text.as_bytes().to_vec()).collect()), |bytes| {
        let Ok(text) = String::from_utf8(bytes) else { return };
        let (Ok(more), Ok(less)) = (push(&text, KEY, "n"), pull(&text, KEY, "a")) else { return };
        let others = |text: &str| {
            let mut value = parse(text).unwrap();
            value.as_object_mut().map(|object| object.shift_remove(KEY));
            value
        };
        assert_eq!(others(&more), others(&text));
        assert_eq!(others(&less), others(&text));
        assert!(parse(&more).unwrap()[KEY].as_array().unwrap().contains(&Value::from("n")));
        assert!(
            set(&text, &["q", "r"], &json!(1))
                .map_or(true, |set| parse(&set).unwrap()["q"]["r"] == 1)
        );
    });
}
