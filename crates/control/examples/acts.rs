//! How long it takes to find what acts on what in a big mesh. In: the number of workloads (1000) and of rounds (20).
//! Out: p50 and the longest, in milliseconds. Run it with `--release`.
//!
//! Two workloads are the versions of an application, each with two instances; an application has a Service, a
//! VirtualService and a DestinationRule, every fifth an AuthorizationPolicy; a namespace of fifty workloads has a
//! PeerAuthentication and a Sidecar.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::{Key, object_ref, parse};
use lateen_control::acts::{Acts, Connected, Reach};
use lateen_control::findings::Count;
use lateen_model::host::Domain;
use lateen_model::{Change, World};
use lateen_translate::Role;
use serde_json::{Value, json};

const INSTANCES: usize = 2;
const OF_NAMESPACE: usize = 50;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map_while(|word| word.parse::<usize>().ok());
    let mut next = |or: usize| arguments.next().unwrap_or(or).max(1);
    let (workloads, rounds) = (next(1000), next(20));
    let (mut world, mut reaches) = (World::new(), Vec::new());
    for object in (0..workloads).flat_map(objects) {
        let api_version = object["apiVersion"].as_str().context("no apiVersion")?.to_owned();
        let (group, version) = split_api_version(&api_version);
        let kind = object["kind"].as_str().and_then(|kind| by_kind(group, kind));
        let kind = kind.context("no such kind")?;
        if !group.is_empty() {
            let named = object_ref(kind, &object);
            let key = Key { kind, namespace: named.namespace, name: named.name };
            reaches.push((key, Arc::new(Reach::read(kind, &object, &Domain::default()))));
        }
        let (resource, issues) = parse(kind, version, object);
        world.apply(Change::Put(Box::new(resource.with_context(|| format!("{issues:?}"))?)));
    }
    let snapshot = world.snapshot();
    let connected = connected(workloads);
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            black_box(Acts::new(&snapshot, &reaches, |_| Count::default(), &connected));
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{workloads} workloads of {INSTANCES}, {} objects: p50 {:.1} ms, longest {:.1} ms",
        reaches.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    Ok(())
}

/// The objects that come with a workload.
fn objects(index: usize) -> Vec<Value> {
    let (app, namespace) = (format!("app-{}", index / 2), format!("team-{}", index / OF_NAMESPACE));
    let object = |group: &str, kind: &str, name: &str, spec: Value| {
        let version =
            if group.is_empty() { "v1".to_owned() } else { format!("{group}.istio.io/v1") };
        json!({"apiVersion": version, "kind": kind, "spec": spec,
               "metadata": {"name": name, "namespace": namespace}})
    };
    let mut all: Vec<Value> = (0..INSTANCES)
        .map(|instance| {
            let address = (index * INSTANCES + instance) as u32;
            let address = std::net::Ipv4Addr::from_bits((10 << 24) + 256 + address);
            let labels = json!({"app": app, "version": format!("v{}", index % 2)});
            let spec = json!({"address": address.to_string(), "labels": labels});
            object("networking", "WorkloadEntry", &format!("{app}-{index}-{instance}"), spec)
        })
        .collect();
    if index.is_multiple_of(OF_NAMESPACE) {
        all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        let strict = json!({"mtls": {"mode": "STRICT"}});
        all.push(object("security", "PeerAuthentication", "default", strict));
        let sidecar = json!({"egress": [{"hosts": ["./*"]}]});
        all.push(object("networking", "Sidecar", "default", sidecar));
    }
    if index.is_multiple_of(2) {
        let ports = json!([{"port": 80, "name": "tcp"}]);
        all.push(object("", "Service", &app, json!({"ports": ports, "selector": {"app": app}})));
        let subset = |version: &str| json!({"name": version, "labels": {"version": version}});
        let rule = json!({"host": app, "subsets": [subset("v0"), subset("v1")]});
        all.push(object("networking", "DestinationRule", &app, rule));
        let to =
            |subset: &str| json!({"destination": {"host": app, "subset": subset}, "weight": 50});
        let route = json!({"hosts": [app], "tcp": [{"route": [to("v0"), to("v1")]}]});
        all.push(object("networking", "VirtualService", &app, route));
    }
    if index.is_multiple_of(10) {
        let policy = json!({"selector": {"matchLabels": {"app": app}}});
        all.push(object("security", "AuthorizationPolicy", &app, policy));
    }
    all
}

fn connected(workloads: usize) -> Connected {
    let names = (0..workloads).flat_map(|index| (0..INSTANCES).map(move |one| (index, one)));
    let key = |(index, one): (usize, usize)| {
        let name = format!("app-{}-{index}-{one}", index / 2);
        ((format!("team-{}", index / OF_NAMESPACE), name), Role::Sidecar)
    };
    names.map(key).collect()
}
