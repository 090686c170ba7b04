//! The known name that a wrong one was meant to be. In: a name and the known ones. Out: the nearest.

/// The same, if it is so near that it may have been meant.
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (short, other) = (name.to_lowercase(), nearest(name, known)?);
    let lower = other.to_lowercase();
    let alike = short.chars().zip(lower.chars()).take_while(|(a, b)| a == b).count();
    let within = short.len() > 2 && (lower.contains(&short) || short.contains(&lower));
    let is_near = within || alike >= 4 || distance(name, other) <= name.len().div_ceil(3).min(3);
    is_near.then_some(other)
}

/// The known name with the fewest changes of letters to `name`; one that has the other's letters in a row
/// is nearer than one that has not.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|other| (weight(name, other), other.len()))
}

/// Three changes are as many as a slip of the pen has; behind those, what is begun alike counts.
fn weight(name: &str, other: &str) -> usize {
    let changes = distance(name, other);
    let (name, other) = (name.to_lowercase(), other.to_lowercase());
    let alike = name.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    match changes > 3 && alike < 4 && !name.contains(&other) && !other.contains(&name) {
        true => changes + name.len().max(other.len()),
        false => changes,
    }
}

/// Levenshtein's distance, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{near, nearest};

    #[test]
    fn what_nothing_is_near_to_is_not_guessed_at() {
        let known = ["cni", "pilot", "global", "gateways", "replicaCount"];
        for (name, meant) in [
            ("foo", None),
            ("nothing", None),
            ("piolt", Some("pilot")),
            ("cn", Some("cni")),
            ("globals", Some("global")),
            ("replicas", Some("replicaCount")),
            ("gatways", Some("gateways")),
        ] {
            assert_eq!(near(name, known), meant, "{name}");
        }
    }

    #[test]
    fn the_nearest_name_has_the_fewest_changes() {
        let known = ["externalIPs", "externalName", "ports", "type"];
        assert_eq!(nearest("externalIps", known), Some("externalIPs"));
        assert_eq!(nearest("prots", known), Some("ports"));
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_name_that_begins_alike_is_nearer_than_one_of_like_length() {
        let known = ["service", "replicaCount", "serviceAnnotations", "strategy", "resources"];
        assert_eq!(nearest("replicas", known), Some("replicaCount"));
        assert_eq!(nearest("annotations", known), Some("serviceAnnotations"));
        assert_eq!(nearest("sevrice", known), Some("service"));
    }
}
