//! Paths, and values at them.

use serde_json::json;

use super::{Missing, Step, parse, set};

#[track_caller]
fn after(mut tree: serde_json::Value, path: &str, value: serde_json::Value) -> String {
    let steps = parse(path).unwrap();
    match set(&mut tree, &steps, value, Missing::Refuse) {
        Ok(()) => tree.to_string(),
        Err(reason) => reason,
    }
}

#[test]
fn a_path_has_keys_places_and_selections() {
    let steps = parse(r"a.b\.c[0].[name:x:y].[:30m]").unwrap();
    let key = |text: &str| Step::Key(text.into());
    let select = |field: &str, value: &str| Step::Select(field.into(), value.into());
    assert_eq!(
        steps,
        [key("a"), key("b.c"), Step::Index(0), select("name", "x:y"), select("", "30m")]
    );
    assert!(parse("a[b").is_err());
    assert!(parse("a[]").unwrap_err().contains("[name:value]"));
    assert_eq!(parse("a.[--x]").unwrap(), [key("a"), Step::Contains("--x".into())]);
    assert!(parse("").is_err());
}

#[test]
fn a_value_is_set_added_and_removed() {
    let tree = json!({"a": [{"name": "x", "p": 1}, {"name": "y"}], "l": ["30m"]});
    assert_eq!(
        after(tree.clone(), "a[name:y].q.r", json!(2)),
        r#"{"a":[{"name":"x","p":1},{"name":"y","q":{"r":2}}],"l":["30m"]}"#
    );
    assert_eq!(
        after(tree.clone(), "a.[name:x]", json!(null)),
        r#"{"a":[{"name":"y"}],"l":["30m"]}"#
    );
    assert_eq!(
        after(tree.clone(), "l.[:30m]", json!("60m")),
        r#"{"a":[{"name":"x","p":1},{"name":"y"}],"l":["60m"]}"#
    );
    assert_eq!(after(json!({"l": [1]}), "l[-1]", json!(2)), r#"{"l":[1,2]}"#);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let tree = json!({"a": [{"name": "x"}, {"name": "y"}], "s": 1});
    assert_eq!(
        after(tree.clone(), "a[name:z].p", json!(1)),
        "a[name:z]: no such item, there are: x, y"
    );
    assert_eq!(
        after(tree.clone(), "a[-2]", json!(1)),
        "a[-2]: there is no item [-2], the list has 2"
    );
    assert_eq!(after(json!({"l": ["x"]}), "l.[y]", json!(1)), "l[y]: no such item, there are: x");
    assert_eq!(after(tree, "s.t", json!(1)), "s.t: it is a number and has no fields");
}

/// As Istio's page on customizing an installation has them.
#[test]
fn a_list_is_searched_for_a_text_and_grows_at_any_place_past_its_end() {
    let tree = json!({"args": ["discovery", "30m", "--interval=1s"], "v": [{"name": "a"}]});
    assert_eq!(
        after(tree.clone(), "args.[30m]", json!("60m")),
        r#"{"args":["discovery","60m","--interval=1s"],"v":[{"name":"a"}]}"#
    );
    assert_eq!(
        after(tree.clone(), "args.[--interval]", json!(null)),
        r#"{"args":["discovery","30m"],"v":[{"name":"a"}]}"#
    );
    assert_eq!(
        after(tree.clone(), "v[100].name", json!("b")),
        r#"{"args":["discovery","30m","--interval=1s"],"v":[{"name":"a"},{"name":"b"}]}"#
    );
    assert_eq!(after(json!({"l": [1]}), "l", json!(2)), r#"{"l":[1,2]}"#);
    assert_eq!(after(json!({"l": [1]}), "l", json!([2])), r#"{"l":[2]}"#);
    assert!(after(tree, "v.[a]", json!(1)).contains("no such item"));
    let mut made = json!({"l": ["x"]});
    let far = set(&mut made, &parse("l[7]").unwrap(), json!(1), Missing::Make);
    assert_eq!(far.unwrap_err(), "l[7]: there is no item [7], the list has 1");
}

#[test]
fn a_pattern_may_be_anchored_and_have_gaps() {
    for (pattern, index) in [("b", 0), ("^b", 1), ("c$", 1), ("^a.*d$", 2), ("b.*c", 1)] {
        let mut tree = json!({"l": ["ab", "bxc", "a.d"]});
        set(&mut tree, &parse(&format!("l[{pattern}]")).unwrap(), json!("!"), Missing::Refuse)
            .unwrap();
        assert_eq!(tree["l"][index], "!", "{pattern}: {tree}");
    }
}
