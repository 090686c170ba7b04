//! What is asked for, and what is said of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{Ask, Reader, Secret, User};
use lateen_telemetry::Flag;

use super::{
    About, Connection, Inventory, Key, Parameters, STEP, Selection, Store, Traffic, duration,
    pages, youth,
};
use crate::collect::Found;
use crate::connection::Object;
use crate::graph::BLACK_HOLE;
use crate::key::tests::tcp;
use crate::key::{Party, Service};
use crate::point::Point;
use crate::store::step_of;
use crate::texts::Texts;

fn page(path: &str, query: &str) -> Option<Page> {
    let about = About { version: "1", cluster: "Kubernetes".into() };
    let ask = Ask::get(path, query);
    pages(Traffic::new(1 << 20), about, Inventory::default()).answer(&ask).now_or_never().unwrap()
}

fn get(path: &str, query: &str) -> (u16, String) {
    let page = page(path, query).unwrap();
    (page.status, String::from_utf8(page.body).unwrap())
}

#[test]
fn an_empty_mesh_has_an_empty_graph() {
    let (status, body) = get("/api/v1/graph", "type=workload&duration=1m&idle=true");
    assert_eq!(status, 200);
    let graph: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&graph["nodes"], &graph["duration"]), (&serde_json::json!([]), &60.into()));
    assert_eq!(graph["apiVersion"], "graph.lateen.io/v1");
    assert_eq!(get("/api/v1/status", "").0, 200);
}

#[test]
fn nothing_is_explained_by_a_control_plane_that_has_just_begun_as_long_as_that_explains_it() {
    let mut store = Store::new(1 << 20, 1000);
    let said = |store: &Store, first| youth(store, step_of(first), store.range().1, true);
    assert!(said(&store, 1000 - 55).unwrap().contains("less than 5 s ago, and little"));
    store.advance(1030);
    assert!(said(&store, 1030 - 55).unwrap().contains("less than 35 s ago"));
    let past = youth(&store, step_of(940), step_of(1000), true).unwrap();
    assert!(past.contains("began less than 5 s before that, and little"), "{past}");
    // Proxies come back within two steps.
    assert!(said(&store, 1005).is_some());
    assert_eq!(said(&store, 1010), None);
    let (_, body) = get("/api/v1/graph", "");
    assert!(body.contains("the control plane began less than 5 s ago"), "{body}");
    let (_, body) = get("/api/v1/graph", "format=text");
    assert!(body.starts_with("\nthe control plane began"), "{body}");
    let (now, about) =
        (crate::collect::seconds(), About { version: "1", cluster: "Kubernetes".into() });
    let traffic = Traffic::of_prometheus(1 << 20, "http://127.0.0.1:1".into(), now);
    let page = pages(traffic.clone(), about, Inventory::default());
    for (proxies, awaited, age, said) in [
        (0, 0, 0, "Prometheus has scraped no proxy lately: nothing is known"),
        (
            3,
            2,
            0,
            "Prometheus has scraped 2 of 3 proxies only once: rates are known from the second",
        ),
        (3, 0, 40, "Prometheus' newest scrape is of 40 s ago"),
        (3, 0, 15, "\"notices\":[]"),
    ] {
        traffic.has_read(Found { proxies, ..Found::default() });
        traffic.now().awaits(awaited, age);
        let page = page.answer(&Ask::get("/api/v1/graph", "")).now_or_never().unwrap().unwrap();
        let body = String::from_utf8(page.body).unwrap();
        assert!(body.contains(said), "{proxies} {awaited}: {body}");
    }
}

