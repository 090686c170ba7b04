//! Proxies that a Prometheus has and cannot scrape. In: who they are, and since when. Out: what is said of them.

use lateen_telemetry::labels::cut;

use crate::graph::lasting;

/// Those that are named.
const NAMED: usize = 3;
/// Bytes of a name.
const LONGEST: usize = 60;

/// So many, of which some are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    count: usize,
    /// Instances, and the seconds for which they were not scraped.
    named: Vec<(String, u64)>,
}

impl Missed {
    /// Of all of them those are named that have been missed longest.
    pub fn of<'n>(all: impl Iterator<Item = (&'n str, u64)>) -> Self {
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by(|(a, since), (b, other)| other.cmp(since).then(a.cmp(b)));
        let named = all.iter().take(NAMED);
        let named = named.map(|(name, seconds)| (cut(name, LONGEST).into_owned(), *seconds));
        Self { count: all.len(), named: named.collect() }
    }

    /// Beside so many that are scraped. Who may not see everything is told no names.
    pub fn notice(&self, scraped: usize, with_names: bool) -> Option<String> {
        let Self { count, named } = self;
        let name = |(name, seconds): &(String, u64)| format!("{name}: for {}", lasting(*seconds));
        let mut names: Vec<_> = named.iter().filter(|_| with_names).map(name).collect();
        if with_names && *count > named.len() {
            names.push(format!("{} more", count - named.len()));
        }
        let names =
            if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        (*count > 0).then(|| {
            format!(
                "Prometheus cannot scrape {count} of {} proxies{names}: what they carry is not known meanwhile, and \
                 missing from what is shown",
                scraped + count
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Missed;

    #[test]
    fn those_that_are_missed_longest_are_named_and_the_others_counted() {
        let said = |all: &[(&str, u64)], with_names| {
            Missed::of(all.iter().copied()).notice(4, with_names).unwrap_or_default()
        };
        let rest = "what they carry is not known meanwhile, and missing from what is shown";
        assert_eq!(said(&[], true), "");
        assert_eq!(
            said(&[("c-ext.default", 45)], true),
            format!("Prometheus cannot scrape 1 of 5 proxies (c-ext.default: for 45 s): {rest}")
        );
        let all = [("b", 5), ("d", 600), ("a", 5), ("c", 5), ("e", 5)];
        assert_eq!(
            said(&all, true),
            format!(
                "Prometheus cannot scrape 5 of 9 proxies (d: for 10 min, a: for 5 s, b: for 5 s, 2 more): {rest}"
            )
        );
        assert_eq!(said(&all, false), format!("Prometheus cannot scrape 5 of 9 proxies: {rest}"));
        let long = "x".repeat(5000);
        assert!(said(&[(&long, 5)], true).len() < 250);
    }
}
