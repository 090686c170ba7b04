//! The table against Istio's list of annotations, and the syntaxes.

use lateen_api::words::{ports, ranges};

use super::syntax::{objects, quantity};
use super::{TABLE, Treatment};

/// Those of Istio's annotations that a pod may carry to change its injection.
const ISTIO: &str = "prometheus.istio.io/merge-metrics sidecar.istio.io/inject sidecar.istio.io/status \
    sidecar.istio.io/rewriteAppHTTPProbers sidecar.istio.io/discoveryAddress sidecar.istio.io/proxyImage \
    sidecar.istio.io/proxyImageType sidecar.istio.io/proxyCPU sidecar.istio.io/proxyCPULimit \
    sidecar.istio.io/proxyMemory sidecar.istio.io/proxyMemoryLimit sidecar.istio.io/interceptionMode \
    sidecar.istio.io/bootstrapOverride sidecar.istio.io/statsInclusionPrefixes \
    sidecar.istio.io/statsInclusionSuffixes sidecar.istio.io/statsInclusionRegexps \
    sidecar.istio.io/statsHistogramBuckets sidecar.istio.io/statsFlushInterval \
    sidecar.istio.io/statsEvictionInterval sidecar.istio.io/statsHistogramBins \
    sidecar.istio.io/userVolume sidecar.istio.io/userVolumeMount status.sidecar.istio.io/port \
    sidecar.istio.io/logLevel sidecar.istio.io/componentLogLevel sidecar.istio.io/agentLogLevel \
    sidecar.istio.io/nativeSidecar readiness.status.sidecar.istio.io/initialDelaySeconds \
    readiness.status.sidecar.istio.io/periodSeconds readiness.status.sidecar.istio.io/failureThreshold \
    readiness.status.sidecar.istio.io/applicationPorts \
    traffic.sidecar.istio.io/includeOutboundIPRanges traffic.sidecar.istio.io/excludeOutboundIPRanges \
    traffic.sidecar.istio.io/includeInboundPorts traffic.sidecar.istio.io/excludeInboundPorts \
    traffic.sidecar.istio.io/excludeInterfaces traffic.sidecar.istio.io/includeOutboundPorts \
    traffic.sidecar.istio.io/excludeOutboundPorts traffic.sidecar.istio.io/kubevirtInterfaces \
    proxy.istio.io/config proxy.istio.io/overrides inject.istio.io/templates \
    sidecar.istio.io/extraStatTags sidecar.istio.io/statsCompression";

#[test]
fn every_annotation_of_istio_is_in_the_table_once() {
    for name in ISTIO.split_whitespace() {
        let count = TABLE.iter().filter(|(known, _)| *known == name).count();
        assert_eq!(count, 1, "{name}");
    }
    assert!(TABLE.iter().any(|(_, one)| matches!(one, Treatment::None(why) if !why.is_empty())));
}

#[test]
fn lists_and_quantities_are_read_as_kubernetes_and_istio_read_them() {
    for good in ["", "80", "80,443", " 80 , 443 ", "0"] {
        assert_eq!(ports(good), Ok(()), "{good:?}");
    }
    for bad in ["*", "a", "80-90", "65536", "-1"] {
        assert!(ports(bad).is_err(), "{bad:?}");
    }
    for good in ["", "10.0.0.0/8", "fd00::/8, 10.0.0.1/32"] {
        assert_eq!(ranges(good), Ok(()), "{good:?}");
    }
    for bad in ["*", "10.0.0.0", "10.0.0.0/33", "x/8"] {
        assert!(ranges(bad).is_err(), "{bad:?}");
    }
    for good in ["1", "100m", "0.5", ".5", "1e3", "1E3", "1Ki", "2Gi", "5k", "+1", "3E"] {
        assert_eq!(quantity(good), Ok(()), "{good:?}");
    }
    for bad in ["", "m", "1 Gi", "1KB", "1ki", "lots", "1.2.3", "1e", "."] {
        assert!(quantity(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn volumes_come_as_a_map_or_as_a_list() {
    let expected = vec![serde_json::json!({"name": "a", "emptyDir": {}})];
    assert_eq!(objects(r#"[{"name": "a", "emptyDir": {}}]"#).as_ref(), Ok(&expected));
    assert_eq!(objects(r#"{"a": {"emptyDir": {}}}"#).as_ref(), Ok(&expected));
    for bad in ["", "[]x", "[1]", "[{}]", "\"a\"", r#"{"a": 1}"#] {
        assert!(objects(bad).is_err(), "{bad:?}");
    }
}
