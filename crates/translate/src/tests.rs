//! Golden tests: `testdata/<case>.yaml` holds objects and, as the first document, the proxy's node;
//! `<case>.golden` the resources in short. `UPDATE_GOLDEN=1` rewrites. Every case is also offered to
//! stock Envoy: the binary that `LATEEN_ENVOY` names, or the one that scripts/test-deps.sh installed.

mod view;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Struct, Value as PbValue, value};
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::parse;
use lateen_api::xds::ResourceType;
use lateen_model::host::Domain;
use lateen_model::{Change, Snapshot, World};
use serde_json::Value;

use super::{Named, Proxy, Want, mesh_issues, translate, validate};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn node(spec: &Value) -> Node {
    let text = |item: &str| PbValue { kind: Some(value::Kind::StringValue(item.to_owned())) };
    let labels = spec["labels"].as_object().cloned().unwrap_or_default();
    let labels = labels.iter().map(|(k, v)| (k.clone(), text(v.as_str().unwrap()))).collect();
    let labels = value::Kind::StructValue(Struct { fields: labels });
    let mut fields = HashMap::from([("LABELS".to_owned(), PbValue { kind: Some(labels) })]);
    for (key, item) in spec["metadata"].as_object().into_iter().flatten() {
        fields.insert(key.clone(), text(item.as_str().unwrap()));
    }
    Node {
        id: spec["id"].as_str().unwrap().to_owned(),
        cluster: "test".to_owned(),
        metadata: Some(Struct { fields }),
        ..Default::default()
    }
}

fn load(text: &str) -> (Node, std::sync::Arc<Snapshot>) {
    let mut documents = text.split("\n---\n");
    let first: Value = serde_saphyr::from_str(documents.next().unwrap()).unwrap();
    let domain = first["domain"].as_str().map(|domain| Domain::parse(domain).unwrap());
    let mut world = World::new().with_domain(domain.unwrap_or_default());
    for document in documents {
        let mut object: Value = serde_saphyr::from_str(document).unwrap();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.entry("namespace").or_insert_with(|| "default".into());
        let api_version = object["apiVersion"].as_str().unwrap().to_owned();
        let (group, version) = split_api_version(&api_version);
        let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
        let (resource, issues) = parse(kind, version, object);
        assert!(issues.is_empty(), "{issues:?}");
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    (node(&first), world.snapshot())
}

const TYPES: [ResourceType; 4] = [
    ResourceType::Listener,
    ResourceType::Cluster,
    ResourceType::Endpoint,
    ResourceType::NameTable,
];

fn check(case: &str) {
    let text = std::fs::read_to_string(directory().join(format!("{case}.yaml"))).unwrap();
    let (node, snapshot) = load(&text);
    let proxy = Proxy::from_node(&node).unwrap();
    let outputs = TYPES.map(|kind| translate(&snapshot, &proxy, kind, Want::All));
    by_name_is_the_same(&snapshot, &proxy);
    let mut shown = String::new();
    let mut issues: BTreeSet<String> = BTreeSet::new();
    for (kind, output) in TYPES.iter().zip(&outputs) {
        shown.push_str(&view::show(*kind, &output.resources));
        issues.extend(output.issues.iter().map(ToString::to_string));
    }
    issues.extend(mesh_issues(&snapshot).iter().map(ToString::to_string));
    for issue in issues {
        shown.push_str(&format!("issue: {issue}\n"));
    }
    stock_envoy_takes(case, node, &outputs.map(|output| output.resources));
    let path = directory().join(format!("{case}.golden"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, golden, "{case}: read the difference, then UPDATE_GOLDEN=1");
}

/// On demand, a proxy gets the very bytes that a full subscription gives.
fn by_name_is_the_same(snapshot: &Snapshot, proxy: &Proxy) {
    for kind in [ResourceType::Listener, ResourceType::Cluster, ResourceType::Endpoint] {
        let all = translate(snapshot, proxy, kind, Want::All).resources;
        let names: BTreeSet<String> = all.iter().map(|named| named.name.clone()).collect();
        let named = translate(snapshot, proxy, kind, Want::Names(&names)).resources;
        assert_eq!(all, named, "{kind:?}");
    }
}

/// A binary that is named must be there; the installed one may be missing.
fn stock_envoy() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LATEEN_ENVOY") {
        return Some(named.into());
    }
    let cache = std::env::var_os("LATEEN_CACHE").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cache = cache.unwrap_or_else(|| root.join(".cache"));
    let pythons = std::fs::read_dir(cache.join("venv/lib")).into_iter().flatten().flatten();
    let installed = pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    std::iter::once(cache.join("bin/envoy")).chain(installed).find(|path| path.is_file())
}

