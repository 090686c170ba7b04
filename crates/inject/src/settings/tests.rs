//! Settings from values and MeshConfig.

use serde_json::{Value, json};

use super::{ObjectSelector, Policy, Settings, Startup, Template};

fn read(values: Value, mesh: &str) -> (Settings, Vec<String>) {
    let (settings, issues) = Settings::from_texts(&values.to_string(), mesh, "");
    (settings, issues.iter().map(ToString::to_string).collect())
}

#[test]
fn nothing_is_the_default() {
    let (settings, issues) = Settings::from_texts("", "", "");
    assert_eq!((settings, issues.len()), (Settings::default(), 0));
}

/// The injector's part of the notes' IstioOperator file.
#[test]
fn an_old_file_is_read() {
    let values = json!({
        "global": {
            "jwtPolicy": "third-party-jwt",
            "trustDomain": "cluster.local",
            "imagePullPolicy": "",
            "imagePullSecrets": [],
            "logging": {"level": "default:info"},
            "sds": {"token": {"aud": "istio-ca"}},
            "sts": {"servicePort": 0},
            "mountMtlsCerts": false,
            "proxy": {
                "image": "proxyv2", "autoInject": "enabled", "statusPort": 15020,
                "enableCoreDump": false, "excludeIPRanges": "", "includeIPRanges": "*",
                "readinessInitialDelaySeconds": 1, "readinessPeriodSeconds": 2,
                "readinessFailureThreshold": 30,
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            },
            "proxy_init": {"image": "proxyv2", "resources": {"requests": {"cpu": "10m"}}},
        },
        "sidecarInjectorWebhook": {
            "enableNamespacesByDefault": true,
            "rewriteAppHTTPProbe": true,
            "injectLabel": "istio-injection",
            "objectSelector": {"enabled": false, "autoInject": true},
        },
    });
    let (settings, issues) = read(values, "");
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert!(issues[0].starts_with("info ") && issues[0].contains("Istio's image"), "{issues:?}");
    assert!(settings.namespaces_by_default);
    assert_eq!(settings.object_selector, ObjectSelector::Ignored);
    assert_eq!(settings.image.name, "lateen");
    assert_eq!(settings.readiness.failures, 30);
    assert_eq!(settings.init_resources, json!({"requests": {"cpu": "10m"}}));
    assert_eq!(settings.init_image, None);
    assert_eq!(settings.startup, Some(Startup { failures: 600 }));
}

#[test]
fn wrong_values_are_errors_with_their_path_and_leave_the_default() {
    let values = json!({
        "global": {
            "tag": true,
            "imagePullSecrets": "secret",
            "proxy": {
                "privileged": "maybe", "statusPort": 70000, "includeInboundPorts": "many",
                "excludeIPRanges": "10.0.0.1", "autoInject": "on", "resources": [],
            },
        },
        "sidecarInjectorWebhook": {"neverInjectSelector": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]},
    });
    let (settings, issues) = read(values, "");
    for path in [
        "global.tag",
        "global.imagePullSecrets",
        "global.proxy.privileged",
        "global.proxy.statusPort",
        "global.proxy.includeInboundPorts",
        "global.proxy.excludeIPRanges",
        "global.proxy.autoInject",
        "global.proxy.resources",
        "sidecarInjectorWebhook.neverInjectSelector[0]",
    ] {
        let count = issues.iter().filter(|one| one.contains(&format!(" {path}: "))).count();
        assert_eq!(count, 1, "{path}: {issues:#?}");
    }
    assert_eq!(settings, Settings { policy: Policy::Disabled, ..Settings::default() });
    assert!(read(json!([]), "").1[0].contains("not a map"));
    assert!(Settings::from_texts("{{{", "", "").1[0].is_error());
    assert!(Settings::from_texts("", "trustDomain: [1]", "").1[0].is_error());
}

#[test]
fn texts_may_be_numbers_and_flags_texts() {
    let values = json!({
        "global": {"tag": 1.2, "proxy": {"excludeInboundPorts": 8080}},
        "pilot": {"env": {"ENABLE_NATIVE_SIDECARS": "true"}, "cni": {"enabled": true}},
    });
    let (settings, issues) = read(values, "");
    assert!(issues.is_empty(), "{issues:?}");
    assert_eq!(settings.image.tag, "1.2");
    assert_eq!(settings.traffic.exclude_inbound_ports, "8080");
    assert!(settings.native_sidecar && settings.node_agent);
}

#[test]
fn native_sidecars_are_wanted_refused_or_left_to_the_nodes() {
    for (word, wanted, told) in [
        (json!("true"), true, None),
        (json!(true), true, None),
        (json!("false"), false, None),
        (json!(false), false, None),
        (json!("auto"), false, None),
        (json!(""), false, None),
        (json!("True"), false, Some("\"True\" is none of true, false and auto")),
        (json!(7), false, Some("\"7\" is none of true, false and auto")),
    ] {
        let env = json!({"ENABLE_NATIVE_SIDECARS": word});
        let (settings, issues) = read(json!({"pilot": {"env": env}}), "");
        assert_eq!(settings.native_sidecar, wanted, "{word}");
        assert_eq!(issues.len(), usize::from(told.is_some()), "{word}: {issues:?}");
        let told = told.unwrap_or_default();
        assert!(
            issues.iter().all(|one| one.starts_with("warning ") && one.contains(told)),
            "{issues:?}"
        );
    }
}

