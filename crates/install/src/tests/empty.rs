//! What a file leaves open: what is empty, and where an installation goes that says no more than its object does.

use lateen_api::issue::Issue;
use serde_json::{Value, json};

use crate::{Plan, read};

fn plan(namespace: &str, spec: Value, set: &[(&str, &str)]) -> Result<Plan, Vec<Issue>> {
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "metadata": {"namespace": namespace}, "spec": spec,
    });
    let set: Vec<(String, String)> =
        set.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    read(&[("file".to_owned(), document)], &set)
}

#[test]
fn what_is_empty_below_components_is_what_the_profile_says() {
    let components = |spec: Value, set: &[(&str, &str)]| {
        plan("", spec, set).unwrap().spec()["components"].clone()
    };
    let profile = components(json!({}), &[]);
    let gateway = json!([{"name": "istio-ingressgateway", "enabled": null}]);
    for empty in [
        json!(null),
        json!({"pilot": null}),
        json!({"pilot": {"enabled": null}, "cni": null}),
        json!({"ingressGateways": null}),
        json!({"ingressGateways": gateway}),
    ] {
        assert_eq!(components(json!({"components": empty.clone()}), &[]), profile, "{empty}");
    }
    for path in ["components", "components.pilot", "components.ingressGateways[0].enabled"] {
        assert_eq!(components(json!({}), &[(path, "null")]), profile, "{path}");
    }
    let off = components(json!({"components": {"pilot": {"enabled": false}}}), &[]);
    assert_eq!(off["pilot"]["enabled"], false);
}

#[test]
fn a_section_with_nothing_behind_it_is_the_profiles() {
    let spec = |spec: Value, set: &[(&str, &str)]| plan("", spec, set).unwrap().spec().clone();
    let profile = spec(json!({}), &[]);
    for empty in [
        json!({"values": null}),
        json!({"values": {"global": null, "pilot": null, "gateways": null}}),
        json!({"values": {"global": {"proxy": null, "logging": null}}}),
        json!({"values": {"global": {"proxy": {"resources": {"requests": null}}}}}),
        json!({"values": {"gateways": {"istio-ingressgateway": {"ports": null, "resources": null}}}}),
        json!({"meshConfig": null}),
        json!({"meshConfig": {"defaultConfig": null}}),
        json!({"components": {"pilot": {"k8s": {"resources": null}}}}),
        json!({"components": {"pilot": {"k8s": null}}}),
    ] {
        assert_eq!(spec(empty.clone(), &[]), profile, "{empty}");
    }
    for path in ["values", "values.global", "meshConfig", "values.global.proxy.resources.requests"]
    {
        assert_eq!(spec(json!({}), &[(path, "null")]), profile, "{path}");
    }
    let without = spec(json!({"meshConfig": {"trustDomain": null}}), &[]);
    assert_eq!(without["meshConfig"].get("trustDomain"), None, "a single value is taken away");
}

#[test]
fn a_namespace_of_the_files_object_is_told_of_unless_it_is_the_installations() {
    let told = |namespace: &str, spec: Value| {
        let issues = match plan(namespace, spec, &[]) {
            Ok(plan) => plan.issues,
            Err(issues) => issues,
        };
        let about = issues.into_iter().filter(|issue| issue.path.contains("metadata.namespace"));
        about.map(|issue| (issue.is_error(), issue.message)).collect::<Vec<_>>()
    };
    let [(false, message)] = &told("mesh", json!({}))[..] else { panic!("one warning") };
    assert_eq!(
        message,
        "this installs to istio-system: to install to mesh, set spec.namespace to it"
    );
    for spec in
        [json!({"namespace": "mesh"}), json!({"values": {"global": {"istioNamespace": "mesh"}}})]
    {
        assert_eq!(told("mesh", spec), []);
    }
    assert_eq!(told("istio-system", json!({})), []);
    assert!(matches!(&told("Foo", json!({}))[..], [(true, _)]));
}
