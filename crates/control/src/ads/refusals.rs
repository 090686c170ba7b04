//! What one proxy refuses. In: what it says of the resources of a delivery. Out: which of them are to be told of their
//! objects now, and which no more. A delivery may be thousands of resources, of which only so many are told at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use lateen_api::xds::ResourceType;

/// Resources that one proxy may refuse and that are told; the next one is told when one of these is refused no more.
pub const TOLD: usize = 256;

/// A resource.
pub type Name = (ResourceType, String);

#[derive(Default)]
pub struct Refusals {
    told: BTreeMap<Name, Arc<str>>,
    waiting: BTreeMap<Name, Arc<str>>,
}

/// What changes by an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// How many are refused that were not, or with other words, and how many are refused no more, told or not.
    pub refused: usize,
    pub cleared: usize,
    /// Not to be told any more.
    pub over: Vec<Name>,
    /// To be told, with the proxy's words.
    pub told: Vec<(Name, Arc<str>)>,
}

impl Refusals {
    /// The proxy has these, or does not ask for them any more, and refuses those with this message.
    pub fn take<'a>(
        &mut self,
        kind: ResourceType,
        over: impl Iterator<Item = &'a String>,
        blamed: &[String],
        message: &str,
    ) -> News {
        let mut news = News::default();
        if !self.told.is_empty() {
            for name in over.map(|name| (kind, name.clone())) {
                if self.told.remove(&name).is_some() {
                    news.over.push(name);
                } else if self.waiting.remove(&name).is_none() {
                    continue;
                }
                news.cleared += 1;
            }
        }
        let message: Arc<str> = message.into();
        for name in blamed.iter().map(|name| (kind, name.clone())) {
            let before = self.told.get_mut(&name);
            let is_told = before.is_some();
            let before = before.or_else(|| self.waiting.get_mut(&name));
            if before.as_ref().is_some_and(|before| **before == message) {
                continue;
            }
            news.refused += 1;
            match before {
                Some(before) => *before = message.clone(),
                None => drop(self.waiting.insert(name.clone(), message.clone())),
            }
            if is_told {
                news.told.push((name, message.clone()));
            }
        }
        while self.told.len() < TOLD
            && let Some((name, message)) = self.waiting.pop_first()
        {
            self.told.insert(name.clone(), message.clone());
            news.told.push((name, message));
        }
        news
    }

    /// All of them, told or not.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&Name> {
        self.told.keys().chain(self.waiting.keys()).collect()
    }
}

#[cfg(test)]
mod tests {
    use lateen_api::xds::ResourceType::Cluster;

    use super::{News, Refusals, TOLD};

    #[test]
    fn so_many_are_told_and_the_next_one_when_one_is_refused_no_more() {
        let names: Vec<String> = (0..TOLD + 10).map(|number| format!("{number:04}")).collect();
        let mut refusals = Refusals::default();
        let mut take = |over: &[String], blamed: &[String], message: &str| {
            let news = refusals.take(Cluster, over.iter(), blamed, message);
            let News { refused, cleared, over, told } = news;
            let told: Vec<String> = told.into_iter().map(|((_, name), _)| name).collect();
            (refused, cleared, over.len(), told)
        };
        assert_eq!(take(&[], &names, "no"), (TOLD + 10, 0, 0, names[..TOLD].to_vec()));
        assert_eq!(take(&[], &names, "no"), (0, 0, 0, Vec::new()), "it is known");
        let (next, waits) = (names[TOLD].clone(), names[TOLD + 1].clone());
        assert_eq!(take(&names[..1], &[], ""), (0, 1, 1, vec![next]));
        assert_eq!(take(&[waits], &[], ""), (0, 1, 0, Vec::new()), "it was not told");
        // Nothing is told in between of what goes at the same time.
        assert_eq!(take(&names, &[], ""), (0, TOLD + 8, TOLD, Vec::new()));
        assert_eq!(take(&[], &names[..1], "no"), (1, 0, 0, names[..1].to_vec()));
        assert_eq!(take(&[], &names[..1], "never"), (1, 0, 0, names[..1].to_vec()));
        assert_eq!(refusals.names().len(), 1);
    }
}
