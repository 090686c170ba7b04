//! What the control plane makes of its own test cases compiles here, whole.

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener};
use envoy_types::pb::google::protobuf::{Struct, Value as Field, value::Kind};
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::parse;
use lateen_api::xds::ResourceType;
use lateen_model::{Change, Snapshot, World};
use lateen_testkit::fuzz::{self, fuzz};
use lateen_translate::{Proxy, Want, translate};
use prost::Message;
use serde_json::{Value, json};

use crate::{compile_cluster, compile_endpoints, compile_listener};

/// Adds what a user may well set for the whole mesh.
const KEEPALIVE: &str = r#"{
    "apiVersion": "v1", "kind": "ConfigMap",
    "metadata": {"name": "istio", "namespace": "istio-system"},
    "data": {"mesh": "tcpKeepalive:\n  probes: 3\n  time: 10s\n  interval: 5s\naccessLogFile: /dev/stdout\naccessLogFormat: '[%START_TIME(%s)%] %REQ(x)%'\n"}
}"#;

fn field(value: &Value) -> Field {
    let kind = match value {
        Value::Object(members) => Kind::StructValue(Struct {
            fields: members.iter().map(|(name, value)| (name.clone(), field(value))).collect(),
        }),
        other => Kind::StringValue(other.as_str().unwrap().to_owned()),
    };
    Field { kind: Some(kind) }
}

fn node(spec: &Value) -> Node {
    let mut metadata = spec["metadata"].as_object().cloned().unwrap_or_default();
    let labels = spec["labels"].as_object().cloned().unwrap_or_default();
    metadata.insert("LABELS".to_owned(), Value::Object(labels));
    let fields = metadata.iter().map(|(name, value)| (name.clone(), field(value))).collect();
    Node {
        id: spec["id"].as_str().unwrap().to_owned(),
        metadata: Some(Struct { fields }),
        ..Node::default()
    }
}

fn put(world: &mut World, mut object: Value) {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.entry("namespace").or_insert_with(|| "default".into());
    let api_version = object["apiVersion"].as_str().unwrap().to_owned();
    let (group, version) = split_api_version(&api_version);
    let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
    let (resource, issues) = parse(kind, version, object);
    assert!(issues.is_empty(), "{issues:?}");
    world.apply(Change::Put(Box::new(resource.unwrap())));
}

fn compile_all(case: &str, snapshot: &Arc<Snapshot>, proxy: &Proxy) -> usize {
    let bodies = |kind| translate(snapshot, proxy, kind, Want::All).resources.into_iter();
    let mut compiled = 0;
    for resource in bodies(ResourceType::Listener) {
        let listener = Listener::decode(resource.body.value.as_slice()).unwrap();
        let made = compile_listener(&listener).unwrap_or_else(|reject| panic!("{case}: {reject}"));
        // First bytes are waited for only where a chain is chosen by them.
        let names = |chain: &FilterChain| {
            chain.filter_chain_match.as_ref().is_some_and(|m| !m.server_names.is_empty())
        };
        assert_eq!(made.inspection.is_some(), listener.filter_chains.iter().any(names), "{case}");
        compiled += 1;
    }
    for resource in bodies(ResourceType::Cluster) {
        let cluster = Cluster::decode(resource.body.value.as_slice()).unwrap();
        compile_cluster(&cluster).unwrap_or_else(|reject| panic!("{case}: {reject}"));
        compiled += 1;
    }
    for resource in bodies(ResourceType::Endpoint) {
        let endpoints = ClusterLoadAssignment::decode(resource.body.value.as_slice()).unwrap();
        let endpoints = compile_endpoints(&endpoints);
        let endpoints = endpoints.unwrap_or_else(|reject| panic!("{case}: {reject}"));
        assert!(endpoints.notes.is_empty(), "{case}: {:?}", endpoints.notes);
    }
    compiled
}

/// The translation's test cases: a name, the proxy, and its objects.
fn cases() -> Vec<(String, Proxy, Vec<Value>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../translate/testdata");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut documents = text.split("\n---\n").map(|d| serde_saphyr::from_str(d).unwrap());
        let proxy = Proxy::from_node(&node(&documents.next().unwrap())).unwrap();
        let case = path.file_stem().unwrap().to_string_lossy().into_owned();
        cases.push((case, proxy, documents.collect()));
    }
    assert!(cases.len() > 5, "the cases have moved");
    cases
}

#[test]
fn every_resource_of_the_translation_is_taken_with_and_without_mesh_settings() {
    for (case, proxy, objects) in cases() {
        let mut world = World::new();
        objects.into_iter().for_each(|object| put(&mut world, object));
        assert!(compile_all(&case, &world.snapshot(), &proxy) > 0, "{case}: nothing to compile");
        put(&mut world, serde_json::from_str(KEEPALIVE).unwrap());
        compile_all(&case, &world.snapshot(), &proxy);
    }
}

/// Takes an object as the control plane does, however little sense it makes.
fn put_anything(world: &mut World, object: &Value) {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = split_api_version(api_version);
    let Some(kind) = by_kind(group, object["kind"].as_str().unwrap_or_default()) else { return };
    if let (Some(resource), _) = parse(kind, version, object.clone()) {
        world.apply(Change::Put(Box::new(resource)));
    }
}

#[test]
fn objects_that_make_no_sense_harm_neither_the_translation_nor_the_proxy() {
    let cases = cases();
    let samples = cases.iter().enumerate().map(|(at, (_, _, objects))| json!([at, objects]));
    fuzz(400, fuzz::objects(samples.collect()), |sample| {
        let at = sample[0].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
        let Some((case, proxy, _)) = cases.get(at) else { return };
        let mut world = World::new();
        let objects = sample[1].as_array().map_or(&[][..], Vec::as_slice);
        objects.iter().for_each(|object| put_anything(&mut world, object));
        compile_all(case, &world.snapshot(), proxy);
    });
}

#[test]
fn broken_resources_are_refused_and_never_a_panic() {
    let mut samples = Vec::new();
    for (_, proxy, objects) in cases() {
        let mut world = World::new();
        objects.into_iter().for_each(|object| put(&mut world, object));
        for kind in [ResourceType::Listener, ResourceType::Cluster, ResourceType::Endpoint] {
            let resources = translate(&world.snapshot(), &proxy, kind, Want::All).resources;
            samples.extend(resources.into_iter().map(|resource| resource.body.value));
        }
    }
    fuzz(4000, fuzz::bytes(samples), |bytes| {
        let _ = Listener::decode(bytes.as_slice()).map(|message| compile_listener(&message));
        let _ = Cluster::decode(bytes.as_slice()).map(|message| compile_cluster(&message));
        let _ = ClusterLoadAssignment::decode(bytes.as_slice()).map(|m| compile_endpoints(&m));
    });
}
