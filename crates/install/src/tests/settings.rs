//! Settings of the command line: what a text stands for, what is laid over what.

use lateen_api::issue::ObjectRef;
use serde_json::{Value, json};

use super::{check_issues, object, plan};
use crate::check::check;
use crate::render;
use crate::table::FIELDS;

#[test]
fn a_text_is_taken_as_it_is_written_where_a_text_is_meant() {
    let dns = "meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE";
    let gateway = "components.ingressGateways[name:istio-ingressgateway]";
    let plan = plan(
        "default",
        &[
            (dns, "true"),
            ("tag", "1.10"),
            ("components.pilot.k8s.env[0].name", "X"),
            ("components.pilot.k8s.env[0].value", "true"),
            ("components.pilot.k8s.nodeSelector.a", "1"),
            ("components.pilot.k8s.podAnnotations.json", "{\"a\": 1}"),
            ("components.pilot.k8s.podAnnotations.quoted", "\"1\""),
            ("values.global.proxy.excludeInboundPorts", "8080"),
            ("values.global.proxy.env.A", "1"),
            (&format!("{gateway}.tag"), "1.20"),
            (&format!("{gateway}.k8s.replicaCount"), "2"),
            ("values.gateways.istio-ingressgateway.autoscaleEnabled", "false"),
        ],
    );
    let objects = render(&plan).0;
    let istiod = object(&objects, "Deployment", "istiod");
    let pod = &istiod["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let env = container["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "X", "value": "true"})), "{env:?}");
    assert_eq!(container["image"], "lateen-mesh/lateen:1.10");
    assert_eq!(pod["spec"]["nodeSelector"]["a"], "1");
    assert_eq!(pod["metadata"]["annotations"]["json"], "{\"a\": 1}");
    assert_eq!(pod["metadata"]["annotations"]["quoted"], "1");
    let gateway = object(&objects, "Deployment", "istio-ingressgateway");
    assert_eq!(gateway["spec"]["replicas"], 2);
    let image = &gateway["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, "lateen-mesh/lateen:1.20");
    let mesh = plan.mesh_config();
    assert_eq!(
        mesh["defaultConfig"]["proxyMetadata"],
        json!({"ISTIO_META_DNS_CAPTURE": "true", "A": "1"})
    );
}

#[test]
fn the_init_container_may_have_an_image_of_its_own() {
    let image = |given: &str| {
        let settings = [("values.global.proxy_init.image", given)];
        let objects = render(&plan("minimal", &settings)).0;
        let values = &object(&objects, "ConfigMap", "istio-sidecar-injector")["data"]["values"];
        let values: Value = serde_json::from_str(values.as_str().unwrap()).unwrap();
        values["global"]["proxy_init"]["image"].as_str().unwrap().to_owned()
    };
    assert_eq!(image("r.example/lateen:1-iptables"), "r.example/lateen:1-iptables");
    assert!(image("docker.io/istio/proxyv2:1.6.0").starts_with("lateen-mesh/lateen:"));
}

#[test]
fn a_tag_that_is_a_number_is_warned_of() {
    let told = check_issues(json!({"tag": 1.10, "values": {"pilot": {"tag": 2}}}));
    let words = "spec.tag: it is the number 1.1, of which YAML drops zeros at the end";
    assert!(told.iter().any(|one| one.contains(words)), "{told:?}");
    assert!(!told.iter().any(|one| one.contains("spec.values.pilot.tag")), "{told:?}");
}

/// The ports of a Service as `name port/protocol`.
fn ports(service: &Value) -> Vec<String> {
    let text = |value: &Value| crate::plan::scalar(value).replace("null", "-");
    let port = |port: &Value| {
        format!("{} {}/{}", text(&port["name"]), text(&port["port"]), text(&port["protocol"]))
    };
    service["spec"]["ports"].as_array().unwrap().iter().map(port).collect()
}

#[test]
fn a_services_ports_merge_by_number_and_protocol() {
    let settings = [
        ("components.pilot.k8s.service.ports[0].port", "15010"),
        ("components.pilot.k8s.service.ports[1].port", "15014"),
        ("components.pilot.k8s.service.ports[1].name", "metrics"),
    ];
    let objects = render(&plan("default", &settings)).0;
    assert_eq!(
        ports(&object(&objects, "Service", "istiod")),
        [
            "grpc-xds 15010/TCP",
            "https-dns 15012/TCP",
            "https-webhook 443/TCP",
            "metrics 15014/TCP",
            "https-graph 20001/TCP",
        ]
    );
}

