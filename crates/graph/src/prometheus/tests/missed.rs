//! Proxies whose scrapes fail, which carry on meanwhile, beside those that are scraped.

use super::scrapes::{NOW, Proxy, RATE, Reading, end, is_true, proxy};
use super::series;

/// Seconds that graphs are over.
const DURATION: u64 = 60;

impl Reading {
    fn notice(&self) -> Option<String> {
        self.store.missed().notice(self.counters.found().proxies, true)
    }
}

/// Not scraped after this step, for so many seconds; the last scrape is of 1 s before its end.
fn failing(name: &'static str, interval: f64, after: u32, seconds: f64) -> Proxy {
    let last = end(after) - 1.0;
    let failing = last + 0.5..last + seconds + 0.5;
    Proxy { failing, ..proxy(name, interval, last - 400.0 * interval) }
}

#[test]
fn what_a_proxy_carries_is_not_known_while_its_scrapes_fail_and_all_known_when_it_is_back() {
    for interval in [5.0, 15.0] {
        for missed in [1.0, 3.0, 12.0, 100.0] {
            let seconds = interval * missed;
            let fails = NOW - 40 - (seconds / 5.0) as u32;
            let lone = failing("lone", interval, fails, seconds);
            let back = lone.failing.end + interval - 0.5;
            let well = proxy("well", interval, end(fails) - 200.0 * interval);
            let mut reading = Reading::new(&[lone, well], NOW - fails + 200);
            reading.read(fails, 60);
            for step in fails + 1..NOW {
                reading.read(step, 1);
                let about = format!("{missed} of {interval} s, {} after: ", step - fails);
                let (rates, notices) = reading.rates(DURATION);
                let all_true = rates.iter().all(|rate| is_true(*rate));
                assert!(all_true, "{about} {rates:?} {notices:?}");
                let away = end(step) - end(fails);
                let is_missing = away >= interval && end(step) < back;
                // The step that is not over is asked for, too.
                let is_known = !is_missing || away + 10.0 < DURATION as f64;
                assert!(rates.len() == 2 || !is_known, "{about} {rates:?}");
                assert!(rates.len() == 1 || !is_missing || away < 110.0, "{about} {rates:?}");
                let notice = reading.notice();
                assert_eq!(notice.is_some(), is_missing, "{about} {notice:?}");
                let expected = "Prometheus cannot scrape 1 of 2 proxies (lone: for ";
                assert!(notice.is_none_or(|notice| notice.starts_with(expected)), "{about}");
                let course = reading.course("workload//lone", 600);
                let own = course.iter().flatten().all(|rate| is_true(*rate));
                assert!(own, "{about} neither less nor nothing: {course:?}");
                let unknown = course.iter().filter(|rate| rate.is_none()).count() as f64 * 5.0;
                let is_of_scrapes = unknown <= interval + 10.0;
                let grows = unknown >= (away - 5.0).min(600.0) && unknown <= away + 10.0;
                assert!(if is_missing { grows } else { is_of_scrapes }, "{about} {unknown}");
            }
            let course = reading.course("mesh", 900);
            let all = course[..172].iter().all(|rate| rate.is_some_and(|rate| is_true(rate / 2.0)));
            assert!(all, "{missed} of {interval}: {course:?}");
        }
    }
}

#[test]
fn a_proxy_that_prometheus_has_no_more_ends_at_once() {
    let fails = NOW - 40;
    let removed = failing("lone", 5.0, fails, f64::MAX);
    let removed = Proxy { gone: NOW - 10..NOW, ..removed };
    let mut reading = Reading::new(&[removed, proxy("well", 5.0, end(fails - 200))], 100);
    reading.read(NOW - 11, 1);
    assert!(reading.notice().is_some());
    assert_eq!(reading.course("workload//lone", 60).last(), Some(&None));
    reading.read(NOW - 10, 1);
    let (rates, notices) = reading.rates(DURATION);
    assert!(rates.len() == 1 && is_true(rates[0]) && notices.is_empty(), "{rates:?} {notices:?}");
    assert_eq!(reading.notice(), None);
    assert_eq!(reading.course("workload//lone", 600).last(), Some(&Some(0.0)));
}

