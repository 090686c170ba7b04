//! YAML as kubectl reads it, but for the letters y and n, which are texts: no name becomes true in silence. In: text of
//! one or more documents. Out: their values; of two equal keys the last one counts.

use anyhow::{Result, anyhow};
use lateen_api::plain;
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

pub fn documents(text: &str) -> Result<Vec<Value>> {
    read(text, DuplicateKeyPolicy::LastWins).map_err(|reason| anyhow!(reason))
}

/// The same of a text in which no key is there twice.
pub fn strict(text: &str) -> Result<Vec<Value>, String> {
    read(text, DuplicateKeyPolicy::Error)
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Value>, String> {
    let mut read = parse(text, duplicate_keys, false)?;
    if text.split(|c: char| c.is_whitespace() || ",[]{}".contains(c)).any(is_letter) {
        let plain = parse(text, duplicate_keys, true)?;
        read.iter_mut().zip(&plain).for_each(|(value, plain)| keep_letters(value, plain));
    }
    Ok(read)
}

fn is_letter(text: &str) -> bool {
    matches!(text, "y" | "Y" | "n" | "N")
}

/// Takes from the same value, read without YAML 1.1's words for true and false, what is one letter.
fn keep_letters(value: &mut Value, plain: &Value) {
    match (&mut *value, plain) {
        (Value::Bool(_), Value::String(text)) if is_letter(text) => *value = plain.clone(),
        (Value::Array(list), Value::Array(plain)) => {
            list.iter_mut().zip(plain).for_each(|(value, plain)| keep_letters(value, plain));
        }
        (Value::Object(map), Value::Object(plain)) => {
            for (key, value) in map {
                plain.get(key).into_iter().for_each(|plain| keep_letters(value, plain));
            }
        }
        _ => {}
    }
}

/// A big cluster's objects have more values than the parser allows by itself.
fn parse(
    text: &str,
    duplicate_keys: DuplicateKeyPolicy,
    strict_booleans: bool,
) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        strict_booleans: strict_booleans,
        budget: serde_saphyr::budget! {
            max_nodes: 1_000_000, max_events: 3_000_000, max_documents: 50_000,
        },
    };
    let read = serde_saphyr::from_multiple_with_options(text, options);
    read.map_err(|error| plain::yaml(&error))
}

#[cfg(test)]
mod tests {
    use super::{documents, strict};

    #[test]
    fn of_two_equal_keys_the_last_one_counts() {
        let read =
            documents("apiVersion: v0\nkind: ConfigMap\napiVersion: v1\n---\nkind: Secret\n");
        let read = read.unwrap();
        assert_eq!((&read[0]["apiVersion"], &read[1]["kind"]), (&"v1".into(), &"Secret".into()));
        let told = strict("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert!(told.starts_with("line 3") && told.contains("the key a is there twice"), "{told}");
        assert_eq!(strict("a: 1\n---\na: 2\n").unwrap().len(), 2);
    }

    #[test]
    fn a_letter_is_a_text_and_a_word_is_what_kubectl_takes_it_for() {
        let text = "name: y\nlist: [n, yes, {a: Y}, \"y\"]\nflag: off\n---\nN: no\nb: N\n";
        let read = documents(text).unwrap();
        let first =
            serde_json::json!({"name": "y", "list": ["n", true, {"a": "Y"}, "y"], "flag": false});
        assert_eq!(read, [first, serde_json::json!({"N": false, "b": "N"})]);
    }

    #[test]
    fn the_objects_of_a_big_cluster_are_read_and_what_has_no_end_is_not() {
        let many = |count: usize| "- {a: b, c: [d, e]}\n".repeat(count);
        assert_eq!(documents(&many(60_000)).unwrap()[0].as_array().map(Vec::len), Some(60_000));
        let error = documents(&many(200_000)).unwrap_err().to_string();
        assert!(error.contains("it has too many values"), "{error}");
    }
}
