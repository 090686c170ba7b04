//! What is read from a Prometheus, whose answers are scripted.

mod missed;
mod scrapes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::client::{Address, Settings};
use super::counters::{Counters, MOST};
use super::series::{Labels, Sample, Series};
use super::{BATCH, BEFORE, Follower, HOUR, PRESENT, Reader, Traffic, read, seconds, traffic};
use crate::collect::Found;
use crate::store::{STEP, Store, step_of};

fn series(name: &str, extra: &[(&str, &str)], values: &[(u32, f64)]) -> Series {
    let common = [
        ("__name__", name),
        ("job", "proxies"),
        ("instance", "10.0.0.1:15020"),
        ("reporter", "source"),
        ("source_workload", "client"),
        ("destination_workload", "server"),
        ("request_protocol", "tcp"),
        ("response_flags", "-"),
    ];
    let all: BTreeMap<&str, &str> = common.iter().chain(extra).copied().collect();
    let mut metric = Labels::default();
    all.into_iter().for_each(|(name, value)| metric.put(name, value));
    let time = |step: u32| f64::from((step + 1) * STEP as u32);
    let sample = |(step, value): &(u32, f64)| Sample { time: time(*step), value: *value };
    Series { metric, values: values.iter().map(sample).collect() }
}

fn build(values: &[(u32, f64)]) -> Series {
    series("istio_build", &[("component", "proxy")], values)
}

/// What is counted of one key in the steps from 100 on.
fn counted(batches: &[(u32, u32, Vec<Series>)]) -> crate::point::Point {
    let mut store = Store::new(1 << 20, 100 * STEP);
    let mut counters = Counters::new(MOST);
    for (first, last, all) in batches {
        counters.take(&mut store, all, &[], *first..=*last);
    }
    store.sums(0, u32::MAX).next().map(|(_, sum)| sum.points).unwrap_or_default()
}

const CLOSED: &str = "istio_tcp_connections_closed_total";
const OPENED: &str = "istio_tcp_connections_opened_total";

#[test]
fn rises_are_counted_over_batches_and_what_was_there_before_is_not() {
    let first =
        vec![build(&[(100, 1.0), (101, 1.0)]), series(OPENED, &[], &[(100, 7.0), (101, 9.0)])];
    let second = vec![build(&[(102, 1.0)]), series(OPENED, &[], &[(102, 10.0)])];
    assert_eq!(counted(&[(100, 101, first), (102, 102, second)]).opened, 3);
}

#[test]
fn series_without_room_are_counted_once_however_often_they_are_read() {
    let mut store = Store::new(1 << 20, 100 * STEP);
    let mut counters = Counters::new(1);
    let one = |name: &str, step: u32| series(OPENED, &[("source_app", name)], &[(step, 1.0)]);
    for step in 100..103 {
        let all = ["a", "b", "c"].map(|name| one(name, step));
        counters.take(&mut store, &all, &[], step..=step);
        assert_eq!(counters.found().left_out, 2);
    }
    counters.take(&mut store, &[one("a", 103)], &[], 103..=103);
    assert_eq!(counters.found().left_out, 0);
}

#[test]
fn a_proxy_that_is_scraped_twice_is_told() {
    let at = |(job, instance)| {
        let labels = [("component", "proxy"), ("job", job), ("instance", instance)];
        series("istio_build", &labels, &[(100, 1.0)])
    };
    let found = |targets: &[(&'static str, &'static str)]| {
        let mut counters = Counters::new(MOST);
        let all: Vec<Series> = targets.iter().copied().map(at).collect();
        counters.take(&mut Store::new(1 << 20, 100 * STEP), &all, &[], 100..=100);
        let Found { proxies, doubled, .. } = counters.found();
        (proxies, doubled)
    };
    assert_eq!(found(&[("a", "10.0.0.1:15020"), ("a", "10.0.0.2:15090")]), (2, 0));
    let both = [("a", "10.0.0.1:15020"), ("a", "10.0.0.1:15090"), ("a", "[fd00::1]:15090")];
    assert_eq!(found(&both), (2, 1));
    assert_eq!(found(&[("a", "10.0.0.1:15020"), ("b", "10.0.0.1:15020")]), (1, 1));
    assert_eq!(found(&[("a", "10.0.0.1:15020"), ("a", "10.0.0.1:8080")]), (2, 0));
    let traffic = Traffic::of_prometheus(1 << 20, String::new(), 500);
    traffic.has_read(Found { proxies: 2, doubled: 1, ..Found::default() });
    let notices = traffic.notices();
    assert!(notices.len() == 1 && notices[0].contains("scrapes 1 of the proxies twice"));
}

