//! Editing by readers with rights of their own, against the embedded API, which has Kubernetes' RBAC.

use std::net::TcpListener;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::Method;
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::{Key, parse};
use lateen_apiserver::{ApiServer, Config, system_clock};
use lateen_kube::{Client, Source};
use lateen_model::{Change, World};
use lateen_runtime::pages::{Access, Ask, Pages, Reader, Refusal, all, at_once};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::Own;
use crate::cluster::confined::Confined;
use crate::cluster::readers::Readers;
use crate::inventory::Inventory;
use crate::objects::{Objects, Rights};
use crate::published::Published;
use crate::pushes::Making;
use crate::whatif::WhatIf;

const GATEWAY: &str = "Gateway.networking.istio.io/shop/front";

/// A cluster with two namespaces and a gateway in each, and who may do what in `shop`.
struct Cluster {
    admin: Client,
    published: Arc<Published>,
    pages: Arc<dyn Pages>,
    readers: Readers,
    _home: TempDir,
    _tasks: JoinSet<()>,
}

/// Asks the right questions, and then lets everybody try.
struct Careless(Own);

impl Rights for Careless {
    fn client(&self, reader: &Reader) -> Result<Client, Refusal> {
        self.0.client(reader)
    }

    fn may_update<'a>(&'a self, _: &'a Reader, _: &'a Key) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

fn gateway(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": { "name": "front", "namespace": namespace },
        "spec": { "selector": { "istio": "ingressgateway" }, "servers": [
            { "port": { "number": 31410, "name": "tcp", "protocol": "TCP" }, "hosts": ["*"] }
        ] },
    })
}

/// What accounts of `shop` may do there: by name, the verbs on gateways.
const ACCOUNTS: [(&str, &[&str]); 3] =
    [("editor", &["get", "update", "create"]), ("viewer", &["get"]), ("blind", &["update"])];

fn objects() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}});
    let mut all = vec![namespace("shop"), namespace("bank"), account("stranger")];
    all.extend([gateway("shop"), gateway("bank")]);
    for (name, verbs) in ACCOUNTS {
        let metadata = json!({ "name": name, "namespace": "shop" });
        let rules = json!([
            { "apiGroups": ["networking.istio.io"], "resources": ["gateways"], "verbs": verbs },
            { "apiGroups": [""], "resources": ["services"], "verbs": ["list"] },
        ]);
        let subject = json!({ "kind": "ServiceAccount", "name": name, "namespace": "shop" });
        let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name });
        all.push(account(name));
        all.push(json!({"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": rules}));
        all.push(json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "subjects": [subject], "roleRef": role,
        }));
    }
    all
}

/// What the mesh knows.
fn world() -> Arc<Published> {
    let mut world = World::new();
    for namespace in ["shop", "bank"] {
        for object in [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
                   "spec": {"ports": [{"port": 80, "name": "tcp"}], "selector": {"app": "web"}}}),
        ] {
            let api_version = object["apiVersion"].as_str().unwrap().to_owned();
            let (group, version) = split_api_version(&api_version);
            let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
            let (resource, _) = parse(kind, version, object);
            world.apply(Change::Put(Box::new(resource.unwrap())));
        }
    }
    let published = Arc::new(Published::default());
    published.publish(world.snapshot(), Making::default());
    published
}

