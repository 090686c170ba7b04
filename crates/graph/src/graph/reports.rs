//! Which of two reports counts. In: keys and what they have. Out: for each route, whose report is shown.
//!
//! Both ends of a connection may report it. The client's report counts, because it knows of what never
//! arrived, and which service was dialled: the server knows of one of those that lead to it. The server's counts
//! where the client has no proxy, and it alone tells whether TLS was mutual.

use lateen_telemetry::labels::Reporter;
use rustc_hash::FxHashMap;

use crate::key::{Key, Protocol};
use crate::point::Point;
use crate::store::{Route, Sum};

/// Who reports what.
#[derive(Debug, Default)]
pub struct Reports {
    routes: FxHashMap<Route, Report>,
    /// What clients tell of all services that lead from one end to another.
    clients: FxHashMap<(u32, u32, Protocol), Rank>,
}

/// What the ends of a route say of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Of the end whose report counts.
    rank: Rank,
    /// How much of it was mutual TLS, and how much was not, as the servers' proxies say.
    pub mutual: u64,
    pub plain: u64,
}

/// What a report tells, and whether it is the client's: the greatest counts.
pub type Rank = (Tells, bool);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tells {
    #[default]
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
            let is_client = key.reporter == Reporter::Source;
            let rank = (tells, is_client);
            let report = all.routes.entry(sum.route).or_default();
            report.rank = report.rank.max(rank);
            if !is_client {
                report.heard(key.mutual_tls, &sum.points);
            } else if key.destination.is_known() {
                let client = all.clients.entry(ends(sum.route)).or_default();
                *client = (*client).max(rank);
            }
        }
        all
    }

    /// Whether a key is shown, and not only another report of what is shown.
    pub fn count(&self, key: &Key, route: Route) -> bool {
        self.counted(key, route).is_some()
    }

    /// What there is of its route, then.
    pub fn counted(&self, key: &Key, route: Route) -> Option<&Report> {
        let report = self.routes.get(&route)?;
        let is_client = key.reporter == Reporter::Source;
        let is_told = || self.clients.get(&ends(route)).is_some_and(|rank| *rank > report.rank);
        (report.rank.1 == is_client && (is_client || !is_told())).then_some(report)
    }
}

impl Report {
    fn heard(&mut self, is_mutual: bool, points: &Point) {
        let began = points.opened.saturating_add(points.requests);
        let count = began.saturating_add(points.closed);
        let side = if is_mutual { &mut self.mutual } else { &mut self.plain };
        *side = side.saturating_add(count);
    }
}

fn ends(route: Route) -> (u32, u32, Protocol) {
    (route.source, route.destination, route.protocol)
}
