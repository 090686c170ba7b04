//! The webhooks' table. The matrices are written by hand from Istio's documented rules: rows are a
//! namespace's labels, columns a pod's. A second judge reads the rendered selectors as the API server
//! does and must come to the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, Endpoint, Rule, is_called, selected, tag_webhooks, webhooks};
use crate::settings::{ObjectSelector, Settings};
use crate::{Subject, decide};

type Labels = &'static [(&'static str, &'static str)];

const NAMESPACES: [Labels; 9] = [
    &[],
    &[("istio-injection", "enabled")],
    &[("istio-injection", "disabled")],
    &[("istio-injection", "true")],
    &[("istio.io/rev", "default")],
    &[("istio.io/rev", "canary")],
    &[("istio-injection", "enabled"), ("istio.io/rev", "canary")],
    &[("istio-injection", "disabled"), ("istio.io/rev", "default")],
    &[("mesh", "enabled")],
];

const PODS: [Labels; 9] = [
    &[],
    &[("sidecar.istio.io/inject", "true")],
    &[("sidecar.istio.io/inject", "false")],
    &[("sidecar.istio.io/inject", "yes")],
    &[("istio.io/rev", "default")],
    &[("istio.io/rev", "canary")],
    &[("istio.io/rev", "canary"), ("sidecar.istio.io/inject", "true")],
    &[("istio.io/rev", "default"), ("sidecar.istio.io/inject", "false")],
    &[("istio.io/rev", "stable"), ("sidecar.istio.io/inject", "true")],
];

