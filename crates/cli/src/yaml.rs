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

#[cfg(test)]
mod tests {
    use super::documents;

    #[test]
    fn of_two_equal_keys_the_last_one_counts() {
        let read =
            documents("apiVersion: v0\nkind: ConfigMap\napiVersion: v1\n---\nkind: Secret\n");
        let read = read.unwrap();
        assert_eq!((&read[0]["apiVersion"], &read[1]["kind"]), (&"v1".into(), &"Secret".into()));
    }
}
