//! The course of one node or edge. In: its id. Out: samples at every step.

use std::collections::BTreeMap;
use std::ops::Range;

use lateen_telemetry::labels::Reporter;
use rustc_hash::FxHashMap;

use crate::graph::{Query, Reports, ends, neighbours};
use crate::key::{Key, Party, Protocol};
use crate::point::Point;
use crate::store::{Route, STEP, STEP_MS, Store, Sum};
use crate::view::{GraphType, Lines, Series};

const MESH: &str = "mesh";
const NAMESPACE: &str = "namespace/";
/// More than the part of this number is much.
const MUCH: usize = 10;

/// One direction, before it is numbers per second.
struct Steps {
    by_protocol: BTreeMap<&'static str, Course>,
    /// How each begins.
    blank: Course,
}

/// The points of one protocol.
#[derive(Clone)]
struct Course {
    steps: Vec<Step>,
    /// Of which nobody knows anything, as they were before all that is kept.
    before: usize,
    /// What is told of it, each by its two ends.
    ends: usize,
    /// Of which not all is known.
    unknown: Vec<bool>,
    /// Of how many of those each step is lost, if it goes on without them.
    lost: Vec<usize>,
    /// Where it goes on with what is known.
    goes_on: GoesOn,
    /// Connections that are open at their end.
    open: i64,
    /// Anything is told of it.
    is_told: bool,
}

/// Where what shows much goes on without a part that is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    Nowhere,
    /// Scrapes of some fail, for as long as that may be.
    UnlessAllIsLost,
    /// Reports of some did not come. Where those of many did not, a control plane was away: that is no drop of the traffic.
    UnlessMuchIsLost,
}

#[derive(Clone, Default)]
struct Step {
    point: Point,
    failed: u64,
}

/// Which side of what it shows a key is on.
#[derive(Clone, Copy, Default)]
struct Sides {
    inbound: bool,
    outbound: bool,
}

/// Whether the client's report of what is between two ends is on a side of what it shows, and the server's.
#[derive(Clone, Copy, Default)]
struct Both {
    inbound: [bool; 2],
    outbound: [bool; 2],
}

impl Sides {
    fn any(self) -> bool {
        self.inbound || self.outbound
    }

    /// Those of both directions that it is on.
    fn of<'s>(
        self,
        inbound: &'s mut Steps,
        outbound: &'s mut Steps,
    ) -> impl Iterator<Item = &'s mut Steps> {
        let both = [(self.inbound, inbound), (self.outbound, outbound)];
        both.into_iter().filter_map(|(is_its, steps)| is_its.then_some(steps))
    }
}

/// The lines of a node, of a namespace (`namespace/NAME`), of an app's box (`appbox/NAMESPACE/APP`) or of the whole
/// `mesh`; of an edge and of the mesh all are outbound.
pub fn series(store: &Store, id: &str, query: &Query) -> Series {
    let (first, last) = (query.first(), query.at);
    let sums: Vec<_> = store.sums(first, last).map(|(key, sum)| (&**key, sum)).collect();
    let reports = Reports::of(&sums);
    let (oldest, _) = store.range();
    let is_scraped = sums.iter().any(|(_, sum)| sum.scraped.is_some());
    let goes_on = match is_of_many(id) {
        true if is_scraped => GoesOn::UnlessAllIsLost,
        true => GoesOn::UnlessMuchIsLost,
        false => GoesOn::Nowhere,
    };
    let blank = Course::blank((last + 1 - first) as usize, oldest.saturating_sub(first), goes_on);
    let (mut inbound, mut outbound) = (Steps::of(blank.clone()), Steps::of(blank));
    let mut told: FxHashMap<Route, Both> = FxHashMap::default();
    // Streams that broke off meanwhile have not said again what is open.
    let is_open_known = store.standstill(u32::MAX).is_none();
    // A connection that nothing went over lately is open nevertheless.
    let tells = |sum: &Sum| {
        let is_known_later = sum.scraped.is_some() || sum.since > oldest;
        sum.open != 0 || !sum.points.is_empty() || is_known_later || sum.lacks(first..last + 1)
    };
    for (key, sum) in sums.iter().filter(|(_, sum)| tells(sum)) {
        let sides = sides(id, query, key);
        if !sides.any() {
            continue;
        }
        told.entry(ends(key, sum.route)).or_default().add(sides, key.reporter);
        if sum.open != 0 && reports.steps(key, sum.route).contains(&last) {
            for steps in sides.of(&mut inbound, &mut outbound) {
                let course = steps.told(key.protocol);
                course.open = course.open.saturating_add(sum.open);
            }
        }
    }
    for (ends, both) in told {
        for (steps, of) in [(&mut inbound, both.inbound), (&mut outbound, both.outbound)] {
            if of.contains(&true) {
                steps.course(ends.protocol).ends(reports.unknown(ends, of), first);
            }
        }
    }
    store.points(
        first,
        last,
        |key, route| {
            let sides = sides(id, query, key);
            sides.any().then(|| (sides, reports.steps(key, route)))
        },
        |key, (sides, shown), step, point| {
            for steps in sides.of(&mut inbound, &mut outbound).filter(|_| shown.contains(&step)) {
                steps.told(key.protocol).steps[(step - first) as usize].add(key, point);
            }
        },
    );
    Series {
        id: id.to_owned(),
        start: u64::from(first) * STEP_MS,
        step: STEP_MS,
        inbound: inbound.lines(is_open_known),
        outbound: outbound.lines(is_open_known),
    }
}