#[test]
fn a_counter_that_fell_has_begun_anew_and_a_late_one_begins_at_zero() {
    let restarted = series(OPENED, &[], &[(100, 7.0), (101, 2.0)]);
    assert_eq!(counted(&[(100, 101, vec![build(&[(100, 1.0)]), restarted])]).opened, 2);
    let late = series(OPENED, &[], &[(102, 4.0)]);
    assert_eq!(counted(&[(100, 102, vec![build(&[(100, 1.0)]), late])]).opened, 4);
    let late_target = series(OPENED, &[], &[(102, 4.0), (103, 5.0)]);
    assert_eq!(counted(&[(100, 103, vec![build(&[(102, 1.0)]), late_target])]).opened, 1);
}

#[test]
fn a_connection_that_began_before_is_open_until_it_ends_or_its_proxy_is_gone() {
    let mut store = Store::new(1 << 20, 100 * STEP);
    let mut counters = Counters::new(MOST);
    let refused = [("response_flags", "UF")];
    let mut at = |step: u32, [opened, closed, failed]: [f64; 3]| {
        let of = |name: &str, extra: &[(&str, &str)], value| series(name, extra, &[(step, value)]);
        let all = [of(OPENED, &[], opened), of(CLOSED, &[], closed), of(CLOSED, &refused, failed)];
        counters.take(&mut store, &all, &[], step..=step);
        store.sums(0, u32::MAX).map(|(_, sum)| sum.open).sum::<i64>()
    };
    assert_eq!(at(100, [7.0, 4.0, 1.0]), 2);
    assert_eq!(at(101, [9.0, 4.0, 1.0]), 4);
    assert_eq!(at(102, [9.0, 7.0, 2.0]), 0);
    assert_eq!(at(103, [12.0, 7.0, 2.0]), 3);
    assert_eq!(at(104, [1.0, 0.0, 0.0]), 1, "it has begun anew");
    counters.take(&mut store, &[], &[], 105..=105);
    assert_eq!(store.sums(0, u32::MAX).map(|(_, sum)| sum.open).sum::<i64>(), 0, "it is gone");
}

#[test]
fn a_control_plane_is_no_proxy_whether_it_is_scraped_or_not() {
    let of = |component: &str, instance: &str, value| {
        let labels = [("component", component), ("instance", instance)];
        series("istio_build", &labels, &[(100, value)])
    };
    let mut store = Store::new(1 << 20, 100 * STEP);
    let mut counters = Counters::new(MOST);
    // The time of a sample, and that one failed.
    let times = [of("", "istiod:15014", 0.0), of("", "10.0.0.1:15020", 505.0)];
    let pilot = || of("pilot", "istiod:15014", 1.0);
    counters.take(&mut store, &[pilot()], &times[..1], 100..=100);
    assert_eq!((counters.found().proxies, store.missed().notice(0, true)), (0, None));
    // A pod may have such a label of its own.
    let own = [("component", "web"), ("exported_component", "proxy")];
    for labels in [&[("component", "proxy")], &own[..]] {
        let proxy = series("istio_build", labels, &[(100, 1.0)]);
        let mut counters = Counters::new(MOST);
        counters.take(&mut store, &[pilot(), proxy], &times, 100..=100);
        assert_eq!(counters.found().proxies, 1);
    }
}

#[test]
fn buckets_become_latencies() {
    let bucket = |le: &str, count: f64| {
        let labels = [("le", le), ("request_protocol", "http")];
        let values = [(100, 0.0), (101, count)];
        series("istio_request_duration_milliseconds_bucket", &labels, &values)
    };
    let buckets = [("1", 0.0), ("5", 2.0), ("10", 2.0), ("25", 8.0), ("+Inf", 9.0)];
    let all = buckets.map(|(le, count)| bucket(le, count)).into();
    let latency = counted(&[(100, 101, all)]).latency;
    let count: u64 = latency.buckets.iter().map(|(_, count)| count).sum();
    assert_eq!(count, 9);
    let of = |share| latency.quantile(share).unwrap();
    assert!((2.5..3.5).contains(&of(0.1)) && (15.0..20.0).contains(&of(0.5)), "{latency:?}");
    assert!(of(0.99) > 1_000_000.0, "above the highest bound");
}