#[test]
fn what_is_wrong_with_a_query_is_said() {
    for (query, said) in [
        ("type=pod", "type \\\"pod\\\" is not known"),
        ("duration=2h", "is not from 5 to 3600 seconds"),
        ("duration=7", "is not of whole steps of 5 seconds: use 5 or 10"),
        ("at=99999999999999", "at 99999999999999 is to come: now is "),
        (
            "typ=app",
            "\\\"typ\\\" is not a parameter of this page: it takes type, namespaces, duration",
        ),
        ("idle=true&idle=true", "\\\"idle\\\" is given twice"),
        ("graphType=app", "is a parameter of Kiali's: it is read with format=kiali only"),
        ("format=kiali&graphType=app&type=app", "graphType and type are the same"),
        ("format=kiali&queryTime=now", "queryTime \\\"now\\\" is not a time: give seconds"),
        ("format=kiali&rateTcp=all", "use sent, received, total or none"),
        ("duration=", "\"nodes\""),
        ("namespaces=,%20,", "\"nodes\":[]"),
        ("duration=18446744073709551615h", "is not from 5"),
        ("at=yesterday", "give milliseconds"),
        ("at=1000", "is too long ago"),
        ("idle=perhaps", "neither true nor false"),
        ("format=dot", "use lateen, kiali or text"),
    ] {
        let (_, body) = get("/api/v1/graph", query);
        assert!(body.contains(said), "{query}: {body}");
    }
    for (page, query, said) in [
        ("series", "", "id is missing"),
        ("status", "id=mesh", "takes no parameters"),
        ("logs", "id=mesh&duration=60", "it takes id, type, services, at, limit"),
        ("failures", "id=mesh&limit=0", "limit \\\"0\\\" is not from 1 to 500"),
    ] {
        let (status, body) = get(&format!("/api/v1/{page}"), query);
        assert!(status == 400 && body.contains(said), "{query}: {body}");
    }
}

#[test]
fn a_time_that_is_a_step_ahead_is_now() {
    let soon = (crate::collect::seconds() + 2) * 1000;
    assert_eq!(get("/api/v1/graph", &format!("at={soon}")).0, 200);
}

#[test]
fn the_oldest_time_can_be_asked_for_and_none_before_it() {
    let about = About { version: "1", cluster: "Kubernetes".into() };
    let pages = pages(Traffic::new(1 << 20), about, Inventory::default());
    let get = |path: &str, query: &str| {
        let ask = Ask::get(path, query);
        pages.answer(&ask).now_or_never().unwrap().unwrap()
    };
    let status = get("/api/v1/status", "").body;
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    let oldest = status["oldest"].as_u64().unwrap();
    assert_eq!(get("/api/v1/graph", &format!("at={oldest}")).status, 200);
    assert_eq!(get("/api/v1/graph", &format!("at={}", oldest - 1)).status, 400);
}

#[test]
fn what_kialis_clients_always_send_is_taken_or_passed_over() {
    let now = crate::collect::seconds();
    let query = format!(
        "format=kiali&graphType=app&includeIdleEdges=false&injectServiceNodes=true&queryTime={now}\
         &duration=60s&namespaces=shop&appenders=deadNode,istio&boxBy=app&rateTcp=sent\
         &rateHttp=requests&rateGrpc=requests&responseTime=95&throughputType=request&ambientTraffic=none"
    );
    let (status, body) = get("/api/v1/graph", &query);
    assert!(status == 200 && body.contains("\"graphType\":\"app\""), "{body}");
}

#[test]
fn nobody_has_a_course_or_logs_of_what_is_not_there() {
    for page in ["series", "failures", "logs"] {
        let path = format!("/api/v1/{page}");
        let (status, body) = get(&path, "id=workload/shop/gone");
        assert!(status == 404 && body.contains("there is no \\\"workload/shop/gone\\\""), "{body}");
        assert_eq!(get(&path, "id=mesh").0, 200, "{page}");
    }
}

fn jane(namespaces: &[&str]) -> Reader {
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    Reader::User(User {
        name: "jane".into(),
        groups: Vec::new(),
        token: Secret::new("t"),
        namespaces: Some(Arc::new(namespaces)),
    })
}

/// A clerk whose way to the ledger a route leads nowhere.
fn lost() -> Arc<Traffic> {
    let traffic = Traffic::new(1 << 20);
    let label = |name: &str| {
        Some(match name {
            "reporter" => "source",
            "request_protocol" => "tcp",
            "response_flags" => "UH",
            "source_workload" => "clerk",
            "source_workload_namespace" => "bank",
            "destination_service_name" => BLACK_HOLE,
            _ => return None,
        })
    };
    let route = Object {
        kind: "VirtualService".into(),
        group: "networking.istio.io".into(),
        namespace: "bank".into(),
        name: "broken".into(),
    };
    let now = crate::collect::seconds();
    let proxy = "sidecar~10.0.0.1~clerk-1.bank~";
    let one = Connection::read(Default::default(), proxy, now * 1000);
    traffic.recent().add(label, Connection { route: Some(route), ..one });
    let key = Key::read(label, &mut Texts::default()).unwrap();
    traffic.now().add(now, key, &Point { opened: 1, closed: 1, ..Point::default() });
    traffic
}

