//! A page of requests, as a proxy's registry writes it: until proxies see requests themselves, it stands in for them.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use lateen_telemetry::exposition::{Exposition, Format};
use lateen_telemetry::labels::{Facts, Reporter, Response, Security, Service};
use lateen_telemetry::peer::Peer;
use lateen_telemetry::registry::Registry;
use lateen_telemetry::standard::Metric;

/// Milliseconds of the requests that come with each scrape, for each response code.
const DURATIONS: [f64; 3] = [2.0, 30.0, 400.0];
pub const MEDIAN: f64 = 30.0;
const CODES: [u16; 3] = [200, 404, 503];

/// What has been asked so far; each scrape brings more until it is stopped.
pub struct Requests {
    scrapes: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
}

impl Requests {
    /// No more come.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Requests that servers have reported.
    pub fn count(&self) -> u64 {
        self.scrapes.load(Ordering::SeqCst) * (DURATIONS.len() * CODES.len()) as u64
    }

    /// How long they took together.
    pub fn milliseconds(&self) -> f64 {
        let all: f64 = DURATIONS.iter().sum();
        self.scrapes.load(Ordering::SeqCst) as f64 * all * CODES.len() as f64
    }
}

/// Serves the page at an address of the machine.
pub fn serve(address: &str, port: u16) -> Result<Requests> {
    let listener = TcpListener::bind((address, port)).context("the page of requests")?;
    let (scrapes, stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let requests = Requests { scrapes: scrapes.clone(), stopped: stopped.clone() };
    std::thread::spawn(move || {
        let registry = Registry::new(1000);
        super::serve_pages(&listener, |head| {
            if !stopped.load(Ordering::SeqCst) {
                scrapes.fetch_add(1, Ordering::SeqCst);
                record(&registry);
            }
            let accept = head.lines().find_map(|line| line.strip_prefix("Accept:"));
            let mut page = Exposition::new(Format::negotiate(accept.map(str::trim)));
            registry.write(&mut page);
            (page.format().content_type(), page.finish())
        });
    });
    Ok(requests)
}

/// Requests from the gateway to the pod, as both report them, and from the pod to the echo server.
fn record(registry: &Registry) {
    let gateway = Peer::from_compact(
        "istio-ingressgateway;istio-system;istio-ingressgateway;latest;Kubernetes",
    );
    let web = Peer::from_compact("web;default;web;v1;Kubernetes");
    let server = Peer::from_compact("echo-server;default;echo-server;v1;Kubernetes");
    request(registry, Reporter::Source, [&gateway, &web], "web");
    request(registry, Reporter::Destination, [&gateway, &web], "web");
    request(registry, Reporter::Source, [&web, &server], "tcp-echo-server");
}

fn request(registry: &Registry, reporter: Reporter, [source, destination]: [&Peer; 2], name: &str) {
    let host = format!("{name}.default.svc.cluster.local");
    let service = Service { host: host.into(), name: name.into(), namespace: "default".into() };
    for code in CODES {
        let facts = Facts {
            reporter,
            source,
            destination,
            service: &service,
            protocol: "http",
            response: Some(Response { code, grpc: None }),
            flags: "-".into(),
            security: Security::Unknown,
        };
        let labels = facts.labels();
        for duration in DURATIONS {
            registry.counter(Metric::Requests, &labels).add(1);
            registry.histogram(Metric::RequestDuration, &labels).record(duration);
            registry.histogram(Metric::RequestSize, &labels).record(100.0);
            registry.histogram(Metric::ResponseSize, &labels).record(1000.0);
        }
    }
}
