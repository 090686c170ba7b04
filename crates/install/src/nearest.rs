//! The known name that a wrong one was meant to be. In: a name and the known ones. Out: the nearest.

/// The known name with the fewest changes of letters to `name`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|other| (distance(name, other), other.len()))
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
    use super::nearest;

    #[test]
    fn the_nearest_name_has_the_fewest_changes() {
        let known = ["externalIPs", "externalName", "ports", "type"];
        assert_eq!(nearest("externalIps", known), Some("externalIPs"));
        assert_eq!(nearest("prots", known), Some("ports"));
        assert_eq!(nearest("x", []), None);
    }
}
