//! MeshConfig, ProxyConfig and MeshNetworks, which come as YAML text in ConfigMaps and annotations.

mod check;
mod config;
mod extension_provider;
mod network;
mod parse;
mod proxy;
mod tracing;

pub use check::{
    FLAGS, Fault, OF_POD, SERVICES, unusable_mesh_config, unusable_proxy_config, unusable_selectors,
};
pub use config::{
    AccessLogEncoding, AuthPolicy, Ca, Certificate, CertificateData, ConfigSource,
    DefaultProviders, DefaultTrafficPolicy, H2UpgradePolicy, InboundTrafficPolicy,
    InboundTrafficPolicyMode, IngressControllerMode, LabelSelector, LabelSelectorRequirement,
    MatchRule, MeshConfig, NormalizationType, OutboundTrafficPolicy, OutboundTrafficPolicyMode,
    Policy, ProxyPathNormalization, Resource, Scope, ServiceEntryVisibility, ServiceScopeConfigs,
    ServiceSettings, Settings, TlsConfig, TlsProtocol, Visibility,
};
pub use extension_provider::{
    DatadogTracingProvider, DynatraceApi, DynatraceResourceDetector, DynatraceSampler,
    EnvironmentResourceDetector, EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider, EnvoyExternalAuthorizationRequestBody,
    EnvoyFileAccessLogProvider, EnvoyHttpGrpcV3LogProvider, EnvoyOpenTelemetryLogProvider,
    EnvoyTcpGrpcV3LogProvider, ExtensionProvider, FileLogFormat, GrpcService, HttpHeader,
    HttpService, LightstepTracingProvider, Logging, OpenCensusAgentTracingProvider,
    OpenCensusAgentTracingProviderTraceContext, OpenTelemetryLogFormat,
    OpenTelemetryTracingProvider, PrometheusMetricsProvider, ResourceDetectors, SdsProvider,
    ServiceAttributeEnrichment, SkyWalkingTracingProvider, StackdriverProvider, TraceContextOption,
    ZipkinTracingProvider,
};
pub use network::{IstioNetworkGateway, MeshNetworks, Network, NetworkEndpoints};
pub use parse::{parse_mesh_config, parse_mesh_networks, parse_proxy_config};
pub use proxy::{
    AttemptCount, AuthenticationPolicy, ConnectionSettings, CryptoMb, EnvoyDebugHeaders,
    ForwardClientCertDetails, HeadersWithUnderscoresAction, InboundInterceptionMode,
    MetadataExchangeHeaders, MetadataExchangeMode, PathWithEscapedSlashesAction,
    PrivateKeyProvider, Profile, ProxyConfig, ProxyHeaders, ProxyProtocolConfiguration,
    ProxyStatsMatcher, Qat, RemoteService, RequestId, Sds, Server, SetCurrentClientCertDetails,
    Topology, TracingServiceName, XForwardedHost, XForwardedPort,
};
pub use tracing::{
    CustomTag, Datadog, Environment, Lightstep, Literal, OpenCensusAgent, OpenCensusTraceContext,
    RequestHeader, Stackdriver, Tracing, Zipkin,
};
