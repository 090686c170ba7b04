//! What kubectl reads of scalars is what is read here.

use serde_json::{Value, json};

use super::{all, one, settled};
use crate::yaml::write;

/// The scalar, the value and the key of each row, as `sigs.k8s.io/yaml` 1.6 has them.
fn table() -> impl Iterator<Item = (String, Option<Value>, Option<Value>)> {
    let rows = include_str!("../../../testdata/yaml-scalars.tsv").lines().skip(1);
    rows.map(|row| {
        let cell = |at: usize| row.split('\t').nth(at).filter(|cell| *cell != "-");
        let parsed = |cell: &str| serde_json::from_str::<Value>(cell).unwrap();
        let scalar = parsed(cell(0).unwrap());
        (scalar.as_str().unwrap().to_owned(), cell(1).map(parsed), cell(2).map(parsed))
    })
}

#[test]
fn scalars_are_what_kubectl_takes_them_for() {
    let mut wrong = Vec::new();
    for (scalar, value, key) in table() {
        for text in [format!("a: {scalar}\n"), format!("b: 1\nc:\n- a: {scalar}\n")] {
            let read = one(&text).map(|read| read["c"][0].get("a").unwrap_or(&read["a"]).clone());
            if value.as_ref().is_some_and(|value| read.as_ref() != Ok(value)) {
                wrong.push(format!("{text:?} is {value:?}, not {read:?}"));
            }
        }
        if let Some(Value::String(key)) = key {
            let read = one(&format!("{scalar}: 1\n"));
            if read != Ok(json!({ &key: 1 })) {
                wrong.push(format!("the key {scalar:?} is {key:?}, not {read:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_read_is_read_again_as_the_same_when_it_is_written() {
    for (scalar, value, _) in table() {
        for value in
            [json!({ "a": value }), json!({ "a": scalar }), json!({ scalar.clone(): [scalar] })]
        {
            let written = write(&value).unwrap();
            assert_eq!(one(&written).as_ref(), Ok(&value), "{written}");
        }
    }
}

#[test]
fn flows_anchors_and_merged_keys_are_read_alike() {
    let read =
        one("a: &a {mode: 0400, y: [n, &b 0o17]}\nb: {<<: *a, c: *b, 010, \"y\":y}\n? 0x10\n: y\n");
    let expected = json!({
        "a": {"mode": 256, "true": [false, 15]},
        "b": {"mode": 256, "true": [false, 15], "c": 15, "8": null, "y": true},
        "16": true,
    });
    assert_eq!(read, Ok(expected));
    let read = one(
        "\u{feff}a: !!str\nb: !x\nc: [!!str , !y]\nd: !z {e: !!seq [0644]}\nf: !!map\n  g: 1\n",
    );
    let expected = json!({"a": "", "b": "", "c": ["", ""], "d": {"e": [420]}, "f": {"g": 1}});
    assert_eq!(read, Ok(expected));
    assert_eq!(all("0400\n---\ny\n").unwrap(), [json!(256), json!(true)]);
}

#[test]
fn lines_and_duplicates_are_told_as_they_stand() {
    let text = "mode: 0400\nlong: !x one\n  two\nkey: |\n  y\n0644: a\n420: b\n";
    let told = one(text).unwrap_err();
    assert!(told.starts_with("line 7, column 1") && told.contains("420 is there twice"), "{told}");
    assert_eq!(settled(text).lines().count(), text.lines().count());
    let told = one("a: 0400\nb: [1\n").unwrap_err();
    assert!(told.starts_with("line 2") && told.contains("close it"), "{told}");
}

#[test]
fn a_tag_that_does_not_fit_is_refused_with_its_line() {
    for scalar in ["!!int x", "!!int 1.5", "!!float x", "!!bool 1"] {
        let told = one(&format!("a: 1\nb: {scalar}\n")).expect_err(scalar);
        assert!(told.starts_with("line 2"), "{told}");
        assert!(told.ends_with("the tag does not fit the value: leave it out"), "{told}");
    }
}

#[test]
fn what_both_read_alike_is_not_written_anew() {
    let text = "apiVersion: v1\nspec: {ports: [80, 443.5], a: \"on\"}\nb: null\n";
    assert!(matches!(settled(text), std::borrow::Cow::Borrowed(_)));
}
