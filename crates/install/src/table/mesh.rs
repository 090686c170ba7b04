//! The fields of MeshConfig that do nothing here, and those that it has lost.

use super::Entry as F;
use super::Meaning::{Gone, Moved};
use super::Type::{Any, Inherited, Text};
use super::{HTTP, MIXER, SNIFFING};

const SDS: &str = "certificates always come over SDS, set nothing";
const NO_TLS: &str = "connections between workloads are not encrypted here yet";
const INGRESS: &str = "no Ingress objects are served, write a Gateway and a VirtualService";
const STATISTICS: &str = "there are no Envoy statistics, the metrics are Istio's";
const LOCALITY: &str = "all ready endpoints are used, wherever they are";
const CLUSTERS: &str = "several clusters are not joined here yet";

pub const FIELDS: &[F] = &[
    F("meshConfig.enableTracing", Inherited, Gone(HTTP)),
    F("meshConfig.h2UpgradePolicy", Inherited, Gone(HTTP)),
    F("meshConfig.defaultHttpRetryPolicy", Inherited, Gone(HTTP)),
    F("meshConfig.pathNormalization", Inherited, Gone(HTTP)),
    F("meshConfig.proxyHttpPort", Inherited, Gone(HTTP)),
    F("meshConfig.enableAutoMtls", Inherited, Gone(NO_TLS)),
    F("meshConfig.meshMTLS", Inherited, Gone(NO_TLS)),
    F("meshConfig.tlsDefaults", Inherited, Gone(NO_TLS)),
    F("meshConfig.trustDomainAliases", Inherited, Gone(NO_TLS)),
    F("meshConfig.caCertificates", Inherited, Gone(NO_TLS)),
    F(
        "meshConfig.verifyCertificateAtClient",
        Inherited,
        Gone("what is TLS passes through as it is, gateways begin none"),
    ),
    F("meshConfig.ca", Inherited, Gone("istiod is the certificate authority")),
    F("meshConfig.certificates", Inherited, Gone("istiod makes no certificates in Secrets")),
    F("meshConfig.localityLbSetting", Inherited, Gone(LOCALITY)),
    F("meshConfig.zoneAwareLbSetting", Inherited, Gone(LOCALITY)),
    F(
        "meshConfig.defaultTrafficPolicy.outlierDetection",
        Inherited,
        Gone("endpoints that fail are not ejected"),
    ),
    F("meshConfig.defaultTrafficPolicy.connectionPool.http", Inherited, Gone(HTTP)),
    F(
        "meshConfig.defaultTrafficPolicy.connectionPool.tcp.maxConnectionDuration",
        Inherited,
        Gone("connections last until an end closes them or they are idle"),
    ),
    F(
        "meshConfig.outboundTrafficPolicy.tls",
        Inherited,
        Gone("connections to unknown destinations pass as they are"),
    ),
    F(
        "meshConfig.serviceEntryVisibility",
        Inherited,
        Gone("a ServiceEntry's exportTo says who sees it"),
    ),
    F("meshConfig.hboneIdleTimeout", Inherited, Gone("connections are not carried in HBONE")),
    F("meshConfig.disableEnvoyListenerLog", Inherited, Gone("listeners have no log of their own")),
    F("meshConfig.inboundClusterStatName", Inherited, Gone(STATISTICS)),
    F("meshConfig.outboundClusterStatName", Inherited, Gone(STATISTICS)),
    F("meshConfig.ingressClass", Inherited, Gone(INGRESS)),
    F("meshConfig.ingressControllerMode", Inherited, Gone(INGRESS)),
    F("meshConfig.ingressSelector", Inherited, Gone(INGRESS)),
    F("meshConfig.ingressService", Inherited, Gone(INGRESS)),
    F("meshConfig.protocolDetectionTimeout", Inherited, Gone(SNIFFING)),
    F("meshConfig.dnsRefreshRate", Inherited, Gone("names are looked up again once a minute")),
    F("meshConfig.serviceSettings", Inherited, Gone(CLUSTERS)),
    F("meshConfig.serviceScopeConfigs", Inherited, Gone(CLUSTERS)),
    F("meshConfig.mixerCheckServer", Text, Gone(MIXER)),
    F("meshConfig.mixerReportServer", Text, Gone(MIXER)),
    F("meshConfig.disablePolicyChecks", Any, Gone(MIXER)),
    F("meshConfig.disableMixerHttpReports", Any, Gone(MIXER)),
    F("meshConfig.policyCheckFailOpen", Any, Gone(MIXER)),
    F("meshConfig.sidecarToTelemetrySessionAffinity", Any, Gone(MIXER)),
    F("meshConfig.enableClientSidePolicyCheck", Any, Gone(MIXER)),
    F("meshConfig.reportBatchMaxEntries", Any, Gone(MIXER)),
    F("meshConfig.reportBatchMaxTime", Any, Gone(MIXER)),
    F("meshConfig.disableReportBatch", Any, Gone(MIXER)),
    F(
        "meshConfig.defaultConfig.parentShutdownDuration",
        Any,
        Gone("the proxy is not restarted in place: use terminationDrainDuration"),
    ),
    F("meshConfig.defaultConfig.connectTimeout", Any, Gone("set meshConfig.connectTimeout")),
    F("meshConfig.sdsUdsPath", Text, Gone(SDS)),
    F("meshConfig.sdsRefreshDelay", Any, Gone(SDS)),
    F("meshConfig.enableSdsTokenMount", Any, Gone(SDS)),
    F("meshConfig.sdsUseK8sSaJwt", Any, Gone(SDS)),
    F("meshConfig.authPolicy", Text, Gone("write a PeerAuthentication in the root namespace")),
    F(
        "meshConfig.configSources",
        Any,
        Gone("the Kubernetes API is the one source of configuration"),
    ),
    F(
        "meshConfig.thriftConfig",
        Any,
        Gone("it is carried as TCP, like any protocol that is not known"),
    ),
    F("meshConfig.locality_lb_setting", Any, Moved("meshConfig.localityLbSetting")),
];
