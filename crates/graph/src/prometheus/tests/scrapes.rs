//! Rates and courses of constant traffic, however often Prometheus scrapes.

use std::ops::{Range, RangeInclusive};

use super::super::counters::{Counters, MOST};
use super::{OPENED, Series, series};
use crate::graph::{Query, graph};
use crate::store::{KEPT, LAG, STEP, Store};
use crate::view::GraphType;

/// Connections in a second.
pub const RATE: f64 = 13.0;
/// The step that is not over when a test has read everything.
pub const NOW: u32 = 300_000_000;

/// A proxy of the workload that its name begins with, of the client's unless its name ends with `server`. It counts since 1970, as a Prometheus scrapes it.
#[derive(Clone)]
pub struct Proxy {
    pub name: &'static str,
    /// Seconds between scrapes, and those of the first one.
    pub interval: f64,
    pub began: f64,
    /// Steps at which there is nothing of it.
    pub gone: Range<u32>,
    /// Seconds within which its scrapes fail.
    pub failing: Range<f64>,
    pub again: Range<f64>,
    /// Seconds at which it counts from zero.
    pub restarted: f64,
}

/// A graph that is read from proxies.
pub struct Reading {
    proxies: Vec<Proxy>,
    pub store: Store,
    pub counters: Counters,
    next: u32,
}

pub fn end(step: u32) -> f64 {
    f64::from(step + 1) * STEP as f64
}

pub fn proxy(name: &'static str, interval: f64, began: f64) -> Proxy {
    let (failing, again) = (0.0..0.0, 0.0..0.0);
    Proxy { name, interval, began, gone: 0..0, failing, again, restarted: 0.0 }
}

impl Proxy {
    /// When it was scraped last at each step, as long as Prometheus takes that for the present.
    fn scrapes(&self, steps: RangeInclusive<u32>) -> impl Iterator<Item = (u32, f64)> {
        steps.filter(|step| !self.gone.contains(step)).filter_map(|step| {
            let at = |step| {
                self.began + ((end(step) - self.began) / self.interval).floor() * self.interval
            };
            (at(step) >= self.began).then_some((step, at(step)))
        })
    }

    fn answer(&self, steps: RangeInclusive<u32>) -> [Series; 2] {
        let of = |name: &str, values: Vec<(u32, f64)>| {
            let workload = self.name.split('-').next().unwrap();
            let reporter = if self.name.ends_with("server") { "destination" } else { "source" };
            let labels =
                [("instance", self.name), ("source_workload", workload), ("reporter", reporter)];
            series(name, &labels, &values)
        };
        let counted = |at: f64| match at >= self.restarted {
            true => RATE * (at - self.restarted),
            false => RATE * at,
        };
        let is_well = |at: &f64| !self.failing.contains(at) && !self.again.contains(at);
        let values = self.scrapes(steps.clone()).filter(|(_, at)| is_well(at));
        let values = values.map(|(step, at)| (step, counted(at).floor()));
        let time = |(step, at)| (step, if is_well(&at) { at } else { 0.0 });
        [of(OPENED, values.collect()), of("", self.scrapes(steps).map(time).collect())]
    }
}

impl Reading {
    /// From so many steps before now on.
    pub fn new(proxies: &[Proxy], steps: u32) -> Self {
        let next = NOW - steps;
        let store = Store::of_scrapes(64 << 20, u64::from(next) * STEP);
        Self { proxies: proxies.to_vec(), store, counters: Counters::new(MOST), next }
    }

    /// Up to this step, so many at once.
    pub fn read(&mut self, last: u32, batch: u32) {
        while self.next <= last {
            let steps = self.next..=last.min(self.next + batch - 1);
            let answers = self.proxies.iter().map(|proxy| proxy.answer(steps.clone()));
            let (all, times): (Vec<_>, Vec<_>) = answers.map(|[all, times]| (all, times)).unzip();
            let is_there = |series: &Series| !series.values.is_empty();
            let all: Vec<_> = all.into_iter().filter(is_there).collect();
            self.next = steps.end() + 1;
            self.counters.take(&mut self.store, &all, &times, steps);
        }
    }

