//! Which of two reports counts. In: keys and what they have. Out: whose report is shown, and how secure it is.
//!
//! Both ends of a connection may report it. The client's report counts, because it knows of what never
//! arrived, and which service was dialled: the server knows of one of those that lead to it. The server's counts
//! where the client has no proxy, and it alone tells whether TLS was mutual, and why it ended what the client had
//! reached. Of the steps that are not known because the client's scrapes fail the server's report counts.
//!
//! What the client's sidecars do not see while they report something else is left out: the server may know all of it by
//! another service, and tells at other times, so that nothing in its report says which part the client's has not.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use lateen_telemetry::labels::Reporter;
use rustc_hash::FxHashMap;

use crate::key::Key;
use crate::point::Point;
use crate::store::{Gaps, Route, Sum};

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
    client: Option<Side>,
    server: Option<Side>,
    heard: Heard,
}

/// What one end says.
#[derive(Clone, Debug)]
struct Side {
    tells: Tells,
    /// The first and the last step of which it has told everything.
    since: u32,
    until: u32,
    /// What it has not told in between.
    gaps: Gaps,
    /// Of what came later nothing is known, and not only for want of the next scrape.
    is_lost: bool,
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
            let side = Side::of(sum);
            let told = all.told.entry(ends(key, sum.route)).or_default();
            let is_client_s = key.reporter == Reporter::Source;
            let own = if is_client_s { &mut told.client } else { &mut told.server };
            match own {
                Some(own) => own.and(side),
                None => *own = Some(side),
            }
            if is_client_s {
                continue;
            }
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

    /// The steps in which a key is shown, and not only another report of what is shown.
    pub fn steps(&self, key: &Key, route: Route) -> Range<u32> {
        let turn = self.told.get(&ends(key, route)).map_or(0, Told::turn);
        if key.reporter == Reporter::Source { 0..turn } else { turn..u32::MAX }
    }

    /// The steps of which what is shown between two ends is not known, and whether that is for lost scrapes; whether
    /// the client's report and the server's are of what is asked for. Some may be empty.
    pub fn unknown(&self, ends: Route, of: [bool; 2]) -> impl Iterator<Item = (Range<u32>, bool)> {
        let told = self.told.get(&ends);
        let turn = told.map_or(0, Told::turn);
        let client = told.and_then(|told| told.client.as_ref());
        let server = told.and_then(|told| told.server.as_ref());
        let client = client.filter(|_| of[0]);
        // Another service than the client's may be told by the server.
        let server = if of[1] { server } else { client.filter(|client| client.is_lost) };
        let client = client.map(|client| client.unknown(0..turn));
        let server = server.map(|server| server.unknown(turn..u32::MAX));
        client.into_iter().chain(server).flatten()
    }

    /// How secure a key is, if it is shown, and not only another report of what is shown: as servers say of its service,
    /// or else of another one that leads to the same end.
    pub fn counted(&self, key: &Key, route: Route) -> Option<Heard> {
        let told = self.told.get(&ends(key, route))?;
        let is_client_s = told.is_client_s();
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

impl Told {
    fn is_client_s(&self) -> bool {
        let tells = |side: &Option<Side>| side.as_ref().map(|side| side.tells);
        tells(&self.client) >= tells(&self.server)
    }

    /// The first step that the server's report is shown of.
    fn turn(&self) -> u32 {
        if !self.is_client_s() {
            return 0;
        }
        let server = self.server.as_ref().filter(|server| server.tells > Tells::Nothing);
        let lost = self.client.as_ref().filter(|client| client.is_lost && server.is_some());
        lost.map_or(u32::MAX, |client| client.until.saturating_add(1))
    }
}

impl Side {
    fn of(sum: &Sum) -> Self {
        let tells = match sum {
            sum if !sum.points.is_empty() => Tells::Traffic,
            sum if sum.open != 0 => Tells::Open,
            _ => Tells::Nothing,
        };
        let (until, is_lost) = sum.scraped.map_or((u32::MAX, false), |scraped| {
            (scraped.whole, scraped.is_lost || scraped.whole < scraped.until)
        });
        Self { tells, since: sum.since, until, gaps: sum.gaps.clone(), is_lost }
    }

    fn and(&mut self, other: Self) {
        self.tells = self.tells.max(other.tells);
        self.since = self.since.max(other.since);
        self.until = self.until.min(other.until);
        self.gaps.add_all(&other.gaps);
        self.is_lost |= other.is_lost;
    }

    /// What it does not know of these steps, and whether that is lost.
    fn unknown(&self, steps: Range<u32>) -> impl Iterator<Item = (Range<u32>, bool)> {
        let Range { start, end } = steps;
        let after = self.until.saturating_add(1).max(start);
        let around = [(start..self.since.min(end), false), (after..end, self.is_lost)];
        around.into_iter().chain(self.gaps.of(steps).map(|gap| (gap, true)))
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

/// What a key is a report of: a route without its service, as the server may know another one. Where an end is not known
/// the service is all that tells one way from another.
pub fn ends(key: &Key, route: Route) -> Route {
    let are_known = key.source.is_known() && key.destination.is_known();
    Route { service: if are_known { ANY } else { route.service }, ..route }
}
