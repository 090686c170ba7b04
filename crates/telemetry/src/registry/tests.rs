//! Series that are counted, reported, shown and forgotten.

use super::{Label, Labels, Metric, Registry, View};
use crate::exposition::{Exposition, Format};

fn labels(value: &str) -> Labels {
    [Label { name: "source_workload".into(), value: value.into() }].into()
}

fn page(registry: &Registry) -> String {
    let mut out = Exposition::new(Format::Text);
    registry.write(&mut out);
    String::from_utf8(out.finish()).unwrap()
}

#[test]
fn equal_labels_are_one_series() {
    let registry = Registry::new(10);
    registry.counter(Metric::TcpOpened, &labels("a")).add(2);
    registry.counter(Metric::TcpOpened, &labels("a")).add(1);
    registry.histogram(Metric::RequestDuration, &labels("a")).record(3.0);
    let page = page(&registry);
    assert!(page.contains("\nistio_tcp_connections_opened_total{source_workload=\"a\"} 3\n"));
    assert!(
        page.contains("\nistio_request_duration_milliseconds_count{source_workload=\"a\"} 1\n")
    );
    assert!(page.contains("\nlateen_metrics_series 2\n"), "{page}");
}

#[test]
fn what_finds_no_room_is_counted_and_said() {
    let registry = Registry::new(4);
    for name in ["a", "b", "c", "d", "e"] {
        registry.counter(Metric::TcpClosed, &labels(name)).add(1);
    }
    let page = page(&registry);
    assert!(page.contains("{source_workload=\"c\"} 1\n"));
    assert!(page.contains("{source_workload=\"overflow\"} 2\n"), "{page}");
    assert!(page.contains("\nlateen_metrics_overflow_total 2\n"), "{page}");
    assert_eq!(registry.len(), 4);
}

#[test]
fn what_the_page_alone_sees_takes_no_place_of_reports_and_both_are_bounded() {
    let registry = Registry::new(100);
    for name in 0..200 {
        for metric in [Metric::TcpOpened, Metric::TcpClosed, Metric::TcpSent] {
            let own = Label { name: format!("tag-{name}").into(), value: "a".into() };
            registry.counter_for(View::Page, metric, &[own].into()).add(1);
        }
    }
    assert_eq!(registry.len(), 100);
    registry.counter_for(View::Report, Metric::TcpOpened, &labels("late")).add(1);
    registry.counter(Metric::TcpOpened, &labels("later")).add(1);
    let mut out = Exposition::new(Format::Text);
    registry.changes(&mut out);
    let told = String::from_utf8(out.finish()).unwrap();
    for name in ["late", "later"] {
        assert!(told.contains(&format!("{{source_workload=\"{name}\"}} 1\n")), "{told}");
    }
    for name in 0..200 {
        registry.counter(Metric::TcpClosed, &labels(&name.to_string())).add(1);
    }
    assert_eq!(registry.len(), 100 + 75 + 1, "one stands for all that found no room");
}

#[test]
fn a_series_with_long_labels_takes_several_places_and_gives_them_back() {
    let registry = Registry::new(400);
    let fat = |name: usize| -> Labels {
        let tag = |tag: usize| Label {
            name: format!("tag{tag}").into(),
            value: format!("{name}{}", "q".repeat(500)).into(),
        };
        (0..100).map(tag).collect()
    };
    for name in 0..100 {
        registry.counter_for(View::Page, Metric::TcpOpened, &fat(name)).add(1);
    }
    let bytes = |page: &str| page.len() < 400 * 2048;
    let full = page(&registry);
    assert!(bytes(&full) && registry.len() < 20, "{} series", registry.len());
    assert!(
        full.contains("tag7=\"overflow\"") && !full.contains("\nlateen_metrics_series 1"),
        "{full}"
    );
    registry.sweep(0);
    assert_eq!(registry.len(), 0);
    assert!(page(&registry).contains("\nlateen_metrics_series 0\n"));
}

