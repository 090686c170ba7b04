//! Settings that nobody could use, and sound ones beside them.

use serde_json::{Value, json};

use super::{Fault, unusable_mesh_config, unusable_proxy_config};

fn shown(faults: Vec<Fault>) -> Vec<String> {
    faults.into_iter().map(|Fault { path, message }| format!("{path}: {message}")).collect()
}

fn faults(config: &Value) -> Vec<String> {
    shown(unusable_proxy_config(config))
}

#[test]
fn values_with_which_a_pod_could_not_run_are_told() {
    for good in [
        json!({}),
        json!({"statusPort": 15020, "proxyAdminPort": 15000, "discoveryAddress": ""}),
        json!({"statusPort": 0, "proxyAdminPort": 15999, "discoveryAddress": "[fd00::1]:15012"}),
        json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "T", "OTHER": "maybe"}}),
        json!({"proxyMetadata": {"CA_ADDR": "a:1", "ISTIO_META_CLUSTER_ID": "c", "XDS_ROOT_CA": "/a"}}),
        json!({"proxyMetadata": {"INBOUND_CAPTURE_PORT": "15006", "MINIMUM_DRAIN_DURATION": ""}}),
        json!({"concurrency": 0, "terminationDrainDuration": "0s", "proxyMetadata": {"PROXY_UID": "1,2"}}),
        json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": ""}}),
    ] {
        assert_eq!(faults(&good).len(), 0, "{good}");
    }
    for (bad, said) in [
        (json!({"statusPort": 70000}), "statusPort: \"70000\" is not a port"),
        (json!({"statusPort": -1}), "statusPort: \"-1\" is not a port"),
        (json!({"statusPort": 15001}), "statusPort: 15001 is the proxy's port for captured"),
        (json!({"proxyAdminPort": 15020}), "proxyAdminPort: 15020 is the proxy's port for probes"),
        (json!({"discoveryAddress": "istiod"}), "discoveryAddress: \"istiod\" is not host:port"),
        (json!({"discoveryAddress": "istiod:99999"}), "discoveryAddress: \"istiod:99999\""),
        (json!({"discoveryAddress": "::::"}), "discoveryAddress: \"::::\" is not host:port"),
        (json!({"discoveryAddress": "https://a:1"}), "discoveryAddress: \"https://a:1\""),
        (
            json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "maybe"}}),
            "proxyMetadata.ISTIO_META_DNS_CAPTURE: \"maybe\" is neither true nor false",
        ),
        (json!({"concurrency": -1}), "concurrency: \"-1\" is no number of threads: write 0"),
        (
            json!({"terminationDrainDuration": "-5s"}),
            "terminationDrainDuration: \"-5s\" is less than nothing",
        ),
        (
            json!({"gatewayTopology": {}, "fileFlushInterval": "-1ms"}),
            "fileFlushInterval: \"-1ms\" is less",
        ),
        (
            json!({"proxyMetadata": {"INBOUND_CAPTURE_PORT": "x"}}),
            "proxyMetadata.INBOUND_CAPTURE_PORT: \"x\" is not a port",
        ),
        (
            json!({"proxyMetadata": {"PROBE_TIMEOUT": "soon"}}),
            "proxyMetadata.PROBE_TIMEOUT: \"soon\" is not a duration",
        ),
        (
            json!({"proxyMetadata": {"POD_NAME": "a"}}),
            "proxyMetadata.POD_NAME: the injector sets it for each pod: remove it",
        ),
        (
            json!({"proxyMetadata": {"PROXY_CONFIG": "{}"}}),
            "proxyMetadata.PROXY_CONFIG: the injector sets it",
        ),
        (
            json!({"proxyMetadata": {"A B": "c"}}),
            "proxyMetadata.A B: \"A B\" is no variable's name",
        ),
        (
            json!({"proxyMetadata": {"PROXY_GID": "root"}}),
            "proxyMetadata.PROXY_GID: \"root\" is no number",
        ),
        (
            json!({"proxyMetadata": {"XDS_ROOT_CA": "SYSTEM"}}),
            "proxyMetadata.XDS_ROOT_CA: the image has no certificates",
        ),
    ] {
        let told = faults(&bad);
        assert!(told.len() == 1 && told[0].starts_with(said), "{bad}: {told:?}");
    }
}

