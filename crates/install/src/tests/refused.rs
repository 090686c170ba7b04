//! What has the right type and would still be refused: by the API half-way, or by the injector later.

use super::bad::errors;
use serde_json::{Value, json};

/// Whether the settings are refused with these words.
#[track_caller]
fn check(set: &[(&str, &str)], words: &str) {
    let told = errors(json!({}), set);
    assert!(told.iter().any(|one| one.contains(words)), "{set:?}: {told:?}");
}

#[test]
fn the_injectors_own_checks_are_made_before_anything_is_installed() {
    let proxy = |field: &str| format!("values.global.proxy.{field}");
    for (field, value) in [
        ("statusPort", "99999"),
        ("excludeInboundPorts", "abc"),
        ("includeIPRanges", "10.0.0.1"),
        ("resources.requests.cpu", "abc"),
    ] {
        let path = proxy(field);
        check(&[(&path, value)], &format!("spec.{path}: "));
    }
    let templates = "values.sidecarInjectorWebhook.aliases.a";
    check(&[(templates, "text")], &format!("spec.{templates}: is not a list of names"));
}

#[test]
fn settings_of_the_mesh_with_which_no_pod_could_start_are_refused() {
    let metadata = |name: &str| format!("defaultConfig.proxyMetadata.{name}");
    for (field, value, words) in [
        ("defaultConfig.statusPort".to_owned(), "99999", "\"99999\" is not a port"),
        ("defaultConfig.discoveryAddress".to_owned(), "foo", "\"foo\" is not host:port"),
        ("defaultConfig.concurrency".to_owned(), "-1", "\"-1\" is no number of threads"),
        ("defaultConfig.drainDuration".to_owned(), "-1s", "\"-1s\" is less than nothing"),
        (metadata("ISTIO_META_DNS_CAPTURE"), "maybe", "\"maybe\" is neither true nor false"),
        (metadata("INBOUND_CAPTURE_PORT"), "x", "\"x\" is not a port"),
        (metadata("POD_NAME"), "a", "the injector sets it for each pod"),
        ("connectTimeout".to_owned(), "-1s", "\"-1s\" is less than nothing"),
        ("proxyListenPort".to_owned(), "70000", "\"70000\" is not a port"),
    ] {
        let path = format!("meshConfig.{field}");
        check(&[(&path, value)], &format!("spec.{path}: {words}"));
    }
}

#[test]
fn selectors_of_namespaces_that_nobody_could_follow_are_refused() {
    let selector = |selector: Value| {
        errors(json!({"meshConfig": {"discoverySelectors": [{}, selector]}}), &[])
    };
    let expression = |operator: &str, values: &[&str]| {
        selector(
            json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}),
        )
    };
    let at = "spec.meshConfig.discoverySelectors[1]";
    for (told, expected) in [
        (
            expression("Near", &["b"]),
            "matchExpressions[0].operator: \"Near\" is no operator: use In",
        ),
        (expression("In", &[]), "matchExpressions[0].values: In needs values"),
        (expression("Exists", &["b"]), "matchExpressions[0].values: Exists takes no values"),
        (expression("In", &["a b"]), "matchExpressions[0].values: \"a b\" is no value of a label"),
        (selector(json!({"matchLabels": {"a b": "c"}})), "matchLabels.a b: \"a b\" is no key"),
    ] {
        let expected = format!("{at}.{expected}");
        assert!(told.len() == 1 && told[0].starts_with(&expected), "{expected}: {told:?}");
    }
    assert_eq!(expression("NotIn", &["b"]), [] as [String; 0]);
}

