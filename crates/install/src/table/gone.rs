//! What Istio's installation once brought along and no longer has, with what takes its place.

use super::Entry as F;
use super::MIXER;
use super::Meaning::Gone;
use super::Type::Object;

const CITADEL: &str = "istiod is the certificate authority";

pub const FIELDS: &[F] = &[
    F("values.mixer", Object, Gone(MIXER)),
    F("values.policy", Object, Gone(MIXER)),
    F("values.security", Object, Gone(CITADEL)),
    F("values.citadel", Object, Gone(CITADEL)),
    F("values.nodeagent", Object, Gone(CITADEL)),
    F("values.certmanager", Object, Gone(CITADEL)),
    F("values.galley", Object, Gone("the control plane validates and serves configuration itself")),
    F(
        "values.prometheus",
        Object,
        Gone("install Prometheus by its own means, pods carry its scrape annotations"),
    ),
    F("values.prometheusOperator", Object, Gone("write a PodMonitor for port 15020 of the pods")),
    F(
        "values.grafana",
        Object,
        Gone("install Grafana by its own means, metrics have Istio's names"),
    ),
    F(
        "values.tracing",
        Object,
        Gone(
            "install a tracing backend by its own means and name it in meshConfig.extensionProviders",
        ),
    ),
    F(
        "values.kiali",
        Object,
        Gone(
            "the mesh has a graph of its own here, a Kiali that you install reads the same metrics",
        ),
    ),
    F(
        "values.istiocoredns",
        Object,
        Gone(
            "every proxy answers DNS, set ISTIO_META_DNS_CAPTURE in meshConfig.defaultConfig.proxyMetadata",
        ),
    ),
];
