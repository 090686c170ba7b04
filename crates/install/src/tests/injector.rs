//! What reaches the injector, and whether every setting reaches somebody.

use std::collections::BTreeMap;

use lateen_api::istio::mesh::MeshConfig;
use lateen_inject::Settings;
use serde_json::{Value, json};

use super::{object, plan};
use crate::form::Form;
use crate::path::{self, Missing, Step};
use crate::table::{self, Meaning, Type};
use crate::{Plan, read, render};

/// The injector's settings as the control plane reads them.
fn installed(objects: &[Value], revision: &str) -> Settings {
    let suffix = if revision.is_empty() { String::new() } else { format!("-{revision}") };
    let data = |name: &str, key: &str| {
        let map = object(objects, "ConfigMap", &format!("{name}{suffix}"));
        map["data"][key].as_str().unwrap().to_owned()
    };
    let (values, mesh) = (data("istio-sidecar-injector", "values"), data("istio", "mesh"));
    let (settings, issues) = Settings::from_texts(&values, &mesh, revision);
    assert!(!issues.iter().any(lateen_api::issue::Issue::is_error), "{issues:?}");
    settings
}

#[test]
fn the_control_planes_own_variable_counts_for_whoever_reads_its_values() {
    let variable = ("components.pilot.k8s.env[0].name", "ENABLE_NATIVE_SIDECARS");
    for (value, expected) in [("true", true), ("false", false)] {
        let value = ("components.pilot.k8s.env[0].value", value);
        let other = ("values.pilot.env.ENABLE_NATIVE_SIDECARS", "auto");
        let plan = plan("default", &[variable, value, other]);
        assert_eq!(installed(&render(&plan).0, "").native_sidecar, expected);
    }
}

#[test]
fn the_injector_reads_from_the_cluster_what_the_file_says() {
    let plan = plan(
        "default",
        &[
            ("revision", "c1"),
            ("values.revisionTags", "{prod}"),
            ("values.pilot.env.ENABLE_NATIVE_SIDECARS", "true"),
            ("values.gateways.seccompProfile.type", "RuntimeDefault"),
            ("values.gateways.securityContext.runAsUser", "7"),
            ("values.global.proxy.privileged", "true"),
            ("values.global.proxy.seccompProfile.type", "RuntimeDefault"),
            (
                "values.global.proxy.image",
                "registry.example/mine@sha256:00112233445566778899aabbccddeeff",
            ),
            ("values.global.tag", "1.10"),
            ("values.sidecarInjectorWebhook.injectLabel", "my-inj"),
            ("values.sidecarInjectorWebhook.aliases.both", "{sidecar, extra}"),
        ],
    );
    let settings = installed(&render(&plan).0, "c1");
    assert!(settings.native_sidecar && settings.privileged);
    assert_eq!(settings.tags, ["prod"]);
    assert_eq!(settings.aliases["both"], ["sidecar", "extra"]);
    assert_eq!(
        settings.image.reference(),
        "registry.example/mine@sha256:00112233445566778899aabbccddeeff"
    );
    assert_eq!(settings.image.tag, "1.10");
    // All values, and not only those that are in the ConfigMap, mean the same.
    let mut all = plan.spec()["values"].clone();
    all["global"]["istioNamespace"] = json!("istio-system");
    let (mesh, _) = lateen_api::istio::mesh::parse_mesh_config(
        &crate::yaml::text(&plan.mesh_config()),
        &plan.operator,
    );
    let whole = Settings::from_config(&all, &mesh.unwrap_or_else(MeshConfig::default), "c1").0;
    assert_eq!(Settings { image: settings.image.clone(), ..whole }, settings);
}

#[test]
fn native_sidecars_by_the_nodes_are_a_setting_like_another() {
    for word in ["auto", ""] {
        let plan = plan("default", &[("values.pilot.env.ENABLE_NATIVE_SIDECARS", word)]);
        let (objects, issues) = render(&plan);
        assert!(!issues.iter().any(|issue| issue.path.contains("NATIVE")), "{word}: {issues:?}");
        assert!(!installed(&objects, "").native_sidecar);
    }
}