#[test]
fn what_finds_no_room_keeps_the_end_that_reports_it_and_its_flags() {
    let registry = Registry::new(4);
    let pairs = [
        ("reporter", "source"),
        ("source_workload", "client"),
        ("source_workload_namespace", "shop"),
        ("destination_workload", ""),
        ("destination_workload_namespace", "jobs"),
        ("destination_service", "job.jobs.svc.cluster.local"),
        ("response_flags", "UF"),
    ];
    for job in ["a", "b", "c", "d", "e"] {
        let value = |value: &'static str| if value.is_empty() { job } else { value };
        let labels = pairs.map(|(name, of)| Label { name: name.into(), value: value(of).into() });
        registry.counter(Metric::TcpOpened, &labels.into()).add(1);
    }
    let own = "reporter=\"source\",source_workload=\"client\",source_workload_namespace=\"shop\"";
    let other = "destination_workload=\"overflow\",destination_workload_namespace=\"unknown\"";
    let rest = "destination_service=\"unknown\",response_flags=\"UF\"} 2\n";
    let page = page(&registry);
    assert!(page.contains(&format!("{{{own},{other},{rest}")), "{page}");
}

#[test]
fn what_a_page_has_no_room_for_keeps_what_nobody_has_changed() {
    let registry = Registry::new(4);
    let labels = |pairs: &[(&'static str, &str)]| -> Labels {
        let label = |(name, value): &(&'static str, &str)| Label {
            name: (*name).into(),
            value: (*value).into(),
        };
        pairs.iter().map(label).collect()
    };
    let standard = [
        ("reporter", "source"),
        ("source_workload", "client"),
        ("destination_workload", "server"),
        ("request_protocol", "tcp"),
    ];
    for port in ["1", "2", "3", "4", "5"] {
        let mut changed = standard.to_vec();
        changed[3].1 = port;
        changed.push(("src", port));
        let standard = labels(&standard);
        registry.changed_counter(Metric::TcpOpened, &labels(&changed), &standard).add(1);
    }
    let kept = "reporter=\"source\",source_workload=\"client\",destination_workload=\"overflow\"";
    let rest = "request_protocol=\"overflow\",src=\"overflow\"} 2\n";
    let page = page(&registry);
    assert!(page.contains(&format!("{{{kept},{rest}")), "{page}");
}

#[test]
fn the_page_has_one_sample_for_equal_labels_among_many() {
    let registry = Registry::new(1000);
    for name in 0..100 {
        let name = labels(&name.to_string());
        registry.counter(Metric::TcpOpened, &name).add(1);
        registry.counter_for(View::Page, Metric::TcpOpened, &name).add(2);
    }
    let page = page(&registry);
    for name in 0..100 {
        let sample = format!("{{source_workload=\"{name}\"}} ");
        let found: Vec<_> = page.lines().filter(|line| line.contains(&sample)).collect();
        assert!(matches!(found[..], [one] if one.ends_with("} 3")), "{found:?}");
    }
}

#[test]
fn a_page_in_pieces_is_the_page() {
    let registry = Registry::new(1000);
    for name in 0..100 {
        registry.counter(Metric::TcpOpened, &labels(&name.to_string())).add(name);
        registry.counter(Metric::TcpClosed, &labels(&name.to_string())).add(name);
    }
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let mut whole = Exposition::new(format);
        registry.unwritten().write(&mut whole, usize::MAX);
        let (mut left, mut out) = (registry.unwritten(), Exposition::new(format));
        let mut pieces = Vec::new();
        while left.write(&mut out, 100) {
            pieces.push(out.take());
        }
        assert!(pieces.len() > 1 || format == Format::Protobuf, "{format:?}");
        pieces.push(out.finish());
        assert_eq!(pieces.concat(), whole.finish(), "{format:?}");
    }
}