#[test]
fn mesh_config_decides_where_the_values_say_nothing_of_it() {
    let mesh = "trustDomain: td\nenablePrometheusMerge: false\nproxyListenPort: 16001\n\
                defaultConfig: {statusPort: 15030, concurrency: 3}\n";
    let (settings, issues) = read(json!({}), mesh);
    assert!(issues.is_empty(), "{issues:?}");
    assert_eq!(settings.trust_domain, "td");
    assert_eq!((settings.status_port, settings.outbound_port), (15030, 16001));
    assert!(!settings.merge_metrics);
    assert_eq!(settings.proxy_config["concurrency"], 3);
}

#[test]
fn a_port_of_the_mesh_that_is_none_is_told_and_leaves_the_usual_one() {
    let mesh = "proxyListenPort: -1\nproxyInboundListenPort: 70000\n\
                defaultConfig: {statusPort: 99999}\n";
    let (settings, issues) = Settings::from_texts("", mesh, "");
    let told: Vec<(bool, &str)> =
        issues.iter().map(|issue| (issue.is_error(), issue.path.as_str())).collect();
    let paths = ["proxyListenPort", "proxyInboundListenPort", "defaultConfig.statusPort"];
    assert_eq!(told, paths.map(|path| (true, path)));
    assert_eq!((settings.status_port, settings.outbound_port), (15020, 15001));
}

#[test]
fn templates_are_overlays_or_refused() {
    let templates = json!({
        "plain": "spec: {containers: [{name: istio-proxy, env: [{name: A, value: b}]}]}",
        "program": "spec: {{ .Values.x }}",
        "sidecar": "spec: {}",
        "text": "just text",
    });
    let values = json!({"sidecarInjectorWebhook": {
        "templates": templates,
        "defaultTemplates": ["sidecar", "plain"],
        "aliases": {"all": ["sidecar", "plain"]},
    }});
    let (settings, issues) = read(values, "");
    assert_eq!(issues.len(), 3, "{issues:#?}");
    assert!(matches!(settings.templates["plain"], Template::Overlay(_)));
    let program = &settings.templates["program"];
    assert!(matches!(program, Template::Refused(why) if why.contains("Go template")));
    assert!(!settings.templates.contains_key("sidecar"));
    assert_eq!(settings.default_templates, ["sidecar", "plain"]);
    assert_eq!(settings.aliases["all"], ["sidecar", "plain"]);
}

#[test]
fn the_init_containers_own_image_is_one_that_is_named_in_full() {
    let named = |image: &str| {
        let global = json!({"hub": "r", "tag": "1", "proxy_init": {"image": image}});
        read(json!({"global": global}), "").0.init_image
    };
    assert_eq!(named("r/lateen:1-iptables").as_deref(), Some("r/lateen:1-iptables"));
    for usual in ["r/lateen:1", "proxyv2", "docker.io/istio/proxyv2:1.6.0"] {
        assert_eq!(named(usual), None);
    }
}

#[test]
fn values_without_effect_say_what_is_in_their_place() {
    let values = json!({"global": {"mountMtlsCerts": true, "jwtPolicy": "first-party-jwt"}});
    let (_, issues) = read(values, "");
    assert_eq!(issues.len(), 2, "{issues:#?}");
}

#[test]
fn fields_of_the_default_config_without_effect_are_told_of_the_mesh_s_config_map() {
    let mesh = "defaultConfig: {concurrency: 2, tracing: {sampling: 1}, drainDuration: 5s}";
    let (settings, issues) = Settings::from_texts("", mesh, "");
    assert_eq!(settings.proxy_config["concurrency"], 2);
    let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let of = "warning LTN0201 ConfigMap istio-system/istio: defaultConfig.";
    assert!(told[0].starts_with(&format!("{of}drainDuration: has no effect: ")), "{told:?}");
    assert!(told[1].starts_with(&format!("{of}tracing: has no effect: ")), "{told:?}");
}

#[test]
fn the_config_of_the_config_map_counts_over_its_values() {
    let config =
        "policy: disabled\nneverInjectSelector: [{matchLabels: {app: db}}]\naliases: null\n";
    let values = "global: {hub: registry/mesh, proxy: {autoInject: enabled}}\n";
    let (settings, issues) = Settings::from_config_map(config, values, "", "");
    assert_eq!(issues, []);
    assert_eq!((settings.policy, settings.never.len()), (Policy::Disabled, 1));
    assert_eq!(settings.image.hub, "registry/mesh");

    let (settings, issues) = Settings::from_config_map(config, "", "", "");
    assert_eq!((settings.policy, issues.len()), (Policy::Disabled, 0));
    let (settings, _) = Settings::from_config_map(config, "global: 1", "", "");
    assert_eq!((settings.policy, settings.never.len()), (Policy::Disabled, 1));
    let (_, issues) = Settings::from_config_map("just text", "", "", "");
    assert_eq!((issues[0].path.as_str(), issues[0].is_error()), ("config", true));
    let (_, issues) = Settings::from_config_map("{", "", "", "");
    assert_eq!(issues[0].path, "config");
}