    fn query(&self, duration: u64) -> Query {
        Query {
            r#type: GraphType::Workload,
            namespaces: None,
            confined_to: None,
            duration,
            at: self.store.range().1,
            services: false,
            idle: false,
        }
    }

    /// The rates of all edges, and what is said about them.
    pub fn rates(&self, duration: u64) -> (Vec<f64>, Vec<String>) {
        let graph = graph(&self.store, &self.query(duration));
        let rate = |edge: &crate::view::Edge| edge.traffic.tcp.as_ref().unwrap().opened;
        (graph.edges.iter().map(rate).collect(), graph.notices)
    }

    /// What went out of something, or else into it.
    pub fn course(&self, id: &str, duration: u64) -> Vec<Option<f64>> {
        let query = self.query(duration);
        let query = Query { at: query.at - 1, ..query };
        let course = crate::series::series(&self.store, id, &query);
        let mut lines = [course.outbound, course.inbound].into_iter();
        lines.find_map(|mut lines| lines.remove("tcp.opened")).unwrap_or_default()
    }
}

pub fn is_true(rate: f64) -> bool {
    (rate / RATE - 1.0).abs() < 0.05
}

#[test]
fn constant_traffic_is_constant_however_often_it_is_scraped() {
    for interval in [1_u32, 5, 10, 12, 15, 30, 60] {
        for phase in [0.0, 1.3] {
            let one = proxy("one", f64::from(interval), f64::from(NOW - 2000) * 5.0 + phase);
            let mut reading = Reading::new(&[one], KEPT + LAG + 14);
            reading.read(NOW - 14, 60);
            for step in NOW - 13..NOW {
                reading.read(step, 1);
                let about = format!("every {interval} s from {phase} at {}", NOW - step);
                for duration in [30, 60, 300, 3600].into_iter().filter(|all| *all >= interval) {
                    let (rates, notices) = reading.rates(duration.into());
                    assert!(rates.len() == 1 && is_true(rates[0]), "{about}: {duration} {rates:?}");
                    assert!(notices.is_empty(), "{about}: {notices:?}");
                }
                let course = reading.course("mesh", 3600);
                let known = course.iter().rposition(Option::is_some).unwrap() + 1;
                assert!(course.len() - known <= interval as usize / 5 + 1, "{about}: {known}");
                let is_flat = |value: &Option<f64>| value.is_some_and(is_true);
                assert!(course[..known].iter().all(is_flat), "{about}: {course:?}");
            }
        }
    }
}

#[test]
fn a_young_prometheus_knows_since_its_first_scrapes_however_long_there_was_traffic() {
    let (began, later) = (f64::from(NOW) * 5.0 - 62.0, f64::from(NOW) * 5.0 - 52.0);
    let all = [proxy("one", 15.0, began), proxy("two", 15.0, later)];
    let mut reading = Reading::new(&all, KEPT + LAG);
    reading.read(NOW - 1, 60);
    for duration in [60, 300, 3600] {
        let (rates, notices) = reading.rates(duration);
        assert!(rates.len() == 2 && rates.iter().all(|rate| is_true(*rate)), "{rates:?}");
        let of = if duration == 60 { "60 s" } else { &format!("{} min", duration / 60) };
        let expected = format!("rates are over the 40 s to 55 s of these {of} that are known");
        assert_eq!(notices, [expected]);
    }
    // From -62 s to -2 s, and from -52 s to -7 s.
    for (id, [before, after]) in
        [("workload//one", [12, 1]), ("workload//two", [10, 2]), ("mesh", [10, 2])]
    {
        let course = reading.course(id, 300);
        let known = 60 - before..60 - after;
        assert!(course[..known.start].iter().all(Option::is_none), "{id}: {course:?}");
        assert!(course[known.end..].iter().all(Option::is_none), "{id}: {course:?}");
        assert!(course[known].iter().all(Option::is_some), "{id}: {course:?}");
    }
    let own = reading.course("workload//two", 300);
    assert!(own[50..58].iter().all(|value| value.is_some_and(is_true)), "{own:?}");
    assert_eq!(reading.store.range().0, NOW - 12, "nothing before can be looked at");
    let mut reading = Reading::new(&all, KEPT + LAG);
    reading.read(NOW - 11, 60);
    assert_eq!(reading.rates(60).0, [0.0; 0], "by one scrape nothing is known");
}

