//! The course of one node or edge. In: its id. Out: samples at every step.

use std::collections::BTreeMap;

use crate::graph::{Query, Reports, neighbours};
use crate::key::{Key, Party};
use crate::point::Point;
use crate::store::{STEP, STEP_MS, Scraped, Store, Sum};
use crate::view::{GraphType, Lines, Series};

/// One direction, by protocol, before it is numbers per second.
#[derive(Default)]
struct Steps(BTreeMap<&'static str, Course>);

/// The points of one protocol.
struct Course {
    steps: Vec<Step>,
    /// Connections that are open at their end.
    open: i64,
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

impl Sides {
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
    let length = (last + 1 - first) as usize;
    let sums: Vec<_> = store.sums(first, last).map(|(key, sum)| (&**key, sum)).collect();
    let reports = Reports::of(&sums);
    let (mut inbound, mut outbound) = (Steps::default(), Steps::default());
    let (oldest, _) = store.range();
    let (mut scraped, mut since): (Option<Scraped>, _) = (None, oldest);
    // A connection that nothing went over lately is open nevertheless.
    let tells = |sum: &Sum| sum.open != 0 || sum.scraped.is_some() || sum.since > oldest;
    for (key, sum) in sums.iter().filter(|(_, sum)| tells(sum)) {
        let sides = sides(id, query, key);
        let is_its = sides.inbound || sides.outbound;
        if is_its && reports.count(key, sum.route) {
            scraped = scraped.into_iter().chain(sum.scraped).reduce(Scraped::or);
            if sum.scraped.is_none() {
                since = since.max(sum.since);
            }
            for steps in sides.of(&mut inbound, &mut outbound).filter(|_| sum.open != 0) {
                let course = steps.course(key, length);
                course.open = course.open.saturating_add(sum.open);
            }
        }
    }
    store.points(
        first,
        last,
        |key, route| {
            let sides = sides(id, query, key);
            let is_its = sides.inbound || sides.outbound;
            (is_its && reports.count(key, route)).then_some(sides)
        },
        |key, sides, step, point| {
            for steps in sides.of(&mut inbound, &mut outbound) {
                steps.course(key, length).steps[(step - first) as usize].add(key, point);
            }
        },
    );
    let known = scraped.unwrap_or(Scraped { since, until: last, is_lost: false });
    let unobserved =
        [known.since.max(since).saturating_sub(first), last.saturating_sub(known.until)]
            .map(|steps| (steps as usize).min(length));
    Series {
        id: id.to_owned(),
        start: u64::from(first) * STEP_MS,
        step: STEP_MS,
        inbound: inbound.lines(unobserved),
        outbound: outbound.lines(unobserved),
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

fn sides(id: &str, query: &Query, key: &Key) -> Sides {
    let Some(key) = query.visible(key) else { return Sides::default() };
    if id == "mesh" {
        return Sides { inbound: false, outbound: true };
    }
    if let Some(namespace) = id.strip_prefix("namespace/") {
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

impl Course {
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
    fn course(&mut self, key: &Key, length: usize) -> &mut Course {
        let new = || Course { steps: vec![Step::default(); length], open: 0 };
        self.0.entry(key.protocol.name()).or_insert_with(new)
    }

    /// Of the first and the last steps, which nothing is known of, there are no values.
    fn lines(self, [before, after]: [usize; 2]) -> Lines {
        let mut lines = Lines::new();
        for (protocol, course) in self.0 {
            if protocol == "tcp" {
                lines.insert("tcp.active".to_owned(), course.open());
            }
            let steps = course.steps;
            let mut line = |name: &str, value: &dyn Fn(&Step) -> Option<f64>| {
                lines.insert(format!("{protocol}.{name}"), steps.iter().map(value).collect());
            };
            let rate = |count: u64| Some(count as f64 / STEP as f64);
            if protocol == "tcp" {
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
        for line in lines.values_mut() {
            let end = line.len() - after;
            line[..before].fill(None);
            line[end..].fill(None);
        }
        lines
    }
}

#[cfg(test)]
mod tests;