#[test]
fn tokens_are_for_one_audience_everywhere() {
    let audience = ("values.global.sds.token.aud", "mesh.example");
    let of = |set: &[(&str, &str)]| {
        let objects = render(&plan("default", set)).0;
        let pod =
            |name: &str| object(&objects, "Deployment", name)["spec"]["template"]["spec"].clone();
        let token = |pod: &Value| {
            let mut volumes = pod["volumes"].as_array().unwrap().iter();
            let token = volumes.find(|volume| volume["name"] == "istio-token").unwrap();
            token["projected"]["sources"][0]["serviceAccountToken"]["audience"].clone()
        };
        let istiod = pod("istiod");
        let taken = istiod["containers"][0]["env"].as_array().unwrap().iter();
        let taken: Vec<Value> = taken
            .filter(|variable| variable["name"] == "TOKEN_AUDIENCES")
            .map(|variable| variable["value"].clone())
            .collect();
        let sidecars = installed(&objects, "").token_audience;
        (token(&istiod), token(&pod("istio-ingressgateway")), json!(sidecars), taken)
    };
    for (set, expected) in [(&[][..], "istio-ca"), (&[audience], "mesh.example")] {
        let one = json!(expected);
        assert_eq!(of(set), (one.clone(), one.clone(), one.clone(), vec![one]));
    }
    let own = ("values.pilot.env.TOKEN_AUDIENCES", "mesh.example,istio-ca");
    assert_eq!(of(&[audience, own]).3, ["mesh.example,istio-ca"]);
    let from = [
        ("values.pilot.envVarFrom[0].name", "TOKEN_AUDIENCES"),
        ("values.pilot.envVarFrom[0].valueFrom.configMapKeyRef.name", "mesh"),
        ("values.pilot.envVarFrom[0].valueFrom.configMapKeyRef.key", "audiences"),
    ];
    assert_eq!(of(&from).3, [Value::Null], "its value is elsewhere, and there is one");
}

#[test]
fn who_injects_without_settings_injects_as_a_default_installation_does() {
    let built_in = Settings::default();
    let installed = installed(&render(&plan("default", &[])).0, "");
    assert_eq!(installed.image.reference(), built_in.image.reference());
    // What an installation writes out of what holds anyway.
    assert_eq!(installed.root_namespace(), built_in.root_namespace());
    assert_eq!(installed.proxy_config["discoveryAddress"], built_in.control_plane());
    let unwritten = Settings {
        image: built_in.image.clone(),
        root_namespace: String::new(),
        proxy_config: built_in.proxy_config.clone(),
        ..installed
    };
    assert_eq!(unwritten, built_in);
}

/// Everything that a spec leads to. What the injector would read is compared as it reads it, so that a
/// value that is merely handed on to it does not count.
fn outcome(spec: &Value) -> (Vec<Value>, Option<Settings>) {
    let plan = read_spec(spec);
    let (mut objects, _) = render(&plan);
    let injector = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["kind"] == "ConfigMap" && name.starts_with("istio-sidecar-injector")
    };
    let has_injector = objects.iter().any(injector);
    let has_mesh = objects.iter().any(|object| object["data"]["mesh"].is_string());
    let settings = (has_injector && has_mesh).then(|| installed(&objects, plan.revision()));
    for object in objects.iter_mut().filter(|object| injector(object)) {
        path::take(&mut object["data"], "values");
    }
    (objects, settings)
}

fn read_spec(spec: &Value) -> Plan {
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
    });
    read(&[("file".to_owned(), document)], &[]).unwrap_or_else(|issues| {
        let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
        panic!("{told:?}")
    })
}

/// Values of which one at least differs from every default.
fn samples(path: &str, wanted: Type) -> Vec<Value> {
    let own = own_samples();
    let longest =
        own.iter().filter(|(end, _)| path.ends_with(*end)).max_by_key(|(end, _)| end.len());
    if let Some((_, value)) = longest {
        return vec![value.clone()];
    }
    match wanted {
        Type::Bool => vec![json!(true), json!(false)],
        Type::Int | Type::Port | Type::Number => vec![json!(3)],
        Type::IntOrText => vec![json!("3%")],
        Type::Word(Form::ProxyLevel) => vec![json!("debug")],
        Type::Word(Form::Levels) => vec![json!("debug")],
        Type::Word(Form::ProxyLevels) => vec![json!("misc:debug")],
        Type::Word(Form::Address) => vec![json!("sample:15012")],
        Type::Word(Form::Span) => vec![json!("9m")],
        Type::Text | Type::Word(_) | Type::Scalar | Type::Tag | Type::Any => vec![json!("sample")],
        Type::OneOf(names) => names.iter().map(|name| json!(name)).collect(),
        Type::Texts | Type::Words(_) => vec![json!(["sample"])],
        Type::Labels | Type::Annotations | Type::Named | Type::Environment | Type::Object => {
            vec![json!({"sample": "x"})]
        }
        Type::Schemas(name) if name.ends_with(".Toleration") => {
            vec![json!([{"operator": "Exists"}])]
        }
        Type::Schemas(name) if name.ends_with(".EnvVar") => {
            vec![json!([{"name": "X", "value": "y"}])]
        }
        Type::Schema(name) if name.ends_with(".ResourceRequirements") => {
            vec![json!({"limits": {"cpu": "7"}})]
        }
        Type::Schema(name) if name.ends_with(".SeccompProfile") => {
            vec![json!({"type": "Unconfined"})]
        }
        Type::Schema(_) | Type::Schemas(_) | Type::Autoscaler | Type::List | Type::Inherited => {
            Vec::new()
        }
    }
}

