//! The table itself: every kind, with the names, versions and columns that its own API gives it.
//!
//! Sources: Kubernetes' discovery, the CustomResourceDefinitions of Istio and of the Gateway API.

use super::columns::{Column, ColumnType};
use super::{Kind, Source};

const ALL: &[&str] = &["all"];
const V1: &[&str] = &["v1"];
/// Istio's networking kinds: v1 is stored, the older two are served.
const NETWORKING_VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const SECURITY_VERSIONS: &[&str] = &["v1", "v1beta1"];

const AGE: Column = Column {
    name: "Age",
    column_type: ColumnType::Date,
    path: ".metadata.creationTimestamp",
    priority: 0,
    description: "time since the object was created",
};
const AGE_ONLY: &[Column] = &[AGE];
const ACCEPTED: Column = text(
    "Accepted",
    r#".status.conditions[?(@.type=="Accepted")].status"#,
    "whether the controller takes this object",
);
const PROGRAMMED: Column = text(
    "Programmed",
    r#".status.conditions[?(@.type=="Programmed")].status"#,
    "whether the data plane has this object's configuration",
);
const HOSTNAMES: &[Column] =
    &[text("Hostnames", ".spec.hostnames", "the host names that the route matches"), AGE];

/// Every kind, in the order in which discovery lists them.
pub static KINDS: &[Kind] = &[
    // Kubernetes, core
    kubernetes("", V1, "ConfigMap", "configmaps", "configmap").short(&["cm"]),
    kubernetes("", V1, "Endpoints", "endpoints", "endpoints").short(&["ep"]),
    kubernetes("", V1, "Event", "events", "event").short(&["ev"]),
    kubernetes("", V1, "LimitRange", "limitranges", "limitrange").short(&["limits"]),
    kubernetes("", V1, "Namespace", "namespaces", "namespace").short(&["ns"]).cluster().status(),
    kubernetes("", V1, "Node", "nodes", "node").short(&["no"]).cluster().status(),
    kubernetes("", V1, "PersistentVolume", "persistentvolumes", "persistentvolume")
        .short(&["pv"])
        .cluster()
        .status(),
    kubernetes("", V1, "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim")
        .short(&["pvc"])
        .status(),
    kubernetes("", V1, "Pod", "pods", "pod").short(&["po"]).categories(ALL).status(),
    kubernetes("", V1, "ReplicationController", "replicationcontrollers", "replicationcontroller")
        .short(&["rc"])
        .categories(ALL)
        .status(),
    kubernetes("", V1, "ResourceQuota", "resourcequotas", "resourcequota")
        .short(&["quota"])
        .status(),
    kubernetes("", V1, "Secret", "secrets", "secret"),
    kubernetes("", V1, "Service", "services", "service").short(&["svc"]).categories(ALL).status(),
    kubernetes("", V1, "ServiceAccount", "serviceaccounts", "serviceaccount").short(&["sa"]),
    // Kubernetes, groups
    kubernetes(
        "admissionregistration.k8s.io",
        V1,
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
    )
    .categories(&["api-extensions"])
    .cluster(),
    kubernetes(
        "admissionregistration.k8s.io",
        V1,
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
    )
    .categories(&["api-extensions"])
    .cluster(),
    kubernetes(
        "apiextensions.k8s.io",
        V1,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "customresourcedefinition",
    )
    .short(&["crd", "crds"])
    .categories(&["api-extensions"])
    .cluster()
    .status(),
    kubernetes("apps", V1, "DaemonSet", "daemonsets", "daemonset")
        .short(&["ds"])
        .categories(ALL)
        .status(),
    kubernetes("apps", V1, "Deployment", "deployments", "deployment")
        .short(&["deploy"])
        .categories(ALL)
        .status(),
    kubernetes("apps", V1, "ReplicaSet", "replicasets", "replicaset")
        .short(&["rs"])
        .categories(ALL)
        .status(),
    kubernetes("apps", V1, "StatefulSet", "statefulsets", "statefulset")
        .short(&["sts"])
        .categories(ALL)
        .status(),
    kubernetes(
        "autoscaling",
        &["v2"],
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
    )
    .short(&["hpa"])
    .categories(ALL)
    .status(),
    kubernetes("batch", V1, "CronJob", "cronjobs", "cronjob")
        .short(&["cj"])
        .categories(ALL)
        .status(),
    kubernetes("batch", V1, "Job", "jobs", "job").categories(ALL).status(),
    kubernetes(
        "certificates.k8s.io",
        V1,
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
    )
    .short(&["csr"])
    .cluster()
    .status(),
    kubernetes("coordination.k8s.io", V1, "Lease", "leases", "lease"),
    kubernetes("discovery.k8s.io", V1, "EndpointSlice", "endpointslices", "endpointslice"),
    kubernetes("events.k8s.io", V1, "Event", "events", "event")
        .short(&["ev"])
        .stored_as("", "events"),
    kubernetes("networking.k8s.io", V1, "Ingress", "ingresses", "ingress").short(&["ing"]).status(),
    kubernetes("networking.k8s.io", V1, "IngressClass", "ingressclasses", "ingressclass").cluster(),
    kubernetes("networking.k8s.io", V1, "NetworkPolicy", "networkpolicies", "networkpolicy")
        .short(&["netpol"]),
    kubernetes("policy", V1, "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget")
        .short(&["pdb"])
        .status(),
    kubernetes("rbac.authorization.k8s.io", V1, "ClusterRole", "clusterroles", "clusterrole")
        .cluster(),
    kubernetes(
        "rbac.authorization.k8s.io",
        V1,
        "ClusterRoleBinding",
        "clusterrolebindings",
        "clusterrolebinding",
    )
    .cluster(),
    kubernetes("rbac.authorization.k8s.io", V1, "Role", "roles", "role"),
    kubernetes("rbac.authorization.k8s.io", V1, "RoleBinding", "rolebindings", "rolebinding"),
    kubernetes("scheduling.k8s.io", V1, "PriorityClass", "priorityclasses", "priorityclass")
        .short(&["pc"])
        .cluster(),
    kubernetes("storage.k8s.io", V1, "StorageClass", "storageclasses", "storageclass")
        .short(&["sc"])
        .cluster(),
    // Gateway API
    gateway_api(V1, "BackendTLSPolicy", "backendtlspolicies", "backendtlspolicy")
        .short(&["btlspolicy"])
        .columns(AGE_ONLY),
    gateway_api(&["v1", "v1beta1"], "Gateway", "gateways", "gateway").short(&["gtw"]).columns(&[
        text("Class", ".spec.gatewayClassName", "the class that this gateway is of"),
        text("Address", ".status.addresses[*].value", "where the gateway listens"),
        PROGRAMMED,
        AGE,
    ]),
    gateway_api(&["v1", "v1beta1"], "GatewayClass", "gatewayclasses", "gatewayclass")
        .short(&["gc"])
        .cluster()
        .columns(&[
            text("Controller", ".spec.controllerName", "the controller that serves this class"),
            ACCEPTED,
            AGE,
            wide("Description", ".spec.description", "what the class is for"),
        ]),
    gateway_api(V1, "GRPCRoute", "grpcroutes", "grpcroute").columns(HOSTNAMES),
    gateway_api(&["v1", "v1beta1"], "HTTPRoute", "httproutes", "httproute").columns(HOSTNAMES),
    gateway_api(V1, "ListenerSet", "listenersets", "listenerset")
        .short(&["lset"])
        .columns(&[ACCEPTED, PROGRAMMED, AGE]),
    gateway_api(&["v1beta1", "v1"], "ReferenceGrant", "referencegrants", "referencegrant")
        .short(&["refgrant"])
        .columns(AGE_ONLY)
        .no_status(),
    gateway_api(&["v1alpha2"], "TCPRoute", "tcproutes", "tcproute").columns(AGE_ONLY),
    gateway_api(&["v1", "v1alpha3", "v1alpha2"], "TLSRoute", "tlsroutes", "tlsroute")
        .columns(HOSTNAMES),
    gateway_api(&["v1alpha2"], "UDPRoute", "udproutes", "udproute").columns(AGE_ONLY),
    // Istio
    istio("networking", NETWORKING_VERSIONS, "DestinationRule", "destinationrules")
        .singular("destinationrule")
        .short(&["dr"])
        .columns(&[text("Host", ".spec.host", "the service that the rule is for"), AGE]),
    istio("networking", &["v1alpha3"], "EnvoyFilter", "envoyfilters").singular("envoyfilter"),
    istio("networking", NETWORKING_VERSIONS, "Gateway", "gateways")
        .singular("gateway")
        .short(&["gw"]),
    istio("networking", &["v1beta1"], "ProxyConfig", "proxyconfigs").singular("proxyconfig"),
    istio("networking", NETWORKING_VERSIONS, "ServiceEntry", "serviceentries")
        .singular("serviceentry")
        .short(&["se"])
        .columns(&[
            text("Hosts", ".spec.hosts", "the hosts of the entry"),
            text("Location", ".spec.location", "MESH_EXTERNAL or MESH_INTERNAL"),
            text("Resolution", ".spec.resolution", "how addresses are found: NONE, STATIC or DNS"),
            AGE,
        ]),
    istio("networking", NETWORKING_VERSIONS, "Sidecar", "sidecars").singular("sidecar"),
    istio("networking", NETWORKING_VERSIONS, "VirtualService", "virtualservices")
        .singular("virtualservice")
        .short(&["vs"])
        .columns(&[
            text("Gateways", ".spec.gateways", "the gateways, or mesh, that apply the routes"),
            text("Hosts", ".spec.hosts", "the hosts whose traffic is routed"),
            AGE,
        ]),
    istio("networking", NETWORKING_VERSIONS, "WorkloadEntry", "workloadentries")
        .singular("workloadentry")
        .short(&["we"])
        .columns(&[AGE, text("Address", ".spec.address", "where the workload listens")]),
    istio("networking", NETWORKING_VERSIONS, "WorkloadGroup", "workloadgroups")
        .singular("workloadgroup")
        .short(&["wg"]),
    istio("security", SECURITY_VERSIONS, "AuthorizationPolicy", "authorizationpolicies")
        .singular("authorizationpolicy")
        .short(&["ap"])
        .columns(&[text("Action", ".spec.action", "what a match leads to"), AGE]),
    istio("security", SECURITY_VERSIONS, "PeerAuthentication", "peerauthentications")
        .singular("peerauthentication")
        .short(&["pa"])
        .columns(&[text("Mode", ".spec.mtls.mode", "whether peers must use mutual TLS"), AGE]),
    istio("security", SECURITY_VERSIONS, "RequestAuthentication", "requestauthentications")
        .singular("requestauthentication")
        .short(&["ra"]),
    istio("telemetry", &["v1alpha1", "v1"], "Telemetry", "telemetries")
        .singular("telemetry")
        .short(&["telemetry"]),
    istio("extensions", &["v1alpha1"], "TrafficExtension", "trafficextensions")
        .singular("trafficextension"),
    istio("extensions", &["v1alpha1"], "WasmPlugin", "wasmplugins").singular("wasmplugin"),
];

