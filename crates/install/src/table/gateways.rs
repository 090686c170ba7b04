//! The fields of `values.gateways.istio-ingressgateway` and `istio-egressgateway`, which all gateways of
//! a kind share.

use super::Entry as F;
use super::Meaning::{Gone, Mapped, Used};
use super::Type::{
    Annotations, Any, Bool, Environment, Int, IntOrText, Labels, List, Object, OneOf, Schema,
    Schemas, Text, Words,
};
use super::{FAMILIES, Form, ROUTES};

const TYPES: &[&str] = &["", "ClusterIP", "NodePort", "LoadBalancer"];

/// The settings of all ingress and of all egress gateways.
pub const GATEWAYS_OF: &[&str] =
    &["values.gateways.istio-ingressgateway", "values.gateways.istio-egressgateway"];

pub const GATEWAY: &[F] = &[
    F("name", Text, Gone("a gateway is named in components.ingressGateways or egressGateways")),
    F(
        "enabled",
        Bool,
        Gone("a gateway is enabled in components.ingressGateways or egressGateways"),
    ),
    F("autoscaleEnabled", Bool, Used),
    F("autoscaleMin", Int, Used),
    F("autoscaleMax", Int, Used),
    F("cpu.targetAverageUtilization", Int, Used),
    F("memory.targetAverageUtilization", Int, Used),
    F("replicaCount", Int, Used),
    F("type", OneOf(TYPES), Used),
    F("externalIPs", Words(Form::ExternalIp), Used),
    F("loadBalancerIP", Text, Used),
    F("loadBalancerSourceRanges", Words(Form::Range), Used),
    F("externalTrafficPolicy", OneOf(&["", "Local", "Cluster"]), Used),
    F("ipFamilies", Words(Form::Family), Used),
    F("ipFamilyPolicy", OneOf(FAMILIES), Used),
    F("ports", Schemas("io.k8s.api.core.v1.ServicePort"), Used),
    F("ingressPorts", Schemas("io.k8s.api.core.v1.ServicePort"), Used),
    F("env", Environment, Used),
    F("labels", Labels, Used),
    F("nodeSelector", Labels, Used),
    F("tolerations", Schemas("io.k8s.api.core.v1.Toleration"), Used),
    F("podAnnotations", Annotations, Used),
    F("serviceAnnotations", Annotations, Used),
    F("serviceAccount.annotations", Annotations, Used),
    F("resources", Schema("io.k8s.api.core.v1.ResourceRequirements"), Used),
    F("rollingMaxSurge", IntOrText, Used),
    F("rollingMaxUnavailable", IntOrText, Used),
    F("secretVolumes.[].name", Text, Used),
    F("secretVolumes.[].secretName", Text, Used),
    F("secretVolumes.[].mountPath", Text, Used),
    F("configVolumes.[].name", Text, Used),
    F("configVolumes.[].configMapName", Text, Used),
    F("configVolumes.[].mountPath", Text, Used),
    F("additionalContainers", Schemas("io.k8s.api.core.v1.Container"), Used),
    F("customService", Bool, Used),
    F("runAsRoot", Bool, Used),
    F(
        "injectionTemplate",
        Text,
        Gone("the gateway's container is written out, so it starts before the webhook answers"),
    ),
    F("podAntiAffinityLabelSelector", List, Gone("set k8s.affinity of the gateway's component")),
    F(
        "podAntiAffinityTermLabelSelector",
        List,
        Gone("set k8s.affinity of the gateway's component"),
    ),
    F("zvpn", Object, Gone("several clusters are not joined here yet")),
    F(
        "sds",
        Object,
        Mapped("a gateway's certificates always come over SDS, from Secrets of its namespace"),
    ),
    F(
        "meshExpansionPorts",
        List,
        Gone("ports of a gateway are k8s.service.ports of its component"),
    ),
    F("applicationPorts", Any, Gone("a gateway is ready when it has its configuration")),
    F("debug", Text, Gone("the log level is values.global.proxy.logLevel")),
    F("domain", Text, Gone("hosts are those of Gateway objects")),
    F("hosts", List, Gone("hosts are those of Gateway objects")),
    F("certificates", Any, Gone("write a Gateway object with the certificate's credentialName")),
    F("tls", Any, Gone("write a Gateway object with the certificate's credentialName")),
    F(
        "telemetry_addon_gateways",
        Object,
        Gone("write Gateway and VirtualService objects for add-ons"),
    ),
    F("telemetry_domain_name", Text, Gone("write Gateway and VirtualService objects for add-ons")),
    F("k8sIngress", Any, Gone(ROUTES)),
    F("k8sIngressHttps", Any, Gone(ROUTES)),
    F("connectTimeout", Text, Gone("set meshConfig.connectTimeout")),
    F("drainDuration", Text, Gone("set meshConfig.defaultConfig.terminationDrainDuration")),
];
