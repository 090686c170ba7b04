//! Which of two reports counts. In: keys and what they have. Out: whose report is shown, and how secure it is.
//!
//! Both ends of a connection may report it. The client's report counts, because it knows of what never
//! arrived, and which service was dialled: the server knows of one of those that lead to it. The server's counts
//! where the client has no proxy, and it alone tells whether TLS was mutual, and why it ended what the client had
//! reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use lateen_telemetry::labels::Reporter;
use rustc_hash::FxHashMap;

use crate::key::Key;
use crate::point::Point;
use crate::store::{Route, Sum};

/// The flags of a connection that its client had made when the other side ended it.
const RESETS: [&str; 2] = ["UR", "UC"];
/// Stands for all services between two ends.
const ANY: u32 = u32::MAX;

/// Who reports what.
#[derive(Debug, Default)]
pub struct Reports {
    /// By ends.
    told: FxHashMap<Route, Told>,
    /// By routes.
    heard: FxHashMap<Route, Heard>,
    /// By ends: how what failed ended, as the servers' proxies say.
    causes: FxHashMap<Route, BTreeMap<Arc<str>, u64>>,
}

/// What clients and servers say of what is between two ends.
#[derive(Debug, Default)]
struct Told {
    client: Option<Tells>,
    server: Option<Tells>,
    heard: Heard,
}

/// How much was mutual TLS, and how much was not, as the servers' proxies say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub mutual: u64,
    pub plain: u64,
}

/// The greater counts; of equal ones the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tells {
    Nothing,
    /// Of connections that are open and that nothing went over.
    Open,
    Traffic,
}

impl Reports {
    pub fn of(sums: &[(&Key, Sum)]) -> Self {
        let mut all = Self::default();
        for (key, sum) in sums {
            let tells = match sum {
                sum if !sum.points.is_empty() => Tells::Traffic,
                sum if sum.open != 0 => Tells::Open,
                _ => Tells::Nothing,
            };
            let told = all.told.entry(ends(key, sum.route)).or_default();
            if key.reporter == Reporter::Source {
                told.client = told.client.max(Some(tells));
                continue;
            }
            told.server = told.server.max(Some(tells));
            if key.is_failure() && sum.points.closed > 0 {
                let causes = all.causes.entry(ends(key, sum.route)).or_default();
                let count = causes.entry(key.flags.clone()).or_default();
                *count = count.saturating_add(sum.points.closed);
            }
            told.heard.add(key.mutual_tls, &sum.points);
            all.heard.entry(sum.route).or_default().add(key.mutual_tls, &sum.points);
        }
        all
    }

    /// Whether a key is shown, and not only another report of what is shown.
    pub fn count(&self, key: &Key, route: Route) -> bool {
        self.counted(key, route).is_some()
    }

    /// How secure it is, then: as servers say of its service, or else of another one that leads to the same end.
    pub fn counted(&self, key: &Key, route: Route) -> Option<Heard> {
        let told = self.told.get(&ends(key, route))?;
        let is_client_s = told.client >= told.server;
        let own = self.heard.get(&route).filter(|heard| **heard != Heard::default());
        (is_client_s == (key.reporter == Reporter::Source)).then(|| *own.unwrap_or(&told.heard))
    }

    /// With which flags most ended at the server of what its client knows to be reset there.
    pub fn cause(&self, key: &Key, route: Route) -> Option<&Arc<str>> {
        let is_reset = key.reporter == Reporter::Source && RESETS.contains(&&*key.flags);
        let causes = self.causes.get(&ends(key, route)).filter(|_| is_reset)?;
        causes.iter().max_by_key(|(_, count)| **count).map(|(flags, _)| flags)
    }
}

impl Heard {
    fn add(&mut self, is_mutual: bool, points: &Point) {
        let began = points.opened.saturating_add(points.requests);
        let count = began.saturating_add(points.closed);
        let side = if is_mutual { &mut self.mutual } else { &mut self.plain };
        *side = side.saturating_add(count);
    }
}

/// A route without its service: the server may know another one. Where an end is not known the service is all that tells
/// one way from another.
fn ends(key: &Key, route: Route) -> Route {
    let are_known = key.source.is_known() && key.destination.is_known();
    Route { service: if are_known { ANY } else { route.service }, ..route }
}
