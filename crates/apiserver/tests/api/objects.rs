//! Objects: create, read, replace, patch, delete, and the refusals that kubectl users know.

use serde_json::{Value, json};

use crate::harness::{Api, CONFIGS, SERVICES, config_map, service};

#[tokio::test]
async fn a_service_is_created_with_defaults_and_an_address_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (code, made) = api.client.call("POST", SERVICES, service("web")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["type"], "ClusterIP");
    assert_eq!(made["spec"]["ports"][0]["targetPort"], 8020);
    assert!(made["spec"]["clusterIP"].as_str().unwrap().starts_with("10.96."));
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["managedFields"].is_array());
    let path = format!("{SERVICES}/web");
    assert_eq!(api.client.get(&path).await, (200, made.clone()));
    let (code, twice) = api.client.call("POST", SERVICES, service("web")).await;
    assert_eq!((code, twice["message"].as_str()), (409, Some("services \"web\" already exists")));
    let (code, gone) = api.client.call("DELETE", &path, Value::Null).await;
    assert_eq!((code, &gone["details"]["uid"]), (200, &made["metadata"]["uid"]));
    let (code, status) = api.client.get(&path).await;
    assert_eq!((code, status["message"].as_str()), (404, Some("services \"web\" not found")));
}

#[tokio::test]
async fn an_outdated_replacement_is_a_conflict_and_an_equal_one_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = format!("{CONFIGS}/c");
    let (_, first) = api.client.call("POST", CONFIGS, config_map("c", json!({"a": "1"}))).await;
    let (code, same) = api.client.call("PUT", &path, first.clone()).await;
    assert_eq!((code, &same["metadata"]), (200, &first["metadata"]));
    let mut changed = first.clone();
    changed["data"]["a"] = json!("2");
    assert_eq!(api.client.call("PUT", &path, changed.clone()).await.0, 200);
    let (code, status) = api.client.call("PUT", &path, changed).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("please apply your changes to the latest version"), "{message}");
}

#[tokio::test]
async fn a_custom_resource_is_replaced_only_with_its_resource_version() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let all = "/apis/networking.istio.io/v1/namespaces/default/gateways";
    let path = format!("{all}/g");
    let gateway = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g"},
        "spec": {"selector": {"istio": "x"}, "servers": [
            {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
    });
    assert_eq!(api.client.call("PUT", &path, gateway.clone()).await.0, 404);
    let (_, made) = api.client.call("POST", all, gateway.clone()).await;
    for path in [&path, &format!("{path}/status")] {
        let (code, status) = api.client.call("PUT", path, gateway.clone()).await;
        assert_eq!(code, 422, "{status}");
        assert_eq!(
            status["message"],
            "Gateway.networking.istio.io \"g\" is invalid: metadata.resourceVersion: Invalid value: \
             0x0: must be specified for an update"
        );
    }
    assert_eq!(api.client.call("PUT", &path, made).await.0, 200);
    let config = config_map("c", json!({}));
    api.client.call("POST", CONFIGS, config.clone()).await;
    assert_eq!(api.client.call("PUT", &format!("{CONFIGS}/c"), config).await.0, 200);
}

#[tokio::test]
async fn all_four_patches_change_the_object() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = format!("{CONFIGS}/c");
    let apply = config_map("c", json!({"a": "1"}));
    let target = format!("{path}?fieldManager=me");
    let (code, _) = api.client.patch(&target, "application/apply-patch+yaml", apply).await;
    assert_eq!(code, 201);
    for (media, patch) in [
        ("application/merge-patch+json", json!({"data": {"b": "2"}})),
        ("application/strategic-merge-patch+json", json!({"data": {"c": "3"}})),
        ("application/json-patch+json", json!([{"op": "add", "path": "/data/d", "value": "4"}])),
    ] {
        let (code, body) = api.client.patch(&path, media, patch).await;
        assert_eq!(code, 200, "{body}");
    }
    let (_, found) = api.client.get(&path).await;
    assert_eq!(found["data"], json!({"a": "1", "b": "2", "c": "3", "d": "4"}));
}