fn stock_envoy_takes(case: &str, node: Node, resources: &[Vec<Named>; 4]) {
    let Some(envoy) = stock_envoy() else {
        let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!ci, "CI must check {case} with stock Envoy: run scripts/test-deps.sh first");
        eprintln!("SKIPPED: no stock Envoy to check {case} with: run scripts/test-deps.sh");
        return;
    };
    let [listeners, clusters, endpoints, _] = resources;
    let bytes = validate::static_bootstrap(node, clusters, endpoints, listeners).unwrap();
    let file = tempfile::Builder::new().suffix(".pb").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut command = std::process::Command::new(envoy);
    command.args(["--mode", "validate", "--log-level", "error", "-c"]).arg(file.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
}

macro_rules! golden {
    ($($name:ident,)*) => { $(#[test] fn $name() { check(stringify!($name)); })* };
}

golden! {
    echo_gateway, echo_sidecar, echo_client, weights, conflict, unknown_host, export_to, headless, health,
    cluster_domain, mysql, registry_only, sidecar_scope, bind, automatic_addresses, root_namespace_rule,
    gateway_visibility, two_bindings, kinds_of_routes, external_name, references, passthrough, sidecar_tls,
    tproxy, dual_stack, telemetry, telemetry_of_nobody, telemetry_to_nobody,
    access_log_service, access_log_service_of_nobody,
    labelled_endpoints, hosts_of_one_entry, default_traffic_policy,
}

#[test]
fn names_are_answered_in_every_form_and_unknown_ones_are_not() {
    let text = std::fs::read_to_string(directory().join("echo_client.yaml")).unwrap();
    let (node, snapshot) = load(&text);
    let proxy = Proxy::from_node(&node).unwrap();
    let names = [
        "tcp-echo-server",
        "tcp-echo-server.default",
        "tcp-echo-server.default.svc",
        "tcp-echo-server.default.svc.cluster.local",
        "example.com",
        "tcp-echo-server.other",
    ];
    let names: BTreeSet<String> = names.map(str::to_owned).into();
    let found = translate(&snapshot, &proxy, ResourceType::NameTable, Want::Names(&names));
    let found: Vec<&str> = found.resources.iter().map(|named| named.name.as_str()).collect();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|name| name.starts_with("tcp-echo-server")));
    assert!(!found.contains(&"tcp-echo-server.other"));
}

#[test]
fn without_dns_capture_a_name_has_no_automatic_address() {
    let text = std::fs::read_to_string(directory().join("automatic_addresses.yaml")).unwrap();
    let (node, snapshot) = load(&text.replace(", DNS_CAPTURE: \"true\"", ""));
    let proxy = Proxy::from_node(&node).unwrap();
    assert!(!proxy.dns_capture);
    let names = BTreeSet::from(["one.db".to_owned()]);
    let found = translate(&snapshot, &proxy, ResourceType::NameTable, Want::Names(&names));
    assert!(found.resources.is_empty(), "{:?}", found.resources);
    let listeners = translate(&snapshot, &proxy, ResourceType::Listener, Want::All).resources;
    assert!(listeners.iter().all(|named| !named.name.starts_with("240.240.")));
}

