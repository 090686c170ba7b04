//! What is read from a Prometheus, whose answers are scripted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::client::{Address, Series, Settings};
use super::counters::{Counters, MOST};
use super::{Traffic, read, traffic};
use crate::store::{STEP, Store};

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
    let mut metric: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in common.iter().chain(extra) {
        metric.insert((*name).to_owned(), (*value).to_owned());
    }
    let time = |step: u32| f64::from((step + 1) * STEP as u32);
    let values = values.iter().map(|(step, value)| (time(*step), value.to_string())).collect();
    Series { metric, values }
}

fn build(values: &[(u32, f64)]) -> Series {
    series("istio_build", &[("component", "proxy")], values)
}

/// What is counted of one key in the steps from 100 on.
fn counted(batches: &[(u32, u32, Vec<Series>)]) -> crate::point::Point {
    let mut store = Store::new(1 << 20, 100 * STEP);
    let mut counters = Counters::new(MOST);
    for (first, last, all) in batches {
        counters.take(&mut store, all, *first, *last);
    }
    store.sums(0, u32::MAX).next().map(|(_, sum)| sum.points).unwrap_or_default()
}

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
        counters.take(&mut store, &[one("a", step), one("b", step), one("c", step)], step, step);
        assert_eq!(counters.left_out(), 2);
    }
    counters.take(&mut store, &[one("a", 103)], 103, 103);
    assert_eq!(counters.left_out(), 0);
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

/// A Prometheus without series, whose first answer is this one; and how often it was asked.
async fn empty(first: String) -> (Settings, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        let none = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut vec![0; 4096]).await;
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let text = if is_first { first.clone() } else { answer("200 OK", none) };
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
        // 49 or 50 steps: all at once, and then each half.
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert_eq!((store.missing(), store.source()), (None, "prometheus"));
        store.failed("it burns".to_owned());
        assert!(store.notices()[0].ends_with("it burns"));
    }
}
