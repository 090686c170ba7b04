//! YAML as kubectl reads it. In: text of one or more documents. Out: their values; of two equal keys the last one counts.

use anyhow::{Result, anyhow};
use lateen_api::yaml;
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

pub fn documents(text: &str) -> Result<Vec<Value>> {
    read(text, DuplicateKeyPolicy::LastWins).map_err(|reason| anyhow!(reason))
}

/// The same of a text in which no key is there twice.
pub fn strict(text: &str) -> Result<Vec<Value>, String> {
    read(text, DuplicateKeyPolicy::Error)
}

/// A big cluster's objects have more values than the parser allows by itself.
fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        budget: serde_saphyr::budget! {
            max_nodes: 1_000_000, max_events: 3_000_000, max_documents: 50_000,
        },
    };
    yaml::all_with(text, options)
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
    fn words_and_modes_are_what_kubectl_takes_them_for() {
        let text = "name: y\nlist: [n, yes, {a: \"Y\"}, tRue]\nmode: 0400\n---\nN: no\n0644: b\n";
        let first = serde_json::json!({
            "name": true, "list": [false, true, {"a": "Y"}, "tRue"], "mode": 256,
        });
        let second = serde_json::json!({"false": false, "420": "b"});
        assert_eq!(documents(text).unwrap(), [first, second]);
    }

    #[test]
    fn the_objects_of_a_big_cluster_are_read_and_what_has_no_end_is_not() {
        let many = |count: usize| "- {a: b, c: [d, e]}\n".repeat(count);
        assert_eq!(documents(&many(60_000)).unwrap()[0].as_array().map(Vec::len), Some(60_000));
        let error = documents(&many(200_000)).unwrap_err().to_string();
        assert!(error.contains("it has too many values"), "{error}");
    }
}
