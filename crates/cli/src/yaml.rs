//! YAML as kubectl reads it. In: text of one or more documents. Out: their values; of two equal keys the
//! last one counts.

use anyhow::{Result, anyhow};
use lateen_api::plain;
use serde_json::Value;

pub fn documents(text: &str) -> Result<Vec<Value>> {
    let options =
        serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    let read = serde_saphyr::from_multiple_with_options(text, options);
    read.map_err(|error| anyhow!(plain::yaml(&error)))
}

/// Which key is there twice, of a text that is YAML otherwise.
pub fn twice(text: &str) -> Option<String> {
    let strict: Result<Vec<Value>, _> = serde_saphyr::from_multiple(text);
    strict.err().map(|error| plain::yaml(&error))
}

#[cfg(test)]
mod tests {
    use super::{documents, twice};

    #[test]
    fn of_two_equal_keys_the_last_one_counts() {
        let read =
            documents("apiVersion: v0\nkind: ConfigMap\napiVersion: v1\n---\nkind: Secret\n");
        let read = read.unwrap();
        assert_eq!((&read[0]["apiVersion"], &read[1]["kind"]), (&"v1".into(), &"Secret".into()));
        let told = twice("a: 1\nb: 2\na: 3\n").unwrap();
        assert!(told.starts_with("line 3") && told.contains("the key a is there twice"), "{told}");
        assert_eq!(twice("a: 1\n---\na: 2\n"), None);
    }
}