#[tokio::test]
async fn the_status_subresource_changes_the_status_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let all = "/apis/networking.istio.io/v1/namespaces/default/gateways";
    let gateway = json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "Gateway", "metadata": {"name": "g"},
        "spec": {"selector": {"istio": "x"}, "servers": [
            {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
    });
    let old = all.replace("/v1/", "/v1alpha3/");
    let (code, made) = api.client.call("POST", &old, gateway).await;
    assert_eq!((code, made["apiVersion"].as_str()), (201, Some("networking.istio.io/v1alpha3")));
    let status = format!("{all}/g/status");
    let patch = json!({"status": {"observedGeneration": 1}, "spec": {"selector": {"istio": "y"}}});
    let (code, body) = api.client.patch(&status, "application/merge-patch+json", patch).await;
    assert_eq!(code, 200, "{body}");
    let (_, found) = api.client.get(&format!("{all}/g")).await;
    assert_eq!(found["apiVersion"], "networking.istio.io/v1");
    assert_eq!(found["spec"]["selector"]["istio"], "x");
    assert!(
        found["status"]["observedGeneration"] == 1 || found["status"]["observedGeneration"] == "1"
    );
    assert_eq!(found["metadata"]["generation"], 1);
    let patch = json!({"spec": {"selector": {"istio": "z"}}, "status": null});
    api.client.patch(&format!("{all}/g"), "application/merge-patch+json", patch).await;
    let (_, found) = api.client.get(&format!("{all}/g")).await;
    assert!(!found["status"].is_null());
    assert_eq!(found["metadata"]["generation"], 2);
}

#[tokio::test]
async fn bad_objects_are_refused_with_the_field_and_nothing_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let mut unknown = service("web");
    unknown["spec"]["foo"] = json!(1);
    let strict = format!("{SERVICES}?fieldValidation=Strict");
    let (code, status) = api.client.call("POST", &strict, unknown).await;
    let message = status["message"].as_str().unwrap();
    assert!(code == 400 && message.contains("unknown field \"spec.foo\""), "{code} {message}");
    let mut wrong = service("web");
    wrong["spec"]["ports"][0]["port"] = json!(0);
    let (code, status) = api.client.call("POST", SERVICES, wrong).await;
    assert_eq!(
        (code, &status["details"]["causes"][0]["field"]),
        (422, &json!("spec.ports[0].port"))
    );
    let (code, status) =
        api.client.call("POST", "/api/v1/namespaces/no/services", service("w")).await;
    assert_eq!((code, status["message"].as_str()), (404, Some("namespaces \"no\" not found")));
    let (code, status) = api.client.get("/apis/nothing.example/v1/things").await;
    let message = status["message"].as_str();
    assert_eq!((code, message), (404, Some("the server could not find the requested resource")));
    let gone = "/apis/batch/v1beta1/namespaces/default/cronjobs";
    assert_eq!(api.client.call("POST", gone, json!({})).await.0, 404);
    let (_, list) = api.client.get(SERVICES).await;
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["kubernetes"]);
}

#[tokio::test]
async fn a_deleted_namespace_takes_its_objects_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    assert_eq!(api.client.call("POST", "/api/v1/namespaces", namespace).await.0, 201);
    let configs = "/api/v1/namespaces/x/configmaps";
    assert_eq!(api.client.get("/api/v1/namespaces/x/serviceaccounts/default").await.0, 200);
    api.client.call("POST", configs, config_map("c", json!({}))).await;
    let (_, list) = api.client.get("/api/v1/namespaces").await;
    let rv = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path =
        format!("/api/v1/namespaces?watch=1&resourceVersion={rv}&fieldSelector=metadata.name=x");
    let mut watch = api.client.watch(&path).await;
    let (code, body) = api.client.call("DELETE", "/api/v1/namespaces/x", Value::Null).await;
    assert_eq!((code, body["status"]["phase"].as_str()), (200, Some("Terminating")));
    assert_eq!(watch.step().await.0, "MODIFIED");
    assert_eq!(watch.step().await.0, "DELETED");
    assert_eq!(api.client.get(configs).await.1["items"], json!([]));
    assert_eq!(api.client.call("DELETE", "/api/v1/namespaces/default", Value::Null).await.0, 403);
}