#[test]
fn others_that_tell_of_the_same_edge_go_on() {
    let fails = NOW - 100;
    let well = |name| proxy(name, 15.0, end(fails) - 1503.0);
    // Of a connection both ends tell: what the client does not, the server does.
    let client = failing("both-client", 15.0, fails, f64::MAX);
    let mut reading = Reading::new(&[client, well("both-server")], 200);
    reading.read(fails, 60);
    for step in fails + 1..NOW {
        reading.read(step, 1);
        let (rates, _) = reading.rates(DURATION);
        assert!(rates.len() == 1 && is_true(rates[0]), "{}: {rates:?}", step - fails);
    }
    // Of two clients of one workload the one is shown after three intervals, and that it is a part is said.
    let gone = failing("one-a", 15.0, fails, f64::MAX);
    let mut reading = Reading::new(&[gone, well("one-b")], 200);
    reading.read(fails, 60);
    for step in fails + 1..NOW {
        reading.read(step, 1);
        let (rates, _) = reading.rates(DURATION);
        let away = end(step) - end(fails);
        match away as u32 {
            ..45 => assert!(is_true(rates[0] / 2.0), "{away}: {rates:?}"),
            120.. => assert!(is_true(rates[0]), "{away}: {rates:?}"),
            _ => assert!((RATE * 0.95..RATE * 2.05).contains(&rates[0]), "{away}: {rates:?}"),
        }
        assert!(away < 15.0 || reading.notice().is_some_and(|all| all.contains("(one-a: for ")));
    }
}

#[test]
fn a_proxy_whose_scrapes_failed_before_all_that_is_read_is_told_and_other_targets_are_not() {
    let lone = failing("lone", 5.0, NOW - 400, f64::MAX);
    let exporter = failing("exporter", 5.0, NOW - 400, f64::MAX);
    let mut reading = Reading::new(&[lone, exporter, proxy("well", 5.0, end(NOW - 500))], 100);
    let scraped = end(NOW - 400) - 1.0;
    reading.counters.missed(&[series("", &[("instance", "lone")], &[(NOW - 101, scraped)])]);
    reading.read(NOW - 1, 60);
    let said = reading.notice().unwrap_or_default();
    assert!(
        said.starts_with("Prometheus cannot scrape 1 of 2 proxies (lone: for 33 min)"),
        "{said}"
    );
}

#[test]
fn a_proxy_that_fails_at_both_ends_of_what_is_read_is_known_in_between() {
    let well = proxy("well", 5.0, end(NOW - 400));
    // Scraped for a minute between two outages, and by a Prometheus that has begun in the first one.
    for begun in [NOW - 400, NOW - 26] {
        let mix = proxy("mix", 5.0, end(begun) - 1.0);
        let failing = end(NOW - 50)..end(NOW - 20) - 2.0;
        for again in 1..10 {
            let again = end(NOW - again) - 2.0..f64::MAX;
            let mix = Proxy { failing: failing.clone(), again, ..mix.clone() };
            let all = [mix, well.clone()];
            let read = |batch| {
                let mut reading = Reading::new(&all, 100);
                reading.read(NOW - 1, batch);
                let (mut rates, notices) = reading.rates(DURATION);
                rates.sort_by(f64::total_cmp);
                (rates, notices, reading.course("mesh", 300))
            };
            let (rates, notices, _) = read(1);
            let about =
                format!("since {begun}, again from {}: {rates:?} {notices:?}", all[0].again.start);
            assert!(rates.len() == 2 && rates.iter().all(|rate| is_true(*rate)), "{about}");
            for batch in [7, 60, 75, 90] {
                assert_eq!(read(batch), read(1), "{batch} at once, {about}");
            }
        }
    }
}