#[test]
fn a_route_acts_on_whose_connections_it_leads_nowhere() {
    let (traffic, owner) = (lost(), Reader::Owner);
    let acting = |id: &str, reader: &Reader| {
        let chosen = Selection::of(&traffic, &Parameters::default(), id, reader);
        let objects = chosen.map_err(|refusal| refusal.message).unwrap().led_nowhere(&traffic);
        objects.into_iter().map(|object| object.to_string()).collect::<Vec<_>>()
    };
    let edge = "workload/bank/clerk>blackHole//BlackHoleCluster#tcp";
    for id in [edge, "workload/bank/clerk", "blackHole//BlackHoleCluster", "namespace/bank"] {
        assert_eq!(acting(id, &owner), ["VirtualService bank/broken"], "{id}");
        assert_eq!(acting(id, &jane(&["bank"])), ["VirtualService bank/broken"], "{id}");
        assert_eq!(acting(id, &jane(&["shop"])), [""; 0], "{id}");
    }
    assert_eq!(acting("workload/bank/other", &owner), [""; 0]);
}

#[test]
fn nothing_is_told_to_act_on_what_is_not_there_for_a_reader() {
    let about = About { version: "1", cluster: "Kubernetes".into() };
    let pages = pages(lost(), about, Inventory::default());
    let status = |id: &str, reader: Reader| {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("actsOn", id).finish();
        let ask = Ask { reader, ..Ask::get("/api/v1/config", &query) };
        pages.answer(&ask).now_or_never().unwrap().unwrap().status
    };
    let edge = "workload/bank/clerk>blackHole//BlackHoleCluster#tcp";
    for (id, all, bank, shop) in [
        ("mesh", 200, 200, 200),
        (edge, 200, 200, 404),
        ("app/bank/", 200, 200, 404),
        ("workload/bank/clerk", 200, 200, 404),
        ("workload/bank/nope", 404, 404, 404),
        ("workload/nope/nope", 404, 404, 404),
    ] {
        let told = [Reader::Owner, jane(&["bank"]), jane(&["shop"])].map(|one| status(id, one));
        assert_eq!(told, [all, bank, shop], "{id}");
    }
}

#[test]
fn a_namespace_that_is_not_there_is_told_from_one_without_traffic() {
    let names = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    let (traffic, mesh) = (lost(), names(&["bank", "shop"]));
    let said = |asked: &[&str], reader: &Reader| {
        let asked = names(asked);
        super::missing(&asked, &mesh, &traffic.now(), reader).unwrap_or_default()
    };
    let (owner, none) = (Reader::Owner, "there is no namespace nope that you may see");
    assert_eq!(said(&["bank", "shop"], &owner), "");
    assert_eq!(said(&["shop", "nope"], &owner), none);
    let both = "there is no namespace nope or shopp that you may see";
    assert_eq!(said(&["nope", "shopp"], &owner), both);
    // Whether there is one is told to nobody who may not see it.
    let other = "there is no namespace bank that you may see";
    assert_eq!(said(&["bank"], &jane(&["shop"])), other);
    assert_eq!(said(&["nope"], &jane(&["shop"])), none);
    assert_eq!(said(&["shop"], &jane(&["shop"])), "");
    let by =
        |mesh: &[&str], name| super::missing(&names(&[name]), &names(mesh), &traffic.now(), &owner);
    assert_eq!(by(&["shop"], "bank"), None, "it has had traffic");
    assert_eq!(by(&["shop"], "nope").as_deref(), Some(none));
    assert_eq!(by(&[], "nope"), None, "no control plane is asked");
}

