//! Sums of points as the API shows them. In: points with their keys. Out: rates, shares, latencies and health.

use std::collections::BTreeMap;

use lateen_telemetry::histogram::Native;

use crate::key::{Key, Protocol};
use crate::point::Point;
use crate::store;
use crate::view::{Health, Http, Latency, State, Tcp, Traffic};
use crate::words::percent;

/// Shares of failures from which on something is degraded and failing, as Kiali has them for requests.
const DEGRADED: f64 = 0.001;
const FAILING: f64 = 0.1;

/// What went over an edge, or into or out of a node.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    tcp: Option<Box<Sum>>,
    http: Option<Box<Sum>>,
    grpc: Option<Box<Sum>>,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    all: Point,
    /// Connections that are open now.
    open: i64,
    /// Connections or requests that failed.
    failed: u64,
    flags: BTreeMap<String, u64>,
    codes: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, key: &Key, counted: &store::Sum) {
        let point = &counted.points;
        let sum = match key.protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Http => &mut self.http,
            Protocol::Grpc => &mut self.grpc,
        };
        let sum = sum.get_or_insert_default();
        sum.all.add(point);
        sum.open = sum.open.saturating_add(counted.open);
        // A connection is failed when it is over.
        let count = if key.protocol == Protocol::Tcp { point.closed } else { point.requests };
        if key.is_failure() {
            sum.failed = sum.failed.saturating_add(count);
        }
        if !key.flags.is_empty() {
            add(&mut sum.flags, &key.flags, count);
        }
        if !key.code.is_empty() {
            add(&mut sum.codes, &key.code, count);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.tcp, &other.tcp),
            (&mut self.http, &other.http),
            (&mut self.grpc, &other.grpc),
        ];
        for (own, other) in pairs {
            if let Some(other) = other {
                own.get_or_insert_default().merge(other);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tcp.is_none() && self.http.is_none() && self.grpc.is_none()
    }

    /// Rates over as many seconds.
    pub fn traffic(&self, seconds: f64) -> Traffic {
        Traffic {
            tcp: self.tcp.as_ref().map(|sum| sum.tcp(seconds)),
            http: self.http.as_ref().map(|sum| sum.http(seconds, false)),
            grpc: self.grpc.as_ref().map(|sum| sum.http(seconds, true)),
        }
    }

    pub fn health(&self) -> Health {
        let mut health = Health::default();
        for (sum, what) in
            [(&self.tcp, "connections"), (&self.http, "requests"), (&self.grpc, "gRPC requests")]
        {
            let Some(sum) = sum.as_ref().filter(|sum| !sum.all.is_empty()) else { continue };
            let (state, reason) = sum.health(what);
            health.state = health.state.max(state);
            health.reasons.extend(reason);
        }
        health
    }
}

impl Sum {
    fn merge(&mut self, other: &Self) {
        self.all.add(&other.all);
        self.open = self.open.saturating_add(other.open);
        self.failed = self.failed.saturating_add(other.failed);
        for (own, other) in [(&mut self.flags, &other.flags), (&mut self.codes, &other.codes)] {
            for (name, count) in other {
                add(own, name, *count);
            }
        }
    }

    fn tcp(&self, seconds: f64) -> Tcp {
        let rate = |count: u64| count as f64 / seconds;
        Tcp {
            sent: rate(self.all.sent),
            received: rate(self.all.received),
            opened: rate(self.all.opened),
            closed: rate(self.all.closed),
            failed: rate(self.failed),
            active: self.open.max(0) as u64,
            flags: rates(&self.flags, seconds),
        }
    }

    fn http(&self, seconds: f64, grpc: bool) -> Http {
        let rate = |count: u64| count as f64 / seconds;
        Http {
            requests: rate(self.all.requests),
            error_share: share(self.failed, self.all.requests),
            latency: latency(&self.all.latency),
            request_bytes: rate(self.all.request_bytes),
            response_bytes: rate(self.all.response_bytes),
            codes: rates(&self.codes, seconds),
            flags: rates(&self.flags, seconds),
            request_messages: grpc.then(|| rate(self.all.request_messages)),
            response_messages: grpc.then(|| rate(self.all.response_messages)),
        }
    }

    fn health(&self, what: &str) -> (State, Option<String>) {
        let over = self.all.closed.saturating_add(self.all.requests);
        let share = share(self.failed, over);
        let state = match share {
            share if share >= FAILING => State::Failing,
            share if share >= DEGRADED => State::Degraded,
            _ => return (State::Healthy, None),
        };
        let most = self.flags.iter().max_by_key(|(_, count)| **count);
        let most = most.map(|(flags, _)| format!(", most with {flags}")).unwrap_or_default();
        (state, Some(format!("{} of {over} {what} failed{most}", percent(share))))
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    match counts.get_mut(name) {
        Some(own) => *own = own.saturating_add(count),
        None => {
            counts.insert(name.to_owned(), count);
        }
    }
}

fn latency(all: &Native) -> Option<Latency> {
    let of = |share| all.quantile(share);
    Some(Latency { p50: of(0.5)?, p95: of(0.95)?, p99: of(0.99)? })
}

fn rates(counts: &BTreeMap<String, u64>, seconds: f64) -> BTreeMap<String, f64> {
    counts.iter().map(|(name, count)| (name.clone(), *count as f64 / seconds)).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