#[test]
fn changes_are_what_came_since_they_were_asked_for() {
    let registry = Registry::new(10);
    let changes = || {
        let mut out = Exposition::new(Format::Text);
        registry.changes(&mut out);
        let page = String::from_utf8(out.finish()).unwrap();
        let samples =
            page.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
        samples.map(str::to_owned).collect::<Vec<_>>()
    };
    registry.counter(Metric::TcpOpened, &labels("a")).add(2);
    let histogram = registry.histogram(Metric::RequestDuration, &labels("a"));
    histogram.record(4.0);
    assert_eq!(changes().len(), 3);
    assert_eq!(changes(), Vec::<String>::new());
    registry.counter(Metric::TcpOpened, &labels("a")).add(5);
    histogram.record(1.5);
    let name = "istio_request_duration_milliseconds";
    let expected = [
        format!("{name}_sum{{source_workload=\"a\"}} 1.5"),
        format!("{name}_count{{source_workload=\"a\"}} 1"),
        "istio_tcp_connections_opened_total{source_workload=\"a\"} 5".to_owned(),
    ];
    assert_eq!(changes(), expected);
}

#[test]
fn connections_stand_that_were_told_as_opened_and_not_as_closed() {
    let registry = Registry::new(10);
    let with = |flags: &str| -> Labels {
        let label =
            |name: &'static str, value: &str| Label { name: name.into(), value: value.into() };
        [label("source_workload", "a"), label("response_flags", flags)].into()
    };
    let count =
        |view, metric, flags, more| registry.counter_for(view, metric, &with(flags)).add(more);
    let tell = || registry.changes(&mut Exposition::new(Format::Text));
    let standing = || registry.standing().get(&with("-")).copied();
    count(View::All, Metric::TcpOpened, "-", 5);
    count(View::Page, Metric::TcpOpened, "-", 100);
    assert_eq!(standing(), None, "nobody was told");
    tell();
    assert_eq!(standing(), Some(5));
    count(View::Report, Metric::TcpClosed, "UF", 2);
    count(View::All, Metric::TcpSent, "-", 9);
    assert_eq!(standing(), Some(5));
    tell();
    assert_eq!(standing(), Some(3));
    count(View::All, Metric::TcpClosed, "-", 3);
    tell();
    assert!(registry.standing().is_empty());
}

#[test]
fn a_series_is_seen_by_those_whom_it_is_for() {
    let registry = Registry::new(10);
    registry.counter(Metric::TcpOpened, &labels("a")).add(2);
    registry.counter_for(View::Page, Metric::TcpOpened, &labels("a")).add(5);
    registry.counter_for(View::Report, Metric::TcpOpened, &labels("b")).add(7);
    let name = "istio_tcp_connections_opened_total{source_workload=";
    let page = page(&registry);
    assert!(page.contains(&format!("\n{name}\"a\"}} 7\n")), "{page}");
    assert!(!page.contains(&format!("{name}\"b\"")), "{page}");
    let mut out = Exposition::new(Format::Text);
    registry.changes(&mut out);
    let told = String::from_utf8(out.finish()).unwrap();
    assert!(told.contains(&format!("\n{name}\"a\"}} 2\n")), "{told}");
    assert!(told.contains(&format!("\n{name}\"b\"}} 7\n")), "{told}");
}

#[test]
fn series_that_nobody_holds_make_room_when_it_is_needed() {
    let registry = Registry::new(4);
    let held = registry.counter(Metric::TcpOpened, &labels("held"));
    for name in ["a", "b"] {
        registry.counter(Metric::TcpOpened, &labels(name)).add(1);
    }
    registry.sweep(2);
    registry.counter(Metric::TcpOpened, &labels("a")).add(1);
    registry.sweep(2);
    registry.sweep(2);
    assert_eq!(registry.len(), 2, "b is forgotten: {}", page(&registry));
    registry.sweep(2);
    assert_eq!(registry.len(), 2, "there is room again");
    held.add(1);
}
