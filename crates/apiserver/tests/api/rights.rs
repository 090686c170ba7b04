//! What a user with few rights may do: create by applying, and grant to others what he has himself.

use serde_json::{Value, json};

use crate::harness::{Api, CONFIGS, Client, config_map};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const CLUSTER_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const APPLY: &str = "application/apply-patch+yaml";

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn role(kind: &str, name: &str, rules: Value) -> Value {
    let version = "rbac.authorization.k8s.io/v1";
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "rules": rules})
}

fn binding(kind: &str, name: &str, role: &str, referred: &str) -> Value {
    let subject = json!({"kind": "ServiceAccount", "namespace": "default", "name": "default"});
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": referred},
    })
}

/// The account `default`, with these rules everywhere.
pub async fn account_with(api: &Api, rules: Value) -> Client {
    let made = role("ClusterRole", "given", rules);
    assert_eq!(api.client.call("POST", CLUSTER_ROLES, made).await.0, 201);
    let bound = binding("ClusterRoleBinding", "given", "ClusterRole", "given");
    assert_eq!(api.client.call("POST", CLUSTER_BINDINGS, bound).await.0, 201);
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let (_, answer) = api.client.call("POST", path, request).await;
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    Client { token, ..api.client.clone() }
}

#[tokio::test]
async fn applying_what_is_not_there_needs_the_right_to_create_it() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let user = account_with(&api, json!([rule(&["patch"], "", &["configmaps"])])).await;
    let path = format!("{CONFIGS}/c?fieldManager=me");
    let (code, status) = user.patch(&path, APPLY, config_map("c", json!({}))).await;
    assert_eq!(code, 403, "{status}");
    assert_eq!(
        status["message"],
        "configmaps \"c\" is forbidden: User \"system:serviceaccount:default:default\" cannot create \
         resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    api.client.call("POST", CONFIGS, config_map("c", json!({}))).await;
    assert_eq!(user.patch(&path, APPLY, config_map("c", json!({"a": "1"}))).await.0, 200);
}

#[tokio::test]
async fn nobody_puts_more_into_a_role_than_he_has() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let group = "rbac.authorization.k8s.io";
    let own = rule(&["get", "list"], "", &["configmaps"]);
    let writes = rule(&["create", "update", "patch"], group, &["roles", "clusterroles"]);
    let user = account_with(&api, json!([own, writes])).await;
    let small = role("Role", "small", json!([rule(&["list"], "", &["configmaps"])]));
    let (code, mut small) = user.call("POST", ROLES, small).await;
    assert_eq!(code, 201, "{small}");
    let large = json!([rule(&["list", "delete"], "", &["configmaps", "secrets"])]);
    let (code, status) = user.call("POST", ROLES, role("Role", "large", large.clone())).await;
    assert_eq!(code, 403, "{status}");
    assert_eq!(
        status["message"],
        "roles.rbac.authorization.k8s.io \"large\" is forbidden: user \
         \"system:serviceaccount:default:default\" (groups=[\"system:serviceaccounts\" \
         \"system:serviceaccounts:default\" \"system:authenticated\"]) is attempting to grant RBAC \
         permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"delete\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"list\" \"delete\"]}"
    );
    small["rules"] = large.clone();
    assert_eq!(user.call("PUT", &format!("{ROLES}/small"), small).await.0, 403);
    let merge = json!({"rules": large});
    let path = format!("{ROLES}/small");
    assert_eq!(user.patch(&path, "application/merge-patch+json", merge).await.0, 403);
    let applied = format!("{CLUSTER_ROLES}/large?fieldManager=me");
    let large = role("ClusterRole", "large", large);
    assert_eq!(user.patch(&applied, APPLY, large).await.0, 403);
    let mut gathers = role("ClusterRole", "gathers", json!([]));
    gathers["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let (code, status) = user.call("POST", CLUSTER_ROLES, gathers).await;
    let message = status["message"].as_str().unwrap();
    assert!(code == 403 && message.contains("must have cluster-admin privileges"), "{message}");
}

#[tokio::test]
async fn who_may_escalate_puts_anything_into_a_role() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let verbs = ["create", "escalate"];
    let user =
        account_with(&api, json!([rule(&verbs, "rbac.authorization.k8s.io", &["roles"])])).await;
    let large = json!([rule(&["*"], "*", &["*"])]);
    assert_eq!(user.call("POST", ROLES, role("Role", "large", large.clone())).await.0, 201);
    assert_eq!(user.call("POST", CLUSTER_ROLES, role("ClusterRole", "l", large)).await.0, 403);
}

#[tokio::test]
async fn nobody_binds_a_role_with_more_than_he_has_unless_he_may_bind_it() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let group = "rbac.authorization.k8s.io";
    let own = rule(&["get"], "", &["configmaps"]);
    let writes = rule(&["create", "patch"], group, &["rolebindings", "clusterrolebindings"]);
    let mut bind = rule(&["bind"], group, &["clusterroles"]);
    bind["resourceNames"] = json!(["bindable"]);
    let user = account_with(&api, json!([own, writes, bind])).await;
    let everything = json!([rule(&["*"], "*", &["*"])]);
    for name in ["everything", "bindable"] {
        let made = role("ClusterRole", name, everything.clone());
        assert_eq!(api.client.call("POST", CLUSTER_ROLES, made).await.0, 201);
    }
    let small = role("Role", "small", json!([rule(&["get"], "", &["configmaps"])]));
    assert_eq!(api.client.call("POST", ROLES, small).await.0, 201);
    for (kind, path, referred, expected) in [
        ("RoleBinding", BINDINGS, ("Role", "small"), 201),
        ("RoleBinding", BINDINGS, ("ClusterRole", "everything"), 403),
        ("RoleBinding", BINDINGS, ("ClusterRole", "nothing"), 404),
        ("ClusterRoleBinding", CLUSTER_BINDINGS, ("ClusterRole", "everything"), 403),
        ("ClusterRoleBinding", CLUSTER_BINDINGS, ("ClusterRole", "bindable"), 201),
    ] {
        let value = binding(kind, referred.1, referred.0, referred.1);
        let (code, body) = user.call("POST", path, value).await;
        assert_eq!(code, expected, "{kind} {referred:?}: {body}");
    }
}

#[tokio::test]
async fn finalizers_of_a_role_may_be_changed_by_who_has_less_than_the_role() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let user =
        account_with(&api, json!([rule(&["patch"], "rbac.authorization.k8s.io", &["roles"])]))
            .await;
    let large = role("Role", "large", json!([rule(&["*"], "*", &["*"])]));
    assert_eq!(api.client.call("POST", ROLES, large).await.0, 201);
    let (path, media) = (format!("{ROLES}/large"), "application/merge-patch+json");
    let finalizers = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    assert_eq!(user.patch(&path, media, finalizers).await.0, 200);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(user.patch(&path, media, labels).await.0, 403);
}

#[tokio::test]
async fn a_rule_for_one_name_allows_to_list_that_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let mut only = rule(&["list"], "", &["configmaps"]);
    only["resourceNames"] = json!(["c"]);
    let user = account_with(&api, json!([only])).await;
    let list = |selector: &str| format!("/api/v1/configmaps?fieldSelector={selector}");
    assert_eq!(user.get(&list("metadata.name%3Dc")).await.0, 200);
    assert_eq!(user.get(&list("metadata.name%3Dd")).await.0, 403);
    assert_eq!(user.get(&list("metadata.name%21%3Dc")).await.0, 403);
    assert_eq!(user.get("/api/v1/configmaps").await.0, 403);
}