/// The entry of one name, as it is sent to a proxy that asks for it.
fn name_info(case: &str, name: &str) -> Option<lateen_api::xds::NameInfo> {
    let text = std::fs::read_to_string(directory().join(format!("{case}.yaml"))).unwrap();
    let (node, snapshot) = load(&text);
    let proxy = Proxy::from_node(&node).unwrap();
    let names = BTreeSet::from([name.to_owned()]);
    let found = translate(&snapshot, &proxy, ResourceType::NameTable, Want::Names(&names));
    let body = found.resources.first()?.body.value.clone();
    let table = <lateen_api::xds::NameTable as prost::Message>::decode(body.as_slice()).unwrap();
    table.table.get(name).cloned()
}

/// The configuration of the stats filter on one listener of a proxy that has it.
fn counted(case: &str, listener: &str) -> lateen_telemetry::plugin::PluginConfig {
    use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
    let text = std::fs::read_to_string(directory().join(format!("{case}.yaml"))).unwrap();
    let (node, snapshot) = load(&text);
    let proxy = Proxy { counts_traffic: true, ..Proxy::from_node(&node).unwrap() };
    let names = BTreeSet::from([listener.to_owned()]);
    let found = translate(&snapshot, &proxy, ResourceType::Listener, Want::Names(&names));
    let body = found.resources.first().unwrap().body.value.as_slice();
    let listener = <Listener as prost::Message>::decode(body).unwrap();
    let filter = &listener.filter_chains.last().unwrap().filters[0];
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        panic!("{filter:?}")
    };
    prost::Message::decode(any.value.as_slice()).unwrap()
}

#[test]
fn a_side_counts_what_telemetry_says_of_it() {
    let shown = |listener: &str| {
        let config = counted("telemetry", listener);
        let metrics = config.metrics.iter().map(|one| {
            let mut tags: Vec<String> =
                one.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
            tags.extend(one.tags_to_remove.iter().map(|name| format!("-{name}")));
            let drop = if one.drop { " drop" } else { "" };
            format!("{}{drop} {}", one.name, tags.join(" "))
        });
        let interval = config.tcp_reporting_duration.map(|interval| interval.seconds);
        (interval, metrics.collect::<Vec<_>>())
    };
    let tags = "port=string(destination.port) -source_version";
    let server =
        ["tcp_connections_opened_total drop ".to_owned(), format!("tcp_sent_bytes_total {tags}")];
    assert_eq!(shown("virtualInbound"), (Some(15), server.to_vec()));
    assert_eq!(shown("virtualOutbound"), (Some(15), vec![format!("tcp_sent_bytes_total {tags}")]));
    let nothing = counted("telemetry_of_nobody", "virtualInbound").metrics;
    assert!(nothing.len() == 10 && nothing.iter().all(|metric| metric.drop), "{nothing:?}");
}

#[test]
fn an_external_name_is_an_alias_with_or_without_ports() {
    let alias = |name: &str| name_info("external_name", name).unwrap().alias;
    assert_eq!(alias("inside.default"), "echo.default.svc.cluster.local");
    assert_eq!(alias("outside.default.svc.cluster.local"), "db.example.com");
}

#[test]
fn a_headless_service_has_the_addresses_of_its_ready_endpoints_and_a_name_for_each() {
    let of = |name: &str| name_info("headless", name).map(|info| info.ips);
    assert_eq!(of("tcp-echo-server.default").unwrap(), ["10.244.0.2", "10.244.0.3"]);
    let full = "echo-server-2.tcp-echo-server.default.svc.cluster.local";
    assert_eq!(of(full).unwrap(), ["10.244.0.3"]);
    assert_eq!(of("echo-server.tcp-echo-server").unwrap(), ["10.244.0.2"]);
    assert_eq!(of("echo-server-3.tcp-echo-server"), None);
}