#[test]
fn settings_of_the_node_agent_that_no_node_can_have_are_refused() {
    for (field, value, words) in [
        ("cniBinDir", "opt/cni/bin", "\"opt/cni/bin\" is no folder of a node"),
        ("cniConfDir", "/etc/../x", "\"/etc/../x\" is no folder of a node"),
        ("cniConfFileName", "../x.conflist", "\"../x.conflist\" is no file's name"),
        ("excludeNamespaces[0]", "A_B", "\"A_B\" is no name"),
        ("repair.brokenPodLabelKey", "a b", "\"a b\" is no key"),
        ("repair.brokenPodLabelValue", "a b", "\"a b\" is no value of a label"),
        ("repair.initContainerName", "A", "\"A\" is no name"),
        ("chained", "false", "leave this out"),
    ] {
        let path = format!("values.cni.{field}");
        check(&[("components.cni.enabled", "true"), (&path, value)], &format!("spec.{path}: "));
        check(&[("components.cni.enabled", "true"), (&path, value)], words);
    }
}

#[test]
fn a_control_plane_outside_of_the_cluster_is_refused() {
    check(&[("values.istiodRemote.enabled", "true")], "spec.values.istiodRemote.enabled: ");
}

#[test]
fn numbers_that_do_not_go_together_are_refused() {
    check(
        &[("values.pilot.autoscaleMin", "7")],
        "spec.values.pilot.autoscaleMin: 5 is less than minReplicas, 7 (spec.maxReplicas of \
         HorizontalPodAutoscaler istiod)",
    );
    check(
        &[
            ("components.pilot.k8s.podDisruptionBudget.minAvailable", "1"),
            ("components.pilot.k8s.podDisruptionBudget.maxUnavailable", "1"),
        ],
        "there is minAvailable too",
    );
    let replicas = "components.pilot.k8s.replicaCount";
    check(&[("values.pilot.autoscaleEnabled", "false"), (replicas, "-1")], "-1 is less than 0");
    check(
        &[("components.pilot.k8s.resources.limits.cpu", "10m")],
        "spec.components.pilot.k8s.resources.limits.cpu: \"50m\" is more than the limit, \"10m\"",
    );
    check(&[("components.pilot.k8s.resources.limits.cpu", "1x")], "\"1x\" is not a quantity");
    let mount = "components.pilot.k8s.volumeMounts[0]";
    check(
        &[(&format!("{mount}.name"), "v"), (&format!("{mount}.mountPath"), "/v")],
        "there is no volume \"v\" in the pod",
    );
}

#[test]
fn a_service_that_the_api_refuses_is_refused() {
    let service = |field: &str| format!("components.ingressGateways[0].k8s.service.{field}");
    check(&[(&service("externalIPs"), "{abc}")], "\"abc\" is no IP address");
    for address in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::1", "fe80::1", "ff02::1"]
    {
        let set = format!("{{{address}}}");
        check(&[(&service("externalIPs"), &set)], "is no address that others reach a node by");
    }
    for other in ["Nodeport", "ExternalName"] {
        let words = format!("{other:?} is none of ClusterIP, NodePort");
        check(&[(&service("type"), other)], &words);
    }
    let port = [(service("ports[0].protocol"), "tcp"), (service("ports[0].port"), "81")];
    let port = port.each_ref().map(|(path, value)| (path.as_str(), *value));
    check(&port, "\"tcp\" is none of TCP, UDP, SCTP");
    check(&[(&service("ipFamilies"), "{IPv7}")], "\"IPv7\" is none of IPv4, IPv6");
    let kind = service("type");
    check(
        &[(&kind, "ClusterIP"), (&service("externalTrafficPolicy"), "Local")],
        "set type to LoadBalancer or NodePort",
    );
    check(
        &[(&service("ports[0].port"), "1"), (&service("ports[1].port"), "2")],
        "with several ports each has one",
    );
    check(&[(&service("ports[0].port"), "70000")], "70000 is no port");
}

#[test]
fn what_is_set_to_nothing_is_not_refused() {
    let service = json!({
        "type": "ClusterIP", "externalTrafficPolicy": "", "ipFamilyPolicy": "", "externalIPs": [],
        "ports": [{"name": "x", "port": 9, "targetPort": 0, "nodePort": 0}],
    });
    let pilot = json!({"k8s": {"service": service, "podAnnotations": {"a.b/c": "any text"}}});
    let base = json!({"validationCABundle": "Zm9v\nYmFy\n"});
    let spec = json!({"components": {"pilot": pilot}, "values": {"base": base}});
    assert_eq!(errors(spec, &[]), Vec::<String>::new());
}

