//! The choice of templates.

use serde_json::json;

use super::{BuiltIn, apply, select};
use crate::settings::{Settings, Template};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.templates.insert("mine".to_owned(), Template::Overlay(json!({"spec": {}})));
    settings.templates.insert("go".to_owned(), Template::Refused("is a Go template".to_owned()));
    settings.aliases.insert("both".to_owned(), vec!["gateway".to_owned(), "mine".to_owned()]);
    settings
}

#[test]
fn names_choose_built_in_templates_overlays_and_aliases() {
    let settings = settings();
    let chosen = |names| {
        let templates = select(names, &settings).unwrap();
        (templates.built_in, templates.overlays.len())
    };
    assert_eq!(chosen(None), (Some(BuiltIn::Sidecar), 0));
    assert_eq!(chosen(Some("gateway")), (Some(BuiltIn::Gateway), 0));
    assert_eq!(chosen(Some("sidecar, mine")), (Some(BuiltIn::Sidecar), 1));
    assert_eq!(chosen(Some("both")), (Some(BuiltIn::Gateway), 1));
    assert_eq!(chosen(Some("mine")), (None, 1));
    assert_eq!(chosen(Some("mine,both,mine")), (Some(BuiltIn::Gateway), 1), "merged once");
}

#[test]
fn what_cannot_be_chosen_is_explained() {
    let settings = settings();
    let refused = |names| select(Some(names), &settings).unwrap_err();
    assert!(refused("go").contains("Go template"));
    assert!(refused("none").contains("sidecar, gateway, go, mine"));
    assert!(refused("sidecar,gateway").contains("exclude each other"));
}

#[test]
fn an_overlay_s_proxy_goes_to_where_the_proxy_is() {
    let overlay = json!({"spec": {"containers": [{"name": "istio-proxy", "tty": true}]}});
    let mut pod = json!({"spec": {
        "containers": [{"name": "app"}],
        "initContainers": [{"name": "istio-proxy", "image": "x"}],
    }});
    apply(&mut pod, &overlay);
    let expected = json!({"spec": {
        "containers": [{"name": "app"}],
        "initContainers": [{"name": "istio-proxy", "image": "x", "tty": true}],
    }});
    assert_eq!(pod, expected);
}