impl Cluster {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = ApiServer::open(Config {
            data_dir: home.path().join("data"),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            listener,
            public_url: format!("https://{address}"),
            clock: system_clock(),
        })
        .await
        .unwrap();
        let kubeconfig = home.path().join("kubeconfig");
        std::fs::write(&kubeconfig, server.admin_kubeconfig()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.serve(std::future::pending()));
        let admin = Client::connect(Source::Kubeconfig(kubeconfig)).await.unwrap();
        for object in objects() {
            admin.apply(&object, "test").await.unwrap();
        }
        let published = world();
        let inventory =
            Inventory::new(published.clone(), Arc::default(), Arc::default(), Arc::default());
        let lists = inventory.clone();
        let lists = at_once(move |ask| {
            lists.list(ask.path.strip_prefix("/api/v1/")?, &ask.query, &|_| Value::Null)
        });
        let (whatif, _) = WhatIf::new(Arc::default());
        let objects = Objects::new(inventory, Arc::default(), Arc::new(Own(admin.clone())), whatif);
        let objects: Arc<dyn Pages> = Arc::new(objects);
        Self {
            readers: Readers::new(admin.clone(), published.clone()),
            admin,
            published,
            pages: Arc::new(Confined(all(vec![objects, lists]))),
            _home: home,
            _tasks: tasks,
        }
    }

    /// As the page's server knows whoever has an account's token.
    async fn reader(&self, account: &str) -> Result<Reader, Refusal> {
        let token = self.admin.request_token("shop", account, 3600).await.unwrap();
        self.readers.authenticate(&token).await
    }

    async fn get(&self, reader: &Reader, path: &str) -> (u16, Value) {
        let ask = Ask { reader: reader.clone(), ..Ask::get(&format!("/api/v1/{path}"), "") };
        answer(&*self.pages, &ask).await
    }

    async fn post(&self, reader: &Reader, query: &str, update: &Value) -> (u16, Value) {
        answer(&*self.pages, &posted(reader, query, update)).await
    }

    /// The port that the gateway has.
    async fn port(&self) -> Value {
        let kind = by_kind("networking.istio.io", "Gateway").unwrap();
        let object = self.admin.get(kind, Some("shop"), "front").await.unwrap().unwrap();
        object["spec"]["servers"][0]["port"]["number"].clone()
    }

    /// What there is to edit, with another port.
    async fn edited(&self, reader: &Reader, port: &str) -> Value {
        let (status, read) = self.get(reader, &format!("config/{GATEWAY}")).await;
        assert_eq!(status, 200, "{read}");
        let yaml = read["yaml"].as_str().unwrap().replace("31410", port);
        json!({ "yaml": yaml, "resourceVersion": read["resourceVersion"] })
    }
}

fn posted(reader: &Reader, query: &str, update: &Value) -> Ask {
    Ask {
        method: Method::POST,
        content_type: "application/json".to_owned(),
        body: update.to_string().into(),
        reader: reader.clone(),
        ..Ask::get(&format!("/api/v1/config/{GATEWAY}"), query)
    }
}

async fn answer(pages: &dyn Pages, ask: &Ask) -> (u16, Value) {
    let page = pages.answer(ask).await.unwrap();
    (page.status, serde_json::from_slice(&page.body).unwrap())
}

#[tokio::test]
async fn who_may_update_an_object_tries_and_saves_it_until_somebody_else_has() {
    let cluster = Cluster::start().await;
    let editor = cluster.reader("editor").await.unwrap();
    let update = cluster.edited(&editor, "31411").await;
    let (status, tried) = cluster.post(&editor, "dryRun=true", &update).await;
    assert_eq!((status, &tried["validation"]), (200, &json!([])), "{tried}");
    let missing = tried["foreseen"]["missing"].as_str().unwrap();
    assert!(missing.contains("was not looked at"), "here is no mesh to ask: {missing}");
    assert_eq!(cluster.port().await, 31410, "a dry run changes nothing");
    let (status, saved) = cluster.post(&editor, "", &update).await;
    assert_eq!((status, &saved["editable"]), (200, &json!(true)), "{saved}");
    assert_eq!(saved["foreseen"], Value::Null);
    assert_eq!(cluster.port().await, 31411);
    let (status, late) = cluster.post(&editor, "", &update).await;
    assert_eq!(status, 409, "{late}");

    let wrong = cluster.edited(&editor, "31410").await;
    let wrong = json!({
        "yaml": wrong["yaml"].as_str().unwrap().replace("31411", "314110"),
        "resourceVersion": wrong["resourceVersion"],
    });
    let (status, refused) = cluster.post(&editor, "", &wrong).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["issues"][0]["path"].as_str().unwrap().contains("port"), "{refused}");
    assert_eq!(cluster.port().await, 31411);
}