#[test]
fn a_gateway_has_the_ports_of_its_component_and_no_other() {
    let gateway = |settings: &[(&str, &str)]| {
        let objects = render(&plan("default", settings)).0;
        object(&objects, "Service", "istio-ingressgateway")
    };
    let own = [
        ("components.ingressGateways[0].k8s.service.ports[0].port", "443"),
        ("components.ingressGateways[0].k8s.service.ports[0].name", "https"),
        ("components.ingressGateways[0].k8s.service.ports[0].nodePort", "30443"),
        ("components.ingressGateways[0].k8s.service.ports[1].port", "443"),
        ("components.ingressGateways[0].k8s.service.ports[1].protocol", "UDP"),
        ("components.ingressGateways[0].k8s.service.ports[1].name", "http3"),
    ];
    let service = gateway(&own);
    assert_eq!(ports(&service), ["https 443/TCP", "http3 443/UDP"]);
    assert_eq!(service["spec"]["ports"][0]["nodePort"], 30443);
    let defaults = ["status-port 15021/TCP", "http2 80/TCP", "https 443/TCP"];
    assert_eq!(ports(&gateway(&[])), defaults);
    let empty = [("components.ingressGateways[0].k8s.service.ports", "[]")];
    assert_eq!(ports(&gateway(&empty)), defaults);
    let port = json!([{"name": "tcp", "port": 31400}]);
    let told = check_issues(json!({
        "components": {"ingressGateways": [
            {"name": "istio-ingressgateway", "enabled": true, "k8s": {"service": {"ports": port}}},
        ]},
        "values": {"gateways": {"istio-ingressgateway": {"ports": port}}},
    }));
    let words = "istio-ingressgateway.ports: it has no effect beside k8s.service.ports";
    assert!(told.iter().any(|one| one.contains(words)), "{told:?}");
}