#[tokio::test]
async fn dependents_follow_their_owner_and_finalizers_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let mut owner = config_map("owner", json!({}));
    owner["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let (_, owner) = api.client.call("POST", CONFIGS, owner).await;
    let mut child = config_map("child", json!({}));
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
    }]);
    let (_, child) = api.client.call("POST", CONFIGS, child).await;
    let rv = child["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.client.watch(&format!("{CONFIGS}?watch=1&resourceVersion={rv}")).await;
    let path = format!("{CONFIGS}/owner");
    let (code, held) = api.client.call("DELETE", &path, Value::Null).await;
    assert!(code == 200 && held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    assert_eq!(watch.step().await, ("MODIFIED".to_owned(), "owner".to_owned()));
    let patch = json!({"metadata": {"finalizers": null}});
    api.client.patch(&path, "application/merge-patch+json", patch).await;
    assert_eq!(watch.step().await, ("DELETED".to_owned(), "owner".to_owned()));
    assert_eq!(watch.step().await, ("DELETED".to_owned(), "child".to_owned()));
}

#[tokio::test]
async fn tokens_of_service_accounts_are_issued_reviewed_and_limited() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    let ask = |audience: &str| {
        json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [audience]},
        })
    };
    let (code, mesh) = api.client.call("POST", &format!("{account}/token"), ask("istio-ca")).await;
    assert_eq!(code, 201, "{mesh}");
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": mesh["status"]["token"], "audiences": ["istio-ca"]},
    });
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, answer) = api.client.call("POST", reviews, review).await;
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:default:default");
    let mut stranger = api.client.clone();
    stranger.token = mesh["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(stranger.get(CONFIGS).await.0, 401, "a token for another audience");
    let own = ask("https://kubernetes.default.svc");
    let (_, own) = api.client.call("POST", &format!("{account}/token"), own).await;
    stranger.token = own["status"]["token"].as_str().unwrap().to_owned();
    let (code, status) = stranger.get(CONFIGS).await;
    assert_eq!(code, 403);
    assert!(status["message"].as_str().unwrap().contains("cannot list resource \"configmaps\""));
    stranger.token = String::new();
    assert_eq!(stranger.get(CONFIGS).await.0, 401);
    assert_eq!(stranger.get("/version").await.0, 200);
    assert_eq!(stranger.get("/readyz").await, (200, json!("ok")));
}

/// What kubectl 1.37 sends for `kubectl create configmap a --from-literal=x=y`.
const PROTOBUF: &[u8] =
    b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x1b\x0a\x11\x0a\x01a\x12\0\x1a\0\
    \"\0*\x002\x008\0B\0\x12\x06\x0a\x01x\x12\x01y\x1a\0\"\0";

#[tokio::test]
async fn a_protobuf_body_makes_the_same_object_as_json() {
    const MEDIA: &str = "application/vnd.kubernetes.protobuf";
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = format!("{CONFIGS}?fieldValidation=Strict");
    let request = api.client.request("POST", &path, MEDIA, PROTOBUF.into());
    let (parts, made) = api.client.send(request).await;
    assert_eq!(parts.status, 201, "{made}");
    let (_, json) = api.client.call("POST", CONFIGS, config_map("b", json!({"x": "y"}))).await;
    assert_eq!(made["data"], json["data"]);
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&made), fields(&json));
    assert_eq!(fields(&made["metadata"]), fields(&json["metadata"]));
    let request = api.client.request("POST", CONFIGS, MEDIA, b"k8s\0\x0a".as_slice().into());
    assert_eq!(api.client.send(request).await.0.status, 400);
    let request = api.client.request("POST", CONFIGS, "text/plain", PROTOBUF.into());
    assert_eq!(api.client.send(request).await.0.status, 415);
}

#[tokio::test]
async fn a_pod_has_no_log_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (code, status) = api.client.get("/api/v1/namespaces/default/pods/p/log").await;
    assert_eq!(code, 400, "{status}");
    assert!(status["message"].as_str().unwrap().contains("lateen run"), "{status}");
}

#[tokio::test]
async fn the_admin_may_do_everything_and_can_ask_so() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (code, review) = api.client.call("POST", path, json!({"spec": {"namespace": "a"}})).await;
    assert_eq!(code, 201, "{review}");
    assert_eq!(review["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    assert_eq!(review["status"]["nonResourceRules"][0]["nonResourceURLs"], json!(["*"]));
}

#[tokio::test]
async fn all_that_is_wrong_with_a_service_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let mut wrong = service("web");
    wrong["spec"]["ports"][0]["port"] = json!(70000);
    wrong["spec"]["type"] = json!("Balancer");
    wrong["spec"]["clusterIP"] = json!("10.1.1.1");
    let (code, status) = api.client.call("POST", SERVICES, wrong).await;
    assert_eq!(code, 422, "{status}");
    let fields: Vec<&Value> =
        status["details"]["causes"].as_array().unwrap().iter().map(|c| &c["field"]).collect();
    assert_eq!(fields, ["spec.ports[0].port", "spec.type", "spec.clusterIPs"]);
    let message = status["message"].as_str().unwrap();
    let known = "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive";
    assert!(message.starts_with("Service \"web\" is invalid: [") && message.contains(known));
}

