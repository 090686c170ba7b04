//! What a tag selects, by the settings of the revision that it points at.

use clap::Parser;
use lateen_inject::{Call, Settings, tag_webhooks};
use serde_json::{Value, json};

use super::{SetArgs, config_map, manifest, settings};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: SetArgs,
}

fn args(more: &[&str]) -> SetArgs {
    Line::parse_from(["set", "prod", "--revision", "canary"].iter().chain(more)).args
}

fn data(values: Value) -> Value {
    json!({"config": "policy: enabled", "values": values.to_string()})
}

/// The webhooks of the tag, which are those that a file's `revisionTags` would make.
fn webhooks(values: Value, more: &[&str]) -> Value {
    let settings = settings(&data(values), &args(more)).unwrap();
    let object = manifest(&settings, "prod");
    let expected = tag_webhooks(&settings, "prod", &Call::of(&settings));
    assert_eq!(object["webhooks"], expected["webhooks"]);
    assert_eq!(object["metadata"]["labels"]["istio.io/rev"], "canary");
    object["webhooks"].clone()
}

#[test]
fn a_tag_selects_as_the_revisions_own_webhooks_do() {
    let asked = json!({"sidecarInjectorWebhook": {"objectSelector": {"autoInject": false}}});
    let object = &webhooks(asked, &[])[0]["objectSelector"];
    assert!(object.to_string().contains("\"operator\":\"In\",\"values\":[\"true\"]"), "{object}");
    let label = json!({"sidecarInjectorWebhook": {"injectLabel": "my-inj"}});
    let namespace = &webhooks(label, &[])[0]["namespaceSelector"];
    assert!(namespace.to_string().contains("\"key\":\"my-inj\""), "{namespace}");
}

#[test]
fn namespaces_that_say_nothing_are_the_settings_or_the_commands() {
    let by_default = json!({"sidecarInjectorWebhook": {"enableNamespacesByDefault": true}});
    let of = |values: &Value, more: &[&str]| {
        settings(&data(values.clone()), &args(more)).unwrap().namespaces_by_default
    };
    assert!(of(&by_default, &[]) && of(&json!({}), &["--auto-inject-namespaces"]));
    assert!(!of(&json!({}), &[]));
}

#[test]
fn the_command_says_where_the_revision_is_and_errors_end_it() {
    assert_eq!(config_map("default"), "istio-sidecar-injector");
    assert_eq!(config_map("canary"), "istio-sidecar-injector-canary");
    let elsewhere = args(&["-i", "mesh"]);
    let expected = Settings {
        revision: "canary".to_owned(),
        istio_namespace: "mesh".to_owned(),
        ..Settings::default()
    };
    assert_eq!(settings(&Value::Null, &elsewhere).unwrap(), expected);
    let wrong = data(json!({"sidecarInjectorWebhook": {"injectLabel": [1]}}));
    let error = settings(&wrong, &elsewhere).unwrap_err().to_string();
    assert!(
        error.starts_with("the ConfigMap mesh/istio-sidecar-injector-canary has errors"),
        "{error}"
    );
    assert!(error.contains("sidecarInjectorWebhook.injectLabel: is not a string"), "{error}");
}