/// `R` rev.namespace, `r` rev.object, `N` namespace, `O` object, `A` auto, `-` none.
struct Matrix {
    name: &'static str,
    settings: fn(&mut Settings),
    rows: [&'static str; 9],
}

const MATRICES: &[Matrix] = &[
    Matrix {
        name: "the default revision",
        settings: |_| {},
        rows: [
            "-O--r----",
            "NN-NNNN-N",
            "---------",
            "---------",
            "RR-RRRR-R",
            "---------",
            "NN-NNNN-N",
            "---------",
            "-O--r----",
        ],
    },
    Matrix {
        name: "enableNamespacesByDefault",
        settings: |settings| settings.namespaces_by_default = true,
        rows: [
            "AO--r----",
            "NN-NNNN-N",
            "---------",
            "---------",
            "RR-RRRR-R",
            "---------",
            "NN-NNNN-N",
            "---------",
            "AO--r----",
        ],
    },
    Matrix {
        name: "the revision canary",
        settings: |settings| settings.revision = "canary".to_owned(),
        rows: [
            "-----rr--",
            "---------",
            "---------",
            "---------",
            "---------",
            "RR-RRRR-R",
            "---------",
            "---------",
            "-----rr--",
        ],
    },
    Matrix {
        name: "the revision canary does not own namespaces by default",
        settings: |settings| {
            settings.revision = "canary".to_owned();
            settings.namespaces_by_default = true;
        },
        rows: [
            "-----rr--",
            "---------",
            "---------",
            "---------",
            "---------",
            "RR-RRRR-R",
            "---------",
            "---------",
            "-----rr--",
        ],
    },
    Matrix {
        name: "injectLabel mesh",
        settings: |settings| settings.inject_label = "mesh".to_owned(),
        rows: [
            "-O--r----",
            "-O--r----",
            "-O--r----",
            "-O--r----",
            "RR-RRRR-R",
            "---------",
            "---------",
            "RR-RRRR-R",
            "NN-NNNN-N",
        ],
    },
    Matrix {
        name: "objectSelector.enabled false: only namespaces are selected",
        settings: |settings| {
            settings.object_selector = ObjectSelector::Ignored;
            settings.namespaces_by_default = true;
        },
        rows: [
            "AAAAAAAAA",
            "NNNNNNNNN",
            "---------",
            "---------",
            "RRRRRRRRR",
            "---------",
            "NNNNNNNNN",
            "---------",
            "AAAAAAAAA",
        ],
    },
    Matrix {
        name: "objectSelector.autoInject false: only pods that ask",
        settings: |settings| {
            settings.object_selector = ObjectSelector::WhenAsked;
            settings.namespaces_by_default = true;
        },
        rows: [
            "-O--r----",
            "-N----N-N",
            "---------",
            "---------",
            "-R----R-R",
            "---------",
            "-N----N-N",
            "---------",
            "-O--r----",
        ],
    },
];

fn map(labels: Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn letter(rule: Option<Rule>) -> char {
    match rule {
        None => '-',
        Some(Rule::RevNamespace) => 'R',
        Some(Rule::RevObject) => 'r',
        Some(Rule::Namespace) => 'N',
        Some(Rule::Object) => 'O',
        Some(Rule::Auto) => 'A',
    }
}

/// The names of the webhooks that the API server would call, by the rendered object alone.
fn called(configuration: &Value, namespace: Labels, pod: Labels) -> Vec<String> {
    let (namespace, pod) = (map(namespace), map(pod));
    let hooks = configuration["webhooks"].as_array().unwrap().iter();
    hooks
        .filter(|hook| {
            holds(&hook["namespaceSelector"], &namespace) && holds(&hook["objectSelector"], &pod)
        })
        .map(|hook| hook["name"].as_str().unwrap().to_owned())
        .collect()
}

fn holds(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let Some(expressions) = selector["matchExpressions"].as_array() else { return true };
    expressions.iter().all(|expression| {
        let label = labels.get(expression["key"].as_str().unwrap());
        let listed = label.is_some_and(|label| {
            expression["values"].as_array().is_some_and(|values| values.contains(&json!(label)))
        });
        match expression["operator"].as_str().unwrap() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            other => panic!("no such operator: {other}"),
        }
    })
}

fn subject_of<'a>(labels: &'a BTreeMap<String, String>, pod: &'a Value) -> Subject<'a> {
    Subject { namespace: "shop", namespace_labels: labels, pod }
}

#[test]
fn every_combination_of_labels_calls_the_documented_webhook() {
    let mut combinations = 0;
    for matrix in MATRICES {
        let mut settings = Settings::default();
        (matrix.settings)(&mut settings);
        let rendered = webhooks(&settings, &Call::of(&settings));
        for (namespace, row) in NAMESPACES.into_iter().zip(matrix.rows) {
            for (labels, expected) in PODS.into_iter().zip(row.chars()) {
                let at = format!("{}: namespace {namespace:?}, pod {labels:?}", matrix.name);
                let namespace_labels = map(namespace);
                let pod = json!({"metadata": {"labels": map(labels)}, "spec": {}});
                let got = selected(&subject_of(&namespace_labels, &pod), &settings);
                assert_eq!(letter(got.as_ref().map(|one| one.rule)), expected, "{at}");
                let expected_names: Vec<String> = got
                    .iter()
                    .map(|one| one.to_string().split(' ').next().unwrap().to_owned())
                    .collect();
                assert_eq!(called(&rendered, namespace, labels), expected_names, "{at}");
                let is_called = is_called(&rendered, &subject_of(&namespace_labels, &pod));
                assert_eq!(is_called, got.is_some(), "{at}");
                combinations += 1;
            }
        }
    }
    assert!(combinations >= 500, "{combinations}");
}

/// The table of istio.io's page on sidecar injection: what becomes of the pod in the end.
#[test]
fn both_answers_together_are_the_documented_outcome() {
    // namespace label, pod label, enableNamespacesByDefault off, on
    #[rustfmt::skip]
    let rows = [
        (None,             None,          false, true),
        (None,             Some("true"),  true,  true),
        (None,             Some("false"), false, false),
        (Some("enabled"),  None,          true,  true),
        (Some("enabled"),  Some("true"),  true,  true),
        (Some("enabled"),  Some("false"), false, false),
        (Some("disabled"), None,          false, false),
        (Some("disabled"), Some("true"),  false, false),
        (Some("disabled"), Some("false"), false, false),
    ];
    for (namespace, pod_label, off, on) in rows {
        for (namespaces_by_default, expected) in [(false, off), (true, on)] {
            let settings = Settings { namespaces_by_default, ..Settings::default() };
            let mut labels = BTreeMap::new();
            labels.extend(namespace.map(|value| ("istio-injection".to_owned(), value.to_owned())));
            let mut pod = json!({"metadata": {"labels": {}}, "spec": {}});
            if let Some(value) = pod_label {
                pod["metadata"]["labels"]["sidecar.istio.io/inject"] = json!(value);
            }
            let subject = subject_of(&labels, &pod);
            let injected =
                selected(&subject, &settings).is_some() && decide(&subject, &settings).is_inject();
            assert_eq!(injected, expected, "{namespace:?} {pod_label:?} {namespaces_by_default}");
        }
    }
}

#[test]
fn a_tag_selects_by_its_name_and_calls_the_revision() {
    let settings = Settings {
        revision: "v2".to_owned(),
        tags: vec!["stable".to_owned(), "default".to_owned()],
        ..Settings::default()
    };
    let pod = json!({"metadata": {}, "spec": {}});
    let rule = |labels: Labels| {
        let labels = map(labels);
        selected(&subject_of(&labels, &pod), &settings).map(|one| (one.configuration, one.rule))
    };
    let named = |name: &str, rule| Some((name.to_owned(), rule));
    let stable = &[("istio.io/rev", "stable")];
    assert_eq!(rule(stable), named("istio-revision-tag-stable", Rule::RevNamespace));
    let own = named("istio-sidecar-injector-v2", Rule::RevNamespace);
    assert_eq!(rule(&[("istio.io/rev", "v2")]), own);
    let default = named("istio-revision-tag-default", Rule::Namespace);
    assert_eq!(rule(&[("istio-injection", "enabled")]), default);
    assert_eq!(rule(&[("istio.io/rev", "v3")]), None);

    let call = Call { ca_bundle: Some("Q0E=".to_owned()), ..Call::of(&settings) };
    let rendered = tag_webhooks(&settings, "stable", &call);
    assert_eq!(rendered["metadata"]["name"], "istio-revision-tag-stable");
    assert_eq!(rendered["metadata"]["labels"]["istio.io/tag"], "stable");
    assert_eq!(rendered["webhooks"].as_array().unwrap().len(), 2);
    let client = &rendered["webhooks"][0]["clientConfig"];
    assert_eq!(client["service"]["name"], "istiod-v2");
    assert_eq!(client["caBundle"], "Q0E=");
    let rendered = tag_webhooks(&settings, "default", &Call::of(&settings));
    assert_eq!(rendered["webhooks"].as_array().unwrap().len(), 4);
}

#[test]
fn a_tag_of_a_control_plane_elsewhere_has_its_namespace_in_the_name() {
    let tags = vec!["stable".to_owned()];
    let namespace = "mesh".to_owned();
    let settings = Settings { istio_namespace: namespace, tags, ..Settings::default() };
    let rendered = tag_webhooks(&settings, "stable", &Call::of(&settings));
    assert_eq!(rendered["metadata"]["name"], "istio-revision-tag-stable-mesh");
    let labels = map(&[("istio.io/rev", "stable")]);
    let pod = json!({"metadata": {}, "spec": {}});
    let webhook = selected(&subject_of(&labels, &pod), &settings).unwrap();
    assert_eq!(webhook.configuration, "istio-revision-tag-stable-mesh");
}

#[test]
fn the_rendered_object_is_one_that_kubernetes_takes() {
    let settings = Settings { namespaces_by_default: true, ..Settings::default() };
    for endpoint in [Endpoint::of(&settings), Endpoint::Url("https://host/inject".to_owned())] {
        let call = Call { endpoint, ca_bundle: Some("Q0E=".to_owned()), reinvoke: true };
        let mut rendered = webhooks(&settings, &call);
        let before = rendered.clone();
        let name = "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration";
        assert!(lateen_api::schema::definitions().contains_key(name));
        assert_eq!(lateen_api::schema::conform(name, &mut rendered), []);
        assert_eq!(rendered, before);
        assert_eq!(rendered["metadata"]["name"], "istio-sidecar-injector");
        assert_eq!(rendered["webhooks"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn names_tell_revision_and_namespace() {
    let name = |revision: &str, namespace: &str| {
        let settings = Settings {
            revision: revision.to_owned(),
            istio_namespace: namespace.to_owned(),
            ..Settings::default()
        };
        let rendered = webhooks(&settings, &Call::of(&settings));
        rendered["metadata"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(name("", "istio-system"), "istio-sidecar-injector");
    assert_eq!(name("default", "istio-system"), "istio-sidecar-injector");
    assert_eq!(name("v2", "istio-system"), "istio-sidecar-injector-v2");
    assert_eq!(name("v2", "mesh"), "istio-sidecar-injector-v2-mesh");
}

#[test]
fn a_namespace_of_the_system_is_not_injected_because_of_a_default() {
    let settings = Settings { namespaces_by_default: true, ..Settings::default() };
    let rendered = webhooks(&settings, &Call::of(&settings));
    let pod = json!({"metadata": {}, "spec": {}});
    for (namespace, expected) in [("kube-system", None), ("shop", Some(Rule::Auto))] {
        let labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace.into())]);
        let auto = &rendered["webhooks"][4];
        assert_eq!(auto["name"], "auto.sidecar-injector.istio.io");
        assert_eq!(holds(&auto["namespaceSelector"], &labels), expected.is_some());
        for labels in [labels, BTreeMap::new()] {
            let subject = Subject { namespace, namespace_labels: &labels, pod: &pod };
            assert_eq!(selected(&subject, &settings).map(|one| one.rule), expected);
        }
    }
}

#[test]
fn the_control_plane_starts_without_asking_itself() {
    let labels = BTreeMap::new();
    let own = json!({"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}, "spec": {}});
    for object_selector in [ObjectSelector::UnlessDeclined, ObjectSelector::Ignored] {
        let settings =
            Settings { namespaces_by_default: true, object_selector, ..Settings::default() };
        let subject = Subject { namespace: "istio-system", namespace_labels: &labels, pod: &own };
        assert_eq!(selected(&subject, &settings), None, "{object_selector:?}");
    }
}