#[test]
fn of_a_proxy_that_is_back_nothing_is_known_of_before() {
    let back = end(NOW - 6) - 2.0;
    let mix = Proxy { failing: 0.0..back, ..proxy("mix", 5.0, end(NOW - 400) - 1.0) };
    let all = [mix, proxy("well", 5.0, end(NOW - 400))];
    for batch in [1, 60] {
        let mut reading = Reading::new(&all, 100);
        let scraped = end(NOW - 400) - 1.0;
        reading.counters.missed(&[series("", &[("instance", "mix")], &[(NOW - 101, scraped)])]);
        reading.read(NOW - 1, batch);
        let (rates, notices) = reading.rates(DURATION);
        assert!(rates.len() == 2 && rates.iter().all(|rate| is_true(*rate)), "{rates:?}");
        assert_eq!(notices, ["rates are over the 20 s to 60 s of these 60 s that are known"]);
        let course = reading.course("workload//mix", 300);
        assert!(course.iter().flatten().all(|rate| is_true(*rate)), "{course:?}");
        assert_eq!(course.iter().flatten().count(), 4, "{course:?}");
    }
}

/// At how many of the last steps nothing is said, so many steps after a proxy has failed.
type Unknown = fn(u32) -> u32;

/// What courses of a minute and a half say while a proxy fails that was scraped every five seconds, beside others: of all
/// that they sum up, or nothing.
fn courses_beside(others: &[&'static str], expected: &[(&str, f64, Unknown)]) {
    let fails = NOW - 100;
    let mut all = vec![failing("one-client", 5.0, fails, f64::MAX)];
    all.extend(others.iter().map(|name| proxy(name, 5.0, end(fails - 400))));
    let mut reading = Reading::new(&all, 200);
    reading.read(fails, 60);
    for away in 1..40 {
        reading.read(fails + away, 1);
        for (id, rate, unknown) in expected {
            let course = reading.course(id, 90);
            let about = format!("{id} {away}: {course:?}");
            assert!(course.iter().flatten().all(|own| is_true(own / rate)), "{about}");
            let last = course.iter().rev().take_while(|rate| rate.is_none()).count();
            assert_eq!(last as u32, unknown(away).min(course.len() as u32), "{about}");
            assert_eq!(course.iter().flatten().count() + last, course.len(), "{about}");
        }
    }
}

const NONE: Unknown = |_| 0;
/// It is not scraped at the very end of a step.
const ALL: Unknown = |away| away + 1;
/// The other end is heard of it after three intervals.
const AWAITED: Unknown = |away| if away < 3 { away + 1 } else { 0 };

#[test]
fn no_course_takes_what_is_known_for_all_of_what_it_sums_up() {
    courses_beside(
        &["other-client", "other-server"],
        &[
            ("workload//other", 1.0, NONE),
            ("workload//other>workload//server#tcp", 1.0, NONE),
            ("workload//one", 1.0, ALL),
            ("workload//one>workload//server#tcp", 1.0, ALL),
            ("workload//server", 2.0, ALL),
        ],
    );
    // Of two clients of one workload.
    courses_beside(&["one-b"], &[("workload//one", 2.0, ALL), ("mesh", 2.0, ALL)]);
}

#[test]
fn the_mesh_waits_for_a_proxy_and_goes_on_without_one_that_is_lost() {
    let fails = NOW - 100;
    let well = |name| proxy(name, 5.0, end(fails - 400));
    let lone = failing("one-client", 5.0, fails, f64::MAX);
    let mut reading = Reading::new(&[lone, well("other-client"), well("other-server")], 200);
    reading.read(fails, 60);
    for away in 1..40 {
        reading.read(fails + away, 1);
        let course = reading.course("mesh", 90);
        let about = format!("{away}: {course:?}");
        let before = course.len().saturating_sub(away as usize + 1);
        assert!(course[..before].iter().all(|rate| is_true(rate.unwrap() / 2.0)), "{about}");
        // A part of the first step without it was told.
        let last = AWAITED(away) as usize;
        let after = course.iter().skip(before + 1);
        assert!(last > 0 || after.clone().all(|rate| is_true(rate.unwrap())), "{about}");
        assert_eq!(course.iter().filter(|rate| rate.is_none()).count(), last, "{about}");
    }
}

#[test]
fn courses_are_told_by_the_other_end_where_the_one_fails() {
    courses_beside(
        &["other-client", "one-server"],
        &[
            ("workload//other", 1.0, NONE),
            ("workload//one", 1.0, AWAITED),
            ("workload//one>workload//server#tcp", 1.0, AWAITED),
            ("workload//server", 2.0, AWAITED),
            ("mesh", 2.0, AWAITED),
        ],
    );
}
