//! Questions about Istio's objects, and inputs that are almost right.

use lateen_api::validate::KnownProvider;
use lateen_testkit::fuzz;
use serde_json::{Value, json};

use super::{PROBE_REFUSAL, answer, probe};
use crate::cluster::webhook::review::{Answer, decode};

fn review(object: &Value) -> Value {
    let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": {"group": group, "version": version, "kind": object["kind"]},
            "operation": "CREATE", "namespace": "shop", "object": object,
        },
    })
}

fn ask(review: &Value) -> Answer {
    answer(&decode(review.to_string().as_bytes()).unwrap(), None).0
}

fn gateway() -> Value {
    let mut gateway = probe("shop", "default");
    gateway["metadata"]["annotations"] = json!({});
    gateway
}

#[track_caller]
fn refused(answer: Answer) -> String {
    match answer {
        Answer::Deny { message, .. } => message,
        allowed => panic!("{allowed:?}"),
    }
}

#[test]
fn a_sound_object_is_taken_and_a_bad_one_refused_in_istios_words() {
    assert_eq!(ask(&review(&gateway())), Answer::allow());
    let mut bad = gateway();
    bad["spec"]["servers"][0]["port"]["number"] = json!(70000);
    bad["spec"]["servers"][0]["hosts"] = json!([]);
    let message = refused(ask(&review(&bad)));
    assert!(message.starts_with("configuration is invalid: "), "{message}");
    assert!(message.contains("port") && message.contains("hosts"), "{message}");
}

#[test]
fn the_probe_is_sound_and_refused() {
    let probe = probe("istio-system", "default");
    assert_eq!(refused(ask(&review(&probe))), PROBE_REFUSAL);
    let kind = lateen_api::kinds::by_kind("networking.istio.io", "Gateway").unwrap();
    assert_eq!(lateen_api::validate::validate(kind, "v1", &probe), []);
}

#[test]
fn what_is_going_away_is_not_held_up() {
    let mut bad = gateway();
    bad["spec"]["servers"] = json!([]);
    bad["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(ask(&review(&bad)), Answer::allow());
    bad["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
    let mut delete = review(&bad);
    delete["request"]["operation"] = json!("DELETE");
    assert_eq!(ask(&delete), Answer::allow());
    refused(ask(&review(&bad)));
}

#[test]
fn an_unknown_kind_is_refused_as_istio_does() {
    let mut unknown = gateway();
    unknown["kind"] = json!("Gatway");
    assert!(refused(ask(&review(&unknown))).contains("unrecognized type Gatway"));
}

#[test]
fn a_provider_that_the_mesh_does_not_have_is_warned_of() {
    let telemetry = json!({
        "apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"accessLogging": [{"providers": [{"name": "nowhere"}]}]},
    });
    let question = decode(review(&telemetry).to_string().as_bytes()).unwrap();
    let log = |name: &str| KnownProvider { name: name.to_owned(), kind: "envoyFileAccessLog" };
    let warned = |providers: Option<&[KnownProvider]>| match answer(&question, providers).0 {
        Answer::Allow { warnings, .. } => warnings,
        Answer::Deny { message, .. } => panic!("{message}"),
    };
    assert_eq!(warned(None), [""; 0]);
    assert_eq!(warned(Some(&[log("nowhere")])), [""; 0]);
    let warnings = warned(Some(&[log("own")]));
    let said = "meshConfig.extensionProviders has no \"nowhere\": use own, or add it";
    assert!(warnings.len() == 1 && warnings[0].contains(said), "{warnings:?}");
}

#[test]
fn no_object_is_too_strange_to_be_answered() {
    let samples = vec![review(&gateway())];
    fuzz::fuzz(2000, fuzz::objects(samples), |review| {
        if let Ok(question) = decode(review.to_string().as_bytes()) {
            answer(&question, Some(&[]));
        }
    });
}
