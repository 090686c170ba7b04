//! One response on its way: what was in it, which version each resource has, and which of its
//! resources a refusal is about.

use envoy_types::pb::google::protobuf::Any;
use lateen_api::xds::ResourceType;
use lateen_telemetry::labels::cut;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Event, Resource};

/// Bytes of a refusal that are looked through for names, and those that are kept: the peer may send megabytes.
const READ: usize = 64 << 10;
const KEPT: usize = 2 << 10;

/// What one response carried, kept until the peer has answered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    pub nonce: String,
    /// The version of the view it was made from.
    pub view: u64,
    pub names: Vec<String>,
    pub removed: Vec<String>,
    /// Its size on the wire.
    pub bytes: usize,
}

/// The version of one resource: a hash of its body, the same in every process.
pub fn version(body: &Any) -> u64 {
    xxh3_64(&body.value)
}

/// A version as it is written on the wire.
pub fn version_text(version: u64) -> String {
    format!("{version:016x}")
}

/// Reads [`version_text`] back; `None` for what another server wrote.
pub fn parse_version(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// One version for a whole set, whatever its order.
pub fn set_version(resources: &[Resource]) -> u64 {
    let mut entries: Vec<(&str, u64)> = resources
        .iter()
        .map(|resource| (resource.name.as_str(), version(&resource.body)))
        .collect();
    entries.sort_unstable();
    let mut hash = Xxh3::new();
    for (name, version) in entries {
        hash.update(name.as_bytes());
        hash.update(&[0]);
        hash.update(&version.to_le_bytes());
    }
    hash.digest()
}

/// The resources that a refusal names. Envoy puts their names into its message; a message that
/// names none is about all of them.
fn blame(message: &str, names: &[String]) -> Vec<String> {
    let message = &message[..message.floor_char_boundary(READ)];
    let named: Vec<String> = names.iter().filter(|name| mentions(message, name)).cloned().collect();
    if named.is_empty() { names.to_vec() } else { named }
}

/// What a peer's answer to a delivery means that says why it refuses it.
pub(super) fn rejected(kind: ResourceType, delivery: Delivery, message: &str) -> Event {
    let blamed = blame(message, &delivery.names);
    Event::Rejected { kind, delivery, blamed, message: cut(message, KEPT).into_owned() }
}

fn mentions(message: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    message.match_indices(name).any(|(start, _)| {
        let before = message[..start].chars().rev();
        let after = message[start + name.len()..].chars();
        !goes_on(before) && !goes_on(after)
    })
}

/// Whether a name goes on with these characters. A dot belongs to it if a word follows, or else ends
/// a sentence.
fn goes_on(mut rest: impl Iterator<Item = char>) -> bool {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '|' | '*');
    match rest.next() {
        Some('.') => rest.next().is_some_and(in_word),
        other => other.is_some_and(in_word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_refusal_is_blamed_on_the_resources_that_its_message_names() {
        let message = "Error adding/updating listener(s) 127.0.0.1_3140: cannot bind \
                       '127.0.0.1:3140': Address already in use";
        let sent = names(&["127.0.0.1_31400", "127.0.0.1_3140", "virtualInbound"]);
        assert_eq!(blame(message, &sent), names(&["127.0.0.1_3140"]));
    }

    #[test]
    fn a_longer_host_name_is_not_a_mention_of_a_shorter_one() {
        let sent = names(&["outbound|80||foo", "outbound|80||foo.example.com"]);
        let long = "Error adding cluster(s) outbound|80||foo.example.com: bad";
        assert_eq!(blame(long, &sent), names(&["outbound|80||foo.example.com"]));
        let short = "Cannot add outbound|80||foo. It is bad";
        assert_eq!(blame(short, &sent), names(&["outbound|80||foo"]));
        let suffix = names(&["db", "sample.db"]);
        assert_eq!(blame("no endpoint of sample.db", &suffix), names(&["sample.db"]));
    }

    #[test]
    fn a_refusal_that_names_nothing_is_about_everything() {
        let sent = names(&["a", "outbound|80||b"]);
        assert_eq!(blame("no!", &sent), sent);
    }

    #[test]
    fn of_a_refusal_only_so_much_is_read_and_kept() {
        let delivery = Delivery { names: names(&["a", "b"]), ..Delivery::default() };
        let message = format!("{} b {} a", "é".repeat(KEPT), "x".repeat(READ));
        let event = rejected(ResourceType::Cluster, delivery, &message);
        let Event::Rejected { blamed, message: kept, .. } = event else { panic!("{event:?}") };
        assert_eq!(blamed, names(&["b"]));
        assert!(kept.len() <= KEPT && kept.len() > KEPT - 8, "{}", kept.len());
        assert!(message.starts_with(kept.trim_end_matches('…')) && kept.ends_with('…'), "{kept}");
    }

    #[test]
    fn versions_are_read_back_and_foreign_ones_are_not() {
        assert_eq!(parse_version(&version_text(255)), Some(255));
        assert_eq!(parse_version("2026-01-01T00:00:00Z/7"), None);
        assert_eq!(parse_version("zzzzzzzzzzzzzzzz"), None);
    }

    #[test]
    fn a_sets_version_depends_on_its_members_and_not_on_their_order() {
        let resource = |name: &str, body: u8| Resource {
            name: name.to_owned(),
            body: Any { type_url: String::new(), value: vec![body] },
        };
        let (a, b) = (resource("a", 1), resource("b", 2));
        let version = set_version(&[a.clone(), b.clone()]);
        assert_eq!(version, set_version(&[b.clone(), a.clone()]));
        assert_ne!(version, set_version(&[a]));
        assert_ne!(version, set_version(&[resource("a", 1), resource("b", 3)]));
    }
}
