//! The store: preconditions, history, and what is on disk after it is opened again.

use serde_json::{Value, json};

use super::{Expect, Key, LOG_EVENTS, Since, Store, Write, WriteError};
use crate::catalog::{NAMESPACES, known_resource};
use crate::object::meta;

fn namespace(name: &str) -> Key {
    Key { resource: NAMESPACES, namespace: String::new(), name: name.to_owned() }
}

fn config(name: &str) -> Key {
    let resource = known_resource("/configmaps").unwrap();
    Key { resource, namespace: "a".to_owned(), name: name.to_owned() }
}

fn object(text: &str) -> Option<Value> {
    Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"x": text}}))
}

async fn put(store: &Store, key: Key, expect: Expect, text: &str) -> Result<u64, WriteError> {
    let written = store.write(Write { key, expect, object: object(text) }).await?;
    Ok(meta(&written, "resourceVersion").parse().unwrap())
}

#[tokio::test]
async fn a_write_needs_its_precondition_and_its_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s")).unwrap();
    let early = put(&store, config("c"), Expect::Absent, "1").await;
    assert_eq!(early, Err(WriteError::NoNamespace));
    put(&store, namespace("a"), Expect::Absent, "").await.unwrap();
    let first = put(&store, config("c"), Expect::Absent, "1").await.unwrap();
    let again = put(&store, config("c"), Expect::Absent, "2").await;
    assert_eq!(again, Err(WriteError::Exists));
    let second = put(&store, config("c"), Expect::At(first), "2").await.unwrap();
    assert!(second > first);
    let stale = put(&store, config("c"), Expect::At(first), "3").await;
    assert_eq!(stale, Err(WriteError::Conflict));
}

#[tokio::test]
async fn writes_that_belong_together_happen_in_one_commit_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s")).unwrap();
    let absent = |key| Write { key, expect: Expect::Absent, object: object("1") };
    let together = vec![absent(namespace("a")), absent(config("c"))];
    let written = store.write_all(together).await.unwrap();
    assert_eq!(meta(&written[1], "resourceVersion"), "2");
    let late = vec![absent(config("d")), absent(config("c"))];
    assert_eq!(store.write_all(late).await, Err(WriteError::Exists));
    assert!(store.get(&config("d")).is_none() && store.revision() == 2);
    put(&store, config("d"), Expect::Absent, "1").await.unwrap();
}

#[tokio::test]
async fn objects_history_and_versions_survive_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Store::open(&path).unwrap();
    put(&store, namespace("a"), Expect::Absent, "").await.unwrap();
    let first = put(&store, config("c"), Expect::Absent, "1").await.unwrap();
    let second = put(&store, config("c"), Expect::At(first), "2").await.unwrap();
    store
        .write(Write { key: config("c"), expect: Expect::At(second), object: None })
        .await
        .unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.revision(), second + 1);
    assert!(store.get(&config("c")).is_none() && store.get(&namespace("a")).is_some());
    let Since::Events(events, reached) = store.since(first) else { panic!("expired") };
    assert_eq!(reached, second + 1);
    let shapes: Vec<_> =
        events.iter().map(|e| (e.rv, e.before.is_some(), e.after.is_some())).collect();
    assert_eq!(shapes, [(second, true, true), (second + 1, true, false)]);
    assert!(matches!(store.since(second + 2), Since::Expired));
}

#[tokio::test]
async fn an_object_is_in_memory_once_also_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Store::open(&path).unwrap();
    put(&store, namespace("a"), Expect::Absent, "").await.unwrap();
    let first = put(&store, config("c"), Expect::Absent, "1").await.unwrap();
    put(&store, config("d"), Expect::Absent, "1").await.unwrap();
    put(&store, config("c"), Expect::At(first), "2").await.unwrap();
    for opened in [Some(store), None] {
        let store = opened.unwrap_or_else(|| Store::open(&path).unwrap());
        let Since::Events(events, _) = store.since(first - 1) else { panic!("expired") };
        let [made, _, changed] = events.as_slice() else { panic!("{events:?}") };
        let place = |bytes: &Option<bytes::Bytes>| bytes.as_ref().unwrap().as_ptr();
        assert_eq!(place(&changed.before), place(&made.after));
        assert_eq!(place(&changed.after), store.get(&config("c")).unwrap().bytes.as_ptr());
    }
}

#[tokio::test]
async fn history_is_bounded_also_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Store::open(&path).unwrap();
    put(&store, namespace("a"), Expect::Absent, "").await.unwrap();
    let writes = (0..LOG_EVENTS + 10)
        .map(|index| put(&store, namespace(&format!("n{index}")), Expect::Absent, ""));
    futures::future::join_all(writes).await;
    assert!(matches!(store.since(1), Since::Expired));
    let rv = store.revision();
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.revision(), rv);
    assert!(matches!(store.since(1), Since::Expired));
    let Since::Events(events, reached) = store.since(rv - 5) else { panic!("expired") };
    assert_eq!((events.len(), reached), (5, rv));
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s")).unwrap();
    put(&store, namespace("a"), Expect::Absent, "").await.unwrap();
    for name in ["1", "2", "3"] {
        put(&store, config(name), Expect::Absent, name).await.unwrap();
    }
    let resource = config("1").resource;
    let first = store.list(resource, Some("a"), None, 2);
    assert_eq!((first.items.len(), first.remaining), (2, 1));
    let second = store.list(resource, Some("a"), first.more.as_ref(), 2);
    let names: Vec<_> = second.items.iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(names, ["3"]);
    assert!(second.more.is_none() && store.list(resource, Some("b"), None, 2).items.is_empty());
}
