//! Words of the command line that become part of Kubernetes objects: names and labels. In: text. Out: what
//! the API would take, or the rule that it breaks.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use lateen_api::labels::quoted;

/// Parsed `key=value,…`.
pub type Labels = BTreeMap<String, String>;

const LABEL: &str =
    "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";

/// A DNS label of RFC 1123, as Kubernetes wants names that become part of host names.
pub fn parse_name(text: &str) -> Result<String, String> {
    let rule = "at most 63 lower-case letters, digits and '-', with a letter or digit at both ends";
    match is_dns_label(text) {
        true => Ok(text.to_owned()),
        false => {
            Err(format!("{:?} is not a name (a DNS label of RFC 1123): use {rule}", quoted(text)))
        }
    }
}

/// [`parse_labels`] for an argument, with an error that does not repeat all of what is long.
#[derive(Clone)]
pub struct LabelsParser;

/// Bytes of an argument that an error repeats.
const REPEATED: usize = 200;

impl TypedValueParser for LabelsParser {
    type Value = Labels;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Labels, clap::Error> {
        let parse: fn(&str) -> Result<Labels, String> = parse_labels;
        match value.to_str().map(parse_labels) {
            Some(Err(reason)) if value.len() > REPEATED => {
                let argument = argument.map(ToString::to_string).unwrap_or_default();
                let message = format!("invalid value for '{argument}': {reason}\n");
                Err(clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
            }
            _ => parse.parse_ref(command, argument, value),
        }
    }
}

/// Labels by Kubernetes' rules
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    let mut labels = Labels::new();
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            format!("{:?} is not a label: write key=value,key=value", quoted(pair))
        })?;
        check_key(key)?;
        if !value.is_empty() && !is_label_word(value) {
            let value = quoted(value);
            return Err(format!("{value:?} cannot be the value of label {key}: use {LABEL}"));
        }
        if let Some(first) = labels.insert(key.to_owned(), value.to_owned()) {
            let (key, first, value) = (quoted(key), quoted(&first), quoted(value));
            return Err(format!(
                "label {key} is given twice, as {first:?} and {value:?}: an object has one value for each key"
            ));
        }
    }
    Ok(labels)
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if !is_label_word(name) {
        let key = quoted(key);
        return Err(format!("{key:?} is not a label's key: after an optional prefix/ use {LABEL}"));
    }
    match prefix {
        Some(prefix) if prefix.len() > 253 || !prefix.split('.').all(is_dns_label) => Err(format!(
            "{:?} cannot be the prefix of a label's key: use a DNS name of RFC 1123, at most 253 \
             lower-case letters, digits, '-' and '.'",
            quoted(prefix)
        )),
        _ => Ok(()),
    }
}

fn is_dns_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.starts_with(inner)
        && text.ends_with(inner)
        && text.chars().all(|c| inner(c) || c == '-')
}

fn is_label_word(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::{LabelsParser, parse_labels, parse_name};

    #[test]
    fn names_are_dns_labels() {
        for name in ["a", "echo-server", "v1-2"] {
            assert_eq!(parse_name(name).unwrap(), name);
        }
        for name in ["", "A", "-a", "a-", "a.b", "a/b", &"a".repeat(64)] {
            assert!(parse_name(name).unwrap_err().contains("RFC 1123"), "{name}");
        }
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(parse_labels("app=a,version=v1").unwrap().len(), 2);
        assert_eq!(parse_labels("").unwrap().len(), 0);
        assert_eq!(parse_labels("example.com/Part_of=X.1,empty=").unwrap()["empty"], "");
        assert!(parse_labels("app").unwrap_err().contains("key=value"));
    }

    #[test]
    fn an_error_repeats_the_beginning_of_what_is_long() {
        let parser = LabelsParser;
        let arg = clap::Arg::new("labels").long("labels").num_args(1).value_parser(parser);
        let command = clap::Command::new("run").arg(arg);
        let told = |value: &str| {
            let words = ["run", "--labels", value];
            command.clone().try_get_matches_from(words).map(drop).unwrap_err().to_string()
        };
        let error = told(&format!("app={}", "x".repeat(100_000)));
        assert!(error.contains("label app") && error.contains("--labels"), "{error}");
        assert!(error.len() < 1000, "{}", error.len());
        assert!(told("app").contains("'app'"));
    }

    #[test]
    fn a_key_has_one_value() {
        let error = parse_labels("app=a,version=v1,app=b").unwrap_err();
        assert!(error.contains("app is given twice"), "{error}");
        assert!(parse_labels("app=a,app=a").is_err());
    }

    #[test]
    fn what_kubernetes_would_refuse_is_refused_with_its_rule() {
        let long = "a".repeat(64);
        for text in [
            "=a",
            "app=a,",
            ",",
            "app=a,,b=c",
            "-a=b",
            "a=-b",
            "a=b c",
            "a/b/c=d",
            "/a=b",
            "A/a=b",
            "a b=c",
            "ä=b",
            "a=b=c",
        ] {
            assert!(parse_labels(text).is_err(), "{text}");
        }
        for text in [format!("{long}=a"), format!("a={long}")] {
            assert!(parse_labels(&text).unwrap_err().contains("at most 63"), "{text}");
        }
        let prefix = format!("{}/a=b", ["a".repeat(60).as_str(); 5].join("."));
        assert!(parse_labels(&prefix).unwrap_err().contains("at most 253"));
    }
}
