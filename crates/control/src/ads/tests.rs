//! Sessions: refusals become issues and go again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use futures::{FutureExt, StreamExt};
use lateen_api::issue::ObjectRef;
use lateen_api::xds::ResourceType::{Cluster, Listener};
use lateen_translate::Proxy;
use lateen_xds::passed::{News, Passed};
use lateen_xds::server::delivery::Delivery;
use lateen_xds::server::peer::{Peer, Refusal, ServiceAccount};
use lateen_xds::server::{Protocol, Session, Source};
use prost::Message;

use super::{Door, OwnAccount, Parts, Replicas, Seat, TOLD, refusal};
use crate::debug::Proxies;
use crate::witness::tests::{Arrived, family};

const TAKEN: &str = "127.0.0.1_31400: cannot bind: Address already in use";

fn open_door(proxies: Arc<Proxies>) -> Door {
    Door::new(Parts { proxies, ..Parts::default() })
}

fn seat() -> Seat {
    let id = "router~127.0.0.1~gw.istio-system~istio-system.svc.cluster.local";
    let node = Node { id: id.to_owned(), ..Default::default() };
    Seat {
        id: 1,
        proxy: Arc::new(Proxy::from_node(&node).unwrap()),
        published: Arc::default(),
        findings: Arc::default(),
        proxies: Arc::default(),
        pushes: Arc::default(),
        course: Arc::default(),
        gateways: Arc::default(),
        refused: Mutex::default(),
        attendance: Arc::<Replicas>::default().session(&node),
    }
}

fn origins() -> std::collections::BTreeSet<ObjectRef> {
    let origin = |kind: &str| ObjectRef::new("networking.istio.io", kind, "default", "echo");
    [origin("Gateway"), origin("VirtualService")].into()
}

#[test]
fn a_taken_port_is_the_gateways_issue_and_names_port_and_remedy() {
    let issues = refusal(origins(), Listener, "127.0.0.1_31400", TAKEN, "gw");
    let [issue] = issues.as_slice() else { panic!("{issues:?}") };
    assert_eq!(issue.object.kind, "Gateway");
    assert!(issue.message.starts_with("port 31400 of 127.0.0.1 is in use"), "{issue}");
    assert!(issue.message.contains("stop that program or choose another port"), "{issue}");
}

#[test]
fn another_refusal_is_every_origins_issue_with_the_proxys_words() {
    let issues = refusal(origins(), Listener, "l", "no filter chain", "gw");
    assert_eq!(issues.len(), 2);
    assert!(issues.iter().all(|issue| issue.message.contains("LDS l: no filter chain")));
}

#[test]
fn only_a_taken_port_is_tried_again_and_the_page_follows_the_session() {
    let proxies = Arc::new(Proxies::default());
    let door = open_door(proxies.clone());
    let id = "router~127.0.0.1~gw.istio-system~istio-system.svc.cluster.local";
    let node = Node { id: id.to_owned(), ..Default::default() };
    let session = door.open(&node, Protocol::Delta, &Peer::Local).unwrap();
    let name = "127.0.0.1_31400".to_owned();
    let delivery =
        Delivery { nonce: "1".into(), view: 7, names: vec![name.clone()], ..Delivery::default() };
    session.sent(Listener, &delivery);
    assert_eq!(proxies.list()[0].types["LDS"].state, "STALE");
    let again = session.rejected(Listener, &delivery, std::slice::from_ref(&name), TAKEN);
    assert_eq!(again, Some(Duration::from_secs(3)));
    assert_eq!(session.rejected(Listener, &delivery, &[name], "bad filter"), None);
    let seen = proxies.list();
    assert_eq!(seen[0].types["LDS"].state, "REJECTED");
    assert_eq!(seen[0].types["LDS"].rejected.as_deref(), Some("bad filter"));
    session.accepted(Listener, &delivery);
    let seen = proxies.list();
    assert_eq!((seen[0].types["LDS"].state, seen[0].types["LDS"].accepted), ("SYNCED", Some(7)));
    drop(session);
    assert!(proxies.list().is_empty());
}

#[test]
fn a_node_of_another_form_is_refused_with_the_reason() {
    let door = open_door(Arc::default());
    let Err(reason) = door.open(&Node::default(), Protocol::StateOfTheWorld, &Peer::Local) else {
        panic!("an empty node has no role");
    };
    assert!(reason.to_string().contains("node id"), "{reason}");
}

#[test]
fn a_refused_resource_that_is_removed_is_refused_no_more_though_its_successor_is() {
    let session = seat();
    let delivery = |nonce: &str, names: &[&str], removed: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Delivery {
            nonce: nonce.into(),
            view: 1,
            names: owned(names),
            removed: owned(removed),
            bytes: 0,
        }
    };
    let (old, new) = ("127.0.0.1_31500".to_owned(), "127.0.0.1_31501".to_owned());
    session.rejected(Listener, &delivery("1", &[&old], &[]), std::slice::from_ref(&old), TAKEN);
    session.rejected(Listener, &delivery("2", &[&new], &[&old]), std::slice::from_ref(&new), TAKEN);
    session.accepted(Listener, &delivery("3", &[&new], &[]));
    assert!(session.refused.lock().unwrap().names().is_empty());
}

#[test]
fn a_refused_resource_that_nobody_asks_for_any_more_is_refused_no_more() {
    let session = seat();
    let (old, other) = ("outbound|80||a.shop".to_owned(), "outbound|80||b.shop".to_owned());
    let names = vec![old.clone(), other.clone()];
    let delivery = Delivery { names: names.clone(), ..Delivery::default() };
    session.rejected(Cluster, &delivery, &names, "no such discovery type");
    session.dropped(Cluster, std::slice::from_ref(&old));
    assert_eq!(session.refused.lock().unwrap().names(), [&(Cluster, other)]);
}

