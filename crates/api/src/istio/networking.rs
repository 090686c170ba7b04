//! The group `networking.istio.io`.

mod destination_rule;
mod envoy_filter;
mod gateway;
mod load_balancer;
mod proxy_config;
mod service_entry;
mod sidecar;
mod virtual_service;
mod workload_entry;
mod workload_group;

pub use destination_rule::{
    ClientTlsMode, ClientTlsSettings, ConnectionKeepalive, ConnectionPoolSettings,
    DestinationRuleSpec, H2UpgradePolicy, HttpSettings, OutlierDetection, PortTrafficPolicy,
    ProxyProtocol, ProxyProtocolVersion, RetryBudget, Subset, TcpKeepalive, TcpSettings,
    TrafficPolicy, TunnelSettings, WarmupConfiguration,
};
pub use envoy_filter::{
    ApplyTo, ClusterMatch, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilterSpec,
    FilterChainMatch, FilterMatch, FilterMatchSubFilterMatch, ListenerMatch, Patch, PatchContext,
    PatchFilterClass, PatchOperation, ProxyMatch, RouteConfigurationMatch, RouteMatch,
    RouteMatchAction, SubFilterMatch, VirtualHostMatch, WaypointMatch, WaypointMatchFilterMatch,
    WaypointMatchRouteMatch,
};
pub use gateway::{
    GatewaySpec, Port, Server, ServerTlsMode, ServerTlsSettings, TlsCertificate, TlsProtocol,
};
pub use load_balancer::{
    Attribute, BackendUtilizationLb, ConsistentHashLb, HttpCookie, LoadBalancerSettings,
    LocalityDistribute, LocalityFailover, LocalityLoadBalancerSetting, MagLev, RingHash, SimpleLb,
    ZoneAwareFailover, ZoneAwareLoadBalancerSetting,
};
pub use proxy_config::{ProxyConfigSpec, ProxyImage};
pub use service_entry::{
    ServiceEntryAddress, ServiceEntrySpec, ServiceEntryStatus, ServiceLocation, ServicePort,
    ServiceResolution,
};
pub use sidecar::{
    CaptureMode, IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy,
    OutboundTrafficPolicyMode, SidecarPort, SidecarSpec, WorkloadSelector,
};
pub use virtual_service::{
    CorsPolicy, Delegate, Destination, FaultAbort, FaultDelay, HeaderOperations, Headers, HttpBody,
    HttpDirectResponse, HttpFaultInjection, HttpMatchRequest, HttpMirrorPolicy, HttpRedirect,
    HttpRetry, HttpRewrite, HttpRoute, HttpRouteDestination, L4MatchAttributes, Percent,
    PortSelector, RedirectPortSelection, RegexRewrite, RouteDestination, StringMatch, TcpRoute,
    TlsMatchAttributes, TlsRoute, UnmatchedPreflights, VirtualServiceSpec,
};
pub use workload_entry::WorkloadEntrySpec;
pub use workload_group::{
    ExecHealthCheckConfig, GrpcHealthCheckConfig, HttpHeader, HttpHealthCheckConfig,
    ReadinessProbe, TcpHealthCheckConfig, WorkloadGroupMeta, WorkloadGroupSpec,
};
