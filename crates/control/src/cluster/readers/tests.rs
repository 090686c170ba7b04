//! Readers of a large mesh, in front of an API of the test.

use std::path::Path;
use std::sync::Mutex;

use lateen_api::kinds::by_kind;
use lateen_api::resource::parse;
use lateen_kube::Source;
use lateen_model::{Change, World};
use lateen_runtime::admin::Page;
use lateen_runtime::http;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::pushes::Making;

/// Knows `jane`, who may list services in `zeta`; tells how many namespaces it was asked about.
async fn api(home: &Path) -> (Client, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<BTreeSet<String>>>::default();
    let seen = asked.clone();
    let limits = http::Limits { connections: 64, lasting: None };
    tokio::spawn(http::serve(listener, limits, move |request, _| {
        let seen = seen.clone();
        async move {
            let ask = http::read(request, Reader::Owner).await.unwrap();
            let mut review: Value = serde_json::from_slice(&ask.body).unwrap();
            let attributes = &review["spec"]["resourceAttributes"];
            let namespace = attributes["namespace"].as_str().unwrap_or_default().to_owned();
            review["status"] = match ask.path.rsplit('/').next() {
                Some("tokenreviews") => {
                    json!({ "authenticated": true, "user": { "username": "jane" } })
                }
                _ => json!({ "allowed": namespace == "zeta" }),
            };
            seen.lock().unwrap().insert(namespace);
            http::response(Page::json(&review).with_status(201))
        }
    }));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "u", "user": {} }],
    });
    let path = home.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    (Client::connect(Source::Kubeconfig(path)).await.unwrap(), asked)
}

fn mesh(namespaces: impl Iterator<Item = String>) -> Arc<Published> {
    let mut world = World::new();
    let kind = by_kind("", "Namespace").unwrap();
    for name in namespaces {
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let (resource, _) = parse(kind, "v1", object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    let published = Arc::new(Published::default());
    published.publish(world.snapshot(), Making::default());
    published
}

#[tokio::test]
async fn the_last_namespace_of_a_large_mesh_is_seen_by_who_may_see_it() {
    let home = tempfile::tempdir().unwrap();
    let (client, asked) = api(home.path()).await;
    let names = (0..1200).map(|number| format!("n{number}")).chain(["zeta".to_owned()]);
    let readers = Readers::new(client, mesh(names));
    let reader = readers.authenticate("token").await.unwrap();
    let zeta = BTreeSet::from(["zeta".to_owned()]);
    assert_eq!(reader.confined_to().map(|some| &**some), Some(&zeta));
    // All of them, and the question about all at once.
    assert_eq!(asked.lock().unwrap().len(), 1202);
    assert_eq!(readers.good_for(), 2 * GOOD_FOR);
    asked.lock().unwrap().clear();
    readers.authenticate("token").await.unwrap();
    assert!(asked.lock().unwrap().is_empty(), "the answer counts for a while");
}
