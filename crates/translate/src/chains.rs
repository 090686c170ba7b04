//! The filter chains of one listener while it is built. In: one chain after another. Out: all of them, of which no two
//! have one match; whether a match is free costs the chains that share a value with it, and not all that there are.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, FilterChainMatch};

/// Chains in their order, and where each value of their matches is.
#[derive(Default)]
pub struct Chains {
    all: Vec<FilterChain>,
    destinations: Places<CidrRange>,
    sources: Places<CidrRange>,
    names: Places<String>,
}

/// The chains that have a value in one field of their match; `None` are those without any.
struct Places<V>(HashMap<Option<V>, Vec<usize>>);

impl Chains {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn push(&mut self, chain: FilterChain) {
        let place = self.all.len();
        let FilterChainMatch { prefix_ranges, source_prefix_ranges, server_names, .. } =
            chain.filter_chain_match.clone().unwrap_or_default();
        self.destinations.add(place, prefix_ranges);
        self.sources.add(place, source_prefix_ranges);
        self.names.add(place, server_names);
        self.all.push(chain);
    }

    pub fn into_vec(self) -> Vec<FilterChain> {
        self.all
    }

    /// Whether a chain with this match is already there: Envoy refuses a listener with two.
    pub fn taken(&self, matching: &FilterChainMatch) -> bool {
        self.taken_by(matching).is_some()
    }

    /// The place of the first chain that has this match already.
    pub fn taken_by(&self, matching: &FilterChainMatch) -> Option<usize> {
        let own = |place: &usize| self.all[*place].filter_chain_match.as_ref();
        let meets = |place: &usize| match own(place) {
            Some(own) => shadowed(own, matching),
            None => shadowed(&FilterChainMatch::default(), matching),
        };
        self.alike(matching).into_iter().find(meets)
    }

    /// The chains to compare a match with: those that have one of its values in the field where fewest have.
    fn alike(&self, matching: &FilterChainMatch) -> BTreeSet<usize> {
        let fields = [
            self.destinations.of(&matching.prefix_ranges),
            self.sources.of(&matching.source_prefix_ranges),
            self.names.of(&matching.server_names),
        ];
        let count =
            |places: &Vec<&[usize]>| places.iter().map(|places| places.len()).sum::<usize>();
        let fewest = fields.into_iter().min_by_key(count).expect("there are fields");
        fewest.into_iter().flatten().copied().collect()
    }
}

impl<V: Clone + Eq + Hash> Places<V> {
    fn add(&mut self, place: usize, values: Vec<V>) {
        if values.is_empty() {
            self.0.entry(None).or_default().push(place);
        }
        for value in values {
            self.0.entry(Some(value)).or_default().push(place);
        }
    }

    fn of(&self, values: &[V]) -> Vec<&[usize]> {
        let none = values.is_empty().then_some(None);
        let keys = none.into_iter().chain(values.iter().cloned().map(Some));
        keys.filter_map(|key| self.0.get(&key).map(Vec::as_slice)).collect()
    }
}

impl<V> Default for Places<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// Two matches of which one repeats a value of the other in every field: refused by Envoy like equal ones.
fn shadowed(own: &FilterChainMatch, new: &FilterChainMatch) -> bool {
    own.destination_port == new.destination_port
        && own.transport_protocol == new.transport_protocol
        && meet(&own.prefix_ranges, &new.prefix_ranges)
        && meet(&own.source_prefix_ranges, &new.source_prefix_ranges)
        && meet(&own.server_names, &new.server_names)
}

fn meet<V: PartialEq>(a: &[V], b: &[V]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|value| b.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = &'static [&'static str];

    fn matching(destinations: &[&str], sources: &[&str], names: &[&str]) -> FilterChainMatch {
        let ranges = |all: &[&str]| {
            let range = |text: &&str| CidrRange {
                address_prefix: (*text).to_owned(),
                prefix_len: Some(crate::wire::uint(24)),
            };
            all.iter().map(range).collect()
        };
        FilterChainMatch {
            prefix_ranges: ranges(destinations),
            source_prefix_ranges: ranges(sources),
            server_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        }
    }

    fn with(matches: impl IntoIterator<Item = FilterChainMatch>) -> Chains {
        let mut chains = Chains::default();
        for matching in matches {
            chains.push(FilterChain { filter_chain_match: Some(matching), ..Default::default() });
        }
        chains
    }

    #[test]
    fn the_first_chain_that_shares_a_value_in_every_field_has_a_match() {
        let mut chains = with([
            matching(&["10.0.0.0", "10.0.1.0"], &[], &["a"]),
            matching(&["10.0.1.0"], &[], &["b", "c"]),
            matching(&["10.0.1.0"], &["10.9.0.0"], &["b"]),
            matching(&[], &[], &["c"]),
        ]);
        let cases: [(Values, Values, Values, Option<usize>); 8] = [
            (&["10.0.1.0", "10.0.2.0"], &[], &["c", "a"], Some(0)),
            (&["10.0.1.0"], &[], &["c"], Some(1)),
            (&["10.0.1.0"], &["10.9.0.0"], &["b"], Some(2)),
            (&["10.0.1.0"], &["10.9.0.0"], &["c"], None),
            (&["10.0.0.0"], &[], &["b"], None),
            (&[], &[], &["c", "d"], Some(3)),
            (&["10.0.0.0"], &[], &[], None),
            (&[], &[], &[], None),
        ];
        for (destinations, sources, names, place) in cases {
            let found = chains.taken_by(&matching(destinations, sources, names));
            assert_eq!(found, place, "{destinations:?} {sources:?} {names:?}");
        }
        chains.push(FilterChain::default());
        assert_eq!(chains.taken_by(&FilterChainMatch::default()), Some(4));
    }

    /// What it costs to build a listener of so many routes: the chains that matches are compared with.
    #[test]
    fn a_match_is_compared_with_no_chain_that_has_none_of_its_values() {
        let subnets: Vec<String> =
            (0..1000).map(|i| format!("10.{}.{}.0", i / 250, i % 250)).collect();
        let by_subnet = |subnet: &String| matching(&[subnet.as_str()], &[], &[]);
        let by_name = |subnet: &String| matching(&["10.0.0.0"], &[], &[subnet.as_str()]);
        for make in [&by_subnet as &dyn Fn(&String) -> FilterChainMatch, &by_name] {
            let chains = with(subnets.iter().map(make));
            let compared = subnets.iter().map(|subnet| chains.alike(&make(subnet)).len());
            assert_eq!(compared.sum::<usize>(), subnets.len());
        }
    }
}
