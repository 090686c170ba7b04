//! What would be said, of objects next to others.

use std::collections::BTreeSet;
use std::sync::Arc;

use lateen_api::intent::Intent;
use lateen_api::issue::Issue;
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_model::service::Labels;
use lateen_model::{Change, World};
use lateen_runtime::pages::{Reader, Secret, User};
use serde_json::{Value, json};

use super::{Gateways, Outlook, PATIENCE, Present, Unanswered, WhatIf};
use crate::reading::reading;

const NO_SUBSET: &str =
    "VirtualService shop/v spec.tcp[0].route[0].destination.host: no destination rule defines";

fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": { "name": name, "namespace": "shop" }, "spec": spec,
    })
}

fn istio(kind: &str, name: &str, spec: Value) -> Value {
    object("networking.istio.io/v1", kind, name, spec)
}

fn route(host: &str, subset: &str) -> Value {
    let destination = json!({ "host": host, "subset": subset });
    istio(
        "VirtualService",
        "v",
        json!({ "hosts": ["echo"], "tcp": [{ "route": [{ "destination": destination }] }] }),
    )
}

fn rule(subset: &str, version: &str) -> Value {
    let subset = json!({ "name": subset, "labels": { "version": version } });
    istio("DestinationRule", "d", json!({ "host": "echo", "subsets": [subset] }))
}

/// A service with an endpoint in a subset, and a route to it.
fn shop() -> World {
    let ports = json!([{ "port": 80, "name": "tcp" }]);
    let labels = json!({ "app": "echo", "version": "v1" });
    let mut world = World::new();
    for object in [
        object("v1", "Service", "echo", json!({ "ports": ports, "selector": { "app": "echo" } })),
        istio("WorkloadEntry", "echo-1", json!({ "address": "10.0.0.1", "labels": labels })),
        rule("v1", "v1"),
        route("echo", "v1"),
    ] {
        let kind = kind(&object);
        world.apply(Change::Put(Box::new(reading(kind, object).resource.unwrap())));
    }
    world
}

fn kind(object: &Value) -> &'static lateen_api::kinds::Kind {
    let (group, _) = split_api_version(object["apiVersion"].as_str().unwrap());
    by_kind(group, object["kind"].as_str().unwrap()).unwrap()
}

/// Each with the first words of what is said.
fn lines(issues: &BTreeSet<Issue>) -> Vec<String> {
    let words = |text: &str| text.split(' ').take(4).collect::<Vec<_>>().join(" ");
    let line =
        |issue: &Issue| format!("{} {}: {}", issue.object, issue.path, words(&issue.message));
    issues.iter().map(line).collect()
}

/// As the writer gives it away.
fn present(mut world: World) -> Present {
    let said = lateen_translate::mesh_issues(&world.snapshot()).into();
    Present { world, said }
}

fn outlook(world: World, object: &Value, gateways: &[Labels]) -> Outlook {
    super::outlook(present(world), kind(object), Intent::Store(object.clone()), gateways)
}

/// What is said of the object, and of others, if it is saved in the shop.
fn check(object: Value, own: &[&str], others: &[&str]) {
    let outlook = outlook(shop(), &object, &[]);
    assert_eq!(lines(&outlook.own), own);
    assert_eq!(lines(&outlook.others), others);
}

#[test]
fn what_an_object_refers_to_and_is_not_there_is_told() {
    let host = "VirtualService shop/v spec.tcp[0].route[0].destination.host: no service is called";
    check(route("gone", ""), &[host], &[]);
    check(route("echo", "v2"), &[NO_SUBSET], &[]);
    check(route("echo", "v1"), &[], &[]);
}

#[test]
fn what_would_newly_be_wrong_with_others_is_told_and_what_is_wrong_already_is_not() {
    let empty =
        "DestinationRule shop/d spec.subsets[0].labels: no endpoint of echo.shop.svc.cluster.local";
    check(rule("v2", "v1"), &[], &[NO_SUBSET]);
    check(rule("v1", "v9"), &[empty], &[]);
    let labels = json!({ "app": "echo", "version": "v2" });
    let entry =
        istio("WorkloadEntry", "echo-1", json!({ "address": "10.0.0.1", "labels": labels }));
    check(entry.clone(), &[], &[empty]);
    let mut world = shop();
    let broken = reading(kind(&rule("v2", "v9")), rule("v2", "v9")).resource.unwrap();
    world.apply(Change::Put(Box::new(broken)));
    let outlook = outlook(world, &entry, &[]);
    assert_eq!(outlook.others, BTreeSet::new(), "the route was broken before");
}

