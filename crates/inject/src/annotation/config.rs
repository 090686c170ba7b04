//! Fields of ProxyConfig that do nothing with Lateen's proxy. In: a ProxyConfig as it was written. Out: for each
//! such field its name and why it does nothing, or what to use.

use serde_json::Value;

use super::STATISTICS;

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

#[cfg(test)]
mod tests {
    use lateen_api::istio::mesh::ProxyConfig;
    use serde_json::{Value, json};

    use super::{WITHOUT_EFFECT, without_effect};

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
