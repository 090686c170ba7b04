//! Selectors: text in, which objects match or which message out.

use serde_json::{Value, json};

use super::{FieldSelector, LabelSelector};

fn labelled(labels: Value) -> Value {
    json!({"metadata": {"name": "a", "namespace": "ns", "labels": labels}})
}

#[test]
fn label_selectors_match_as_kubernetes_does() {
    let object = labelled(json!({"app": "echo", "tier": "web", "n": "5", "empty": ""}));
    for (text, expected) in [
        ("", true),
        ("app=echo", true),
        ("app==echo", true),
        (" app = echo , tier = web ", true),
        ("app!=echo", false),
        ("missing!=x", true),
        ("app", true),
        ("missing", false),
        ("!missing", true),
        ("!app", false),
        ("app in (a, echo)", true),
        ("app in (a,b)", false),
        ("app notin (a,b)", true),
        ("missing notin (a)", true),
        ("app notin (echo)", false),
        ("empty=", true),
        ("empty", true),
        ("n>4", true),
        ("n<5", false),
        ("app in (echo),tier!=db,!x", true),
        ("istio.io/rev=default", false),
        ("in=x", false),
    ] {
        let selector = LabelSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(selector.matches(&object), expected, "{text}");
    }
}

#[test]
fn objects_without_labels_satisfy_only_negative_requirements() {
    let bare = json!({"metadata": {"name": "a"}});
    assert!(LabelSelector::parse("!a,b!=c,d notin (e)").unwrap().matches(&bare));
    assert!(!LabelSelector::parse("a").unwrap().matches(&bare));
}

#[test]
fn bad_label_selectors_say_what_was_found() {
    for (text, message) in [
        ("a,", "unable to parse requirement: found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("=x", "unable to parse requirement: found '=', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b', expected: '('"),
        ("a=b=c", "unable to parse requirement: found '=', expected: ',' or 'end of string'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap_err().to_string(), message, "{text}");
    }
    let error = LabelSelector::parse("a=-x").unwrap_err().to_string();
    assert!(error.starts_with(
        "unable to parse requirement: values[0][a]: Invalid value: \"-x\": a valid label must be"
    ));
    let error = LabelSelector::parse("-a=x").unwrap_err().to_string();
    assert!(error.contains("key: Invalid value: \"-a\": name part must consist of"));
}

#[test]
fn selector_objects_combine_labels_and_expressions() {
    let selector = LabelSelector::from_object(&json!({
        "matchLabels": {"app": "echo"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["web", "db"]},
            {"key": "canary", "operator": "DoesNotExist"},
        ],
    }))
    .unwrap();
    assert!(selector.matches(&labelled(json!({"app": "echo", "tier": "db"}))));
    assert!(!selector.matches(&labelled(json!({"app": "echo", "tier": "db", "canary": "1"}))));
    assert!(!selector.matches(&labelled(json!({"app": "echo"}))));
    assert!(LabelSelector::from_object(&json!({})).unwrap().is_empty());
}

#[test]
fn bad_selector_objects_are_refused() {
    let check = |selector: Value, message: &str| {
        assert_eq!(LabelSelector::from_object(&selector).unwrap_err().to_string(), message);
    };
    check(
        json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}),
        "\"Is\" is not a valid label selector operator",
    );
    check(
        json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
    );
}

#[test]
fn field_selectors_follow_paths() {
    let event = json!({
        "metadata": {"name": "a", "namespace": "ns"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "type": "Normal", "count": 3, "spec": {"unschedulable": true},
    });
    for (text, expected) in [
        ("", true),
        ("metadata.name=a", true),
        ("metadata.name==a,metadata.namespace=ns", true),
        ("metadata.name!=a", false),
        ("involvedObject.name=p,involvedObject.kind=Pod", true),
        ("type!=Warning", true),
        ("spec.nodeName=", true),
        ("count=3", true),
        ("spec.unschedulable=true", true),
        ("involvedObject.name=a\\,b", false),
    ] {
        let selector = FieldSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(selector.matches(&event), expected, "{text}");
    }
    assert_eq!(
        FieldSelector::parse("x=1,metadata.name=a").unwrap().pinned("metadata.name"),
        Some("a")
    );
}

#[test]
fn bad_field_selectors_are_refused() {
    assert_eq!(
        FieldSelector::parse("metadata.name").unwrap_err().to_string(),
        "invalid selector: 'metadata.name'; can't understand 'metadata.name'"
    );
    let selector = FieldSelector::parse("spec.foo=1").unwrap();
    assert_eq!(
        selector.restrict(&["spec.nodeName"]).unwrap_err().to_string(),
        "field label not supported: spec.foo"
    );
    assert!(FieldSelector::parse("metadata.name=a").unwrap().restrict(&[]).is_ok());
}