#[test]
fn a_port_that_a_service_has_no_more_is_told_of_the_route_to_it() {
    let service = |port: u16| {
        let ports = json!([{ "port": port, "name": "tcp" }]);
        object("v1", "Service", "echo", json!({ "ports": ports, "selector": { "app": "echo" } }))
    };
    let to_port = "VirtualService shop/v spec.tcp[0].route[0].destination.host: echo.shop.svc.cluster.local has no TCP";
    let mut world = shop();
    let mut routed = route("echo", "v1");
    routed["spec"]["tcp"][0]["route"][0]["destination"]["port"] = json!({ "number": 80 });
    world.apply(Change::Put(Box::new(reading(kind(&routed), routed).resource.unwrap())));
    let kept = outlook(world.clone(), &service(80), &[]);
    assert_eq!(kept, Outlook::default());
    let moved = outlook(world, &service(81), &[]);
    assert_eq!(moved.own, BTreeSet::new());
    assert_eq!(lines(&moved.others), [to_port]);
}

#[test]
fn what_would_miss_an_object_that_goes_is_told() {
    let without = |object: Value| {
        let kind = kind(&object);
        let outlook = super::outlook(present(shop()), kind, Intent::Remove(object), &[]);
        assert_eq!(outlook.own, BTreeSet::new());
        lines(&outlook.others)
    };
    assert_eq!(without(rule("v1", "v1")), [NO_SUBSET]);
    assert_eq!(without(route("echo", "v1")), [""; 0]);
    let gone = without(object("v1", "Service", "echo", json!({})));
    let of_route =
        "VirtualService shop/v spec.tcp[0].route[0].destination.host: no service is called";
    assert!(gone.iter().any(|line| line == of_route), "{gone:?}");
    assert!(
        gone.iter().any(|line| line.starts_with("DestinationRule shop/d spec.host: ")),
        "{gone:?}"
    );
}

fn telemetry(name: &str, provider: &str) -> Value {
    let spec = json!({ "accessLogging": [{ "providers": [{ "name": provider }] }] });
    object("telemetry.istio.io/v1", "Telemetry", name, spec)
}

#[test]
fn providers_that_go_or_lead_nowhere_are_told_of_mesh_config_and_of_who_names_them() {
    let settings = |providers: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "istio", "namespace": "istio-system" },
            "data": { "mesh": format!("extensionProviders: [{providers}]") },
        })
    };
    let to = |host: &str| format!("{{name: als, envoyTcpAls: {{service: {host}, port: 80}}}}");
    let mut world = shop();
    for object in [settings(&to("echo.shop.svc.cluster.local")), telemetry("t", "als")] {
        world.apply(Change::Put(Box::new(reading(kind(&object), object).resource.unwrap())));
    }
    let look = |object: Value| outlook(world.clone(), &object, &[]);
    let of_user = "Telemetry shop/t spec.accessLogging[0].providers[0].name:";
    let lost = look(settings(&to("gone.example.com")));
    let field = "data.mesh.extensionProviders[0].envoyTcpAls.service";
    let own = format!("ConfigMap istio-system/istio {field}: nothing is sent to");
    assert_eq!(lines(&lost.own), [own]);
    assert_eq!(lines(&lost.others), [format!("{of_user} nothing is sent to")]);
    let removed = look(settings(""));
    assert_eq!(removed.own, BTreeSet::new());
    let words = "meshConfig.extensionProviders has no \"als\":";
    assert_eq!(lines(&removed.others), [format!("{of_user} {words}")]);
    assert_eq!(look(settings(&to("echo.shop.svc.cluster.local"))), Outlook::default());
}

#[test]
fn an_object_that_comes_after_another_is_told_once_whichever_comes_before() {
    let before = |object: &str, other: &str| {
        format!("Telemetry shop/{object} spec: Telemetry shop/{other} comes first")
    };
    let mut world = shop();
    let mut put = |object: Value| {
        let told = outlook(world.clone(), &object, &[]);
        world.apply(Change::Put(Box::new(reading(kind(&object), object).resource.unwrap())));
        [told.own, told.others].map(|issues| lines(&issues))
    };
    let no_line: Vec<String> = Vec::new();
    assert_eq!(put(telemetry("c", "envoy")), [no_line.clone(), no_line.clone()]);
    assert_eq!(put(telemetry("b", "envoy")), [no_line.clone(), vec![before("c", "b")]]);
    assert_eq!(put(telemetry("a", "envoy")), [no_line, vec![before("b", "a")]]);
}

#[test]
fn that_an_object_has_no_effect_is_told_of_itself() {
    let policy = object("security.istio.io/v1", "AuthorizationPolicy", "p", json!({}));
    check(policy, &["AuthorizationPolicy shop/p : AuthorizationPolicy is not enforced"], &[]);
    let mut routed = route("echo", "v1");
    routed["spec"]["http"] = json!([{ "route": [{ "destination": { "host": "echo" } }] }]);
    check(routed, &["VirtualService shop/v spec.http: this field has no"], &[]);
    let mut busy = rule("v1", "v1");
    busy["spec"]["trafficPolicy"] = json!({ "loadBalancer": { "backendUtilization": {} } });
    let field = "DestinationRule shop/d spec.trafficPolicy.loadBalancer.backendUtilization: this field has no";
    check(busy, &[field], &[]);
}