#[test]
fn names_and_labels_that_the_api_refuses_are_refused() {
    check(&[("components.pilot.label.team", "a b")], "\"a b\" is no value of a label");
    check(&[("values.revisionTags", "{a,A_B}")], "spec.values.revisionTags[1]: \"A_B\" is no name");
    check(&[("values.revisionTags", "{a,a}")], "a tag is there twice, remove one");
    check(&[("values.sidecarInjectorWebhook.injectLabel", "a b")], "\"a b\" is no key");
    let long = "r".repeat(60);
    check(&[("revision", &long)], "spec.revision: \"rrrr");
    check(&[("revision", &long)], "is too long: the Service would be istiod-rrrr");
    check(&[("values.base.validationCABundle", "-----BEGIN")], "is not base64");
    check(
        &[("components.ingressGateways[0].name", "1st")],
        "spec.components.ingressGateways[0].name: \"1st\" is no name",
    );
    check(
        &[("components.ingressGateways[0].name", "istiod")],
        "there are two objects Deployment istiod: rename a gateway",
    );
}

#[test]
fn a_revision_that_is_no_name_is_told_of_once() {
    let sets = [("revision".to_owned(), "Bad.Rev!".to_owned())];
    let issues = crate::read(&[], &sets).unwrap_err();
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!(issues[0].path, "spec.revision");
}

#[test]
fn an_installation_is_named_as_a_label_can_be() {
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "metadata": {"name": "A B"},
    });
    let issues = crate::read(&[("file".to_owned(), document.clone())], &[]).unwrap_err();
    assert_eq!(issues[0].path, "metadata.name");
    let mut number = document;
    number["metadata"]["name"] = json!(5);
    let numbers = crate::read(&[("file".to_owned(), number)], &[]).unwrap_err();
    assert_eq!(numbers[0].message, "it is a number and must be a text (in quotes)");
    assert!(issues[0].message.starts_with("\"A B\" marks what is installed"), "{issues:?}");
}

#[test]
fn what_is_not_checked_wipes_nothing() {
    assert_eq!(
        errors(json!({"unvalidatedValues": {"global": {"proxy": 5}}}), &[]),
        ["spec.unvalidatedValues.global.proxy: it is a number and must be an object"]
    );
    assert_eq!(
        errors(json!({"unvalidatedValues": {"global": {"proxy": {"x": 5}, "y": 1}}}), &[]),
        Vec::<String>::new()
    );
}

#[test]
fn a_list_with_a_hole_has_no_twins() {
    let gateways = json!([{"name": "a"}, null, 5]);
    assert_eq!(
        errors(json!({"components": {"ingressGateways": gateways}}), &[]),
        ["spec.components.ingressGateways[2]: it is a number and must be an object"]
    );
}

#[test]
fn an_old_setting_of_the_injector_is_told_and_a_misspelt_one_is_refused() {
    let hook = |fields: Value| json!({"values": {"sidecarInjectorWebhook": fields}});
    assert_eq!(
        errors(hook(json!({"injectLabl": "x"})), &[]),
        ["spec.values.sidecarInjectorWebhook.injectLabl: unknown field, did you mean \
          spec.values.sidecarInjectorWebhook.injectLabel?"]
    );
    assert_eq!(errors(hook(json!({"image": "x", "replicaCount": 2})), &[]), Vec::<String>::new());
}