#[test]
fn an_address_is_read_or_says_what_is_wrong() {
    let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
    assert_eq!(read("http://prometheus").unwrap(), "http://prometheus:80");
    assert_eq!(read("https://[::1]/select/0/").unwrap(), "https://[::1]:443/select/0");
    for (text, said) in [
        ("prometheus:9090", "no scheme that is known"),
        ("ftp://prometheus", "no scheme that is known"),
        ("http://", "is no URL"),
        ("http://me:secret@prometheus", "a password in the URL is not sent"),
        ("http://prometheus/?a=b", "has a query"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
}

/// A server that answers every request with this.
async fn server(answer: String) -> Settings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Settings { address, tls: None, token: None }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn what_is_in_the_way_names_the_address_and_the_remedy() {
    for (reply, said) in [
        (answer("401 Unauthorized", "who?"), "answered 401 Unauthorized: who?: give a token with"),
        (answer("404 Not Found", ""), "check the path"),
        (
            "HTTP/1.1 302 Found\r\nlocation: /login?to=x\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "302 Found and sends on to \"/login?to=x\"",
        ),
        (
            answer("503 Unavailable", r#"{"status":"error","error":"busy"}"#),
            ": busy: look at its log",
        ),
        (answer("200 OK", "<html>"), "is not Prometheus'"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_owned(), "cannot be reached"),
    ] {
        let settings = server(reply).await;
        let (url, store) = (settings.address.to_string(), traffic(1 << 20, &settings));
        let error = read(settings, &store, 60).await.unwrap_err().to_string();
        assert!(error.contains(&url) && error.contains(said), "{error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = format!("http://{nobody}").parse().unwrap();
    let settings = Settings { address, tls: None, token: None };
    let store = traffic(1 << 20, &settings);
    let error = read(settings, &store, 60).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

const NONE: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;

/// Whether it is asked when targets were scraped.
fn is_of_times(head: &str) -> bool {
    head.contains("timestamp%28")
}

/// A Prometheus without series, whose first answer is this one; and how often it was asked.
async fn empty(first: String) -> (Settings, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let more = usize::from(!is_of_times(&String::from_utf8_lossy(&head[..length])));
            let is_first = count.fetch_add(more, Ordering::SeqCst) == 0;
            let text = if is_first { first.clone() } else { answer("200 OK", NONE) };
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (Settings { address, tls: None, token: None }, asked)
}

#[tokio::test]
async fn what_is_too_much_at_once_is_asked_for_in_parts() {
    for first in [
        answer("200 OK", &" ".repeat((64 << 20) + 1)),
        answer(
            "422 Unprocessable Entity",
            r#"{"error":"query processing would load too many samples"}"#,
        ),
        answer("503 Service Unavailable", r#"{"error":"query timed out"}"#),
    ] {
        let (settings, asked) = empty(first).await;
        let store: Arc<Traffic> = traffic(1 << 20, &settings);
        assert!(store.missing().unwrap().contains("is being read"));
        read(settings, &store, 240).await.unwrap();
        // 109 or 110 steps: as many as at once, half of them, as many again, and the rest.
        assert_eq!(asked.load(Ordering::SeqCst), 4);
        assert_eq!((store.missing(), store.source()), (None, "prometheus"));
        store.failed("it burns".to_owned());
        assert!(store.notices()[0].ends_with("it burns"));
    }
}

/// A Prometheus without series that tells by the first second of each question how it is answered.
async fn scripted(answers: impl Fn(u64) -> Option<String> + Send + Sync + 'static) -> Settings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let start = head.split("&start=").nth(1).and_then(|rest| rest.split('&').next());
            // Whoever lost patience has asked for nothing.
            let Some(start) = start else { continue };
            let text = match is_of_times(&head) {
                true => Some(answer("200 OK", NONE)),
                false => answers(start.parse().unwrap()),
            };
            match text {
                Some(text) => drop(stream.write_all(text.as_bytes()).await),
                None => open.push(stream),
            }
        }
    });
    Settings { address, tls: None, token: None }
}

#[tokio::test]
async fn the_present_is_shown_first_and_said_to_be_all_until_the_past_is_there() {
    let now = seconds();
    let (asked, serves_past) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (seen, serves) = (asked.clone(), serves_past.clone());
    let settings = scripted(move |start| {
        seen.lock().unwrap().push(start);
        let is_past = start + 2 * PRESENT < now;
        match is_past && serves.load(Ordering::SeqCst) == 0 {
            true => Some(answer("500 Broken", r#"{"error":"no such block"}"#)),
            false => Some(answer("200 OK", NONE)),
        }
    })
    .await;
    let traffic = traffic(1 << 20, &settings);
    let mut follower = Follower::new(settings, &traffic);
    follower.read_on(&traffic).await.unwrap();
    let starts = asked.lock().unwrap().clone();
    assert!(starts[0] + PRESENT + 2 * STEP >= now && starts[1] + HOUR <= now + STEP, "{starts:?}");
    let notices = traffic.notices();
    assert!(notices.len() == 1 && notices[0].contains("60 minutes of the last hour are still"));
    assert!(notices[0].contains("no such block"), "{notices:?}");
    assert!(traffic.now().range().0 + 40 >= step_of(now), "an hour would look like one of silence");
    serves_past.store(1, Ordering::SeqCst);
    follower.read_on(&traffic).await.unwrap();
    assert_eq!((traffic.notices(), traffic.missing()), (Vec::new(), None));
    let (oldest, newest) = traffic.now().range();
    assert!(u64::from(oldest) * STEP <= now - HOUR + 2 * STEP, "{oldest}");
    assert!(u64::from(newest + 1) * STEP >= now, "{newest}");
    assert_eq!(traffic.now().fill().limit, 1 << 20, "all of the room is for the hour now");
    let before = asked.lock().unwrap().len();
    follower.read_on(&traffic).await.unwrap();
    assert!(asked.lock().unwrap().len() <= before + 1, "the present alone");
}

#[tokio::test]
async fn one_slow_moment_neither_holds_the_present_nor_makes_the_past_slow() {
    let now = seconds();
    let (past, is_slow) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (asked, slow) = (past.clone(), is_slow.clone());
    let settings = scripted(move |start| {
        let is_past = start + 2 * PRESENT < now;
        asked.fetch_add(usize::from(is_past), Ordering::SeqCst);
        (!is_past || !slow.load(Ordering::SeqCst)).then(|| answer("200 OK", NONE))
    })
    .await;
    let traffic = traffic(1 << 20, &settings);
    let mut follower = Follower::new(settings, &traffic);
    follower.past.as_mut().unwrap().0.client.patience = Duration::from_millis(200);
    for round in 1..=3 {
        follower.read_on(&traffic).await.unwrap();
        assert_eq!(past.load(Ordering::SeqCst), round, "one try in a round");
        assert!(traffic.notices()[0].contains("did not answer within"), "{:?}", traffic.notices());
    }
    let reader = &mut follower.past.as_mut().unwrap().0;
    assert_eq!(reader.batch, 1);
    reader.client.patience = Duration::from_secs(STEP);
    is_slow.store(false, Ordering::SeqCst);
    follower.read_on(&traffic).await.unwrap();
    assert_eq!((follower.past.is_none(), traffic.notices()), (true, Vec::new()));
    // 1, 2, 4, 8, 16 and 32 steps, and all others at once.
    let later = past.load(Ordering::SeqCst) - 3;
    assert!(later <= 6 + (HOUR + BEFORE) as usize / STEP as usize / BATCH as usize, "{later}");
}

#[tokio::test]
async fn what_never_answers_is_asked_for_less_and_told_after_as_long_as_it_took() {
    let settings = scripted(|_| None).await;
    let store = traffic(1 << 20, &settings);
    let mut reader = Reader::new(settings, HOUR);
    reader.client.patience = Duration::from_millis(20);
    let error = reader.catch_up(&store).await.unwrap_err().to_string();
    // All of a batch, a quarter, a quarter of that, and one step.
    assert_eq!(BATCH.div_ceil(4).div_ceil(4).div_ceil(4), 1);
    assert!(error.contains("within 80ms: look at its load"), "{error}");
}