/// Whether anything that is kept, and that the reader may see, is of what an id names.
pub fn has_traffic(store: &Store, id: &str, query: &Query) -> bool {
    store.keys().any(|key| selects(id, query, key))
}

/// Whether an edge is, or touches, what an id names.
pub fn selects(id: &str, query: &Query, key: &Key) -> bool {
    let sides = sides(id, query, key);
    sides.inbound || sides.outbound
}

/// The type of graph that has what an id names, as far as that tells.
pub fn type_having(id: &str) -> Option<GraphType> {
    let types = id.split('>').filter_map(type_of);
    types.max_by_key(|r#type| *r#type == GraphType::VersionedApp)
}

/// Whether a graph with services has what an id names. One without them has an edge with no service at either end, too,
/// and more on it.
pub fn is_among_services(id: &str) -> bool {
    !id.contains('>') || id.split('>').any(|end| end.starts_with("service"))
}

/// Whether an id stands for so much that one of which nothing is known should not hide all others.
fn is_of_many(id: &str) -> bool {
    id == MESH || id.starts_with(NAMESPACE)
}

fn sides(id: &str, query: &Query, key: &Key) -> Sides {
    let Some(key) = query.visible(key) else { return Sides::default() };
    if id == MESH {
        return Sides { inbound: false, outbound: true };
    }
    if let Some(namespace) = id.strip_prefix(NAMESPACE) {
        return Sides {
            inbound: *key.destination.namespace == *namespace,
            outbound: *key.source.namespace == *namespace,
        };
    }
    if let Some((namespace, app)) = id.strip_prefix("appbox/").and_then(|id| id.split_once('/')) {
        let is_in = |party: &Party| *party.namespace == *namespace && *party.app == *app;
        return Sides { inbound: is_in(&key.destination), outbound: is_in(&key.source) };
    }
    let mut sides = Sides::default();
    if !may_name(id, &key) {
        return sides;
    }
    for (from, to) in neighbours(query, &key) {
        let edge = format!("{from}>{to}#{}", key.protocol.name());
        sides.inbound |= to == id;
        sides.outbound |= from == id || edge == id;
    }
    sides
}

/// Whether an id can be of a node that the key leads through: those have a name of the key in theirs. To make their ids
/// for every key would take long.
fn may_name(id: &str, key: &Key) -> bool {
    let Key { source, destination, service, .. } = key;
    let names = [&source.workload, &source.app, &destination.workload, &destination.app];
    names.into_iter().chain([&service.name]).any(|name| name.is_empty() || id.contains(&**name))
}

/// The type of graph that has such a node.
fn type_of(id: &str) -> Option<GraphType> {
    let mut parts = id.split('/');
    match parts.next()? {
        "workload" => Some(GraphType::Workload),
        "app" if parts.count() == 3 => Some(GraphType::VersionedApp),
        "app" => Some(GraphType::App),
        _ => None,
    }
}

impl Step {
    fn add(&mut self, key: &Key, point: &Point) {
        self.point.add(point);
        if key.is_failure() {
            let failed = point.closed.saturating_add(point.requests);
            self.failed = self.failed.saturating_add(failed);
        }
    }
}

impl Both {
    fn add(&mut self, sides: Sides, reporter: Reporter) {
        let end = usize::from(reporter != Reporter::Source);
        self.inbound[end] |= sides.inbound;
        self.outbound[end] |= sides.outbound;
    }
}

impl Course {
    /// With so many steps, of which nobody knows the first ones.
    fn blank(length: usize, before: u32, goes_on: GoesOn) -> Self {
        Self {
            steps: vec![Step::default(); length],
            before: before as usize,
            ends: 0,
            unknown: vec![false; length],
            lost: vec![0; length],
            goes_on,
            open: 0,
            is_told: false,
        }
    }

    /// What is between two more ends is part of it, of which some steps are not known, or lost; the first that is shown
    /// is given.
    fn ends(&mut self, unknown: impl Iterator<Item = (Range<u32>, bool)>, first: u32) {
        self.ends += 1;
        let length = self.unknown.len();
        let place = |step: u32| (step.saturating_sub(first) as usize).min(length);
        let mut lost = vec![false; length];
        for (Range { start, end }, is_lost) in unknown {
            let steps = if is_lost && self.goes_on != GoesOn::Nowhere {
                &mut lost
            } else {
                &mut self.unknown
            };
            if let Some(hidden) = steps.get_mut(place(start)..place(end)) {
                hidden.fill(true);
            }
        }
        for (count, is_lost) in self.lost.iter_mut().zip(lost) {
            *count += usize::from(is_lost);
        }
    }

    /// Whether each step is known, of those of which a part is lost, too.
    fn known(&self) -> impl Iterator<Item = bool> {
        let spared = match self.goes_on {
            GoesOn::Nowhere => 0,
            GoesOn::UnlessAllIsLost => self.ends.saturating_sub(1),
            GoesOn::UnlessMuchIsLost => self.ends / MUCH,
        };
        let steps = self.unknown.iter().zip(&self.lost).enumerate();
        steps.map(move |(step, (is_unknown, lost))| {
            step >= self.before && !is_unknown && *lost <= spared
        })
    }

    /// Connections that were open at the end of each step: those at the end of all, without what came later.
    fn open(&self) -> Vec<Option<f64>> {
        let mut open = self.open;
        let back = self.steps.iter().rev().map(|step| {
            let then = open;
            open = open.saturating_sub(step.point.net());
            Some(then.max(0) as f64)
        });
        let mut open: Vec<_> = back.collect();
        open.reverse();
        open
    }
}

impl Steps {
    fn of(blank: Course) -> Self {
        Self { by_protocol: BTreeMap::new(), blank }
    }

    fn course(&mut self, protocol: Protocol) -> &mut Course {
        self.by_protocol.entry(protocol.name()).or_insert_with(|| self.blank.clone())
    }

    fn told(&mut self, protocol: Protocol) -> &mut Course {
        let course = self.course(protocol);
        course.is_told = true;
        course
    }

    /// Of the steps that are not known there are no values.
    fn lines(self, is_open_known: bool) -> Lines {
        let mut lines = Lines::new();
        for (protocol, course) in self.by_protocol.iter().filter(|(_, course)| course.is_told) {
            let mut line = |name: &str, values: &mut dyn Iterator<Item = Option<f64>>| {
                let values = values.zip(course.known());
                let values = values.map(|(value, is_known)| value.filter(|_| is_known));
                lines.insert(format!("{protocol}.{name}"), values.collect());
            };
            if *protocol == "tcp" {
                let open = course.open().into_iter().map(|open| open.filter(|_| is_open_known));
                line("active", &mut { open });
            }
            let mut line = |name: &str, value: &dyn Fn(&Step) -> Option<f64>| {
                line(name, &mut course.steps.iter().map(value));
            };
            let rate = |count: u64| Some(count as f64 / STEP as f64);
            if *protocol == "tcp" {
                line("sent", &|step| rate(step.point.sent));
                line("received", &|step| rate(step.point.received));
                line("opened", &|step| rate(step.point.opened));
                line("failed", &|step| rate(step.failed));
            } else {
                line("requests", &|step| rate(step.point.requests));
                line("errors", &|step| rate(step.failed));
                for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                    line(name, &|step| step.point.latency.quantile(share));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests;
