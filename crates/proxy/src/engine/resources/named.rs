//! Names that resources refer to. In: those of each resource, as it comes and goes. Out: what is named, and what has
//! come to be named or is named no more, at the cost of the changes alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

#[derive(Debug, Default)]
pub struct Named {
    /// How many times each is named.
    counts: FxHashMap<Arc<str>, usize>,
    /// What may have changed since the last [`Named::changes`].
    touched: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is named and may not have been.
    pub named: Vec<Arc<str>>,
    /// What is not named and may have been.
    pub gone: Vec<Arc<str>>,
}

impl Named {
    pub fn add<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>) {
        for name in names {
            let count = self.counts.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.touched.insert(name.clone());
            }
        }
    }

    /// Of names that were added.
    pub fn remove<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>) {
        for name in names {
            let Some(count) = self.counts.get_mut(name) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(name);
                self.touched.insert(name.clone());
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.counts.keys()
    }

    pub fn changes(&mut self) -> Changes {
        let touched = std::mem::take(&mut self.touched);
        let (named, gone) = touched.into_iter().partition(|name| self.counts.contains_key(name));
        Changes { named, gone }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Named;

    fn names(text: &str) -> Vec<Arc<str>> {
        text.split_whitespace().map(Arc::from).collect()
    }

    /// What `+a b` adds and `-a b` removes comes to `+named -gone`.
    fn after(steps: &[&str]) -> String {
        let mut named = Named::default();
        let mut told = Vec::new();
        for step in steps {
            match step.split_at(1) {
                ("+", added) => named.add(names(added).iter()),
                ("-", removed) => named.remove(names(removed).iter()),
                _ => {
                    let changes = named.changes();
                    told.push(format!("+{} -{}", changes.named.join(" "), changes.gone.join(" ")));
                }
            }
        }
        told.join(", ")
    }

    #[test]
    fn only_the_first_and_the_last_who_names_it_change_something() {
        assert_eq!(after(&["+a b", "?", "+a", "?"]), "+a b -, + -");
        assert_eq!(after(&["+a", "+a", "?", "-a", "?", "-a", "?"]), "+a -, + -, + -a");
        assert_eq!(after(&["-a", "?"]), "+ -", "nobody named it");
    }

    #[test]
    fn what_is_replaced_stays_named() {
        assert_eq!(after(&["+a b", "?", "-a b", "+a c", "?"]), "+a b -, +a c -b");
    }
}
