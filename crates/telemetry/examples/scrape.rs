//! How long a scrape takes. In: the number of series (2000) and of rounds (200). Out: p50, p99 and the longest of
//! each format, in milliseconds, and the size of the page. Run it with `--release`.

use std::hint::black_box;
use std::time::Instant;

use lateen_telemetry::exposition::{Exposition, Format};
use lateen_telemetry::labels::{Facts, Reporter, Security, Service};
use lateen_telemetry::peer::Peer;
use lateen_telemetry::registry::Registry;
use lateen_telemetry::standard::Metric;

fn filled(series: usize) -> Registry {
    let registry = Registry::new(series);
    let own = Peer::from_compact("client;shop;client;v1;Kubernetes");
    let metrics = [Metric::TcpOpened, Metric::TcpClosed, Metric::TcpReceived, Metric::TcpSent];
    for index in 0..series / metrics.len() {
        let peer = Peer::from_compact(&format!("server-{index};shop;server-{index};v1;Kubernetes"));
        let host = format!("server-{index}.shop.svc.cluster.local");
        let name = format!("server-{index}");
        let service = Service { host: host.into(), name: name.into(), namespace: "shop".into() };
        let facts = Facts {
            reporter: Reporter::Source,
            source: &own,
            destination: &peer,
            service: &service,
            protocol: "tcp",
            response: None,
            flags: "-".into(),
            security: Security::Unknown,
        };
        let labels = facts.labels();
        for metric in metrics {
            registry.counter(metric, &labels).add(index as u64 * 1000 + 1);
        }
    }
    registry
}

fn main() {
    let mut arguments = std::env::args().skip(1).map_while(|word| word.parse::<usize>().ok());
    let mut next = |or: usize| arguments.next().unwrap_or(or).max(1);
    let (series, rounds) = (next(2000), next(200));
    let registry = filled(series);
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let mut size = 0;
        let mut times: Vec<f64> = (0..rounds)
            .map(|_| {
                let start = Instant::now();
                let mut out = Exposition::new(format);
                registry.write(&mut out);
                size = black_box(out.finish()).len();
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        println!(
            "{series} series as {format:?}, {size} bytes: p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            at(50),
            at(99),
            at(100)
        );
    }
}