#[test]
fn a_series_ends_with_the_last_step_that_is_over() {
    let (_, body) = get("/api/v1/series", "id=mesh&duration=60");
    let series: serde_json::Value = serde_json::from_str(&body).unwrap();
    let end = series["start"].as_u64().unwrap() + 60_000;
    let now = crate::collect::seconds() * 1000;
    assert!(end <= now && now < end + 10_000, "{end} {now}");
}

#[test]
fn pages_of_others_are_none() {
    assert!(page("/api/v1/nothing", "").is_none() && page("/", "").is_none());
}

#[test]
fn durations_are_whole_steps() {
    assert_eq!(duration("60"), Ok(60));
    assert_eq!(duration("10m"), Ok(600));
}

/// Failed connections of a client to a server's Service, and to the same server by its own address.
fn both_ways() -> Arc<Traffic> {
    const START: u64 = 1_800_000_000;
    let traffic = Traffic::of_prometheus(1 << 20, "http://prometheus:9090".into(), START);
    traffic.has_read(Found { proxies: 1, ..Found::default() });
    for (host, name, count) in
        [("web.shop.svc.cluster.local", "web", 40), ("unknown", "PassthroughCluster", 2)]
    {
        let label = |label: &str| {
            Some(match label {
                "reporter" => "source",
                "request_protocol" => "tcp",
                "response_flags" => "UO",
                "source_workload" => "client",
                "destination_workload" => "server",
                "source_workload_namespace" | "destination_workload_namespace" => "shop",
                "destination_service" => host,
                "destination_service_name" => name,
                "destination_service_namespace" if name == "web" => "shop",
                _ => return None,
            })
        };
        for _ in 0..count {
            let proxy = "sidecar~10.0.0.1~client.shop~";
            let one = Connection {
                flags: vec![Flag::UpstreamOverflow],
                ..Connection::read(Default::default(), proxy, START * 1000)
            };
            traffic.recent().add(label, one);
        }
        let key = Key::read(label, &mut Texts::default()).unwrap();
        traffic.now().add(START, key, &Point { opened: count, ..Point::default() });
    }
    traffic.now().advance(START + STEP);
    traffic
}

#[test]
fn what_may_be_missing_after_the_beginning_is_told_beside_what_is_known() {
    let traffic = Traffic::new(1 << 20);
    let about = About { version: "1", cluster: "Kubernetes".into() };
    let pages = pages(traffic.clone(), about, Inventory::default());
    let began = traffic.now().begun();
    for step in 0..12 {
        let seconds = u64::from(began + step) * STEP;
        let key = tcp(Party::default(), Service::default(), Party::default());
        traffic.now().add(seconds, key, &Point { opened: 1, ..Point::default() });
        let ask = Ask::get("/api/v1/graph", "type=workload&duration=60s");
        let page = pages.answer(&ask).now_or_never().unwrap().unwrap();
        let body = String::from_utf8(page.body).unwrap();
        let is_told = body.contains("have not come back to it yet is missing");
        assert_eq!(is_told, step < 6, "{step}: {body}");
    }
}

#[test]
fn an_edge_is_told_of_as_the_graph_that_it_is_in_has_it() {
    let about = About { version: "1", cluster: "Kubernetes".into() };
    let pages = pages(both_ways(), about, Inventory::default());
    let get = |path: &str, query: &str| {
        let ask = Ask::get(&format!("/api/v1/{path}"), query);
        let page = pages.answer(&ask).now_or_never().unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        (page.status, body)
    };
    let direct = "id=workload/shop/client%3Eworkload/shop/server%23tcp";
    for (graph, count) in [
        ("&services=true", 2),
        ("&services=false", 42),
        ("", 42),
        ("&services=true&type=workload", 2),
    ] {
        let (_, course) = get("series", &format!("{direct}&duration=5{graph}"));
        let opened = course["outbound"]["tcp.opened"][0].as_f64().unwrap() * STEP as f64;
        let query = format!("{direct}{graph}");
        let of = |page: &str, list: &str| get(page, &query).1[list].as_array().unwrap().len();
        let told = (opened.round() as usize, of("failures", "failures"), of("logs", "lines"));
        assert_eq!(told, (count, count, count), "{graph}");
    }
    for page in ["series", "failures", "logs"] {
        assert_eq!(get(page, &format!("{direct}&type=app")).0, 404, "{page}: no app has this id");
    }
}