#[test]
fn what_of_a_mesh_nobody_could_use_is_told_at_once() {
    let told = shown(unusable_mesh_config(&json!({
        "connectTimeout": "-1s",
        "proxyListenPort": 70000,
        "trustDomain": "x y/z",
        "rootNamespace": "A B",
        "tcpKeepalive": {"time": "-2s"},
        "discoverySelectors": [
            {"matchLabels": {"a b": "c"}},
            {"matchExpressions": [{"key": "a", "operator": "In"}, {"key": "b", "operator": "Near"}]},
        ],
        "defaultConfig": {"discoveryAddress": "foo", "concurrency": -1, "drainDuration": "-1s"},
    })));
    let starts = [
        "connectTimeout: \"-1s\" is less than nothing",
        "tcpKeepalive.time: \"-2s\" is less than nothing",
        "defaultConfig.drainDuration: \"-1s\" is less than nothing",
        "proxyListenPort: \"70000\" is not a port",
        "trustDomain: \"x y/z\" is no trust domain",
        "rootNamespace: \"A B\" is no name",
        "discoverySelectors[0].matchLabels.a b: \"a b\" is no key",
        "discoverySelectors[1].matchExpressions[0].values: In needs values",
        "discoverySelectors[1].matchExpressions[1].operator: \"Near\" is no operator: use In",
        "defaultConfig.discoveryAddress: \"foo\" is not host:port",
        "defaultConfig.concurrency: \"-1\" is no number of threads",
    ];
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for start in starts {
        assert!(told.iter().any(|one| one.starts_with(start)), "{start}: {told:?}");
    }
}

#[test]
fn a_sound_mesh_is_sound() {
    let selectors = json!([{}, {"matchExpressions": [{"key": "a.b/c", "operator": "Exists"}]}]);
    let mesh =
        json!({"connectTimeout": "10s", "proxyListenPort": 0, "discoverySelectors": selectors});
    assert_eq!(shown(unusable_mesh_config(&mesh)), [] as [String; 0]);
}

#[test]
fn providers_that_nobody_could_use_are_told() {
    let mesh = json!({"extensionProviders": [
        {"name": "a", "prometheus": {}},
        {"name": "a", "zipkin": {"service": "zipkin.shop", "port": 99999}},
        {"name": "b"},
        {"opentelemetry": {"port": 4317}},
        {"name": "c", "envoyTcpAls": {"service": "als.shop"}},
        {"name": "d", "prometheus": {}, "stackdriver": {}},
        {"name": "e", "envoyOtelAls": {"service": "otel.shop", "port": 4317}},
    ]});
    assert_eq!(
        shown(unusable_mesh_config(&mesh)),
        [
            "extensionProviders[1].name: \"a\" is the name of extensionProviders[0] too: give it another one",
            "extensionProviders[1].zipkin.port: 99999 is not a port: write a number from 1 to 65535",
            "extensionProviders[2]: it says not what it is: write prometheus, zipkin …",
            "extensionProviders[3].name: it is missing: Telemetry objects and policies name providers by it",
            "extensionProviders[3].opentelemetry.service: it is missing: write the host of a Service or ServiceEntry",
            "extensionProviders[4].envoyTcpAls.port: it is missing: write the port of the service",
            "extensionProviders[5]: it is prometheus and stackdriver at once: write one of them",
        ]
    );
}

#[test]
fn formats_that_envoy_would_refuse_are_told() {
    for (config, said) in [
        (
            json!({"accessLogFormat": "%START_TIME% %NOPE%"}),
            "accessLogFormat: operator %NOPE% in the access log format is not known: use one",
        ),
        (
            json!({"accessLogFormat": "{\"a\": \"%REQ()%\"}", "accessLogEncoding": "JSON"}),
            "accessLogFormat: operator %REQ()% in the access log format needs an argument",
        ),
        (
            json!({"accessLogFormat": "{not json", "accessLogEncoding": "JSON"}),
            "accessLogFormat: it is no JSON object, and accessLogEncoding is JSON",
        ),
        (
            json!({"extensionProviders": [{"name": "a", "envoyFileAccessLog": {
                "path": "/a", "logFormat": {"text": "%START_TIME(%n)%"},
            }}]}),
            "extensionProviders[0].envoyFileAccessLog.logFormat.text: operator %START_TIME(%n)%",
        ),
        (
            json!({"extensionProviders": [{"name": "a", "envoyOtelAls": {
                "service": "a", "port": 1, "logFormat": {"labels": {"a": "b%"}},
            }}]}),
            "extensionProviders[0].envoyOtelAls.logFormat.labels: unclosed %",
        ),
    ] {
        let found = shown(unusable_mesh_config(&config));
        assert!(found.len() == 1 && found[0].starts_with(said), "{config}: {found:?}");
    }
    for sound in [
        json!({"accessLogFormat": ""}),
        json!({"accessLogFormat": "{\"a\": \"%REQ(A)%\"}", "accessLogEncoding": "JSON"}),
        json!({"extensionProviders": [{"name": "a", "envoyFileAccessLog": {"path": "/a"}}]}),
    ] {
        assert_eq!(unusable_mesh_config(&sound), [], "{sound}");
    }
}