/// Samples of fields that take no value of their type, by the end of their paths.
fn own_samples() -> BTreeMap<&'static str, Value> {
    let selector = json!([{"matchLabels": {"a": "b"}}]);
    BTreeMap::from([
        ("cniBinDir", json!("/sample")),
        ("cniConfDir", json!("/sample")),
        ("profile", json!("minimal")),
        ("meshConfig", json!({"accessLogFile": "/x"})),
        ("unvalidatedValues", json!({"pilot": {"podLabels": {"a": "b"}}})),
        (
            "affinity",
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone"},
            ]}}),
        ),
        ("hpaSpec", json!({"maxReplicas": 9})),
        ("podDisruptionBudget", json!({"maxUnavailable": 1})),
        ("readinessProbe", json!({"periodSeconds": 9})),
        ("k8s.securityContext", json!({"runAsUser": 9})),
        ("gateways.securityContext", json!({"runAsUser": 9})),
        ("service", json!({"type": "NodePort"})),
        ("strategy", json!({"type": "Recreate"})),
        ("overlays.[].apiVersion", json!("apps/v1")),
        ("volumeMounts", json!([{"name": "podinfo", "mountPath": "/x"}])),
        ("volumes", json!([{"name": "x", "emptyDir": {}}])),
        ("excludedCRDs", json!(["gateways.networking.istio.io"])),
        ("autoscaleBehavior", json!({"scaleUp": {"stabilizationWindowSeconds": 9}})),
        (
            "topologySpreadConstraints",
            json!([
                {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"},
            ]),
        ),
        ("validationURL", json!("https://x/")),
        ("injectionURL", json!("https://x/")),
        ("validationCABundle", json!("Zm9v")),
        ("caBundle", json!("Zm9v")),
        ("injectionPath", json!("/x")),
        ("neverInjectSelector", selector.clone()),
        ("alwaysInjectSelector", selector),
        ("templates", json!({"x": "spec: {}"})),
        ("aliases", json!({"x": ["sidecar"]})),
        ("ipFamilies", json!(["IPv6"])),
        ("ipFamilyPolicy", json!("PreferDualStack")),
        ("externalIPs", json!(["10.0.0.9"])),
        ("loadBalancerSourceRanges", json!(["10.0.0.0/8"])),
        ("ports", json!([{"name": "x", "port": 9}])),
        ("ingressPorts", json!([{"name": "x", "port": 9}])),
        ("additionalContainers", json!([{"name": "x", "image": "y"}])),
        ("initContainers", json!([{"name": "x", "image": "y"}])),
        ("IPRanges", json!("10.0.0.0/8")),
        ("Ports", json!("9")),
        ("lifecycle", json!({"preStop": {"exec": {"command": ["x"]}}})),
        ("global.meshNetworks", json!({"n": {"endpoints": [], "gateways": []}})),
        ("controlPlaneSecurityEnabled", json!(false)),
        ("mountPath", json!("/sample")),
        ("seLinuxOptions", json!({"type": "spc_t"})),
        ("updateStrategy", json!({"type": "OnDelete"})),
        ("cni.namespace", json!("sample")),
    ])
}

/// Steps to a path of the table: an item is a list's first one.
fn steps(path: &str) -> Vec<Step> {
    let step = |part: &str| match part {
        "[]" => Step::Index(0),
        key => Step::Key(key.to_owned()),
    };
    path.split('.').map(step).collect()
}