#[test]
fn of_a_young_prometheus_no_part_is_taken_for_the_whole() {
    let now = f64::from(NOW) * 5.0;
    // A client with two servers: what each of the three tells is known from its own second scrape on.
    for (interval, firsts) in
        [(60.0, [50.0, 58.0, 5.0]), (60.0, [5.0, 50.0, 58.0]), (15.0, [14.0, 9.0, 1.0])]
    {
        let began = (now / 60.0).floor() * 60.0 - 240.0;
        let told =
            |first: f64| Proxy { restarted: 0.0, ..proxy("client", interval, began + first) };
        let ends = [
            ("source", "v1", 0.8, firsts[0]),
            ("source", "v2", 0.2, firsts[0]),
            ("destination", "v1", 0.8, firsts[1]),
            ("destination", "v2", 0.2, firsts[2]),
        ];
        let last = firsts.iter().fold(0.0_f64, |last, first| last.max(*first));
        let known = ((began + last + interval) / 5.0).ceil() as u32;
        let mut reading = Reading::new(&[], 60);
        for step in reading.next..NOW {
            let (mut all, mut times) = (Vec::new(), Vec::new());
            for (reporter, version, part, first) in ends {
                let instance = format!("{first}");
                let labels = [
                    ("instance", &*instance),
                    ("reporter", reporter),
                    ("source_workload", "client"),
                    ("destination_workload", version),
                ];
                for (_, at) in told(first).scrapes(step..=step) {
                    let count = (100.0 * RATE * part * at).floor();
                    all.push(series(OPENED, &labels, &[(step, count)]));
                    times.push(series("", &labels, &[(step, at)]));
                }
            }
            reading.counters.take(&mut reading.store, &all, &times, step..=step);
            let (mut rates, notices) = reading.rates(60);
            rates.sort_by(f64::total_cmp);
            let about = format!("every {interval} s, {firsts:?}, {step} of {known}: {rates:?}");
            if step + 1 < known {
                assert_eq!(rates, [0.0; 0], "{about}");
            } else {
                let are_true =
                    rates.len() == 2 && is_true(rates[0] / 20.0) && is_true(rates[1] / 80.0);
                assert!(are_true && reading.store.awaited() == 0, "{about} {notices:?}");
            }
            let is_some = !all.is_empty() && step + 1 < known;
            assert_eq!(reading.store.awaited() > 0, is_some, "{about}");
        }
    }
}

#[test]
fn a_proxy_that_comes_later_to_a_young_prometheus_holds_nothing_back() {
    let began = f64::from(NOW) * 5.0 - 100.0;
    let all = [proxy("one", 15.0, began), proxy("two", 15.0, began + 92.0)];
    let mut reading = Reading::new(&all, 60);
    reading.read(NOW - 1, 1);
    // One was scraped 10 s ago, the other one 8 s ago.
    assert_eq!((reading.store.awaited(), reading.store.age()), (0, 8));
    let (rates, _) = reading.rates(60);
    assert!(rates.len() == 1 && is_true(rates[0]), "{rates:?}");
}

