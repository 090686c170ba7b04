//! The objects that the mesh reads, typed.
//!
//! In: a kind, a version and a JSON object from an API server. Out: a `Resource`, or none and the
//! issues that say why, with the path of the field. Nothing here panics on any input.

use std::fmt;

use gateway_api::{
    backendtlspolicies::BackendTlsPolicy, gatewayclasses::GatewayClass,
    gateways::Gateway as GatewayApiGateway, grpcroutes::GrpcRoute, httproutes::HttpRoute,
    listenersets::ListenerSet, referencegrants::ReferenceGrant, tlsroutes::TlsRoute,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::issue::{Code, Issue, ObjectRef};
use crate::istio::extensions::{TrafficExtensionSpec, WasmPluginSpec};
use crate::istio::networking::{
    DestinationRuleSpec, EnvoyFilterSpec, GatewaySpec, ProxyConfigSpec, ServiceEntrySpec,
    SidecarSpec, VirtualServiceSpec, WorkloadEntrySpec, WorkloadGroupSpec,
};
use crate::istio::security::{
    AuthorizationPolicySpec, PeerAuthenticationSpec, RequestAuthenticationSpec,
};
use crate::istio::telemetry::TelemetrySpec;
use crate::kinds::{Kind, Source, by_kind};
use crate::schema::{self, Finding};
use crate::typed::{FieldError, typed};

/// An object with a spec. Its status is not kept: nothing in the mesh is configured by it, and a
/// status that changes must not look like a change of configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Object<S> {
    pub metadata: ObjectMeta,
    pub spec: S,
}

impl<S> Object<S> {
    /// Empty if cluster-scoped.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

/// A ServiceEntry, with the addresses that a control plane has given to its hosts: another one, or the
/// same after a restart, must not give others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceEntryObject {
    pub metadata: ObjectMeta,
    pub spec: ServiceEntrySpec,
    #[serde(skip_serializing)]
    pub status: ServiceEntryGiven,
}

/// As much of its status as is followed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServiceEntryGiven {
    pub addresses: Vec<GivenAddress>,
}

/// An address and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GivenAddress {
    pub value: String,
    pub host: String,
}

/// A WorkloadEntry: its status is followed because Istio's agent writes there whether the workload is
/// well.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadEntryObject {
    pub metadata: ObjectMeta,
    pub spec: WorkloadEntrySpec,
    #[serde(skip_serializing)]
    pub status: WorkloadEntryStatus,
}

/// As much of it as is followed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WorkloadEntryStatus {
    pub conditions: Vec<StatusCondition>,
}

/// One condition.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StatusCondition {
    pub r#type: String,
    pub status: String,
}

impl WorkloadEntryStatus {
    /// The condition `Healthy`, if it is there.
    pub fn healthy(&self) -> Option<bool> {
        let condition = self.conditions.iter().find(|condition| condition.r#type == "Healthy");
        condition.map(|condition| condition.status.eq_ignore_ascii_case("true"))
    }
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: &'static Kind,
    /// Empty if cluster-scoped.
    pub namespace: String,
    pub name: String,
}

impl Key {
    /// Of an object as JSON.
    pub fn of(kind: &'static Kind, value: &Value) -> Self {
        let ObjectRef { namespace, name, .. } = object_ref(kind, value);
        Self { kind, namespace, name }
    }

    pub fn object_ref(&self) -> ObjectRef {
        ObjectRef::new(self.kind.group, self.kind.kind, self.namespace.as_str(), self.name.as_str())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object_ref().fmt(f)
    }
}

/// Defines the closed set of resources from one list.
macro_rules! resources {
    ($($variant:ident($ty:ty) = $group:literal $kind:literal,)*) => {
        /// One object of the kinds that the mesh reads.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(
            clippy::large_enum_variant,
            reason = "a resource travels in a Box, and pods are the most numerous"
        )]
        pub enum Resource {
            $($variant($ty),)*
        }

        impl Resource {
            /// Group and kind of every variant.
            pub const KINDS: &[(&str, &str)] = &[$(($group, $kind)),*];

            fn group_kind(&self) -> (&'static str, &'static str) {
                match self {
                    $(Resource::$variant(_) => ($group, $kind),)*
                }
            }

            pub fn meta(&self) -> &ObjectMeta {
                match self {
                    $(Resource::$variant(object) => &object.metadata,)*
                }
            }
        }

        $(impl From<$ty> for Resource {
            fn from(object: $ty) -> Self {
                Resource::$variant(object)
            }
        })*

        fn decode(kind: &Kind, value: Value) -> Option<Result<Resource, FieldError>> {
            match (kind.group, kind.kind) {
                $(($group, $kind) => Some(typed::<$ty>(value).map(Resource::$variant)),)*
                _ => None,
            }
        }
    };
}