/// What a field needs around it to have an effect.
fn surroundings(path: &str) -> Value {
    let volume = |name: &str| json!([{"name": "v", name: "s", "mountPath": "/v"}]);
    let overlay = json!([{"kind": "Service", "name": "istiod", "patches": [
        {"path": "spec.sessionAffinity", "value": "None"},
    ]}]);
    let gateways = |values: Value| json!({"values": {"gateways": {"istio-ingressgateway": values.clone(), "istio-egressgateway": values}}});
    match path.rsplit('.').next().unwrap_or_default() {
        "replicaCount" => json!({"values": {
            "pilot": {"autoscaleEnabled": false},
            "gateways": {
                "istio-ingressgateway": {"autoscaleEnabled": false},
                "istio-egressgateway": {"autoscaleEnabled": false},
            },
        }}),
        "deletePods" | "labelPods" => json!({
            "components": {"cni": {"enabled": true}},
            "values": {"cni": {"repair": {"repairPods": false}}},
        }),
        _ if path.contains(".cni.") && !path.contains("overlays.") => {
            json!({"components": {"cni": {"enabled": true}}})
        }
        // The demonstration's gateway has ports of its own.
        "ports" | "ingressPorts" if path.starts_with("values.") => json!({"profile": "default"}),
        "externalTrafficPolicy" | "loadBalancerSourceRanges" => {
            gateways(json!({"type": "LoadBalancer"}))
        }
        _ if path.contains("configVolumes.") => {
            gateways(json!({"configVolumes": volume("configMapName")}))
        }
        _ if path.contains("secretVolumes.") => {
            gateways(json!({"secretVolumes": volume("secretName")}))
        }
        _ if path.contains("overlays.") => {
            json!({"components": {"pilot": {"k8s": {"overlays": overlay}}}})
        }
        "autoInject" if path.contains("objectSelector") => json!({"values": {
            "sidecarInjectorWebhook": {"objectSelector": {"enabled": true}},
        }}),
        _ => json!({}),
    }
}

/// A field that is said to be used and changes nothing would be a promise that is not kept.
#[test]
fn every_field_that_is_used_changes_what_is_installed_or_injected() {
    let without_effect = [
        // Which object a patch is for, or nothing at all as in Istio; `kind` and `name` are tried elsewhere.
        "overlays.[].",
        // The definition of what is refused or told only.
        "components.base.k8s",
    ];
    let mut lost = Vec::new();
    for (path, entry) in table::all() {
        let skipped = without_effect.iter().any(|part| path.contains(part));
        if entry.2 != Meaning::Used || skipped {
            continue;
        }
        let base = path.contains("base.");
        let mut spec = json!({
            "profile": "demo",
            "components": {
                "base": {"enabled": base},
                "ingressGateways": [{"name": "istio-ingressgateway", "enabled": true}],
                "egressGateways": [{"name": "istio-egressgateway", "enabled": true}],
            },
            "values": {
                "pilot": {"autoscaleEnabled": true},
                "gateways": {
                    "istio-ingressgateway": {"autoscaleEnabled": true},
                    "istio-egressgateway": {"autoscaleEnabled": true},
                },
            },
        });
        crate::merge::merge(&mut spec, surroundings(&path));
        let before = outcome(&spec);
        let changes = |value: Value| {
            let mut spec = spec.clone();
            path::set(&mut spec, &steps(&path), value, Missing::Make).unwrap();
            outcome(&spec) != before
        };
        if !samples(&path, entry.1).into_iter().any(changes) {
            lost.push(path);
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}

/// The meaning of the field that a path of the values leads to, or into.
fn meaning(path: &str) -> Option<Meaning> {
    let mut node = table::FIELDS.child("values")?;
    for key in path.split('.') {
        let Some(child) = node.child(key) else { break };
        node = child;
    }
    node.entry.map(|entry| entry.2)
}

/// The same promise the other way round: what is said to do nothing, or something else, does not reach pods.
#[test]
fn no_field_that_is_said_to_do_nothing_changes_what_is_injected() {
    // A whole image name is kept, as is said of them.
    let as_said = ["global.proxy.image", "global.proxy_init.image"];
    let values = [json!("sample"), json!(true), json!(false), json!(["sample"]), json!({"x": "y"})];
    let mesh = MeshConfig::default();
    let usual = Settings::default();
    let is_changed = |path: &str| {
        values.iter().any(|value| {
            let mut tree = json!({});
            path::put(&mut tree, path, value.clone());
            Settings::from_config(&tree, &mesh, "").0 != usual
        })
    };
    let is_silent =
        |path: &str| matches!(meaning(path), Some(Meaning::Gone(_) | Meaning::Mapped(_)));
    let mut paths = Settings::paths_of_values();
    paths.retain(|path| is_silent(path) && !as_said.contains(&path.as_str()) && is_changed(path));
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), Vec::<String>::new());
}
