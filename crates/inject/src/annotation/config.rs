//! Fields of ProxyConfig that do nothing with Lateen's proxy, and values with which it could not run. In: a
//! ProxyConfig as it was written. Out: for each such field its name and why it does nothing, what to use, or
//! what is wrong.

use serde_json::Value;

use super::STATISTICS;
use super::syntax::{self, Check};

const BOOTSTRAP: &str = "the proxy has no Envoy bootstrap";
const HTTP: &str = "HTTP passes through the proxy as TCP";
const SCRAPED: &str = "the proxy sends its metrics nowhere: scrape them";
const LOGGED: &str =
    "name the service in meshConfig.extensionProviders, as envoyHttpAls or envoyTcpAls";
const REFRESH: &str = "the control plane sends what changes when it changes";

const WITHOUT_EFFECT: [(&str, &str); 28] = [
    ("image", "there is one image, without variants"),
    ("configPath", BOOTSTRAP),
    ("customConfigFile", BOOTSTRAP),
    ("proxyBootstrapTemplatePath", BOOTSTRAP),
    ("binaryPath", "the proxy and its agent are one program"),
    ("runtimeValues", "the proxy has no Envoy runtime"),
    ("drainDuration", "the proxy is not restarted in place: use terminationDrainDuration"),
    ("readinessProbe", "the application's own probes tell its readiness"),
    ("discoveryRefreshDelay", REFRESH),
    ("controlPlaneAuthPolicy", "the control plane is always asked over TLS"),
    ("sds", "certificates come from the control plane, over TLS"),
    ("caCertificatesPem", "roots come from the ConfigMap istio-ca-root-cert"),
    ("privateKeyProvider", "there is no hardware for keys"),
    ("availabilityZone", "localities come from the nodes' labels"),
    ("statNameLength", STATISTICS),
    ("proxyStatsMatcher", STATISTICS),
    ("extraStatTags", "the metrics have the labels that Istio's have, and no others"),
    ("statsCompression", "metrics are compressed when the scraper asks for it"),
    ("statsdUdpAddress", SCRAPED),
    ("envoyMetricsService", SCRAPED),
    ("envoyMetricsServiceAddress", SCRAPED),
    ("envoyAccessLogService", LOGGED),
    ("tracing", HTTP),
    ("tracingServiceName", HTTP),
    ("zipkinAddress", HTTP),
    ("gatewayTopology", HTTP),
    ("proxyHeaders", HTTP),
    ("connectionSettings", HTTP),
];

/// Those of the fields that are set.
pub fn without_effect(config: &Value) -> impl Iterator<Item = (&'static str, &'static str)> {
    WITHOUT_EFFECT.into_iter().filter(|(field, _)| config.get(field).is_some())
}

/// By the path of the field.
const CHECKS: [(&str, Check); 4] = [
    ("statusPort", syntax::status_port),
    ("proxyAdminPort", syntax::admin_port),
    ("discoveryAddress", syntax::address),
    ("proxyMetadata.ISTIO_META_DNS_CAPTURE", syntax::flag_or_unset),
];

/// Those with whose values a pod could not start, or would have no traffic, and what is wrong.
pub fn unusable(config: &Value) -> impl Iterator<Item = (&'static str, String)> {
    CHECKS.iter().filter_map(|(field, check)| {
        let text = match config.pointer(&format!("/{}", field.replace('.', "/")))? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((*field, check(&text).err()?))
    })
}

#[cfg(test)]
mod tests {
    use lateen_api::istio::mesh::ProxyConfig;
    use serde_json::{Value, json};

    use super::{WITHOUT_EFFECT, unusable, without_effect};

    #[test]
    fn values_with_which_a_pod_could_not_run_are_told() {
        for good in [
            json!({}),
            json!({"statusPort": 15020, "proxyAdminPort": 15000, "discoveryAddress": ""}),
            json!({"statusPort": 0, "proxyAdminPort": 15999, "discoveryAddress": "[fd00::1]:15012"}),
            json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "T", "OTHER": "maybe"}}),
            json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": ""}}),
        ] {
            assert_eq!(unusable(&good).count(), 0, "{good}");
        }
        for (bad, said) in [
            (json!({"statusPort": 70000}), "statusPort: \"70000\" is not a port"),
            (json!({"statusPort": -1}), "statusPort: \"-1\" is not a port"),
            (json!({"statusPort": 15001}), "statusPort: 15001 is the proxy's port for captured"),
            (
                json!({"proxyAdminPort": 15020}),
                "proxyAdminPort: 15020 is the proxy's port for probes",
            ),
            (
                json!({"discoveryAddress": "istiod"}),
                "discoveryAddress: \"istiod\" is not host:port",
            ),
            (json!({"discoveryAddress": "istiod:99999"}), "discoveryAddress: \"istiod:99999\""),
            (json!({"discoveryAddress": "::::"}), "discoveryAddress: \"::::\" is not host:port"),
            (json!({"discoveryAddress": "https://a:1"}), "discoveryAddress: \"https://a:1\""),
            (
                json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "maybe"}}),
                "proxyMetadata.ISTIO_META_DNS_CAPTURE: \"maybe\" is neither true nor false",
            ),
        ] {
            let told: Vec<_> =
                unusable(&bad).map(|(field, message)| format!("{field}: {message}")).collect();
            assert!(told.len() == 1 && told[0].starts_with(said), "{bad}: {told:?}");
        }
    }

    #[test]
    fn every_field_is_one_of_proxy_config_and_is_told_where_it_is_set() {
        let schema = lateen_api::schema::definitions();
        let properties = &schema["io.istio.mesh.ProxyConfig"]["properties"];
        for (field, why) in WITHOUT_EFFECT {
            assert!(properties[field].is_object(), "{field}");
            let told: Vec<_> = without_effect(&json!({field: {}, "concurrency": 2})).collect();
            assert_eq!(told, [(field, why)]);
        }
        let default: Value = serde_json::to_value(ProxyConfig::default()).unwrap();
        assert_eq!(without_effect(&default).count(), 0);
    }
}