resources! {
    Namespace(Namespace) = "" "Namespace",
    Node(Node) = "" "Node",
    Service(Service) = "" "Service",
    EndpointSlice(EndpointSlice) = "discovery.k8s.io" "EndpointSlice",
    Pod(Pod) = "" "Pod",
    ConfigMap(ConfigMap) = "" "ConfigMap",
    Secret(Secret) = "" "Secret",
    DestinationRule(Object<DestinationRuleSpec>) = "networking.istio.io" "DestinationRule",
    EnvoyFilter(Object<EnvoyFilterSpec>) = "networking.istio.io" "EnvoyFilter",
    Gateway(Object<GatewaySpec>) = "networking.istio.io" "Gateway",
    ProxyConfig(Object<ProxyConfigSpec>) = "networking.istio.io" "ProxyConfig",
    ServiceEntry(ServiceEntryObject) = "networking.istio.io" "ServiceEntry",
    Sidecar(Object<SidecarSpec>) = "networking.istio.io" "Sidecar",
    VirtualService(Object<VirtualServiceSpec>) = "networking.istio.io" "VirtualService",
    WorkloadEntry(WorkloadEntryObject) = "networking.istio.io" "WorkloadEntry",
    WorkloadGroup(Object<WorkloadGroupSpec>) = "networking.istio.io" "WorkloadGroup",
    AuthorizationPolicy(Object<AuthorizationPolicySpec>) = "security.istio.io" "AuthorizationPolicy",
    PeerAuthentication(Object<PeerAuthenticationSpec>) = "security.istio.io" "PeerAuthentication",
    RequestAuthentication(Object<RequestAuthenticationSpec>) = "security.istio.io" "RequestAuthentication",
    Telemetry(Object<TelemetrySpec>) = "telemetry.istio.io" "Telemetry",
    TrafficExtension(Object<TrafficExtensionSpec>) = "extensions.istio.io" "TrafficExtension",
    WasmPlugin(Object<WasmPluginSpec>) = "extensions.istio.io" "WasmPlugin",
    BackendTlsPolicy(BackendTlsPolicy) = "gateway.networking.k8s.io" "BackendTLSPolicy",
    GatewayApiGateway(GatewayApiGateway) = "gateway.networking.k8s.io" "Gateway",
    GatewayClass(GatewayClass) = "gateway.networking.k8s.io" "GatewayClass",
    GrpcRoute(GrpcRoute) = "gateway.networking.k8s.io" "GRPCRoute",
    HttpRoute(HttpRoute) = "gateway.networking.k8s.io" "HTTPRoute",
    ListenerSet(ListenerSet) = "gateway.networking.k8s.io" "ListenerSet",
    ReferenceGrant(ReferenceGrant) = "gateway.networking.k8s.io" "ReferenceGrant",
    TcpRoute(Object<TcpRouteSpec>) = "gateway.networking.k8s.io" "TCPRoute",
    TlsRoute(TlsRoute) = "gateway.networking.k8s.io" "TLSRoute",
    UdpRoute(Object<UdpRouteSpec>) = "gateway.networking.k8s.io" "UDPRoute",
}

/// A TCPRoute's spec as it is: the gateway-api crate's standard channel has no type for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TcpRouteSpec(pub Value);

/// A UDPRoute's spec as it is; see [`TcpRouteSpec`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UdpRouteSpec(pub Value);

impl Resource {
    pub fn kind(&self) -> &'static Kind {
        let (group, kind) = self.group_kind();
        by_kind(group, kind).expect("invariant: every variant's kind is in the table")
    }

    pub fn key(&self) -> Key {
        let meta = self.meta();
        Key {
            kind: self.kind(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }

    pub fn object_ref(&self) -> ObjectRef {
        self.key().object_ref()
    }
}

/// Reads one object. A wrong type or an unknown enum value is an error with its field's path, and
/// there is no resource; an unknown field is a warning, and the rest is read. `None` without issues
/// means that the mesh does not read this kind.
pub fn parse(
    kind: &'static Kind,
    version: &str,
    mut value: Value,
) -> (Option<Resource>, Vec<Issue>) {
    let object = object_ref(kind, &value);
    let mut issues = Vec::new();
    if kind.source == Source::Istio {
        let name = schema::definition_name(kind, version);
        let findings = schema::conform(&name, &mut value);
        let fatal = findings.iter().any(Finding::is_fatal);
        issues.extend(findings.into_iter().map(|finding| finding.into_issue(object.clone())));
        if fatal {
            return (None, issues);
        }
    }
    match decode(kind, value) {
        None => (None, issues),
        Some(Ok(resource)) => (Some(resource), issues),
        Some(Err(FieldError { path, message })) => {
            let code = Code::SCHEMA_VALIDATION_ERROR;
            issues.push(Issue::error(object, path, code, message));
            (None, issues)
        }
    }
}

/// The name that an object carries, as far as it has one.
pub fn object_ref(kind: &Kind, value: &Value) -> ObjectRef {
    let field = |name: &str| {
        let text = value.get("metadata").and_then(|m| m.get(name)).and_then(Value::as_str);
        text.unwrap_or_default()
    };
    ObjectRef::new(kind.group, kind.kind, field("namespace"), field("name"))
}

#[cfg(test)]
mod tests;