#[tokio::test]
async fn an_object_that_was_deleted_is_created_anew_from_what_was_written() {
    let cluster = Cluster::start().await;
    let editor = cluster.reader("editor").await.unwrap();
    let update = cluster.edited(&editor, "31411").await;
    let anew = json!({ "yaml": update["yaml"], "resourceVersion": "" });
    // One that is there is not overwritten so.
    for query in ["", "dryRun=true"] {
        let (status, late) = cluster.post(&editor, query, &anew).await;
        assert_eq!(status, 409, "{late}");
    }
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    let object = cluster.admin.get(kind, Some("shop"), "front").await.unwrap().unwrap();
    let uid = object["metadata"]["uid"].as_str().unwrap();
    assert!(cluster.admin.delete_exact(kind, Some("shop"), "front", uid).await.unwrap());

    let (status, gone) = cluster.post(&editor, "", &update).await;
    assert_eq!(status, 404, "{gone}");
    let (status, tried) = cluster.post(&editor, "dryRun=true", &anew).await;
    assert_eq!((status, &tried["validation"]), (200, &json!([])), "{tried}");
    assert_eq!(cluster.admin.get(kind, Some("shop"), "front").await.unwrap(), None);
    let (status, created) = cluster.post(&editor, "", &anew).await;
    assert_eq!(status, 200, "{created}");
    assert_eq!(cluster.port().await, 31411);
    assert!(!created["resourceVersion"].as_str().unwrap().is_empty(), "{created}");
}

#[tokio::test]
async fn who_may_only_look_edits_nothing() {
    let cluster = Cluster::start().await;
    let viewer = cluster.reader("viewer").await.unwrap();
    let (_, read) = cluster.get(&viewer, &format!("config/{GATEWAY}")).await;
    assert_eq!(read["editable"], false, "{read}");
    let update = cluster.edited(&viewer, "31411").await;
    for query in ["", "dryRun=true"] {
        let (status, refused) = cluster.post(&viewer, query, &update).await;
        assert_eq!(status, 403, "{refused}");
        let said = refused["message"].as_str().unwrap();
        assert!(said.contains("lacks the right to update"), "{said}");
    }
    // Reading is by their own rights too.
    let blind = cluster.reader("blind").await.unwrap();
    for (status, refused) in [
        cluster.get(&blind, &format!("config/{GATEWAY}")).await,
        cluster.post(&blind, "", &update).await,
    ] {
        assert_eq!(status, 403, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("blind"), "{refused}");
    }
    assert_eq!(cluster.port().await, 31410);
}

#[tokio::test]
async fn what_is_written_is_written_by_the_readers_own_hand() {
    let cluster = Cluster::start().await;
    let viewer = cluster.reader("viewer").await.unwrap();
    let update = cluster.edited(&viewer, "31411").await;
    let inventory =
        Inventory::new(cluster.published.clone(), Arc::default(), Arc::default(), Arc::default());
    let careless = Arc::new(Careless(Own(cluster.admin.clone())));
    let (whatif, _) = WhatIf::new(Arc::default());
    let objects = Objects::new(inventory, Arc::default(), careless, whatif);
    let (status, refused) = answer(&objects, &posted(&viewer, "", &update)).await;
    let said = refused["message"].as_str().unwrap();
    assert!(status == 403 && said.contains("system:serviceaccount:shop:viewer"), "{refused}");
    assert_eq!(cluster.port().await, 31410);
}

#[tokio::test]
async fn a_namespace_that_a_reader_may_not_see_is_not_shown() {
    let cluster = Cluster::start().await;
    let editor = cluster.reader("editor").await.unwrap();
    let (_, namespaces) = cluster.get(&editor, "namespaces").await;
    let rows = namespaces["namespaces"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["shop"]);
    let (_, services) = cluster.get(&editor, "services").await;
    let rows = services["items"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["id"]).collect::<Vec<_>>(), ["service/shop/web"]);
    let (status, other) =
        cluster.get(&editor, "config/Gateway.networking.istio.io/bank/front").await;
    assert_eq!(status, 403, "{other}");
    let refusal = cluster.reader("stranger").await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Forbidden(why) if why.contains("stranger")), "{refusal:?}");
}