#[test]
fn a_selector_that_no_gateway_has_is_told_where_there_are_gateways() {
    let spec = json!({ "selector": { "istio": "none" }, "servers": [] });
    let gateway = istio("Gateway", "g", spec);
    let of = |gateways: &[Labels]| {
        lines(&outlook(shop(), &gateway, gateways).own)
            .into_iter()
            .filter(|line| line.contains("spec.selector: no gateway proxy has"))
            .count()
    };
    assert_eq!(of(&[]), 0);
    assert_eq!(of(&[Labels::from([("istio".to_owned(), "ingressgateway".to_owned())])]), 1);
}

#[test]
fn what_the_writer_said_is_not_looked_for_again() {
    let object = rule("v2", "v1");
    let said = outlook(shop(), &object, &[]).others;
    assert_eq!(lines(&said), [NO_SUBSET]);
    let present = Present { said: said.into_iter().collect(), ..present(shop()) };
    let outlook = super::outlook(present, kind(&object), Intent::Store(object), &[]);
    assert_eq!(outlook.others, BTreeSet::new());
}

fn user(name: &str) -> Reader {
    let (groups, token) = (Vec::new(), Secret::new("t"));
    Reader::User(User { name: name.to_owned(), groups, token, namespaces: None })
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_does_not_answer_keeps_nobody_waiting() {
    let (whatif, questions) = WhatIf::new(Arc::new(Gateways::default()));
    let start = tokio::time::Instant::now();
    let (jane, joe) = (user("jane"), user("joe"));
    let two = tokio::join!(
        whatif.ask(&jane, kind(&rule("v1", "v1")), rule("v1", "v1")),
        whatif.ask(&joe, kind(&rule("v1", "v1")), rule("v1", "v1")),
    );
    assert_eq!(two, (Err(Unanswered::Busy), Err(Unanswered::Busy)));
    assert_eq!(start.elapsed(), PATIENCE);
    assert!(questions.len() <= 1, "one question at a time");
}

#[tokio::test(start_paused = true)]
async fn the_api_asks_one_question_at_a_time_and_takes_nobody_s_place() {
    let (whatif, mut questions) = WhatIf::new(Arc::new(Gateways::default()));
    let object = rule("v1", "v1");
    let of_api = || {
        let (whatif, object) = (whatif.clone(), object.clone());
        tokio::spawn(async move { whatif.ask_for_api(kind(&object), Intent::Store(object)).await })
    };
    let first = of_api();
    let asked = questions.recv().await.unwrap();
    assert_eq!(of_api().await.unwrap(), Err(Unanswered::TooMany), "at once");
    let owners = [(); 2].map(|()| {
        let (whatif, object) = (whatif.clone(), object.clone());
        tokio::spawn(async move { whatif.ask(&Reader::Owner, kind(&object), object).await })
    });
    assert!(asked.send(present(shop())).is_ok());
    assert_eq!(first.await.unwrap(), Ok(Outlook::default()));
    for owner in owners {
        assert!(questions.recv().await.unwrap().send(present(shop())).is_ok());
        assert_eq!(owner.await.unwrap(), Ok(Outlook::default()));
    }
    let next = of_api();
    drop(questions.recv().await.unwrap());
    assert_eq!(next.await.unwrap(), Err(Unanswered::Busy), "its place is free again");
}

#[tokio::test(start_paused = true)]
async fn one_reader_s_questions_leave_others_their_turns() {
    let (whatif, mut questions) = WhatIf::new(Arc::new(Gateways::default()));
    let object = rule("v1", "v1");
    let ask = |reader: Reader| {
        let (whatif, object) = (whatif.clone(), object.clone());
        async move { whatif.ask(&reader, kind(&object), object).await }
    };
    let mut janes: Vec<_> = (0..5).map(|_| tokio::spawn(ask(user("jane")))).collect();
    for late in janes.drain(2..) {
        assert_eq!(
            late.await.unwrap(),
            Err(Unanswered::TooMany),
            "at once, and not after the others"
        );
    }
    let joe = tokio::spawn(ask(user("joe")));
    // A question that nobody waits for any more has no place in the queue.
    janes.remove(1).abort();
    for _ in 0..2 {
        assert!(questions.recv().await.unwrap().send(present(shop())).is_ok());
    }
    assert_eq!(joe.await.unwrap(), Ok(Outlook::default()));
    assert_eq!(janes.remove(0).await.unwrap(), Ok(Outlook::default()));
    let jane = tokio::spawn(ask(user("jane")));
    assert!(questions.recv().await.unwrap().send(present(shop())).is_ok());
    assert_eq!(jane.await.unwrap(), Ok(Outlook::default()), "her places are free again");
}
