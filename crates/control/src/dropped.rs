//! Telemetry that was dropped lately. In: how much of it, and of which namespace's proxies. Out: notices to those who may
//! look into it, until nothing has been dropped for some minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long after the last of it is spoken of it.
const LATELY: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    Overweight,
    Foreign,
}

/// How much was dropped without such a pause, and when last; of a namespace that is not known it is empty.
#[derive(Debug, Default)]
pub struct Dropped(Mutex<BTreeMap<(Why, String), (u64, Instant)>>);

impl Dropped {
    pub fn add(&self, why: Why, namespace: &str, count: u64, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, last)| is_lately(*last, now));
        let own = all.entry((why, namespace.to_owned())).or_insert((0, now));
        *own = (own.0 + count, now);
    }

    /// To a reader who may look into these namespaces only, if they are given.
    pub fn notices(&self, only: Option<&BTreeSet<String>>, now: Instant) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: BTreeMap<Why, u64> = BTreeMap::new();
        for ((why, namespace), (count, last)) in &*all {
            if is_lately(*last, now) && only.is_none_or(|only| only.contains(namespace)) {
                *counts.entry(*why).or_default() += count;
            }
        }
        counts.into_iter().map(|(why, count)| format!("{count} {}", why.words())).collect()
    }
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Overweight => {
                "messages of telemetry were dropped lately: each would take too much memory"
            }
            Self::Foreign => {
                "connections and samples were dropped lately: the proxies that told them are of other namespaces than they said"
            }
        }
    }
}

fn is_lately(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) < LATELY
}

#[cfg(test)]
mod tests {
    use super::{Dropped, Duration, Instant, LATELY, Why};

    #[test]
    fn what_was_dropped_is_spoken_of_for_some_minutes_to_those_whose_it_is() {
        let (dropped, start) = (Dropped::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        dropped.add(Why::Overweight, "", 1, start);
        dropped.add(Why::Foreign, "shop", 3, start);
        dropped.add(Why::Foreign, "bank", 4, after(100));
        let counts = |only: &[&str], at| {
            let only = only.iter().map(|&name| name.to_owned()).collect();
            let only = Some(&only).filter(|only: &&std::collections::BTreeSet<_>| !only.is_empty());
            let first = |notice: String| notice.split(' ').next().unwrap().to_owned();
            dropped.notices(only, at).into_iter().map(first).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[], after(100)), ["1", "7"]);
        assert_eq!(counts(&["shop"], after(100)), ["3"]);
        assert_eq!(counts(&["web"], after(100)), [""; 0]);
        assert_eq!(counts(&[], start + LATELY), ["4"]);
        dropped.add(Why::Foreign, "shop", 5, after(390));
        assert_eq!(counts(&["shop"], after(395)), ["5"], "those before are long over");
        assert_eq!(counts(&[], after(1000)), [""; 0]);
    }
}