#[test]
fn only_istios_own_images_are_replaced() {
    let image = |name: &str| plan("default", &[("values.global.proxy.image", name)]);
    let of = |name: &str| image(name).image("values.global.proxy");
    assert_eq!(of("myreg/proxyv2-custom:1"), "myreg/proxyv2-custom:1");
    for kept in [
        "myreg/lateen@sha256:00112233445566778899aabbccddeeff",
        "reg.example/infra/proxy:2",
        "gcr.io/x/proxyv2@sha256:00112233445566778899aabbccddeeff",
    ] {
        assert_eq!(of(kept), kept);
    }
    for istios in [
        "docker.io/istio/proxyv2:1.6.13",
        "proxyv2",
        "gcr.io/istio-release/proxyv2@sha256:00112233445566778899aabbccddeeff",
    ] {
        assert_eq!(of(istios), format!("lateen-mesh/lateen:{}", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn fields_of_the_default_config_without_effect_are_told_once() {
    let told = |mesh: Value| -> Vec<String> {
        let document = json!({
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": { "meshConfig": mesh },
        });
        let plan = crate::read(&[("file".to_owned(), document)], &[]).unwrap();
        let told = render(&plan).1.into_iter().chain(plan.issues);
        let told = told.filter(|issue| issue.path.contains("meshConfig"));
        told.map(|issue| format!("{}: {}", issue.path, issue.message)).collect()
    };
    let tracing = told(json!({"defaultConfig": {"tracing": {"sampling": 1.0}, "concurrency": 2}}));
    assert_eq!(tracing.len(), 1, "{tracing:?}");
    assert!(
        tracing[0].starts_with("spec.meshConfig.defaultConfig.tracing: has no effect: "),
        "{tracing:?}"
    );
    let service = json!({"envoyAccessLogService": {"address": "als.shop.svc.cluster.local:9001"}});
    let unused = told(json!({ "defaultConfig": service.clone() }));
    assert!(unused.len() == 1 && unused[0].contains("extensionProviders"), "{unused:?}");
    let used = told(json!({ "enableEnvoyAccessLogService": true, "defaultConfig": service }));
    assert!(used.is_empty(), "{used:?}");
}

#[test]
fn fields_that_proxy_config_has_lost_are_no_errors() {
    for field in ["parentShutdownDuration", "connectTimeout"] {
        let path = format!("meshConfig.defaultConfig.{field}");
        let plan = plan("default", &[(&path, "60s")]);
        let told: Vec<&str> = plan.issues.iter().map(|issue| issue.message.as_str()).collect();
        assert!(told.iter().any(|one| one.starts_with("it has no effect: ")), "{told:?}");
    }
}

#[test]
fn fields_of_mesh_config_that_nothing_reads_are_told() {
    for (field, value) in [("enableAutoMtls", "true"), ("ingressClass", "nginx")] {
        let path = format!("meshConfig.{field}");
        let told = plan("default", &[(&path, value)]).issues;
        let is_told = |issue: &lateen_api::issue::Issue| {
            issue.path == format!("spec.{path}") && issue.message.starts_with("it has no effect: ")
        };
        assert!(told.iter().any(is_told), "{field}: {told:?}");
    }
    let wrong = super::bad::errors(json!({"meshConfig": {"enableAutoMtls": "yes"}}), &[]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("spec.meshConfig.enableAutoMtls: "), "{wrong:?}");
    let parts = ["outlierDetection.interval", "connectionPool.tcp.maxConnectionDuration"];
    let parts = parts.map(|part| format!("meshConfig.defaultTrafficPolicy.{part}"));
    for path in parts.iter().map(String::as_str).chain(["meshConfig.hboneIdleTimeout"]) {
        let told = plan("default", &[(path, "5s")]).issues;
        let is_told = |issue: &lateen_api::issue::Issue| {
            format!("spec.{path}").starts_with(&issue.path)
                && issue.message.starts_with("it has no effect: ")
        };
        assert!(told.iter().any(is_told), "{path}: {told:?}");
    }
    let used = ("meshConfig.defaultTrafficPolicy.connectionPool.tcp.maxConnections", "1");
    assert_eq!(plan("default", &[used]).issues, plan("default", &[]).issues);
    let class = plan("default", &[("meshConfig.ingressClass", "5")]);
    assert_eq!(class.mesh_config()["ingressClass"], "5", "a text where the type says so");
}

/// The names are those of Istio's own list of values; each is read, or told to have no effect.
#[test]
fn every_value_of_istio_is_known() {
    let names = std::fs::read_to_string(super::directory().join("istio_values.txt")).unwrap();
    let names: Vec<&str> = names.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() > 400, "{}", names.len());
    // Nothing is set to nothing, which any field takes.
    let set: Vec<(String, String)> =
        names.iter().map(|name| (format!("values.{name}"), String::new())).collect();
    match crate::read(&super::load("minimal"), &set) {
        Ok(_) => {}
        Err(issues) => panic!("{issues:#?}"),
    }
}

/// A chart has the values of its own component without their prefix; the others are an IstioOperator's, too.
#[test]
fn every_value_of_istio_s_charts_is_known() {
    let values = FIELDS.child("values").unwrap();
    for chart in ["base", "istiod", "cni"] {
        let file = super::directory().join(format!("istio_values/{chart}.yaml"));
        let text = std::fs::read_to_string(file).unwrap();
        let mut of_chart = crate::documents(&text).unwrap().remove(0);
        let names = of_chart.as_object_mut().unwrap();
        names.retain(|name, _| values.child(name).is_some());
        assert!(names.contains_key("global"), "{chart}");
        let issues = check(&json!({ "values": of_chart }), &ObjectRef::default());
        let unknown = issues.iter().filter(|issue| issue.message.starts_with("unknown field"));
        assert_eq!(unknown.map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{chart}");
    }
}

#[test]
fn null_in_a_file_removes_a_default() {
    let document = |spec: Value| {
        let document = json!({
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
        });
        ("file".to_owned(), document)
    };
    let resources = json!({
        "limits": {"cpu": null, "memory": "500Mi"}, "requests": {"cpu": null, "memory": "150Mi"},
    });
    let pilot = json!({"k8s": {"resources": {"requests": {"memory": null}}}});
    let nulls = document(json!({
        "components": {"pilot": pilot},
        "values": {"global": {"proxy": {"resources": resources}}},
    }));
    let of_proxy = "values.global.proxy.resources";
    let of_pilot = "components.pilot.k8s.resources.requests";
    let plan = crate::read(std::slice::from_ref(&nulls), &[]).unwrap();
    let expected = json!({"limits": {"memory": "500Mi"}, "requests": {"memory": "150Mi"}});
    assert_eq!(plan.get(of_proxy), Some(&expected));
    assert_eq!(plan.get(of_pilot), Some(&json!({"cpu": "50m"})));

    let later =
        json!({"values": {"global": {"proxy": {"resources": {"requests": {"cpu": "7m"}}}}}});
    let plan = crate::read(&[nulls, document(later)], &[]).unwrap();
    assert_eq!(plan.get(of_proxy).unwrap()["requests"], json!({"memory": "150Mi", "cpu": "7m"}));
}

#[test]
fn a_file_annotates_what_asks_for_injection() {
    let set = [
        ("values.sidecarInjectorWebhookAnnotations.a", "b"),
        ("values.pilot.sidecarInjectorWebhookAnnotations.c", "d"),
        ("values.revisionTags", "{canary}"),
    ];
    let objects = render(&plan("minimal", &set)).0;
    for name in ["istio-sidecar-injector", "istio-revision-tag-canary"] {
        let webhooks = object(&objects, "MutatingWebhookConfiguration", name);
        assert_eq!(webhooks["metadata"]["annotations"], json!({"a": "b", "c": "d"}), "{name}");
    }
}

#[test]
fn a_files_probe_is_laid_over_the_usual_one_and_asks_in_one_way() {
    let probe = |set: &[(&str, &str)]| {
        let deployment = object(&render(&plan("minimal", set)).0, "Deployment", "istiod");
        deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"].clone()
    };
    let at = "components.pilot.k8s.readinessProbe";
    let period = probe(&[(&format!("{at}.periodSeconds"), "9")]);
    assert_eq!(
        (&period["periodSeconds"], &period["httpGet"]["path"]),
        (&json!(9), &json!("/ready"))
    );
    let other = probe(&[(&format!("{at}.tcpSocket.port"), "8080")]);
    assert_eq!((&other["httpGet"], &other["periodSeconds"]), (&Value::Null, &json!(3)));
}

#[test]
fn a_setting_of_nothing_must_be_a_field_too() {
    let issues = |path: &str| {
        crate::read(&[], &[(path.to_owned(), String::new())]).err().unwrap_or_default()
    };
    for wrong in ["hubb", "values.global.hubb", "components.ingressGateways[name:a].k8s.foo"] {
        let told = issues(wrong);
        assert!(
            told.len() == 1 && told[0].message.starts_with("unknown field"),
            "{wrong}: {told:?}"
        );
    }
    assert_eq!(issues("values.global.hub"), []);
}

#[test]
fn replicas_that_an_autoscaler_overrules_are_told() {
    let replicas = "components.pilot.k8s.replicaCount";
    let told = |set: &[(&str, &str)]| -> Vec<String> {
        let issues = plan("default", set).issues;
        issues.into_iter().map(|issue| issue.path).filter(|path| path.ends_with("Count")).collect()
    };
    assert_eq!(told(&[(replicas, "2")]), [format!("spec.{replicas}")]);
    assert!(told(&[(replicas, "1")]).is_empty());
    assert!(told(&[(replicas, "2"), ("values.pilot.autoscaleEnabled", "false")]).is_empty());
    assert!(told(&[(replicas, "2"), ("values.pilot.autoscaleMin", "2")]).is_empty());
    let hpa = "components.pilot.k8s.hpaSpec.minReplicas";
    assert!(told(&[(replicas, "2"), (hpa, "2")]).is_empty());
}

#[test]
fn a_gateways_replicas_are_told_as_the_control_planes_are() {
    for (list, role) in [("ingressGateways", "ingress"), ("egressGateways", "egress")] {
        let name = format!("istio-{role}gateway");
        let at = format!("components.{list}[name:{name}]");
        let (enabled, replicas) = (format!("{at}.enabled"), format!("{at}.k8s.replicaCount"));
        let scaled = format!("values.gateways.{name}.autoscaleEnabled");
        let told = |set: &[(&str, &str)]| -> Vec<String> {
            let set = [&[(&*enabled, "true"), (&*replicas, "3")][..], set].concat();
            let issues = plan("default", &set).issues;
            let told = issues.into_iter().filter(|issue| issue.path.ends_with("replicaCount"));
            told.map(|issue| format!("{}: {}", issue.path, issue.message)).collect()
        };
        let said = told(&[]);
        let place = format!("spec.components.{list}[0].k8s.replicaCount: it has no effect");
        assert!(said.len() == 1 && said[0].starts_with(&place), "{said:?}");
        assert!(said[0].contains(&format!("values.gateways.{name}.autoscaleMin")), "{said:?}");
        assert!(told(&[(&scaled, "false")]).is_empty());
    }
}

#[test]
fn a_nodes_port_out_of_the_usual_range_is_told() {
    let service = "components.ingressGateways[name:istio-ingressgateway].k8s.service";
    let told = |port: &str| -> Vec<String> {
        let set = (format!("{service}.ports[0].nodePort"), format!("{service}.ports[0].port"));
        let set = [(&*set.1, "15021"), (&*set.0, port)];
        let issues = plan("default", &set).issues;
        let of_range = issues.into_iter().filter(|issue| issue.message.contains("node-port-range"));
        of_range.map(|issue| issue.path).collect()
    };
    let path = "spec.components.ingressGateways[0].k8s.service.ports[0].nodePort";
    for port in ["80", "29999", "40000"] {
        assert_eq!(told(port), [path]);
    }
    for port in ["0", "30000", "32767"] {
        assert!(told(port).is_empty(), "{port}");
    }
}

#[test]
fn variables_that_nothing_reads_are_told() {
    let told = |set: &[(&str, &str)]| -> Vec<String> {
        let issues = plan("default", set).issues.into_iter();
        let of_variables = issues.filter(|issue| issue.path.contains(".env"));
        of_variables.map(|issue| issue.to_string()).collect()
    };
    let gateway = "components.ingressGateways[name:istio-ingressgateway].k8s.env[0]";
    let (name, value) = (format!("{gateway}.name"), format!("{gateway}.value"));
    let mode = told(&[(&name, "ISTIO_META_ROUTER_MODE"), (&value, "sni-dnat")]);
    assert!(mode.len() == 1 && mode[0].contains("AUTO_PASSTHROUGH"), "{mode:?}");
    assert!(mode[0].contains("spec.components.ingressGateways[0].k8s.env[0]: "), "{mode:?}");
    let older = "values.gateways.istio-ingressgateway.env.ISTIO_META_ROUTER_MODE";
    let mode = told(&[(older, "sni-dnat")]);
    assert!(mode.len() == 1 && mode[0].contains(&format!("spec.{older}: ")), "{mode:?}");
    let flags = told(&[
        ("values.pilot.env.PILOT_HTTP10", "1"),
        ("values.pilot.env.ENABLE_NATIVE_SIDECARS", "true"),
        ("values.pilot.env.MY_OWN", "1"),
        ("components.pilot.k8s.env[0].name", "PILOT_TRACE_SAMPLING"),
        ("components.pilot.k8s.env[0].value", "1"),
    ]);
    assert_eq!(flags.len(), 2, "{flags:?}");
    assert!(
        flags[0].contains("spec.components.pilot.k8s.env[0]: PILOT_TRACE_SAMPLING has no effect"),
        "{flags:?}"
    );
    assert!(
        flags[1].contains("spec.values.pilot.env.PILOT_HTTP10: PILOT_HTTP10 has no effect"),
        "{flags:?}"
    );
}

#[test]
fn a_load_balancers_word_that_is_no_address_is_told() {
    let path = "components.ingressGateways[name:istio-ingressgateway].k8s.service.loadBalancerIP";
    let told = |word: &str| {
        let issues = plan("default", &[(path, word)]).issues;
        issues.iter().any(|issue| issue.path.ends_with(".loadBalancerIP"))
    };
    assert!(told("pool-a"));
    assert!(!told("10.0.1.179") && !told("fd00::9"));
}