#[test]
fn fewer_than_no_replicas_are_refused_where_they_are_written() {
    for scaled in [true, false] {
        for (path, count) in [
            ("components.pilot.k8s.replicaCount", "-1"),
            ("components.ingressGateways[name:istio-ingressgateway].k8s.replicaCount", "-2"),
        ] {
            let of = |values: &str| (format!("{values}.autoscaleEnabled"), scaled.to_string());
            let scale = [of("values.pilot"), of("values.gateways.istio-ingressgateway")];
            let set = scale.iter().map(|(path, value)| (path.as_str(), value.as_str()));
            let set: Vec<(&str, &str)> = set.chain([(path, count)]).collect();
            let told = errors(json!({}), &set);
            let at = path.split_once('[').map_or(path, |(list, _)| list);
            let names = told.iter().all(|told| told.starts_with(&format!("spec.{at}")));
            let says = format!(".replicaCount: {count} is less than 0");
            assert!(told.len() == 1 && names && told[0].contains(&says), "{told:?}");
        }
    }
}

#[test]
fn fewer_than_no_replicas_in_a_files_values_are_told_at_their_own_field() {
    let pilot = json!({"autoscaleEnabled": false, "replicaCount": -1, "env": {"A": "b"}});
    let told = errors(json!({"values": {"pilot": pilot}}), &[]);
    let at = "spec.components.pilot.k8s.replicaCount: -1 is less than 0";
    assert!(told.len() == 1 && told[0].starts_with(at), "{told:?}");
}

#[test]
fn a_strategy_that_replaces_no_pod_names_both_fields_once() {
    let rolling = json!({"maxSurge": 0, "maxUnavailable": "0%"});
    let k8s = json!({"strategy": {"rollingUpdate": rolling}});
    let told = errors(json!({"components": {"pilot": {"k8s": k8s}}}), &[]);
    let says = "maxSurge and maxUnavailable are both 0: no pod could be replaced";
    assert!(told.len() == 1 && told[0].contains(says), "{told:?}");
}

#[test]
fn a_field_that_none_is_like_is_not_guessed_at() {
    let told = errors(json!({"values": {"foo": 1}}), &[]);
    let says = "spec.values.foo: unknown field, and none is like it: check its name and its place";
    assert_eq!(told, [says]);
}

/// As in Istio, whose installer looks at no form: a file with one worked before.
#[test]
fn a_text_without_its_form_is_told_where_nothing_is_made_of_it() {
    let service = json!({"externalIPs": [""]});
    let gateway = |is_enabled: bool| json!({"name": "a", "enabled": is_enabled, "label": {"a": "b c"}, "k8s": {"service": service}});
    let spec = |is_enabled| json!({"components": {"ingressGateways": [gateway(is_enabled)]}});
    assert_eq!(errors(spec(false), &[]), Vec::<String>::new());
    let told = errors(spec(true), &[]);
    assert!(
        told.iter().any(|one| one.contains("externalIPs[0]: \"\" is no IP address")),
        "{told:?}"
    );
    let hook = json!({"nodeSelector": {"a": "b c"}});
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "spec": {"values": {"sidecarInjectorWebhook": hook}},
    });
    let plan = crate::read(&[("file".to_owned(), document)], &[]).unwrap();
    let path = "spec.values.sidecarInjectorWebhook.nodeSelector.a";
    let told = plan.issues.iter().find(|issue| issue.path == path);
    assert!(told.is_some_and(|issue| issue.message.contains("\"b c\" is no value")), "{told:?}");
    let typed = json!({"components": {"ingressGateways": [
        {"name": "a", "enabled": false, "k8s": {"service": {"externalIPs": 5}}},
    ]}});
    assert_eq!(errors(typed, &[]).len(), 1);
}

/// A long revision is told of by what is too long, and by how long it may be.
#[test]
fn a_revision_may_be_as_long_as_the_label_with_the_installations_name() {
    assert_eq!(errors(json!({"revision": "r".repeat(47)}), &[]), Vec::<String>::new());
    let told = errors(json!({"revision": "r".repeat(48)}), &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("spec.revision: "), "{told:?}");
    assert!(
        told[0].ends_with("use at most 47 letters, or give the file a shorter metadata.name"),
        "{told:?}"
    );
}
