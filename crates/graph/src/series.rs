//! The course of one node or edge. In: its id. Out: samples at every step.

use std::collections::BTreeMap;

use crate::graph::{Query, by_client, counts, neighbours};
use crate::key::{Key, Party};
use crate::point::Point;
use crate::store::{STEP, Store};
use crate::view::{GraphType, Lines, Series};

/// The points of one direction, by name, before they are numbers per second.
#[derive(Default)]
struct Steps(BTreeMap<&'static str, Vec<Step>>);

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

/// The lines of a node, of a namespace (`namespace/NAME`), of an app's box (`appbox/NAMESPACE/APP`) or of the whole
/// `mesh`; of an edge and of the mesh all are outbound.
pub fn series(store: &Store, id: &str, query: &Query) -> Series {
    let query = Query { r#type: type_of(id).unwrap_or(query.r#type), ..query.clone() };
    let (first, last) = (query.first(), query.at);
    let length = (last + 1 - first) as usize;
    let keys = store.sums(first, last).filter(|(_, sum)| !sum.points.is_empty());
    let by_client = by_client(keys.map(|(key, sum)| (&**key, sum.route)));
    let (mut inbound, mut outbound) = (Steps::default(), Steps::default());
    store.points(
        first,
        last,
        |key, route| {
            let sides = sides(id, &query, key);
            let is_its = sides.inbound || sides.outbound;
            (is_its && counts(key, route, &by_client)).then_some(sides)
        },
        |key, sides, step, point| {
            for (is_its, steps) in [(sides.inbound, &mut inbound), (sides.outbound, &mut outbound)]
            {
                if is_its {
                    let all = steps.0.entry(key.protocol.name());
                    let all = all.or_insert_with(|| vec![Step::default(); length]);
                    all[(step - first) as usize].add(key, point);
                }
            }
        },
    );
    Series {
        id: id.to_owned(),
        start: u64::from(first) * STEP * 1000,
        step: STEP * 1000,
        inbound: inbound.lines(),
        outbound: outbound.lines(),
    }
}

/// Whether an edge is, or touches, what an id names.
pub fn selects(id: &str, key: &Key) -> bool {
    let query = Query {
        r#type: type_of(id).unwrap_or(GraphType::VersionedApp),
        namespaces: None,
        confined_to: None,
        duration: STEP,
        at: 0,
        services: true,
        idle: true,
    };
    let sides = sides(id, &query, key);
    sides.inbound || sides.outbound
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
    let id = id.split_once('>').map_or(id, |(from, _)| from);
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

impl Steps {
    fn lines(self) -> Lines {
        let mut lines = Lines::new();
        for (protocol, steps) in self.0 {
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
        lines
    }
}

#[cfg(test)]
mod tests;