#[tokio::test]
async fn a_node_port_is_given_kept_by_patches_and_gone_with_the_type() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = format!("{SERVICES}/web");
    api.client.call("POST", SERVICES, service("web")).await;
    let typed = async |kind: &str| {
        let patch = json!({"spec": {"type": kind}});
        let (code, body) = api.client.patch(&path, "application/merge-patch+json", patch).await;
        assert_eq!(code, 200, "{body}");
        body["spec"]["ports"][0]["nodePort"].clone()
    };
    let given = typed("NodePort").await;
    assert!((30000..=32767).contains(&given.as_i64().unwrap()), "{given}");
    assert_eq!(typed("LoadBalancer").await, given);
    let mut other = service("other");
    other["spec"]["type"] = json!("NodePort");
    other["spec"]["ports"][0]["nodePort"] = given;
    assert_eq!(api.client.call("POST", SERVICES, other.clone()).await.0, 422);
    assert_eq!(typed("ClusterIP").await, Value::Null);
    assert_eq!(api.client.call("POST", SERVICES, other).await.0, 201);
    let patch = json!({"spec": {"clusterIP": "10.96.3.3", "clusterIPs": ["10.96.3.3"]}});
    let (code, status) = api.client.patch(&path, "application/merge-patch+json", patch).await;
    let message = status["message"].as_str().unwrap();
    assert!(code == 422 && message.contains("may not change once set"), "{message}");
}

#[tokio::test]
async fn the_service_of_the_api_is_there_points_at_it_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = format!("{SERVICES}/kubernetes");
    let (_, made) = api.client.get(&path).await;
    assert_eq!(made["spec"]["clusterIP"], "10.96.0.1");
    assert_eq!(made["metadata"]["labels"]["provider"], "kubernetes");
    assert_eq!(made["spec"]["ports"][0]["port"], 443);
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    let port = u64::from(api.client.address.port());
    let (_, slice) = api.client.get(slices).await;
    assert_eq!(
        (&slice["ports"][0]["port"], &made["spec"]["ports"][0]["targetPort"]),
        (&json!(port), &json!(port))
    );
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["127.0.0.1"]));
    let (_, endpoints) = api.client.get("/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], port);
    let rv = made["metadata"]["resourceVersion"].as_str().unwrap();
    let select =
        format!("{SERVICES}?watch=1&resourceVersion={rv}&fieldSelector=metadata.name%3Dkubernetes");
    let mut watch = api.client.watch(&select).await;
    assert_eq!(api.client.call("DELETE", &path, Value::Null).await.0, 200);
    assert_eq!(watch.step().await.0, "DELETED");
    let again = watch.next().await.unwrap();
    assert_eq!(
        (&again["type"], &again["object"]["spec"]["clusterIP"]),
        (&json!("ADDED"), &json!("10.96.0.1"))
    );
    api.stop().await;
    let api = Api::start(dir.path()).await;
    let (_, slice) = api.client.get(slices).await;
    assert_eq!(slice["ports"][0]["port"], u64::from(api.client.address.port()));
}

#[tokio::test]
async fn a_json_patch_that_does_not_fit_names_the_object() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    api.client.call("POST", CONFIGS, config_map("c", json!({}))).await;
    let patch = json!([{"op": "replace", "path": "/data/x", "value": "1"}]);
    let path = format!("{CONFIGS}/c");
    let (code, status) = api.client.patch(&path, "application/json-patch+json", patch).await;
    assert_eq!((code, &status["details"]["name"]), (422, &json!("c")));
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("ConfigMap \"c\" is invalid: patch: replace operation"),
        "{message}"
    );
}

#[tokio::test]
async fn an_object_that_is_being_deleted_gets_no_more_finalizers() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let mut held = config_map("c", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/a"]);
    api.client.call("POST", CONFIGS, held).await;
    let path = format!("{CONFIGS}/c");
    api.client.call("DELETE", &path, Value::Null).await;
    let patch = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}});
    let (code, status) = api.client.patch(&path, "application/merge-patch+json", patch).await;
    assert_eq!(code, 422, "{status}");
    assert_eq!(
        status["message"],
        "ConfigMap \"c\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added \
         if the object is being deleted, found new finalizers []string{\"example.com/b\"}"
    );
    let patch = json!({"metadata": {"finalizers": null}});
    assert_eq!(api.client.patch(&path, "application/merge-patch+json", patch).await.0, 200);
}