#[test]
fn of_a_refusal_of_everything_so_much_is_told_and_a_clear_lets_the_next_be_told() {
    let (mut session, replicas) = (seat(), Arc::<Replicas>::default());
    session.attendance = replicas.session(&Node::default());
    let waiting = || {
        let mut all = Vec::new();
        let mut queue = replicas.link();
        while let Some(Some(message)) = queue.next().now_or_never() {
            all.push(Passed::decode(message).unwrap());
        }
        all.into_iter().filter_map(|passed| match passed.news {
            Some(News::Refusal(refused)) => Some(refused.resource),
            _ => None,
        })
    };
    let names: Vec<String> = (0..1650).map(|number| format!("{number:04}")).collect();
    let delivery = Delivery { names: names.clone(), ..Delivery::default() };
    session.rejected(Cluster, &delivery, &names, "no");
    assert!(waiting().eq(names[..TOLD].iter().cloned()));
    session.dropped(Cluster, &names[..2]);
    assert!(waiting().eq(names[2..TOLD + 2].iter().cloned()), "two more are told");
    session.accepted(Cluster, &delivery);
    assert_eq!(waiting().count(), 0);
}

#[test]
fn the_holder_of_a_token_tells_of_its_own_namespace_only() {
    let arrived = Arrived::default();
    let counts = arrived.0.clone();
    let door = Door::new(Parts { traffic: Some(Arc::new(arrived)), ..Parts::default() });
    let id = "sidecar~10.0.0.1~a.default~default.svc.cluster.local".to_owned();
    let node = Node { id, ..Default::default() };
    let own = ServiceAccount { namespace: "default".into(), name: "a".into(), pod: None };
    for (peer, samples) in [(Peer::ServiceAccount(own), 1), (Peer::Local, 3)] {
        for namespace in ["default", "other"] {
            let labels = [("reporter", "source"), ("source_workload_namespace", namespace)];
            let stream = door.collect(&node, &peer).unwrap().stream(&node).unwrap();
            stream.metrics(vec![family(&labels)]);
        }
        assert_eq!(counts.lock().unwrap().0, samples, "{peer:?}");
    }
}

#[test]
fn a_token_opens_the_door_for_its_own_service_account_only() {
    let door = open_door(Arc::default());
    let open_with = |token_of: Option<&str>, namespace: &str, account: Option<&str>| {
        let text = |text: &str| Some(value::Kind::StringValue(text.to_owned()));
        let fields = account.map(|name| ("SERVICE_ACCOUNT".to_owned(), Value { kind: text(name) }));
        let node = Node {
            id: format!("sidecar~10.0.0.1~a.{namespace}~{namespace}.svc.cluster.local"),
            metadata: Some(Struct { fields: fields.into_iter().collect() }),
            ..Default::default()
        };
        let account = ServiceAccount {
            namespace: "default".to_owned(),
            name: "echo".to_owned(),
            pod: token_of.map(str::to_owned),
        };
        door.open(&node, Protocol::Delta, &Peer::ServiceAccount(account)).map(drop)
    };
    let open = |namespace: &str, account| open_with(Some("a"), namespace, account);
    open("default", Some("echo")).unwrap();
    // An old proxy does not say whose it is: its namespace must do, as in Istio.
    open("default", None).unwrap();
    for (namespace, account) in [("other", Some("echo")), ("other", None), ("default", Some("x"))] {
        let refused = open(namespace, account).unwrap_err();
        assert!(matches!(refused, Refusal::Forbidden(_)), "{refused}");
        assert!(refused.to_string().contains("its token is of default/echo"), "{refused}");
    }
    // A machine's token is bound to no pod.
    open_with(None, "default", Some("echo")).unwrap();
    let refused = open_with(Some("b"), "default", Some("echo")).unwrap_err();
    assert!(refused.to_string().contains("has the token of pod b"), "{refused}");
}

#[test]
fn only_the_control_planes_own_account_is_another_replica() {
    let own = OwnAccount {
        namespace: "istio-system".to_owned(),
        account: "istiod".to_owned(),
        name: "istiod-0".to_owned(),
    };
    let door = Door::new(Parts { own: Some(own), ..Parts::default() });
    let account = |namespace: &str, name: &str| {
        Peer::ServiceAccount(ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            pod: None,
        })
    };
    let open = |name: &str, peer: Peer| door.replica(name, &peer).map(drop);
    open("istiod-1", account("istio-system", "istiod")).unwrap();
    for (name, peer, said) in [
        ("istiod-1", account("default", "istiod"), "the token is of default/istiod"),
        ("istiod-1", account("istio-system", "istiod-canary"), "istio-system/istiod-canary"),
        ("istiod-1", Peer::Local, "over TLS only"),
        ("istiod-1", Peer::Plaintext, "over TLS"),
        ("istiod-0", account("istio-system", "istiod"), "this replica itself"),
        ("", account("istio-system", "istiod"), "says its name"),
    ] {
        let refused = open(name, peer).unwrap_err();
        assert!(matches!(refused, Refusal::Forbidden(_)), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
    }
    let alone = open_door(Arc::default()).replica("istiod-1", &account("istio-system", "istiod"));
    assert!(matches!(alone.map(drop), Err(Refusal::Unserved(_))));
}
