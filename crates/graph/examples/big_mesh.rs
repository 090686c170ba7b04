//! How long the graph of a big mesh takes, and what the store of its last hour costs. In: the number of workloads
//! (1000), of edges (5000) and of rounds (50). Out: p50, p99 and the longest of each type of graph, of its
//! JSON and of the course of a node, in milliseconds. Run it with `--release`.

use std::hint::black_box;
use std::time::Instant;

use lateen_graph::graph::{Query, graph};
use lateen_graph::key::{Key, Party, Protocol, Service};
use lateen_graph::kiali::{TcpRate, kiali};
use lateen_graph::point::Point;
use lateen_graph::series::series;
use lateen_graph::store::{KEPT, STEP, Store};
use lateen_graph::text::text;
use lateen_graph::view::GraphType;
use lateen_telemetry::labels::Reporter;

/// The last step is in the middle of the store's chunks of five minutes, neither their best place nor their worst.
const START: u64 = 1_800_000_150;
const LIMIT: usize = 256 << 20;

fn party(index: usize) -> Party {
    Party {
        cluster: "Kubernetes".into(),
        namespace: format!("team-{}", index % 20).into(),
        workload: format!("workload-{index}").into(),
        app: format!("app-{}", index / 2).into(),
        version: format!("v{}", index % 2).into(),
        principal: "".into(),
    }
}

/// An edge as both ends report it.
fn keys(workloads: usize, edge: usize) -> [Key; 2] {
    let (from, to) = (edge % workloads, (edge * 7 + edge / workloads + 1) % workloads);
    let namespace = format!("team-{}", to % 20);
    let service = Service {
        host: format!("app-{}.{namespace}.svc.cluster.local", to / 2).into(),
        name: format!("app-{}", to / 2).into(),
        namespace: namespace.into(),
    };
    [Reporter::Source, Reporter::Destination].map(|reporter| Key {
        reporter,
        source: party(from),
        destination: party(to),
        service: service.clone(),
        protocol: Protocol::Tcp,
        mutual_tls: false,
        flags: "".into(),
        code: "".into(),
    })
}

fn filled(workloads: usize, edges: usize) -> Store {
    let mut store = Store::new(LIMIT, START);
    let all: Vec<Key> = (0..edges).flat_map(|edge| keys(workloads, edge)).collect();
    for step in 0..u64::from(KEPT) {
        for (index, key) in all.iter().enumerate() {
            let count = (index as u64 + step) % 50;
            let point = Point {
                opened: count,
                closed: count,
                sent: count * 900,
                received: count * 12_000,
                ..Point::default()
            };
            store.add(START + step * STEP, key.clone(), &point);
        }
    }
    store
}

fn main() {
    let mut arguments = std::env::args().skip(1).map_while(|word| word.parse::<usize>().ok());
    let mut next = |or: usize| arguments.next().unwrap_or(or).max(1);
    let (workloads, edges, rounds) = (next(1000), next(5000), next(50));
    let store = filled(workloads, edges);
    let fill = store.fill();
    let (oldest, now) = store.range();
    println!(
        "{workloads} workloads, {edges} edges, {} steps: {:.1} MiB of {} MiB",
        now - oldest + 1,
        fill.bytes as f64 / f64::from(1 << 20),
        fill.limit >> 20
    );
    for (name, r#type) in [
        ("workload", GraphType::Workload),
        ("app", GraphType::App),
        ("versionedApp", GraphType::VersionedApp),
        ("service", GraphType::Service),
    ] {
        for duration in [60, 3600] {
            let query = query(r#type, duration, now);
            measure(&format!("{name} over {duration} s"), rounds, || graph(&store, &query));
        }
    }
    let query = query(GraphType::VersionedApp, 60, now);
    let graph = graph(&store, &query);
    println!("{} nodes, {} edges", graph.nodes.len(), graph.edges.len());
    let lateen = || serde_json::to_vec(&graph).unwrap_or_default();
    let kiali = || serde_json::to_vec(&kiali(&graph, None, TcpRate::Sent)).unwrap_or_default();
    println!("JSON of Lateen {} bytes, of Kiali {} bytes", lateen().len(), kiali().len());
    measure("JSON of Lateen", rounds, lateen);
    measure("JSON of Kiali", rounds, kiali);
    measure("text", rounds, || text(&graph));
    let node = &graph.nodes[graph.nodes.len() / 2].id;
    measure("series of one node over 60 s", rounds, || series(&store, node, &query));
}

fn query(r#type: GraphType, duration: u64, at: u32) -> Query {
    let (namespaces, confined_to) = (None, None);
    Query { r#type, namespaces, confined_to, duration, at, services: true, idle: false }
}

fn measure<R>(what: &str, rounds: usize, work: impl Fn() -> R) {
    let round = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64() * 1000.0
    };
    let mut times: Vec<f64> = (0..rounds).map(round).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(50), at(99), at(100));
}