#[test]
fn proxies_with_different_intervals_have_their_own_times() {
    let began = f64::from(NOW - 2000) * 5.0;
    let all = [proxy("often", 5.0, began + 1.0), proxy("seldom", 60.0, began + 33.3)];
    let mut reading = Reading::new(&all, 200);
    reading.read(NOW - 30, 60);
    for step in NOW - 29..NOW {
        reading.read(step, 1);
        let (rates, notices) = reading.rates(60);
        assert!(rates.len() == 2 && rates.iter().all(|rate| is_true(*rate)), "{rates:?}");
        assert!(notices.is_empty(), "{notices:?}");
        let often = reading.course("workload//often", 60);
        assert!(often[..10].iter().all(|value| value.is_some_and(is_true)), "{often:?}");
    }
}

#[test]
fn proxies_of_one_workload_count_together_as_far_as_all_are_known() {
    let began = f64::from(NOW - 2000) * 5.0;
    let ended = Proxy { gone: NOW - 100..NOW + 40, ..proxy("one-c", 15.0, began) };
    let all = [proxy("one-a", 15.0, began + 1.0), proxy("one-b", 30.0, began + 13.3), ended];
    let mut reading = Reading::new(&all, 400);
    reading.read(NOW - 102, 60);
    let (rates, _) = reading.rates(60);
    assert!(rates.len() == 1 && is_true(rates[0] / 3.0), "{rates:?}");
    reading.read(NOW - 10, 60);
    for step in NOW - 9..NOW {
        reading.read(step, 1);
        let (rates, notices) = reading.rates(60);
        assert!(rates.len() == 1 && is_true(rates[0] / 2.0), "{rates:?}");
        assert!(notices.is_empty(), "{notices:?}");
    }
}

#[test]
fn what_rose_while_a_proxy_was_not_scraped_is_of_all_of_that_time() {
    let began = f64::from(NOW - 2000) * 5.0 + 2.0;
    let away = Proxy { gone: NOW - 60..NOW - 30, ..proxy("away", 15.0, began) };
    let mut reading = Reading::new(&[away], 200);
    reading.read(NOW - 50, 1);
    assert_eq!(reading.rates(30).0, [0.0; 0], "as if it had ended");
    reading.read(NOW - 1, 1);
    let course = reading.course("mesh", 600);
    assert!(course[..115].iter().all(|value| value.is_some_and(is_true)), "{course:?}");
    assert!(is_true(reading.rates(300).0[0]));
}