const fn text(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, column_type: ColumnType::String, path, priority: 0, description }
}

const fn wide(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, column_type: ColumnType::String, path, priority: 1, description }
}

const fn kubernetes(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    Kind {
        group,
        versions,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        namespaced: true,
        columns: &[],
        status: false,
        source: Source::Kubernetes,
        stored_as: None,
    }
}

const fn gateway_api(
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    let mut this = kubernetes("gateway.networking.k8s.io", versions, kind, plural, singular);
    this.categories = &["gateway-api"];
    this.status = true;
    this.source = Source::GatewayApi;
    this
}

const fn istio(
    area: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    let (group, categories): (_, &'static [&'static str]) = match area.as_bytes()[0] {
        b'n' => ("networking.istio.io", &["istio-io", "networking-istio-io"]),
        b's' => ("security.istio.io", &["istio-io", "security-istio-io"]),
        b't' => ("telemetry.istio.io", &["istio-io", "telemetry-istio-io"]),
        _ => ("extensions.istio.io", &["istio-io", "extensions-istio-io"]),
    };
    let mut this = kubernetes(group, versions, kind, plural, "");
    this.categories = categories;
    this.status = true;
    this.columns = AGE_ONLY;
    this.source = Source::Istio;
    this
}

impl Kind {
    const fn singular(mut self, singular: &'static str) -> Self {
        self.singular = singular;
        self
    }

    const fn short(mut self, short_names: &'static [&'static str]) -> Self {
        self.short_names = short_names;
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    const fn columns(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn no_status(mut self) -> Self {
        self.status = false;
        self
    }

    const fn stored_as(mut self, group: &'static str, plural: &'static str) -> Self {
        self.stored_as = Some((group, plural));
        self
    }
}
