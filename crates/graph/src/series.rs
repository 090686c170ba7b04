//! The course of one node or edge. In: its id. Out: samples at every step.

use std::collections::BTreeMap;

use crate::graph::{Query, neighbours, word};
use crate::key::Key;
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

/// The lines of a node, or of an edge, whose are all outbound.
pub fn series(store: &Store, id: &str, query: &Query) -> Series {
    let query = Query { r#type: type_of(id).unwrap_or(query.r#type), ..query.clone() };
    let (first, last) = (query.first(), query.at);
    let length = (last + 1 - first) as usize;
    let (mut inbound, mut outbound) = (Steps::default(), Steps::default());
    let mut put = |key: &Key, step: u32, point: &Point| {
        let protocol = word(key.protocol);
        for (from, to) in neighbours(&query, key) {
            let edge = format!("{from}>{to}#{protocol}");
            let sides = [(to == id, &mut inbound), (from == id || edge == id, &mut outbound)];
            for (is_its, steps) in sides {
                if is_its {
                    let all =
                        steps.0.entry(protocol).or_insert_with(|| vec![Step::default(); length]);
                    all[(step - first) as usize].add(key, point);
                }
            }
        }
    };
    store.points(first, last, |_| true, &mut put);
    Series {
        id: id.to_owned(),
        start: u64::from(first) * STEP * 1000,
        step: STEP * 1000,
        inbound: inbound.lines(),
        outbound: outbound.lines(),
    }
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