#[test]
fn one_scrape_that_fails_changes_no_rate_and_a_proxy_that_is_gone_ends() {
    let began = f64::from(NOW - 2000) * 5.0 + 2.0;
    let fails = f64::from(NOW - 60) * 5.0;
    let well = || proxy("one-a", 15.0, began);
    // Two of its scrapes are within.
    let once = |name| Proxy { failing: fails..fails + 30.0, ..proxy(name, 15.0, began) };
    let mut reading = Reading::new(&[once("two"), once("one-b"), well()], 200);
    reading.read(NOW - 70, 60);
    let open =
        |reading: &Reading| reading.store.sums(0, u32::MAX).map(|(_, sum)| sum.open).sum::<i64>();
    let mut before = open(&reading);
    for step in NOW - 69..NOW {
        reading.read(step, 1);
        let (rates, notices) = reading.rates(30);
        assert!(rates.len() == 2 && notices.is_empty(), "{rates:?} {notices:?}");
        assert!(is_true(rates.iter().sum::<f64>() / 3.0), "{}: {rates:?}", NOW - step);
        assert!(open(&reading) >= std::mem::replace(&mut before, open(&reading)), "it is there");
    }
    let course = reading.course("mesh", 600);
    let all = course[..115].iter().all(|value| value.is_some_and(|rate| is_true(rate / 3.0)));
    assert!(all, "{course:?}");

    let gone = |name| Proxy { failing: fails..f64::MAX, ..proxy(name, 15.0, began) };
    let mut reading = Reading::new(&[gone("two"), gone("one-b"), well()], 200);
    reading.read(NOW - 61, 60);
    for step in NOW - 60..NOW {
        reading.read(step, 1);
        let (rates, _) = reading.rates(30);
        match NOW - step {
            // The last scrape was 8 s before, and is waited for 45 s; then nothing of 30 s is known of the other.
            54.. => assert!(is_true(rates.iter().sum::<f64>() / 3.0), "{rates:?}"),
            ..40 => assert!(rates.len() == 1 && is_true(rates[0]), "{rates:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_proxy_that_restarts_or_comes_late_begins_at_zero() {
    let began = f64::from(NOW - 2000) * 5.0 + 2.0;
    let restarted = Proxy { restarted: f64::from(NOW - 40) * 5.0, ..proxy("a", 15.0, began) };
    let late = f64::from(NOW - 20) * 5.0;
    let new = Proxy { restarted: late - 10.0, ..proxy("b", 15.0, late) };
    let mut reading = Reading::new(&[restarted, new], KEPT + LAG);
    reading.read(NOW - 1, 60);
    let (rates, notices) = reading.rates(300);
    // 15 s at most are between the last scrape of what was and the beginning of what is.
    assert!((RATE * 0.95..RATE * 1.001).contains(&rates[0]), "{rates:?}");
    // Its first scrape is 100 s ago, its last one 10 s.
    assert_eq!(rates[1], RATE * 90.0 / 300.0);
    assert!(notices.is_empty(), "nobody is young here: {notices:?}");
}

#[test]
fn who_has_read_since_a_moment_ago_says_the_same_as_who_has_read_an_hour() {
    let began = f64::from(NOW - 2000) * 5.0;
    let all = [5.0, 15.0, 60.0].map(|interval| proxy("one", interval, began + 3.7));
    for one in all {
        let mut hour = Reading::new(std::slice::from_ref(&one), KEPT + LAG);
        hour.read(NOW - 1, 60);
        let mut present = Reading::new(&[one], 30);
        present.read(NOW - 1, 1);
        assert_eq!(hour.rates(60), present.rates(60));
        assert_eq!(hour.course("mesh", 60), present.course("mesh", 60));
        // What one of them has read the other reads on with.
        present.counters = hour.counters;
        hour.counters = Counters::new(MOST);
        std::mem::swap(&mut present.store, &mut hour.store);
        let mut whole = Reading::new(&present.proxies, KEPT + LAG);
        for reading in [&mut present, &mut whole] {
            reading.read(NOW + 20, 1);
        }
        assert_eq!(present.rates(3600), whole.rates(3600));
        assert_eq!(present.course("mesh", 3600), whole.course("mesh", 3600));
    }
}

#[test]
fn latencies_are_spread_as_their_requests_are() {
    let mut reading = Reading::new(&[], 40);
    let labels = |le: &'static str| [("le", le), ("request_protocol", "http")];
    let bucket = |le, counts: [f64; 3]| {
        let values: Vec<_> =
            (0..).zip(counts).map(|(index, count)| (NOW - 40 + 3 * index, count)).collect();
        series("istio_request_duration_milliseconds_bucket", &labels(le), &values)
    };
    let all = [
        bucket("1", [0.0, 7.0, 8.0]),
        bucket("5", [0.0, 10.0, 11.0]),
        bucket("+Inf", [0.0, 31.0, 41.0]),
    ];
    let taken: Vec<_> =
        (0..3).map(|index| (NOW - 40 + 3 * index, end(NOW - 40 + 3 * index))).collect();
    let times = [series("", &[], &taken)];
    reading.counters.take(&mut reading.store, &all, &times, NOW - 40..=NOW - 1);
    let mut counts = Vec::new();
    let count =
        |point: &crate::point::Point| point.latency.buckets.iter().map(|(_, n)| n).sum::<u64>();
    reading.store.points(
        0,
        u32::MAX,
        |_, _| Some(()),
        |_, (), step, point| {
            counts.push((step + 40 - NOW, count(point)));
        },
    );
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 41, "{counts:?}");
    assert_eq!(counts.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(counts[..3].iter().all(|(_, count)| (9..=12).contains(count)), "{counts:?}");
}
