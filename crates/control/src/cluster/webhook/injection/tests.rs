//! Questions about pods, and inputs that are almost right.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lateen_inject::Settings;
use lateen_testkit::fuzz;
use serde_json::{Value, json};

use super::answer;
use crate::cluster::webhook::counters::Outcome;
use crate::cluster::webhook::review::{Answer, decode, encode};

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]}]},
    })
}

fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE", "namespace": "shop", "object": object,
        },
    })
}

/// The response as the API reads it.
fn ask(review: &Value, variables: &[(String, String)]) -> (Value, Outcome) {
    let question = decode(review.to_string().as_bytes()).unwrap();
    let (answer, outcome) = answer(&question, &Settings::default(), |_| true, variables);
    let answer: Value = serde_json::from_slice(&encode(&question, &answer)).unwrap();
    assert_eq!(answer["apiVersion"], review["apiVersion"]);
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    (answer["response"].clone(), outcome)
}

fn operations(response: &Value) -> Vec<Value> {
    assert_eq!(response["patchType"], "JSONPatch");
    let bytes = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_pod_gets_its_sidecar_by_a_patch() {
    let (response, outcome) = ask(&review(&pod()), &[]);
    assert_eq!((response["allowed"].clone(), outcome), (json!(true), Outcome::Injected));
    let text = json!(operations(&response)).to_string();
    assert!(text.contains("istio-proxy") && text.contains("istio-init"), "{text}");

    let mut old = review(&pod());
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    assert_eq!(ask(&old, &[]).0, response);
}

#[test]
fn a_pod_of_a_namespace_that_the_mesh_does_not_see_comes_with_a_warning() {
    let mesh = "discoverySelectors: [{matchLabels: {mesh: 'yes'}}]";
    let settings = Settings::from_texts("", mesh, "").0;
    let question = decode(review(&pod()).to_string().as_bytes()).unwrap();
    let warnings = |seen: bool| {
        let sees = |namespace: &str| namespace != "shop" || seen;
        match answer(&question, &settings, sees, &[]).0 {
            Answer::Allow { patch: Some(_), warnings } => warnings,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(warnings(true), [] as [String; 0]);
    let told = warnings(false).join("\n");
    assert!(told.contains("leave namespace shop out") && told.contains("(mesh=yes)"), "{told}");
}

#[test]
fn variables_of_the_path_replace_those_of_the_settings() {
    let variables = [("ISTIO_META_CLUSTER_ID".to_owned(), "east".to_owned())];
    let (response, _) = ask(&review(&pod()), &variables);
    let text = json!(operations(&response)).to_string();
    let ids = text.matches("ISTIO_META_CLUSTER_ID").count();
    assert!(ids == 1 && text.contains("\"east\""), "{text}");
}

#[test]
fn what_declines_or_is_no_new_pod_is_left_alone() {
    let mut declined = pod();
    declined["metadata"]["labels"]["sidecar.istio.io/inject"] = json!("false");
    let mut update = review(&pod());
    update["request"]["operation"] = json!("UPDATE");
    let mut other = review(&pod());
    other["request"]["kind"]["kind"] = json!("Binding");
    for review in [review(&declined), update, other] {
        let (response, outcome) = ask(&review, &[]);
        assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
        assert_eq!(outcome, Outcome::Skipped);
    }
}

#[test]
fn a_bad_annotation_is_refused_with_its_reason_and_a_doubtful_one_warned_of() {
    let mut bad = pod();
    bad["metadata"]["annotations"] = json!({
        "traffic.sidecar.istio.io/excludeOutboundPorts": "80,many",
        "sidecar.istio.io/inject": "perhaps",
    });
    let (response, outcome) = ask(&review(&bad), &[]);
    assert_eq!((response["allowed"].clone(), outcome), (json!(false), Outcome::NotInjected));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("excludeOutboundPorts") && message.contains("many"), "{message}");
    assert!(response["warnings"][0].as_str().unwrap().contains("perhaps"));

    bad["metadata"]["annotations"] = json!({"sidecar.istio.io/inject": "perhaps"});
    let (response, _) = ask(&review(&bad), &[]);
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("perhaps"), "{response}");
}

#[test]
fn an_injected_pod_is_not_changed_again() {
    let question = decode(review(&pod()).to_string().as_bytes()).unwrap();
    let settings = Settings::default();
    let subject = lateen_inject::Subject {
        namespace: "shop",
        namespace_labels: &std::collections::BTreeMap::new(),
        pod: &question.object,
    };
    let injected = lateen_inject::inject(&subject, &settings).unwrap().pod;
    let (response, outcome) = ask(&review(&injected), &[]);
    assert_eq!((response["patch"].clone(), outcome), (Value::Null, Outcome::Injected));
}

#[test]
fn no_question_is_too_strange_to_be_answered() {
    let settings = Settings { native_sidecar: true, ..Settings::default() };
    let whole = review(&pod());
    fuzz::fuzz(2000, fuzz::objects(vec![whole.clone()]), |review| {
        let Ok(question) = decode(review.to_string().as_bytes()) else { return };
        let (answer, _) =
            answer(&question, &settings, |_| true, &[("A".to_owned(), "b".to_owned())]);
        if let Answer::Deny { message, .. } = &answer {
            assert!(!message.is_empty());
        }
        assert!(serde_json::from_slice::<Value>(&encode(&question, &answer)).is_ok());
    });
    fuzz::fuzz(2000, fuzz::bytes(vec![whole.to_string().into_bytes()]), |bytes| {
        if let Ok(question) = decode(&bytes) {
            answer(&question, &settings, |_| false, &[]);
        }
    });
    assert!(decode("[".repeat(100_000).as_bytes()).is_err());
}
