//! Sums of points as the API shows them. In: points with their keys. Out: rates, shares, latencies and health.

use std::borrow::Cow;
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
    tcp: Sums,
    http: Sums,
    grpc: Sums,
}

/// What is known of for as many steps each: nearly always one.
#[derive(Clone, Debug, Default)]
struct Sums(Vec<Sum>);

#[derive(Clone, Debug, Default)]
struct Sum {
    steps: u32,
    all: Point,
    /// Connections that are open now, though nothing be known of any step.
    open: i64,
    /// Connections or requests that failed.
    failed: u64,
    flags: Counts,
    codes: Counts,
}

type Counts = BTreeMap<String, u64>;

impl Tally {
    pub fn add(&mut self, key: &Key, counted: &store::Sum) {
        let point = &counted.points;
        let sums = match key.protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Http => &mut self.http,
            Protocol::Grpc => &mut self.grpc,
        };
        let sum = sums.of(counted.steps);
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
        let Self { tcp, http, grpc } = self;
        for (own, other) in [(tcp, &other.tcp), (http, &other.http), (grpc, &other.grpc)] {
            other.0.iter().for_each(|sum| own.of(sum.steps).merge(sum));
        }
    }

    /// Rates over the time that each part is known of.
    pub fn traffic(&self) -> Traffic {
        Traffic { tcp: self.tcp.tcp(), http: self.http.http(false), grpc: self.grpc.http(true) }
    }

    pub fn health(&self) -> Health {
        let mut health = Health::default();
        for (sums, what) in
            [(&self.tcp, "connections"), (&self.http, "requests"), (&self.grpc, "gRPC requests")]
        {
            let Some(sum) = sums.whole().filter(|sum| !sum.all.is_empty()) else { continue };
            let (state, reason) = sum.health(what);
            health.state = health.state.max(state);
            health.reasons.extend(reason);
        }
        health
    }
}

impl Sums {
    /// That of what is known of for so many steps.
    fn of(&mut self, steps: u32) -> &mut Sum {
        let known = self.0.iter().position(|sum| sum.steps == steps);
        let at = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.reserve_exact(1);
            self.0.push(Sum { steps, ..Sum::default() });
        }
        &mut self.0[at]
    }

    /// All of it, if there is any.
    fn whole(&self) -> Option<Cow<'_, Sum>> {
        let (first, more) = self.0.split_first()?;
        let mut whole = Cow::Borrowed(first);
        more.iter().for_each(|sum| whole.to_mut().merge(sum));
        Some(whole)
    }

    fn rate(&self, count: fn(&Sum) -> u64) -> f64 {
        self.0.iter().map(|sum| count(sum) as f64 / sum.seconds()).sum()
    }

    /// By name, without what there was nothing of.
    fn rates(&self, counts: fn(&Sum) -> &Counts) -> BTreeMap<String, f64> {
        let mut rates = BTreeMap::new();
        for sum in &self.0 {
            for (name, count) in counts(sum).iter().filter(|(_, count)| **count > 0) {
                *rates.entry(name.clone()).or_default() += *count as f64 / sum.seconds();
            }
        }
        rates
    }

    fn tcp(&self) -> Option<Tcp> {
        let whole = self.whole()?;
        Some(Tcp {
            sent: self.rate(|sum| sum.all.sent),
            received: self.rate(|sum| sum.all.received),
            opened: self.rate(|sum| sum.all.opened),
            closed: self.rate(|sum| sum.all.closed),
            failed: self.rate(|sum| sum.failed),
            active: whole.open.max(0) as u64,
            flags: self.rates(|sum| &sum.flags),
        })
    }

    fn http(&self, grpc: bool) -> Option<Http> {
        let whole = self.whole()?;
        Some(Http {
            requests: self.rate(|sum| sum.all.requests),
            error_share: share(whole.failed, whole.all.requests),
            latency: latency(&whole.all.latency),
            request_bytes: self.rate(|sum| sum.all.request_bytes),
            response_bytes: self.rate(|sum| sum.all.response_bytes),
            codes: self.rates(|sum| &sum.codes),
            flags: self.rates(|sum| &sum.flags),
            request_messages: grpc.then(|| self.rate(|sum| sum.all.request_messages)),
            response_messages: grpc.then(|| self.rate(|sum| sum.all.response_messages)),
        })
    }
}

impl Sum {
    fn seconds(&self) -> f64 {
        f64::from(self.steps.max(1)) * store::STEP as f64
    }

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

    fn health(&self, what: &str) -> (State, Option<String>) {
        // Connections that are open count, too: of one that failed and one that goes on, half failed.
        let connections = self.all.opened.max(self.all.closed);
        let all = connections.saturating_add(self.all.requests);
        let share = share(self.failed, all);
        let state = match share {
            share if share >= FAILING => State::Failing,
            share if share >= DEGRADED => State::Degraded,
            _ => return (State::Healthy, None),
        };
        let most = self.flags.iter().max_by_key(|(_, count)| **count);
        let most = most.map(|(flags, _)| format!(", most with {flags}")).unwrap_or_default();
        (state, Some(format!("{} of {all} {what} failed{most}", percent(share))))
    }
}

fn add(counts: &mut Counts, name: &str, count: u64) {
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

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::{Sum, Sums, Tally};

    #[test]
    fn flags_and_codes_of_nothing_are_left_out() {
        let flags = [("UF".to_owned(), 5), ("UH".to_owned(), 0)].into();
        let codes = [("200".to_owned(), 1), ("503".to_owned(), 0)].into();
        let sum = Sum { steps: 1, flags, codes, ..Sum::default() };
        let [tcp, http] = [sum.clone(), sum].map(|sum| Sums(vec![sum]));
        let traffic = Tally { tcp, http, ..Tally::default() }.traffic();
        let (tcp, http) = (traffic.tcp.unwrap(), traffic.http.unwrap());
        assert!(tcp.flags.into_keys().eq(["UF"]) && http.flags.into_keys().eq(["UF"]));
        assert!(http.codes.into_keys().eq(["200"]));
    }
}
